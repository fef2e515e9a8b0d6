//! `tag`: another name for an image.

use crate::arguments::{Matches, Order};
use crate::cli::Cli;
use crate::failure::{Failure, Outcome};
use crate::tree::{Arity, Verb, verb};
use corten_docker_api::client::{Query, encode_path};
use corten_types::Reference;

/// The command.
pub const VERB: Verb = verb!(
    tag,
    "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
    "Give an image another name",
    Arity::Exactly(2),
    &[],
    Order::FlagsFirst
);

/// Tags an image.
pub async fn tag(cli: &Cli, matches: &Matches) -> Outcome {
    let [source, target] = matches.arguments.as_slice() else { return Err(Failure::new("tag takes two names")) };
    let wrong = |text: &str, error: &dyn std::fmt::Display| {
        Failure::new(format!(
            "Error parsing reference: {} is not a valid repository/tag: {error}",
            crate::flags::quote(text)
        ))
    };
    // An id names an image too.
    let is_id = source.len() == 64 && source.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_id && let Err(error) = source.parse::<Reference>() {
        return Err(wrong(source, &error));
    }
    let reference: Reference = target.parse().map_err(|error| wrong(target, &error))?;
    if reference.digest().is_some() {
        return Err(Failure::new("refusing to create a tag with a digest reference"));
    }
    let reference = reference.or_latest();
    let query = Query::new().with("repo", &reference.familiar_name()).with("tag", reference.tag().unwrap_or("latest"));
    cli.client.post(&format!("/images/{}/tag{}", encode_path(source), query.as_str())).await?;
    Ok(())
}
