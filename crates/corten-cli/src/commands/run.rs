//! `run`: create, attach, start, wait.

use crate::arguments::{Matches, Order};
use crate::cli::Cli;
use crate::commands::create::{self, create_container};
use crate::end;
use crate::failure::{Failure, Outcome};
use crate::flags::Flag;
use crate::request::{self, flags::RUN_FLAGS};
use crate::stream::resize::{self, Of};
use crate::stream::signals::Signals;
use crate::stream::{Attachment, Ended, Parts};
use crate::tree::{Arity, Verb, verb};
use corten_docker_api::client::AttachStreams;

/// The command.
pub const VERB: Verb = verb!(
    run,
    "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    "Run a command in a new container",
    Arity::AtLeast(1),
    FLAGS,
    Order::FlagsFirst
);

const FLAGS: &[Flag] = RUN_FLAGS;

/// Runs a command in a new container.
pub async fn run(cli: &Cli, matches: &Matches) -> Outcome {
    create::check_pull(matches.text("pull")).map_err(|message| refusal(cli, &message, 125))?;
    let mut body = request::from_args(matches, &request::Files).map_err(|message| refusal(cli, &message, 125))?;
    let is_detached = matches.flag("detach");
    if is_detached {
        if !matches.list("attach").is_empty() {
            return Err(Failure::new("conflicting options: cannot specify both --attach and --detach"));
        }
        let config = &mut body.config;
        (config.attach_stdin, config.attach_stdout, config.attach_stderr, config.stdin_once) =
            (false, false, false, false);
    } else if body.config.attach_stdin && body.config.tty && !cli.input_is_terminal() {
        return Err(Failure::new("the input device is not a TTY"));
    }

    let id = create_container(cli, matches, &mut body).await.map_err(|failure| start_refusal(cli, &failure.message))?;
    let config = &body.config;
    let mut forward: std::pin::Pin<Box<dyn Future<Output = ()>>> = if matches.flag("sig-proxy") {
        Box::pin(Signals::catch(cli).forward(cli, &id))
    } else {
        Box::pin(std::future::pending())
    };
    let is_attached = config.attach_stdin || config.attach_stdout || config.attach_stderr;
    if !is_attached {
        cli.print_line(&id);
        return cli.client.container_start(&id, "").await.map_err(|error| start_refusal(cli, &error.to_string()));
    }

    let given = matches.text("detach-keys");
    let parts = Parts {
        stdin: config.attach_stdin,
        stdout: config.attach_stdout,
        stderr: config.attach_stderr,
        tty: config.tty,
        detach_keys: if given.is_empty() { cli.config.detach_keys.clone() } else { given.to_owned() },
    };
    let mut attachment = attach(cli, &id, &parts).await?;
    let output = end::Output::default();
    let removes = matches.flag("rm");
    let waiting = cli.client.container_wait(&id, if removes { "removed" } else { "next-exit" }).await;
    let mut status: std::pin::Pin<Box<dyn Future<Output = u8>>> = Box::pin(end::status(cli, &id, waiting, &output));

    if let Err(error) = cli.client.container_start(&id, "").await {
        corten_terminal::raw::restore_now();
        if removes {
            status.await;
        }
        return Err(start_refusal(cli, &error.to_string()));
    }
    let mut follow: std::pin::Pin<Box<dyn Future<Output = ()>>> = if config.tty && cli.output_is_terminal() {
        Box::pin(resize::follow(cli, Of::Container, &id))
    } else {
        Box::pin(std::future::pending())
    };
    loop {
        tokio::select! {
            ended = attachment.ended() => {
                return match ended {
                    Ended::Detached => Ok(()),
                    Ended::Output(Err(error)) => Err(Failure::new(error.to_string())),
                    Ended::Output(Ok(())) => {
                        output.ended();
                        tokio::select! {
                            code = &mut status => exit(code),
                            () = &mut forward => unreachable!("forwarding never ends"),
                        }
                    }
                };
            }
            code = &mut status => {
                // The last output may still be on its way.
                if attachment.has_output() {
                    attachment.ended().await;
                }
                return exit(code);
            }
            () = &mut forward => {}
            () = &mut follow => {}
        }
    }
}

/// Attaches and begins to copy.
pub async fn attach(cli: &Cli, id: &str, parts: &Parts) -> Result<Attachment, Failure> {
    let streams = AttachStreams {
        stdin: parts.stdin,
        stdout: parts.stdout,
        stderr: parts.stderr,
        detach_keys: parts.detach_keys.clone(),
    };
    let hijacked = cli.client.container_attach(id, &streams).await?;
    Attachment::begin(hijacked, parts).map_err(|error| Failure::new(format!("unable to setup input stream: {error}")))
}

/// A container's exit code as ours.
pub const fn exit(code: u8) -> Outcome {
    if code == 0 { Ok(()) } else { Err(Failure::silent(code)) }
}

/// A refusal as `run` tells it, with the way to its help.
pub fn refusal(cli: &Cli, message: &str, status: u8) -> Failure {
    Failure::with_status(format!("{}: {message}\n\n{}", cli.program, cli.see_help("run")), status)
}

/// Scripts tell a missing command (127) and one that may not run (126) from all else by these words.
fn start_refusal(cli: &Cli, message: &str) -> Failure {
    let has = |words: &[&str]| words.iter().any(|word| message.contains(word));
    let status =
        if has(&["executable file not found", "no such file or directory", "system cannot find the file specified"]) {
            127
        } else if has(&["permission denied", "is a directory"]) {
            126
        } else {
            125
        };
    refusal(cli, message, status)
}
