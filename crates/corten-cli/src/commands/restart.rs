//! `restart`: stop and start.

use super::stop;
use crate::arguments::Matches;
use crate::cli::Cli;
use crate::failure::{Outcome, join};
use crate::tree::{Arity, Verb, verb};
use corten_docker_api::client::encode_segment;

/// The command.
pub const VERB: Verb = verb!(
    restart,
    "[OPTIONS] CONTAINER [CONTAINER...]",
    "Stop containers and start them again",
    Arity::AtLeast(1),
    stop::FLAGS
);

/// Restarts containers, one after the other.
pub async fn restart(cli: &Cli, matches: &Matches) -> Outcome {
    let query = stop::query(cli, matches)?;
    let mut failures = Vec::new();
    for name in &matches.arguments {
        match cli.client.post(&format!("/containers/{}/restart{}", encode_segment(name), query.as_str())).await {
            Ok(()) => cli.print_line(name),
            Err(error) => failures.push(error.to_string()),
        }
    }
    join(failures)
}
