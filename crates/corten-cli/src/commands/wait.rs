//! `wait`: exit codes, when they come.

use crate::arguments::Matches;
use crate::cli::Cli;
use crate::failure::{Outcome, join};
use crate::tree::{Arity, Verb, verb};
use corten_docker_api::containers::WaitResponse;

/// The command.
pub const VERB: Verb = verb!(
    wait,
    "CONTAINER [CONTAINER...]",
    "Wait for containers to end and print their exit codes",
    Arity::AtLeast(1),
    &[]
);

/// Waits for containers, one after the other.
pub async fn wait(cli: &Cli, matches: &Matches) -> Outcome {
    let mut failures = Vec::new();
    for name in &matches.arguments {
        let answer = match cli.client.container_wait(name, "").await {
            Ok(response) => response.json::<WaitResponse>().await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(answer) => cli.print_line(&answer.status_code.to_string()),
            Err(error) => failures.push(error.to_string()),
        }
    }
    join(failures)
}
