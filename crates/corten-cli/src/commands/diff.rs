//! `diff`: what a container changed in its file system.

use crate::arguments::Matches;
use crate::cli::Cli;
use crate::failure::{Failure, Outcome};
use crate::tree::{Arity, Verb, verb};
use corten_docker_api::client::encode_segment;
use corten_docker_api::containers::FileChange;
use std::fmt::Write;

/// The command.
pub const VERB: Verb = verb!(
    diff,
    "CONTAINER",
    "Show which files a container changed (C), added (A) and deleted (D)",
    Arity::Exactly(1),
    &[]
);

/// Lists changes, a line each.
pub async fn diff(cli: &Cli, matches: &Matches) -> Outcome {
    let name = matches.arguments.first().map_or("", String::as_str);
    if name.trim().is_empty() {
        return Err(Failure::new("invalid container name or ID: value is empty"));
    }
    let answer = cli.client.get(&format!("/containers/{}/changes", encode_segment(name))).await?;
    let changes: Option<Vec<FileChange>> = answer.json().await?;
    let mut text = String::new();
    for change in changes.into_iter().flatten() {
        let letter = match change.kind {
            0 => 'C',
            1 => 'A',
            2 => 'D',
            _ => ' ',
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{letter} {}", change.path);
    }
    cli.print(&text);
    Ok(())
}
