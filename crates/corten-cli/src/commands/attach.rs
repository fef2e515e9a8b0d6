//! `attach`: this terminal to a running container's first process.

use super::run::{attach as begin, exit};
use crate::arguments::Matches;
use crate::cli::Cli;
use crate::end;
use crate::failure::{Failure, Outcome};
use crate::flags::Flag;
use crate::stream::resize::{self, Of};
use crate::stream::signals::Signals;
use crate::stream::{Ended, Parts};
use crate::tree::{Arity, Verb, verb};
use corten_docker_api::client::{Query, encode_segment};
use corten_docker_api::containers::ContainerInspect;
use std::pin::Pin;

/// The command.
pub const VERB: Verb =
    verb!(attach, "[OPTIONS] CONTAINER", "Attach this terminal to a running container", Arity::Exactly(1), FLAGS);

const FLAGS: &[Flag] = &[
    Flag::text("detach-keys", "Keys that detach from the container"),
    Flag::bool("no-stdin", "Do not send standard input"),
    Flag::bool("sig-proxy", "Pass signals on to the container").default("true"),
];

/// Attaches to a running container.
pub async fn attach(cli: &Cli, matches: &Matches) -> Outcome {
    let name = matches.arguments.first().map_or("", String::as_str);
    // Asked first, so that an end between the checks below is not missed.
    let waiting = cli.client.container_wait(name, "").await;
    let container = running(cli, name).await?;
    let sends_input = !matches.flag("no-stdin");
    let tty = container.config.tty;
    if sends_input && tty && !cli.input_is_terminal() {
        return Err(Failure::new("the input device is not a TTY"));
    }
    let given = matches.text("detach-keys");
    let parts = Parts {
        stdin: sends_input && container.config.open_stdin,
        stdout: true,
        stderr: true,
        tty,
        detach_keys: if given.is_empty() { cli.config.detach_keys.clone() } else { given.to_owned() },
    };
    let mut forward: Pin<Box<dyn Future<Output = ()>>> = if matches.flag("sig-proxy") && !tty {
        Box::pin(Signals::catch(cli).forward(cli, name))
    } else {
        Box::pin(std::future::pending())
    };
    let mut attachment = begin(cli, name, &parts).await?;
    // It may have stopped meanwhile, and then nobody would ever close this connection.
    running(cli, name).await?;
    let mut follow: Pin<Box<dyn Future<Output = ()>>> =
        if tty && cli.output_is_terminal() { Box::pin(redraw(cli, name)) } else { Box::pin(std::future::pending()) };
    let ended = tokio::select! {
        ended = attachment.ended() => ended,
        () = &mut forward => unreachable!("forwarding never ends"),
        () = &mut follow => unreachable!("resizing never ends"),
    };
    match ended {
        Ended::Detached => return Err(Failure::new("read escape sequence")),
        Ended::Output(Err(error)) => return Err(Failure::new(error.to_string())),
        Ended::Output(Ok(())) => {}
    }
    let output = end::Output::default();
    output.ended();
    let end = tokio::select! {
        answer = end::of_container(cli, &container.id, waiting, &output) => answer?,
        () = &mut forward => unreachable!("forwarding never ends"),
    };
    match end.error {
        Some(error) if !error.message.is_empty() => Err(Failure::new(error.message)),
        _ => exit(u8::try_from(end.status_code & 0xff).unwrap_or(u8::MAX)),
    }
}

async fn running(cli: &Cli, name: &str) -> Result<ContainerInspect, Failure> {
    let container: ContainerInspect =
        cli.client.get(&format!("/containers/{}/json", encode_segment(name))).await?.json().await?;
    let state = &container.state;
    let refuse = |text: &str| Err(Failure::new(text));
    if !state.running {
        return refuse("You cannot attach to a stopped container, start it first");
    }
    if state.paused {
        return refuse("You cannot attach to a paused container, unpause it first");
    }
    if state.restarting {
        return refuse("You cannot attach to a restarting container, wait until it is running");
    }
    Ok(container)
}

/// Programs draw again when their terminal changes: one size too large, then the true one.
async fn redraw(cli: &Cli, name: &str) {
    if let Some(size) = corten_terminal::window_size(std::io::stdout()).filter(|size| size.rows > 0 || size.columns > 0)
    {
        let query = Query::new()
            .with("h", &(u32::from(size.rows) + 1).to_string())
            .with("w", &(u32::from(size.columns) + 1).to_string());
        // Only a hint to the program inside.
        let _ = cli.client.post(&format!("/containers/{}/resize{}", encode_segment(name), query.as_str())).await;
    }
    resize::follow(cli, Of::Container, name).await;
}
