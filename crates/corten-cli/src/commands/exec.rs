//! `exec`: another process in a running container.

use crate::arguments::{Matches, Order};
use crate::cli::Cli;
use crate::end;
use crate::failure::{Failure, Outcome};
use crate::flags::Flag;
use crate::request::{self, environment};
use crate::stream::resize::{self, Of};
use crate::stream::{Attachment, Ended, Parts};
use crate::tree::{Arity, Verb, verb};
use corten_docker_api::client::{Method, Payload, encode_segment};
use corten_docker_api::exec::{ExecCreate, ExecCreated, ExecInspect, ExecStart};
use serde::Serialize;

/// The command.
pub const VERB: Verb = verb!(
    exec,
    "[OPTIONS] CONTAINER COMMAND [ARG...]",
    "Run a command in a running container",
    Arity::AtLeast(2),
    FLAGS,
    Order::FlagsFirst
);

const FLAGS: &[Flag] = &[
    Flag::bool("detach", "Run in the background").short('d'),
    Flag::text("detach-keys", "Keys that detach from the process"),
    Flag::list("env", "Set a variable").short('e').check(environment::check_variable),
    Flag::list("env-file", "Read variables from a file"),
    Flag::bool("interactive", "Keep standard input open").short('i'),
    Flag::bool("privileged", "Grant every privilege"),
    Flag::bool("tty", "Give it a terminal").short('t'),
    Flag::text("user", "User to run as (name|uid[:group|gid])").short('u'),
    Flag::text("workdir", "Directory to run in").short('w'),
];

/// Runs a command in a running container.
pub async fn exec(cli: &Cli, matches: &Matches) -> Outcome {
    let (container, command) = matches.arguments.split_first().ok_or_else(|| Failure::new("exec takes a container"))?;
    let is_detached = matches.flag("detach");
    let tty = matches.flag("tty");
    let stdin = !is_detached && matches.flag("interactive");
    let given_keys = matches.text("detach-keys");
    let env =
        environment::variables(matches.list("env-file"), matches.list("env"), &request::Files).map_err(Failure::new)?;

    // An unknown container is told before a missing terminal; and an exec that is made but never
    // started could not be taken back.
    cli.client.get(&format!("/containers/{}/json", encode_segment(container))).await?;
    if stdin && tty && !cli.input_is_terminal() {
        return Err(Failure::new("the input device is not a TTY"));
    }
    let size = corten_terminal::window_size(std::io::stdout()).unwrap_or_default();
    let console_size = tty.then_some([u32::from(size.rows), u32::from(size.columns)]);
    let body = ExecCreate {
        user: matches.text("user").to_owned(),
        privileged: matches.flag("privileged"),
        tty,
        console_size,
        attach_stdin: stdin,
        attach_stderr: !is_detached,
        attach_stdout: !is_detached,
        detach_keys: if given_keys.is_empty() { cli.config.detach_keys.clone() } else { given_keys.to_owned() },
        env: Some(env),
        working_dir: matches.text("workdir").to_owned(),
        cmd: Some(command.to_vec()),
    };
    let target = format!("/containers/{}/exec", encode_segment(container));
    let created: ExecCreated = cli.client.send(Method::POST, &target, json(&body)?).await?.json().await?;
    if created.id.is_empty() {
        return Err(Failure::new("exec ID empty"));
    }
    let start = json(&ExecStart { detach: is_detached, tty, console_size })?;
    let target = format!("/exec/{}/start", encode_segment(&created.id));
    if is_detached {
        cli.client.send(Method::POST, &target, start).await?.bytes().await?;
        return Ok(());
    }
    let parts = Parts { stdin, stdout: true, stderr: true, tty, detach_keys: body.detach_keys };
    let hijacked = cli.client.hijack(&target, start).await?;
    let mut attachment = Attachment::begin(hijacked, &parts)
        .map_err(|error| Failure::new(format!("unable to setup input stream: {error}")))?;
    let ended = if tty && cli.input_is_terminal() {
        tokio::select! {
            ended = attachment.ended() => ended,
            () = resize::follow(cli, Of::Exec, &created.id) => unreachable!("resizing never ends"),
        }
    } else {
        attachment.ended().await
    };
    match ended {
        Ended::Detached => return Err(Failure::new("read escape sequence")),
        Ended::Output(Err(error)) => return Err(Failure::new(error.to_string())),
        Ended::Output(Ok(())) => {}
    }
    exit_code(cli, &created.id).await
}

/// Ends with the exec's exit code; 255 when the daemon died meanwhile and stays away.
async fn exit_code(cli: &Cli, id: &str) -> Outcome {
    let output = end::Output::default();
    output.ended();
    let target = format!("/exec/{}/json", encode_segment(id));
    match end::across(&output, async || cli.client.get(&target).await?.json::<ExecInspect>().await).await {
        Ok(exec) => match exec.exit_code {
            None | Some(0) => Ok(()),
            Some(code) => Err(Failure::silent(u8::try_from(code & 0xff).unwrap_or(u8::MAX))),
        },
        Err(error) if error.is_daemon_gone() => Err(Failure::silent(u8::MAX)),
        Err(error) => Err(error.into()),
    }
}

fn json<T: Serialize>(body: &T) -> Result<Payload, Failure> {
    corten_docker_api::json::encode(body)
        .map(Payload::Json)
        .map_err(|error| Failure::new(format!("write the request: {error}")))
}
