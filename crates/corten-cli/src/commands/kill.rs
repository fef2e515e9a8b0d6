//! `kill`: a signal to the first process.

use crate::arguments::Matches;
use crate::cli::Cli;
use crate::failure::Outcome;
use crate::flags::Flag;
use crate::many;
use crate::tree::{Arity, Verb, verb};
use corten_docker_api::client::{Query, encode_segment};

/// The command.
pub const VERB: Verb = verb!(
    kill,
    "[OPTIONS] CONTAINER [CONTAINER...]",
    "Send a signal to containers, KILL unless told",
    Arity::AtLeast(1),
    FLAGS
);

const FLAGS: &[Flag] = &[Flag::text("signal", "Signal to send").short('s')];

/// Sends a signal to containers.
pub async fn kill(cli: &Cli, matches: &Matches) -> Outcome {
    let query = Query::new().non_empty("signal", matches.text("signal"));
    let query = query.as_str();
    many::each(cli, &matches.arguments, |name| {
        Box::pin(async move { cli.client.post(&format!("/containers/{}/kill{query}", encode_segment(name))).await })
    })
    .await
}
