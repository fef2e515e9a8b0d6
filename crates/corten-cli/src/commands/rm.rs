//! `rm`: removes containers.

use crate::arguments::Matches;
use crate::cli::Cli;
use crate::failure::{Outcome, join};
use crate::flags::Flag;
use crate::tree::{Arity, Verb, verb};
use corten_docker_api::client::{Method, Payload, Query, encode_segment};
/// The command.
pub const VERB: Verb = verb!(rm, "[OPTIONS] CONTAINER [CONTAINER...]", "Remove containers", Arity::AtLeast(1), FLAGS);

const FLAGS: &[Flag] = &[
    Flag::bool("force", "Kill a running container first").short('f'),
    Flag::bool("link", "Remove the link of that name").short('l'),
    Flag::bool("volumes", "Remove its anonymous volumes too").short('v'),
];

/// Removes containers.
pub async fn rm(cli: &Cli, matches: &Matches) -> Outcome {
    let is_forced = matches.flag("force");
    let query =
        Query::new().flag("force", is_forced).flag("link", matches.flag("link")).flag("v", matches.flag("volumes"));
    let mut failures = Vec::new();
    for name in &matches.arguments {
        let id = name.trim_matches('/');
        if id.is_empty() {
            failures.push("container name cannot be empty".to_owned());
            continue;
        }
        let target = format!("/containers/{}{}", encode_segment(id), query.as_str());
        match cli.client.send(Method::DELETE, &target, Payload::Empty).await {
            Ok(_) => cli.print_line(name),
            Err(error) if is_forced && error.is_not_found() => cli.warn(&error.to_string()),
            Err(error) => failures.push(error.to_string()),
        }
    }
    join(failures)
}
