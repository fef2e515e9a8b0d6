//! A process' streams: fifos that the shim opens at its end and threads that copy at ours.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use corten_sys::fifo;
use corten_terminal::raw::RawMode;
use tokio::sync::oneshot;

use crate::session::{Failure, sentence};

/// Where ctr puts fifos; a directory of its own each time.
const FIFO_DIRECTORY: &str = "/run/containerd/fifo";
/// What is copied at once.
const BUFFER: usize = 64 << 10;

/// How a process' streams are connected.
pub enum Streams {
    /// Not at all.
    Null,
    /// The shim logs them to this URI.
    Log(String),
    /// Through fifos to this process' own.
    Fifos(Fifos),
}

/// The fifos of one process.
pub struct Fifos {
    directory: PathBuf,
    stdin: PathBuf,
    stdout: PathBuf,
    stderr: Option<PathBuf>,
    outputs: Vec<JoinHandle<()>>,
    /// Our own ends that keep the fifos open until the shim has opened its own.
    held: Vec<File>,
    input_ended: Option<oneshot::Receiver<()>>,
    raw: Option<RawMode>,
}

impl Streams {
    /// Prepares the streams of the process `id` as the flags say.
    ///
    /// # Errors
    /// Flags that exclude each other, or what making a fifo gave.
    pub fn prepare(id: &str, terminal: bool, null: bool, log_uri: &str, directory: &str) -> Result<Self, Failure> {
        match (terminal, null, log_uri) {
            (true, true, _) => Err(sentence("tty and null-io cannot be used together")),
            (true, _, uri) if !uri.is_empty() => Err(sentence("can't use log-uri with tty")),
            (_, _, uri) if !uri.is_empty() && !directory.is_empty() => Err(sentence("can't use log-uri with fifo-dir")),
            (_, true, _) => Ok(Self::Null),
            (_, _, uri) if !uri.is_empty() => Ok(Self::Log(uri.to_owned())),
            _ => Fifos::make(id, terminal, directory).map(Self::Fifos),
        }
    }

    /// The paths that go into the request: stdin, stdout, stderr.
    pub fn paths(&self) -> [String; 3] {
        let text = |path: &Path| path.display().to_string();
        match self {
            Self::Null => Default::default(),
            Self::Log(uri) => [String::new(), uri.clone(), uri.clone()],
            Self::Fifos(fifos) => {
                [text(&fifos.stdin), text(&fifos.stdout), fifos.stderr.as_deref().map(text).unwrap_or_default()]
            }
        }
    }

    /// The shim has opened its ends: from now on the streams end when it closes them.
    pub fn connected(&mut self) {
        if let Self::Fifos(fifos) = self {
            fifos.held.clear();
        }
    }

    /// What tells that this process' own input has ended, once.
    pub fn input_ended(&mut self) -> Option<oneshot::Receiver<()>> {
        match self {
            Self::Fifos(fifos) => fifos.input_ended.take(),
            _ => None,
        }
    }

    /// Waits until all output is written, and restores the terminal.
    pub async fn drain(&mut self) {
        let Self::Fifos(fifos) = self else { return };
        fifos.held.clear();
        let outputs = std::mem::take(&mut fifos.outputs);
        // A thread that panicked has printed why.
        let _ = tokio::task::spawn_blocking(move || outputs.into_iter().for_each(|output| drop(output.join()))).await;
        fifos.raw = None;
    }
}

impl Drop for Fifos {
    fn drop(&mut self) {
        // A detached process keeps its open fifos; their names are of no more use to it, as with ctr.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

impl Fifos {
    fn make(id: &str, terminal: bool, directory: &str) -> Result<Self, Failure> {
        let base = if directory.is_empty() { FIFO_DIRECTORY } else { directory };
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|error| sentence(error.to_string()))?;
        let directory = Path::new(base).join(u64::from_ne_bytes(random).to_string());
        let failed = |path: &Path, error: &io::Error| sentence(format!("make {}: {error}", path.display()));
        fs::create_dir_all(&directory).map_err(|error| failed(&directory, &error))?;
        let mut fifos = Self {
            stdin: directory.join(format!("{id}-stdin")),
            stdout: directory.join(format!("{id}-stdout")),
            stderr: (!terminal).then(|| directory.join(format!("{id}-stderr"))),
            directory,
            outputs: Vec::new(),
            held: Vec::new(),
            input_ended: None,
            raw: None,
        };
        for path in [Some(&fifos.stdin), Some(&fifos.stdout), fifos.stderr.as_ref()].into_iter().flatten() {
            fifo::make(path, 0o600).map_err(|error| failed(path, &error))?;
        }
        if terminal {
            fifos.raw = Some(
                RawMode::enter(io::stdin())
                    .map_err(|error| sentence(format!("standard input is no terminal, which --tty needs: {error}")))?,
            );
        }
        fifos.connect()?;
        Ok(fifos)
    }

    fn connect(&mut self) -> Result<(), Failure> {
        let output = |path: &Path, to: Box<dyn Write + Send>| -> io::Result<(File, JoinHandle<()>)> {
            // Our own writer is open as long as the shim has none: else the reader would see the end at once.
            let reader = fifo::open_reader(path)?;
            let writer = fifo::open_writer(path)?;
            fifo::set_nonblocking(&reader, false)?;
            Ok((writer, std::thread::spawn(move || copy(reader, to))))
        };
        let (held, thread) = output(&self.stdout, Box::new(io::stdout()))?;
        self.held.push(held);
        self.outputs.push(thread);
        if let Some(stderr) = &self.stderr {
            let (held, thread) = output(stderr, Box::new(io::stderr()))?;
            self.held.push(held);
            self.outputs.push(thread);
        }
        self.held.push(fifo::open_reader(&self.stdin)?);
        let writer = fifo::open_writer(&self.stdin)?;
        fifo::set_nonblocking(&writer, false)?;
        let (ended, receiver) = oneshot::channel();
        std::thread::spawn(move || {
            copy(io::stdin(), Box::new(writer));
            // Nobody waits any more when the process ended first.
            let _ = ended.send(());
        });
        self.input_ended = Some(receiver);
        Ok(())
    }
}

fn copy(mut from: impl Read, mut to: Box<dyn Write + Send>) {
    let mut buffer = vec![0; BUFFER];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return,
            Ok(read) => {
                if to.write_all(&buffer[..read]).and_then(|()| to.flush()).is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}
