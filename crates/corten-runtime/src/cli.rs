//! What a command line does: parse, one call, print; and how a failure is reported.

use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::fmt::Display;
use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use corten_runtime_api::arguments::{Command, Global, Invocation};
use corten_runtime_api::help;
use corten_runtime_api::parse::{Failure, UsageError, parse};
use corten_sys::{credentials, descriptors, executable, users, wait};

use crate::administrator;
use crate::caller::Caller;
use crate::log::Log;
use crate::{
    create, delete, events, exec, features, kill, list, pause, ps, resume, run, spec_template, start, state, update,
};

/// Where state is kept when nobody says otherwise, as runc.
const DEFAULT_ROOT: &str = "/run/runc";

/// The status of every failure but one.
const FAILED: u8 = 1;

/// The status of an exec that failed before its process ran.
const EXEC_FAILED: u8 = 255;

/// Runs the program called with `arguments`, of which the first is its name; its exit status.
#[must_use]
#[expect(clippy::needless_pass_by_value, reason = "the form of a program's main")]
pub fn main(arguments: Vec<OsString>) -> u8 {
    if descriptors::fill_standard_streams().is_err() {
        return FAILED;
    }
    match parse(arguments.get(1..).unwrap_or_default()) {
        Ok(invocation) => invoke(&arguments, &invocation),
        Err(failure) => refuse(&arguments, &failure),
    }
}

/// Who closes a pipe early gets an error written to the log, and no half-made container. Not before the program runs from
/// its sealed copy, which begins anew.
fn ignore_broken_pipes() {
    let _ = wait::ignore_broken_pipes(); // it fails for no signal that exists
}

fn refuse(arguments: &[OsString], failure: &Failure) -> u8 {
    ignore_broken_pipes();
    let program = program(arguments);
    // The command line's own error matters more than a log that cannot be opened.
    let log = Log::open(&failure.global).unwrap_or_else(|_| Log::on_standard_error());
    match &failure.error {
        UsageError::Exactly { .. } | UsageError::AtLeast { .. } | UsageError::Between { .. } => {
            print("Incorrect Usage.\n\n");
            print(failure.command.and_then(|name| help::command(program, name)).unwrap_or_default());
        }
        UsageError::UnknownFlag { .. } | UsageError::NoValue { .. } => {
            print(format!("Incorrect Usage: {}\n\n", failure.error));
            let text = failure.command.and_then(|name| help::command(program, name));
            print(text.unwrap_or_else(|| help::program(program, env!("CARGO_PKG_VERSION"))));
        }
        _ => {}
    }
    log.error(&failure.error.to_string());
    if failure.command == Some("exec") { EXEC_FAILED } else { FAILED }
}

fn invoke(arguments: &[OsString], invocation: &Invocation) -> u8 {
    let Invocation { global, command } = invocation;
    let log = match Log::open(global) {
        Ok(log) => log,
        Err(error) => {
            ignore_broken_pipes();
            Log::on_standard_error().error(&format!("open log: {error}"));
            return FAILED;
        }
    };
    match check(global) {
        Ok(root) => call(arguments, &root, global, command, log),
        Err(text) => {
            ignore_broken_pipes();
            log.error(&text);
            FAILED
        }
    }
}

/// The root, made absolute; what is not built yet is refused.
fn check(global: &Global) -> Result<PathBuf, String> {
    if global.systemd_cgroup {
        return Err("--systemd-cgroup: not supported yet".to_owned());
    }
    let root = global.root.clone().map_or_else(default_root, Ok)?;
    let root = std::path::absolute(&root).map_err(|error| format!("--root {}: {error}", root.display()))?;
    if root == Path::new("/") {
        return Err("--root: / cannot be the root of the state".to_owned());
    }
    Ok(root)
}

/// In the runtime directory of a user who is not the host's root: another one, or root of a user namespace that was not
/// made for root. The sticky bit keeps what cleans that directory up from taking the state (XDG Base Directory).
fn default_root() -> Result<PathBuf, String> {
    let directory = env::var_os("XDG_RUNTIME_DIR").filter(|path| !path.is_empty() && !is_host_root());
    let Some(directory) = directory else { return Ok(PathBuf::from(DEFAULT_ROOT)) };
    let root = Path::new(&directory).join("runc");
    let made = DirBuilder::new().recursive(true).mode(0o700).create(&root);
    let sticky = made.and_then(|()| fs::set_permissions(&root, Permissions::from_mode(0o1700)));
    sticky.map_err(|error| format!("make the root {}: {error}", root.display()))?;
    Ok(root)
}

