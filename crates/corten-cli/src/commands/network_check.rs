//! `network check`: what of networks is not as it should be.

use crate::arguments::Matches;
use crate::cli::Cli;
use crate::failure::{Failure, Outcome};
use crate::flags::Flag;
use crate::tree::{Arity, Verb, verb};
use corten_docker_api::client::{Method, Payload, Query};
use corten_docker_api::networks::NetworkDifference;

/// The command.
pub const VERB: Verb =
    verb!(network_check, "[OPTIONS]", "Compare networks in the kernel with what they should be", Arity::None, FLAGS);

const FLAGS: &[Flag] = &[Flag::bool("fix", "Mend what is found")];

/// Exit status when something is found and not mended.
const FOUND: u8 = 1;

/// Prints a line for each difference.
pub async fn network_check(cli: &Cli, matches: &Matches) -> Outcome {
    let is_mended = matches.flag("fix");
    let query = Query::new().flag("fix", is_mended);
    let target = format!("/corten/networks/check{}", query.as_str());
    let found: Vec<NetworkDifference> = cli.client.send(Method::POST, &target, Payload::Empty).await?.json().await?;
    for difference in &found {
        let mended = if is_mended { " (mended)" } else { "" };
        cli.print_line(&format!("{}: {}{mended}", difference.object, difference.what));
    }
    match found.len() {
        0 => Ok(()),
        _ if is_mended => Ok(()),
        count => Err(Failure::with_status(
            format!("{count} of networks' objects are not as they should be: network check --fix mends them"),
            FOUND,
        )),
    }
}
