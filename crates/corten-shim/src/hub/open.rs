//! Opening the streams of a process: what a request names becomes sinks, pipes and a listener.
//!
//! Everything that can fail fails here, before the process exists; what was opened is closed then.

use std::{
    fs::{self, File},
    io::{self, PipeReader, PipeWriter},
    os::{fd::OwnedFd, unix::fs::fchown},
    path::Path,
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use corten_stdio::{Driver, Limits, LogWriter, StdinMode, StdioFile, stdio_file};
use corten_sys::{fifo, sockets};
use tokio::sync::{mpsc, watch};

use super::{Hub, Streams, serving};
use crate::error::TaskError;

/// How long a client may take to open its end of a fifo, before the process starts without it.
const READER_WITHIN: Duration = Duration::from_secs(10);
/// How often the fifo is looked at: nobody is told when a reader opens it.
const LOOK_FOR_READER_EVERY: Duration = Duration::from_millis(1);
/// What opening a fifo without a reader answers (fifo(7)).
const ENXIO: i32 = 6;

/// The names in a create or exec request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StdioNames {
    /// Standard input: empty, or a fifo.
    pub stdin: String,
    /// Standard output: empty, a fifo, or a URI.
    pub stdout: String,
    /// Standard error, likewise.
    pub stderr: String,
    /// Whether the process has a terminal, which is then all three.
    pub terminal: bool,
}

/// The ends of the pipes that the runtime passes on to the process.
#[derive(Debug)]
pub struct ChildEnds {
    /// Standard input.
    pub stdin: Stdio,
    /// Standard output.
    pub stdout: Stdio,
    /// Standard error.
    pub stderr: Stdio,
}

/// Opened streams.
#[derive(Debug)]
pub struct Opened {
    /// For the runtime.
    pub child: ChildEnds,
    /// For the task service.
    pub streams: Streams,
}

/// Whether output waits until the process is known to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// It does not.
    Not,
    /// It does, where it goes to attached clients: the runtime of an exec has the same output as the
    /// process it becomes, and its complaint about a launch that failed is the service's to tell, once.
    UntilStarted,
}

/// Owner of the pipes (`io_uid`, `io_gid`).
#[derive(Debug, Clone, Copy, Default)]
pub struct Owner {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

/// Where a process's streams lead, before the hub has them.
pub(super) struct Target {
    /// What the process reads, when it reads anything.
    pub stdin: Option<StdinSource>,
    pub stdout: Option<Sink>,
    pub stderr: Option<Sink>,
    pub ours: Option<Ours>,
}

/// Where input comes from.
pub(super) enum StdinSource {
    /// A fifo, and the write end that keeps it from ending when a client leaves.
    Fifo { reader: File, keeper: Option<File> },
    /// Attached clients.
    Clients(StdinMode),
}

/// Where one output goes.
pub(super) enum Sink {
    /// A fifo; the read end keeps a vanished reader from being an error.
    Fifo { writer: File, _reader: File },
    /// A file, shared by both outputs when both name it.
    File(Arc<File>),
    /// The log and the attached clients.
    Ours,
}

/// What a `stdio.json` asks for.
pub(super) struct Ours {
    pub log: Option<LogWriter>,
    pub listener: Option<OwnedFd>,
    pub file: StdioFile,
}

/// The ends of the pipes that the hub keeps.
#[derive(Default)]
pub(super) struct HubEnds {
    pub stdin: Option<PipeWriter>,
    pub stdout: Option<PipeReader>,
    pub stderr: Option<PipeReader>,
}

/// Opens what `names` say, for the process that `label` names in errors.
///
/// # Errors
/// [`TaskError::Invalid`] and [`TaskError::Unsupported`] naming the URI; [`TaskError::Io`] naming the
/// file.
pub async fn open(hub: &Hub, names: &StdioNames, owner: Owner, hold: Hold) -> Result<Opened, TaskError> {
    let target = target(names).await?;
    let mut child = ChildEnds { stdin: Stdio::null(), stdout: Stdio::null(), stderr: Stdio::null() };
    let mut ends = HubEnds::default();
    if !names.terminal {
        let mut pipes = || -> io::Result<_> {
            if target.stdin.is_some() {
                let (reader, writer) = io::pipe()?;
                fchown(&reader, Some(owner.uid), Some(owner.gid))?;
                fifo::set_nonblocking(&writer, true)?;
                child.stdin = reader.into();
                ends.stdin = Some(writer);
            }
            for (wanted, stdio, end) in [
                (target.stdout.is_some(), &mut child.stdout, &mut ends.stdout),
                (target.stderr.is_some(), &mut child.stderr, &mut ends.stderr),
            ] {
                if wanted {
                    let (reader, writer) = io::pipe()?;
                    fchown(&writer, Some(owner.uid), Some(owner.gid))?;
                    fifo::set_nonblocking(&reader, true)?;
                    *stdio = writer.into();
                    *end = Some(reader);
                }
            }
            Ok(())
        };
        pipes().map_err(TaskError::io("open the pipes of a process for", &names.stdout))?;
    }
    let (commands, received) = mpsc::unbounded_channel();
    let (say_drained, drained) = watch::channel(false);
    let is_null = target.stdin.is_none() && target.stdout.is_none() && target.stderr.is_none();
    if is_null && !names.terminal {
        say_drained.send_replace(true);
    } else {
        let terminal = names.terminal;
        hub.run(move || serving::serve(target, ends, terminal, hold, received, say_drained));
    }
    Ok(Opened { child, streams: Streams { commands, drained } })
}

async fn target(names: &StdioNames) -> Result<Target, TaskError> {
    if let Some(path) = stdio_file::path_of(&names.stdout) {
        return ours(path, names);
    }
    let stdout = sink(&names.stdout, None).await?;
    let shared = if names.stdout == names.stderr { stdout.as_ref() } else { None };
    // A terminal has one output.
    let stderr = if names.terminal { None } else { sink(&names.stderr, shared).await? };
    let stdin = (!names.stdin.is_empty()).then(|| stdin_fifo(&names.stdin)).transpose()?;
    Ok(Target { stdin, stdout, stderr, ours: None })
}

async fn sink(name: &str, shared: Option<&Sink>) -> Result<Option<Sink>, TaskError> {
    if name.is_empty() {
        return Ok(None);
    }
    if let Some(Sink::File(file)) = shared {
        return Ok(Some(Sink::File(Arc::clone(file))));
    }
    let (scheme, path) = name.split_once("://").unwrap_or(("fifo", name));
    match scheme {
        "fifo" => {
            let path = Path::new(path);
            if fifo::is_fifo(path).map_err(TaskError::io("open the output", path))? {
                let writer = open_for_reader(path).await.map_err(TaskError::io("open the output", path))?;
                let reader = fifo::open_reader(path).map_err(TaskError::io("open the output", path))?;
                Ok(Some(Sink::Fifo { writer, _reader: reader }))
            } else {
                append_to(path, false).map(Some)
            }
        }
        "file" => {
            // Go's URL parser takes everything up to a query; so do we.
            let path = Path::new(path.split(['?', '#']).next().unwrap_or(path));
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent).map_err(TaskError::io("make the directory", parent))?;
            }
            append_to(path, true).map(Some)
        }
        "binary" | "binary-v2" => {
            Err(TaskError::Unsupported(format!("output to {name}: logging programs are not supported yet")))
        }
        other => Err(TaskError::Invalid(format!("unknown STDIO scheme {other}"))),
    }
}

