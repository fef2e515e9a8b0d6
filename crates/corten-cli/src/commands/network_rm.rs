//! `network rm`.

use crate::arguments::Matches;
use crate::cli::Cli;
use crate::failure::{Outcome, join};
use crate::flags::Flag;
use crate::tree::{Arity, Verb, verb};
use corten_docker_api::client::{Method, Payload, encode_segment};

/// The command.
pub const VERB: Verb = verb!(network_rm, "NETWORK [NETWORK...]", "Remove networks", Arity::AtLeast(1), FLAGS);

const FLAGS: &[Flag] = &[Flag::bool("force", "A network that is not there is no error").short('f')];

/// Removes networks.
pub async fn network_rm(cli: &Cli, matches: &Matches) -> Outcome {
    let is_forced = matches.flag("force");
    let mut failures = Vec::new();
    for name in &matches.arguments {
        match cli.client.send(Method::DELETE, &format!("/networks/{}", encode_segment(name)), Payload::Empty).await {
            Ok(_) => cli.print_line(name),
            Err(error) if is_forced && error.is_not_found() => {}
            Err(error) => failures.push(error.to_string()),
        }
    }
    join(failures)
}
