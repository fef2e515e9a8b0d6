//! `network prune`: removes networks that no container is in.

use crate::arguments::Matches;
use crate::cli::Cli;
use crate::confirm::confirm;
use crate::failure::Outcome;
use crate::flags::Flag;
use crate::request::filters;
use crate::tree::{Arity, Verb, verb};
use corten_docker_api::client::{Method, Payload, Query};
use corten_docker_api::networks::NetworksPruned;

/// The command.
pub const VERB: Verb = verb!(network_prune, "[OPTIONS]", "Remove networks that no container is in", Arity::None, FLAGS);

const FLAGS: &[Flag] = &[Flag::filter_without_short(), Flag::bool("force", "Do not ask").short('f')];

const QUESTION: &str = "WARNING! This will remove all custom networks not used by at least one container.\nAre you sure you want to continue?";

/// Removes networks, once confirmed.
pub async fn network_prune(cli: &Cli, matches: &Matches) -> Outcome {
    if !matches.flag("force") && !confirm(cli, QUESTION).await? {
        return Ok(());
    }
    let query = Query::new().non_empty("filters", &filters(matches.list("filter")));
    let target = format!("/networks/prune{}", query.as_str());
    let pruned: NetworksPruned = cli.client.send(Method::POST, &target, Payload::Empty).await?.json().await?;
    let names = pruned.networks_deleted.unwrap_or_default();
    if !names.is_empty() {
        cli.print(&format!("Deleted Networks:\n{}\n\n", names.join("\n")));
    }
    Ok(())
}
