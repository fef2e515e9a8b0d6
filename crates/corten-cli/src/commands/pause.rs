//! `pause`: processes stand still.

use crate::arguments::Matches;
use crate::cli::Cli;
use crate::failure::Outcome;
use crate::many;
use crate::tree::{Arity, Verb, verb};
use corten_docker_api::client::encode_segment;

/// The command.
pub const VERB: Verb =
    verb!(pause, "CONTAINER [CONTAINER...]", "Make all processes of containers stand still", Arity::AtLeast(1), &[]);

/// Pauses containers.
pub async fn pause(cli: &Cli, matches: &Matches) -> Outcome {
    many::each(cli, &matches.arguments, |name| {
        Box::pin(async move { cli.client.post(&format!("/containers/{}/pause", encode_segment(name))).await })
    })
    .await
}
