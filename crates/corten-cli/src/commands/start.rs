//! `start`: stopped containers run again.

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
use corten_docker_api::client::encode_segment;
use corten_docker_api::containers::ContainerInspect;
use std::pin::Pin;

/// The command.
pub const VERB: Verb =
    verb!(start, "[OPTIONS] CONTAINER [CONTAINER...]", "Start containers that have stopped", Arity::AtLeast(1), FLAGS);

const FLAGS: &[Flag] = &[
    Flag::bool("attach", "Show output and pass signals on").short('a'),
    Flag::text("detach-keys", "Keys that detach from the container"),
    Flag::bool("interactive", "Send standard input").short('i'),
];

/// Starts containers.
pub async fn start(cli: &Cli, matches: &Matches) -> Outcome {
    if matches.flag("attach") || matches.flag("interactive") {
        let [name] = matches.arguments.as_slice() else {
            return Err(Failure::new("you cannot start and attach multiple containers at once"));
        };
        return start_attached(cli, matches, name).await;
    }
    let mut failed = Vec::new();
    for name in &matches.arguments {
        match cli.client.container_start(name, "").await {
            Ok(()) => cli.print_line(name),
            Err(error) => {
                cli.warn(&error.to_string());
                failed.push(name.clone());
            }
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!("Error: failed to start containers: {}", failed.join(", "))))
}

async fn start_attached(cli: &Cli, matches: &Matches, name: &str) -> Outcome {
    let container: ContainerInspect =
        cli.client.get(&format!("/containers/{}/json", encode_segment(name))).await?.json().await?;
    let id = container.id.as_str();
    let tty = container.config.tty;
    let mut forward: Pin<Box<dyn Future<Output = ()>>> =
        if tty { Box::pin(std::future::pending()) } else { Box::pin(Signals::catch(cli).forward(cli, id)) };
    let given = matches.text("detach-keys");
    let parts = Parts {
        stdin: matches.flag("interactive") && container.config.open_stdin,
        stdout: true,
        stderr: true,
        tty,
        detach_keys: if given.is_empty() { cli.config.detach_keys.clone() } else { given.to_owned() },
    };
    let mut attachment = begin(cli, id, &parts).await?;
    let output = end::Output::default();
    let removes = container.host_config.auto_remove;
    let waiting = cli.client.container_wait(id, if removes { "removed" } else { "next-exit" }).await;
    let mut status: Pin<Box<dyn Future<Output = u8>>> = Box::pin(end::status(cli, id, waiting, &output));
    if let Err(error) = cli.client.container_start(id, "").await {
        corten_terminal::raw::restore_now();
        if removes {
            status.await;
        }
        return Err(error.into());
    }
    let mut follow: Pin<Box<dyn Future<Output = ()>>> = if tty && cli.output_is_terminal() {
        Box::pin(resize::follow(cli, Of::Container, id))
    } else {
        Box::pin(std::future::pending())
    };
    let ended = tokio::select! {
        ended = attachment.ended() => ended,
        () = &mut forward => unreachable!("forwarding never ends"),
        () = &mut follow => unreachable!("resizing never ends"),
    };
    match ended {
        Ended::Detached => Ok(()),
        Ended::Output(Err(error)) => Err(Failure::new(error.to_string())),
        Ended::Output(Ok(())) => {
            output.ended();
            tokio::select! {
                code = &mut status => exit(code),
                () = &mut forward => unreachable!("forwarding never ends"),
            }
        }
    }
}
