//! `top`: the processes of a container.

use crate::arguments::{Matches, Order};
use crate::cli::Cli;
use crate::failure::{Failure, Outcome};
use crate::tree::{Arity, Verb, verb};
use corten_docker_api::client::{Query, encode_segment};
use corten_docker_api::containers::Top;
use corten_terminal::tabwriter::{Layout, align};
use std::fmt::Write;

/// The command.
pub const VERB: Verb = verb!(
    top,
    "CONTAINER [ps OPTIONS]",
    "Show the processes of a container",
    Arity::AtLeast(1),
    &[],
    Order::FlagsFirst
);

const LAYOUT: Layout = Layout { minimum_width: 20, padding: 3 };

/// Shows what ps(1) says of a container's processes.
pub async fn top(cli: &Cli, matches: &Matches) -> Outcome {
    let (name, options) = matches.arguments.split_first().ok_or_else(|| Failure::new("top takes a container"))?;
    let query = Query::new().non_empty("ps_args", &options.join(" "));
    let top: Top =
        cli.client.get(&format!("/containers/{}/top{}", encode_segment(name), query.as_str())).await?.json().await?;
    let mut text = format!("{}\n", top.titles.unwrap_or_default().join("\t"));
    for process in top.processes.unwrap_or_default() {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}", process.join("\t"));
    }
    cli.print(&align(&text, LAYOUT));
    Ok(())
}
