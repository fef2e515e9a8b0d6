//! `stop`: a signal, and a kill when it is not heeded.

use crate::arguments::Matches;
use crate::cli::Cli;
use crate::failure::{Failure, Outcome};
use crate::flags::Flag;
use crate::many;
use crate::tree::{Arity, Verb, verb};
use corten_docker_api::client::{Query, encode_segment};

/// The command.
pub const VERB: Verb = verb!(
    stop,
    "[OPTIONS] CONTAINER [CONTAINER...]",
    "Stop containers, by force when they do not heed",
    Arity::AtLeast(1),
    FLAGS
);

/// Flags of `stop` and `restart`.
pub const FLAGS: &[Flag] = &[
    Flag::text("signal", "Signal to send first").short('s'),
    Flag::int("time", "Older name of --timeout").hidden(),
    Flag::int("timeout", "Seconds to wait before it is killed").short('t'),
];

/// Stops containers.
pub async fn stop(cli: &Cli, matches: &Matches) -> Outcome {
    let query = query(cli, matches)?;
    let query = query.as_str();
    many::each(cli, &matches.arguments, |name| {
        Box::pin(async move { cli.client.post(&format!("/containers/{}/stop{query}", encode_segment(name))).await })
    })
    .await
}

/// The query of `stop` and `restart`.
pub fn query(cli: &Cli, matches: &Matches) -> Result<Query, Failure> {
    let is_old = matches.is_given("time");
    if is_old {
        cli.print_line("Flag --time has been deprecated, use --timeout instead");
    }
    if is_old && matches.is_given("timeout") {
        return Err(Failure::new("conflicting options: cannot specify both --timeout and --time"));
    }
    let given = ["timeout", "time"].into_iter().find(|name| matches.is_given(name));
    let seconds = given.map_or_else(String::new, |name| matches.int(name).to_string());
    Ok(Query::new().non_empty("signal", matches.text("signal")).non_empty("t", &seconds))
}
