//! `logs`: what a container has said, and says.

use crate::arguments::Matches;
use crate::cli::Cli;
use crate::failure::{Failure, Outcome};
use crate::flags::Flag;
use crate::stream::decoder::{Decoder, Piece};
use crate::text::moment;
use crate::tree::{Arity, Verb, verb};
use corten_docker_api::client::{Query, encode_segment};
use corten_docker_api::containers::ContainerInspect;
use std::io::{self, Write};

/// The command.
pub const VERB: Verb =
    verb!(logs, "[OPTIONS] CONTAINER", "Show what a container has written", Arity::Exactly(1), FLAGS);

const FLAGS: &[Flag] = &[
    Flag::bool("details", "Show what the log driver was told to add"),
    Flag::bool("follow", "Go on as long as the container runs").short('f'),
    Flag::text("since", "From this time on (2013-01-02T13:23:37Z, or 42m for 42 minutes ago)"),
    Flag::text("tail", "Show that many of the last lines").short('n').default("all"),
    Flag::bool("timestamps", "Show when each line was written").short('t'),
    Flag::text("until", "Up to this time (2013-01-02T13:23:37Z, or 42m for 42 minutes ago)"),
];

/// Shows a container's log.
pub async fn logs(cli: &Cli, matches: &Matches) -> Outcome {
    let name = matches.arguments.first().map_or("", String::as_str);
    let container: ContainerInspect =
        cli.client.get(&format!("/containers/{}/json", encode_segment(name))).await?.json().await?;
    let moment = |flag: &str| {
        let text = matches.text(flag);
        moment::parse(text)
            .map_err(|error| Failure::new(format!("invalid value for {}: {error}", crate::flags::quote(flag))))
    };
    let query = Query::new()
        .flag("details", matches.flag("details"))
        .flag("follow", matches.flag("follow"))
        .non_empty("since", &moment("since")?)
        .flag("stderr", true)
        .flag("stdout", true)
        .with("tail", matches.text("tail"))
        .flag("timestamps", matches.flag("timestamps"))
        .non_empty("until", &moment("until")?);
    let response =
        cli.client.get(&format!("/containers/{}/logs{}", encode_segment(&container.id), query.as_str())).await?;
    let mut body = response.into_body();
    let mut decoder = Decoder::default();
    while let Some(chunk) = body.chunk().await? {
        if container.config.tty {
            show(&mut io::stdout(), &chunk);
            continue;
        }
        decoder
            .feed(&chunk, |piece| match piece {
                Piece::Output(bytes) => show(&mut io::stdout(), bytes),
                Piece::Errors(bytes) => show(&mut io::stderr(), bytes),
            })
            .map_err(Failure::new)?;
    }
    Ok(())
}

fn show(output: &mut impl Write, bytes: &[u8]) {
    crate::cli::write_or_leave(output, bytes);
}
