//! Starting a shim: its binary is called `start` in the bundle and prints where the daemon listens.

use std::{
    env, fs, io,
    io::{Read, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use corten_shim_api::{
    Client,
    start::{Address, SpawnArgs, parse_answer},
};
use prost_types::Any;
use tokio::{io::AsyncReadExt, net::unix::pipe};
use tracing::warn;

use super::{Bundle, LogPipe};
use crate::{
    Supervisor,
    error::{Error, Result},
};

/// The runtime of a container that names this supervisor's own: the shim beside our program.
pub const DEFAULT_RUNTIME: &str = "io.containerd.corten.v2";
/// How long a shim's program may take to print its address. Go's take 22 ms on a quiet machine.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of the log that a shim writes at once without being cut (pipe(7)).
const PIPE_BUF: usize = 4096;
/// Most of what a shim's program prints that is kept.
const OUTPUT: u64 = 64 << 10;

/// The program of runtime `name`: an absolute path as it is; `a.b.NAME.vN` is
/// `containerd-shim-NAME-vN` beside our own program or in PATH.
///
/// # Errors
/// `InvalidArgument` for other names, `NotFound` when it is not installed.
pub fn resolve(name: &str) -> Result<PathBuf> {
    let fail = |error: Error| error.within("failed to start shim: failed to resolve runtime path");
    if name.is_empty() {
        return Err(fail(Error::invalid("no runtime name")));
    }
    if name.starts_with('/') {
        let found = fs::metadata(name).map(|_| PathBuf::from(name));
        return found.map_err(|error| fail(Error::io(format!("invalid custom binary path: {name}"), &error)));
    }
    let parts: Vec<&str> = name.split('.').collect();
    let (Some([kind, version]), false) = (parts.last_chunk::<2>().filter(|_| parts.len() > 2), name.contains('/'))
    else {
        return Err(fail(Error::invalid(format!(
            "invalid runtime name {name}, correct runtime name should be either format like `io.containerd.runc.v2` or a full path to the binary"
        ))));
    };
    let binary = format!("containerd-shim-{kind}-{version}");
    let own = env::current_exe().ok().and_then(|path| path.parent().map(Path::to_owned));
    let mut candidates = Vec::new();
    if let Some(own) = &own {
        candidates.push(own.join(&binary));
        if name == DEFAULT_RUNTIME {
            candidates.push(own.join("corten-shim"));
        }
    }
    let path = env::var_os("PATH").unwrap_or_default();
    candidates.extend(env::split_paths(&path).map(|directory| directory.join(&binary)));
    if name == DEFAULT_RUNTIME {
        candidates.extend(env::split_paths(&path).map(|directory| directory.join("corten-shim")));
    }
    candidates
        .into_iter()
        .find(|candidate| candidate.is_file())
        .ok_or_else(|| fail(Error::not_found(format!("runtime {name:?} binary not installed {binary:?}"))))
}

/// Starts the shim of `bundle` and connects to it.
///
/// # Errors
/// What its program printed, or why it cannot be reached.
pub async fn spawn(
    supervisor: &Arc<Supervisor>,
    bundle: &Bundle,
    binary: &Path,
    options: Option<&Any>,
) -> Result<(Client, LogPipe)> {
    let log = pass_on_log(bundle)?;
    let input = SpawnArgs::stdin(options);
    let (owner, place, program) = (supervisor.clone(), bundle.clone(), binary.to_owned());
    let output = crate::blocking(move || {
        with_arguments(&owner, &place, &program, |arguments| {
            run(&program, &arguments.start(), arguments, &input, START_TIMEOUT)
        })
    })
    .await?;
    if !output.success {
        let text = String::from_utf8_lossy(&output.bytes);
        return Err(Error::internal(format!("{}: {}", binary.display(), text.trim())));
    }
    let address =
        parse_answer(&output.bytes).map_err(|error| Error::internal(format!("{}: {error}", binary.display())))?;
    remember(bundle, &address)?;
    let connected = Client::connect(address.path()).await;
    Ok((connected.map_err(|error| Error::internal(corten_types::error::chain(&error)))?, log))
}

/// What a shim's program answered.
pub(super) struct Output {
    pub(super) success: bool,
    pub(super) bytes: Vec<u8>,
}

/// Calls the shim's program with `delete`, which kills what the dead shim left. Blocks.
pub(super) fn call_delete(supervisor: &Supervisor, bundle: &Bundle, binary: &Path, budget: Duration) -> Result<Output> {
    with_arguments(supervisor, bundle, binary, |arguments| run(binary, &arguments.delete(), arguments, &[], budget))
}

fn with_arguments<T>(
    supervisor: &Supervisor,
    bundle: &Bundle,
    binary: &Path,
    then: impl FnOnce(&SpawnArgs<'_>) -> io::Result<T>,
) -> Result<T> {
    let config = &supervisor.config;
    let (address, ttrpc) = (config.address.display().to_string(), config.ttrpc_address().display().to_string());
    let own = env::current_exe().map_err(|error| Error::io("find our own program", &error))?;
    let arguments = SpawnArgs {
        namespace: &bundle.namespace,
        id: &bundle.id,
        address: &address,
        ttrpc_address: &ttrpc,
        publish_binary: &own,
        bundle: &bundle.path,
        debug: matches!(config.log_level.as_str(), "debug" | "trace"),
    };
    then(&arguments).map_err(|error| Error::io(format!("run {}", binary.display()), &error))
}

/// Runs the program to its end, in the bundle and in a process group of its own, so that a signal to
/// ours does not reach it. What it prints on both streams is one answer.
fn run(
    binary: &Path,
    arguments: &[std::ffi::OsString],
    spawn: &SpawnArgs<'_>,
    input: &[u8],
    budget: Duration,
) -> io::Result<Output> {
    let (mut reader, writer) = io::pipe()?;
    let mut command = Command::new(binary);
    command.args(arguments).envs(spawn.environment()).current_dir(spawn.bundle).process_group(0);
    command.stdin(if input.is_empty() { Stdio::null() } else { Stdio::piped() });
    command.stdout(writer.try_clone()?).stderr(writer);
    let mut child = corten_sys::rlimit::with_open_files_as_before(&mut command).spawn()?;
    // Holds the writing ends of the pipe, without which no end would come.
    drop(command);
    if let Some(mut stdin) = child.stdin.take()
        && let Err(error) = stdin.write_all(input)
        // A program that does not read its options is free to do so.
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        return end(child, error);
    }
    let until = Instant::now() + budget;
    let mut bytes = Vec::new();
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let [ready] = corten_sys::poll::readable(&[std::os::fd::AsFd::as_fd(&reader)], Some(left))?[..] else {
            return end(child, io::Error::other("poll answered for another number of descriptors"));
        };
        if !ready {
            return end(child, io::Error::new(io::ErrorKind::TimedOut, format!("no end within {budget:?}")));
        }
        let mut chunk = [0; 4096];
        match reader.read(&mut chunk)? {
            0 => break,
            read if (bytes.len() as u64) < OUTPUT => bytes.extend_from_slice(&chunk[..read]),
            _ => {}
        }
    }
    let status = child.wait()?;
    Ok(Output { success: status.success(), bytes })
}

fn end(mut child: Child, error: io::Error) -> io::Result<Output> {
    // It may have ended by itself.
    let _ = child.kill();
    child.wait()?;
    Err(error)
}

/// containerd 1.7's shims and ours leave `address` themselves; for those that do not, it is written.
fn remember(bundle: &Bundle, address: &Address) -> Result<()> {
    let written = bundle.path.join("address");
    if written.exists() && address.version < 3 {
        return Ok(());
    }
    let json = serde_json::to_vec(address).map_err(|error| Error::internal(error.to_string()))?;
    fs::write(bundle.path.join("bootstrap.json"), json)
        .map_err(|error| Error::io(format!("write the shim's address into {}", bundle.path.display()), &error))
}

/// Reads the fifo that shims write their log to, for as long as the bundle's shim lives: without a
/// reader Go's shims wait for one before they serve.
pub(super) fn pass_on_log(bundle: &Bundle) -> Result<LogPipe> {
    let path = bundle.path.join("log");
    let opened = match corten_sys::fifo::make(&path, 0o700) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        // For writing too, so that it opens at once and does not end between two writers.
        _ => pipe::OpenOptions::new().read_write(true).open_receiver(&path),
    };
    let mut fifo = opened.map_err(|error| Error::io(format!("open {}", path.display()), &error))?;
    let (namespace, id) = (bundle.namespace.clone(), bundle.id.clone());
    let reading = tokio::spawn(async move {
        let mut buffer = Vec::with_capacity(PIPE_BUF);
        loop {
            buffer.clear();
            match fifo.read_buf(&mut buffer).await {
                Ok(0) => break,
                Ok(_) => {
                    let text = String::from_utf8_lossy(&buffer);
                    text.lines().for_each(|line| pass_on(&namespace, &id, line));
                }
                Err(error) => {
                    warn!(ns = namespace, id, %error, "the shim's log is not read any more");
                    break;
                }
            }
        }
    });
    Ok(LogPipe(reading))
}

/// A line of a shim's log at its own level, as far as it tells; Go's shims are talkative at `info`.
fn pass_on(namespace: &str, id: &str, line: &str) {
    let is_bad =
        ["level=warn", "level=error", "level=fatal", " WARN ", " ERROR "].iter().any(|mark| line.contains(mark));
    if is_bad {
        warn!(ns = namespace, id, line, "shim");
    } else {
        tracing::debug!(ns = namespace, id, line, "shim");
    }
}
