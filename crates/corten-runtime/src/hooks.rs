//! Hooks that run on the host: programs with the container's state on standard input (runtime-spec, config.md,
//! "POSIX-platform Hooks").

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use corten_sys::descriptors::wait_readable;
use corten_sys::pidfd::PidFd;
use corten_sys::wait;
use serde::Serialize;

use crate::spec::Hook;
use crate::state_dir::Record;

use std::num::NonZeroU32;
use std::os::fd::AsFd;

/// Why a hook failed.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// It could not be started.
    #[error("error running {kind} hook #{index}: {path}: {source}")]
    Start {
        /// Which list.
        kind: &'static str,
        /// Its place there.
        index: usize,
        /// The program.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// It ended with another status than 0.
    #[error("error running {kind} hook #{index}: {path}: {status}, stderr: {stderr}")]
    Failed {
        /// Which list.
        kind: &'static str,
        /// Its place there.
        index: usize,
        /// The program.
        path: String,
        /// How it ended.
        status: String,
        /// What it said.
        stderr: String,
    },
    /// It did not end in time and was killed.
    #[error("error running {kind} hook #{index}: {path}: hook ran past specified timeout of {seconds} s")]
    TimedOut {
        /// Which list.
        kind: &'static str,
        /// Its place there.
        index: usize,
        /// The program.
        path: String,
        /// The limit.
        seconds: u32,
    },
}

/// What a hook is told.
#[derive(Debug, Clone, Copy)]
pub struct State<'a> {
    /// The specification's word.
    pub status: &'static str,
    /// The first process; 0 when it has ended.
    pub pid: i32,
    /// The rest.
    pub record: &'a Record,
}

/// The state as the specification has it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StateJson<'a> {
    oci_version: &'a str,
    id: &'a str,
    status: &'a str,
    #[serde(skip_serializing_if = "is_zero")]
    pid: i32,
    bundle: &'a std::path::Path,
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    annotations: &'a std::collections::BTreeMap<String, String>,
}

impl<'a> StateJson<'a> {
    pub(crate) fn of(state: &State<'a>) -> Self {
        let record = state.record;
        Self {
            oci_version: &record.oci_version,
            id: &record.id,
            status: state.status,
            pid: state.pid,
            bundle: &record.bundle,
            annotations: &record.annotations,
        }
    }
}

fn is_zero(pid: &i32) -> bool {
    *pid == 0
}

/// Runs hooks in order; the first failure ends it.
///
/// # Errors
/// [`HookError`].
pub fn run(hooks: &[Hook], kind: &'static str, state: &State<'_>) -> Result<(), HookError> {
    hooks.iter().enumerate().try_for_each(|(index, hook)| one(hook, kind, index, state))
}

/// Runs every hook, whatever happens; the failures.
pub fn run_all(hooks: &[Hook], kind: &'static str, state: &State<'_>) -> Vec<HookError> {
    let results = hooks.iter().enumerate().map(|(index, hook)| one(hook, kind, index, state));
    results.filter_map(Result::err).collect()
}

fn one(hook: &Hook, kind: &'static str, index: usize, state: &State<'_>) -> Result<(), HookError> {
    let path = || hook.path.clone();
    let fail = |source| HookError::Start { kind, index, path: path(), source };
    let mut child = start(hook).map_err(fail)?;
    let json = json(state).map_err(fail)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A hook need not read it.
        let _ = stdin.write_all(&json);
    }
    if let Some(seconds) = hook.timeout.map(NonZeroU32::get)
        && !ends_within(&child, Duration::from_secs(u64::from(seconds))).map_err(fail)?
    {
        let _ = child.kill(); // it may have ended at this moment
        let _ = child.wait(); // as above
        return Err(HookError::TimedOut { kind, index, path: path(), seconds });
    }
    let output = child.wait_with_output().map_err(fail)?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(HookError::Failed { kind, index, path: path(), status: output.status.to_string(), stderr })
}

fn start(hook: &Hook) -> io::Result<Child> {
    let mut command = Command::new(&hook.path);
    if let Some((name, arguments)) = hook.args.split_first() {
        command.arg0(name).args(arguments);
    }
    command.env_clear();
    command.envs(hook.env.iter().filter_map(|variable| variable.split_once('=')));
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    // A runtime that is killed leaves no hook that works on what `delete` removes.
    wait::as_helper(&mut command).spawn()
}

/// What a hook reads from its standard input.
///
/// # Errors
/// None in practice: everything in it can be written as JSON.
pub fn json(state: &State<'_>) -> io::Result<Vec<u8>> {
    serde_json::to_vec(&StateJson::of(state)).map_err(io::Error::from)
}

fn ends_within(child: &Child, limit: Duration) -> io::Result<bool> {
    let handle = PidFd::open(child.id())?;
    let deadline = Instant::now() + limit;
    let left = deadline.saturating_duration_since(Instant::now()).as_millis();
    let [ended] = wait_readable([handle.as_fd()], Some(i32::try_from(left).unwrap_or(i32::MAX)))?;
    Ok(ended)
}