fn is_host_root() -> bool {
    let is_root = credentials::effective_user() == 0;
    is_root && (!users::are_mapped() || env::var_os("USER").is_some_and(|user| user == "root"))
}

fn call(line: &[OsString], root: &Path, global: &Global, command: &Command, log: Log) -> u8 {
    let enters = matches!(command, Command::Create(_) | Command::Run(_) | Command::Exec(_));
    let sealed = if enters { executable::seal_self(line, || administrator::of(root, command)) } else { Ok(()) };
    ignore_broken_pipes();
    if let Err(error) = sealed {
        log.error(&format!("protect the runtime's executable: {error}"));
        return if matches!(command, Command::Exec(_)) { EXEC_FAILED } else { FAILED };
    }
    log.debug(&format!("{} with root {}", command.name(), root.display()));
    let caller = Caller::from_environment(global, log);
    let log = &caller.log;
    let outcome = match command {
        Command::Create(arguments) => done("runc create failed: ", create::create(root, arguments, &caller)),
        Command::Run(arguments) => status("runc run failed: ", FAILED, run::run(root, arguments, &caller)),
        Command::Start(id) => done("", start::start(root, id, &caller)),
        Command::Exec(arguments) => status("exec failed: ", EXEC_FAILED, exec::exec(root, arguments, log)),
        Command::Events(arguments) => done("", events::events(root, arguments)),
        Command::Kill(arguments) => done("", kill::kill(root, arguments)),
        Command::Delete(arguments) => done("", delete::delete(root, arguments, log)),
        Command::State(id) => {
            let json = state::state(root, id).map(|state| serde_json::to_string_pretty(&state).unwrap_or_default());
            printed(json)
        }
        Command::List(arguments) => printed(list::list(root, global.root.is_none(), arguments, log)),
        Command::Ps(arguments) => printed(ps::ps(root, arguments)),
        Command::Pause(id) => done("", pause::pause(root, id)),
        Command::Resume(id) => done("", resume::resume(root, id)),
        Command::Update(arguments) => done("", update::update(root, arguments)),
        Command::Spec(arguments) => done("", spec_template::spec(arguments)),
        Command::Features => Ok(print(features::features())),
        Command::Version => Ok(print(version(program(line)))),
        Command::Help(topic) => help_about(program(line), topic.as_deref()),
    };
    outcome.unwrap_or_else(|Failed { status, text }| {
        log.error(&text);
        status
    })
}

/// The end of a command that failed.
struct Failed {
    status: u8,
    text: String,
}

/// The name this program was called by: who installs it as `runc` reads that name in its texts (go-runc does).
fn program(arguments: &[OsString]) -> &'static str {
    const NAME: &str = "corten-runtime";
    let called = arguments.first().and_then(|path| Path::new(path).file_name());
    if called.is_some_and(|name| name == "runc") { "runc" } else { NAME }
}

/// The lines that go-runc and dockerd read; the first names the program.
fn version(program: &str) -> String {
    format!("{program} version {0}\ncommit: v{0}\nspec: 1.3.0\n", env!("CARGO_PKG_VERSION"))
}

fn help_about(program: &str, topic: Option<&str>) -> Result<u8, Failed> {
    let Some(topic) = topic else { return Ok(print(help::program(program, env!("CARGO_PKG_VERSION")))) };
    let text = help::command(program, topic);
    text.map(print).ok_or_else(|| Failed { status: FAILED, text: format!("No help topic for '{topic}'") })
}

fn done<E: Error + 'static>(prefix: &str, result: Result<(), E>) -> Result<u8, Failed> {
    status(prefix, FAILED, result.map(|()| 0))
}

fn printed<E: Error + 'static>(result: Result<String, E>) -> Result<u8, Failed> {
    status("", FAILED, result.map(print))
}

fn status<E: Error + 'static>(prefix: &str, status: u8, result: Result<u8, E>) -> Result<u8, Failed> {
    result.map_err(|error| Failed { status, text: format!("{prefix}{}", corten_types::error::chain(&error)) })
}

fn print(text: impl Display) -> u8 {
    let mut out = io::stdout().lock();
    let written = write!(out, "{text}").and_then(|()| out.flush());
    if written.is_ok() { 0 } else { FAILED }
}
