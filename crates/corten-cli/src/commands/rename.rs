//! `rename`: another name for a container.

use crate::arguments::Matches;
use crate::cli::Cli;
use crate::failure::{Failure, Outcome};
use crate::tree::{Arity, Verb, verb};
use corten_docker_api::client::{Query, encode_segment};

/// The command.
pub const VERB: Verb = verb!(rename, "CONTAINER NEW_NAME", "Give a container another name", Arity::Exactly(2), &[]);

/// Renames a container.
pub async fn rename(cli: &Cli, matches: &Matches) -> Outcome {
    let [old, new] = matches.arguments.as_slice() else { return Err(Failure::new("rename takes two names")) };
    let (old, new) = (old.trim(), new.trim());
    if old.is_empty() || new.is_empty() {
        return Err(Failure::new("Error: Neither old nor new names may be empty"));
    }
    let query = Query::new().with("name", new);
    cli.client.post(&format!("/containers/{}/rename{}", encode_segment(old), query.as_str())).await.map_err(|error| {
        cli.warn(&error.to_string());
        Failure::new(format!("Error: failed to rename container named {old}"))
    })
}
