//! `unpause`: processes go on.

use crate::arguments::Matches;
use crate::cli::Cli;
use crate::failure::Outcome;
use crate::many;
use crate::tree::{Arity, Verb, verb};
use corten_docker_api::client::encode_segment;

/// The command.
pub const VERB: Verb =
    verb!(unpause, "CONTAINER [CONTAINER...]", "Let the processes of paused containers go on", Arity::AtLeast(1), &[]);

/// Unpauses containers.
pub async fn unpause(cli: &Cli, matches: &Matches) -> Outcome {
    many::each(cli, &matches.arguments, |name| {
        Box::pin(async move { cli.client.post(&format!("/containers/{}/unpause", encode_segment(name))).await })
    })
    .await
}