/// Opens a fifo for writing once somebody reads it. The bytes in a fifo are gone with its last end, so a
/// process that ends at once would be too early for a client that is still opening its end: containerd's
/// shim waits here too, without a bound.
async fn open_for_reader(path: &Path) -> io::Result<File> {
    let give_up = tokio::time::Instant::now() + READER_WITHIN;
    loop {
        match fifo::open_writer(path) {
            Err(error) if error.raw_os_error() == Some(ENXIO) && tokio::time::Instant::now() < give_up => {
                tokio::time::sleep(LOOK_FOR_READER_EVERY).await;
            }
            Err(error) if error.raw_os_error() == Some(ENXIO) => {
                tracing::warn!(path = %path.display(), "nobody reads an output");
                let _reader = fifo::open_reader(path)?;
                return fifo::open_writer(path);
            }
            other => return other,
        }
    }
}

fn append_to(path: &Path, create: bool) -> Result<Sink, TaskError> {
    let file = File::options().append(true).create(create).open(path);
    file.map(|file| Sink::File(Arc::new(file))).map_err(TaskError::io("open the output", path))
}

fn stdin_fifo(name: &str) -> Result<StdinSource, TaskError> {
    let path = Path::new(name.strip_prefix("fifo://").unwrap_or(name));
    if !fifo::is_fifo(path).map_err(TaskError::io("open the input", path))? {
        return Err(TaskError::Invalid(format!("the input {name} is not a fifo")));
    }
    let reader = fifo::open_reader(path).map_err(TaskError::io("open the input", path))?;
    let keeper = fifo::open_writer(path).map_err(TaskError::io("open the input", path))?;
    Ok(StdinSource::Fifo { reader, keeper: Some(keeper) })
}

fn ours(path: &Path, names: &StdioNames) -> Result<Target, TaskError> {
    if names.stderr != names.stdout && !(names.terminal && names.stderr.is_empty()) {
        return Err(TaskError::Invalid(format!(
            "standard error {:?} must name the same file as {:?}",
            names.stderr, names.stdout
        )));
    }
    if !names.stdin.is_empty() {
        return Err(TaskError::Invalid(format!(
            "standard input {:?} must be empty with {:?}",
            names.stdin, names.stdout
        )));
    }
    let file = StdioFile::load(path).map_err(TaskError::io("read", path))?;
    if file.terminal != names.terminal {
        return Err(TaskError::Invalid(format!("{} and the request differ about the terminal", path.display())));
    }
    let log = match file.driver {
        Driver::None => None,
        Driver::Local => {
            return Err(TaskError::Unsupported(format!("{}: log driver local: not supported yet", path.display())));
        }
        Driver::JsonFile => Some(
            LogWriter::open(&file.log_path, Limits::from(&file), &file.attrs)
                .map_err(TaskError::io("open the log", &file.log_path))?,
        ),
    };
    let socket = &file.attach_socket;
    let listener = if socket.as_os_str().is_empty() {
        None
    } else {
        Some(listen(socket).map_err(TaskError::io("listen for attached clients at", socket))?)
    };
    let stdin = match file.stdin {
        StdinMode::Closed => None,
        mode => Some(StdinSource::Clients(mode)),
    };
    let stderr = (!names.terminal).then_some(Sink::Ours);
    Ok(Target { stdin, stdout: Some(Sink::Ours), stderr, ours: Some(Ours { log, listener, file }) })
}

/// A socket left by a shim that was killed is in the way; nobody else binds there.
fn listen(socket: &Path) -> io::Result<OwnedFd> {
    match fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = sockets::listen_packets(socket)?;
    fs::set_permissions(socket, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    Ok(listener)
}
