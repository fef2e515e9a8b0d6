//! Getting an image: from the daemon's registry, or our own from beside this program.

use crate::cli::Cli;
use crate::failure::Failure;
use crate::progress;
use corten_docker_api::client::{Method, Payload, Query};
use corten_types::Reference;

/// Pulls `reference`; progress goes to standard error.
///
/// # Errors
/// The daemon's refusal, or what it says in the stream.
pub async fn pull_image(cli: &Cli, reference: &Reference, platform: &str, is_quiet: bool) -> Result<(), Failure> {
    let image = reference.familiar_name();
    let tag = reference.digest().map_or_else(|| reference.tag().unwrap_or("latest").to_owned(), ToString::to_string);
    let query = Query::new().with("fromImage", &image).with("tag", &tag).non_empty("platform", platform);
    let response = cli.client.send(Method::POST, &format!("/images/create{}", query.as_str()), Payload::Empty).await?;
    progress::show(response.into_body(), |text| {
        if !is_quiet {
            eprint!("{text}");
        }
    })
    .await
}
