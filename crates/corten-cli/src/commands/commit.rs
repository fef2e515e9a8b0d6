//! `commit`: an image of what a container is.

use crate::arguments::{Matches, Order};
use crate::cli::Cli;
use crate::failure::{Failure, Outcome};
use crate::flags::Flag;
use crate::tree::{Arity, Verb, verb};
use corten_docker_api::client::{Method, Payload, Query};
use corten_docker_api::containers::Committed;
use corten_types::Reference;

/// The command.
pub const VERB: Verb = verb!(
    commit,
    "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
    "Make an image of a container's changes",
    Arity::Between(1, 2),
    FLAGS,
    Order::FlagsFirst
);

const FLAGS: &[Flag] = &[
    Flag::text("author", "Who made it (\"Ada Lovelace <ada@example.com>\")").short('a'),
    Flag::list("change", "Apply an instruction of a Dockerfile").short('c'),
    Flag::text("message", "Comment of the image").short('m'),
    Flag::bool("pause", "Pause the container meanwhile").short('p').default("true"),
];

/// Commits a container and prints the image's id.
pub async fn commit(cli: &Cli, matches: &Matches) -> Outcome {
    let container = matches.arguments.first().map_or("", String::as_str);
    let name = matches.arguments.get(1).map_or("", String::as_str);
    let (mut repository, mut tag) = (String::new(), String::new());
    if !name.is_empty() {
        let reference: Reference = name.parse().map_err(|error| Failure::new(format!("{error}")))?;
        if reference.digest().is_some() {
            return Err(Failure::new("refusing to create a tag with a digest reference"));
        }
        let reference = reference.or_latest();
        repository = reference.familiar_name();
        tag = reference.tag().unwrap_or_default().to_owned();
    }
    let mut query = Query::new().with("author", matches.text("author"));
    for change in matches.list("change") {
        query = query.with("changes", change);
    }
    query = query.with("comment", matches.text("message")).with("container", container);
    if !matches.flag("pause") {
        query = query.with("pause", "0");
    }
    let query = query.with("repo", &repository).with("tag", &tag);
    let body = Payload::Json(b"null".to_vec());
    let answer = cli.client.send(Method::POST, &format!("/commit{}", query.as_str()), body).await?;
    let committed: Committed = answer.json().await?;
    cli.print_line(&committed.id);
    Ok(())
}
