//! Bytes between the terminal and a container.
//!
//! Two threads copy with blocking calls, one per direction: a full pipe behind this program then stops
//! only its own direction, while signals, resizes and the container's end are still seen.

pub mod decoder;
mod demultiplex;
mod input;
pub mod resize;
pub mod signals;
pub mod upload;

use corten_docker_api::client::{Hijacked, Socket};
use corten_terminal::detach::Detector;
use corten_terminal::raw::{RawMode, restore_now};
use std::io;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::thread;
use tokio::sync::mpsc;

/// What takes part.
#[derive(Debug, Clone, Default)]
pub struct Parts {
    /// Standard input is sent.
    pub stdin: bool,
    /// Output is shown.
    pub stdout: bool,
    /// Errors are shown.
    pub stderr: bool,
    /// The container has a terminal: output is one stream, ours goes raw.
    pub tty: bool,
    /// Keys that detach, as given; empty means the usual ones.
    pub detach_keys: String,
}

/// How an attachment ended.
#[derive(Debug)]
pub enum Ended {
    /// The last byte of output was shown, or none was asked for and input ended.
    Output(io::Result<()>),
    /// The keys that detach were typed.
    Detached,
}

/// An attachment at work.
#[derive(Debug)]
pub struct Attachment {
    ended: mpsc::UnboundedReceiver<Ended>,
    has_output: bool,
}

impl Attachment {
    /// Begins to copy; puts the terminal into raw mode when the container has one and input is sent.
    ///
    /// # Errors
    /// When the terminal refuses, or the connection cannot be shared by two threads.
    pub fn begin(hijacked: Hijacked, parts: &Parts) -> io::Result<Self> {
        let (reader, writer) = blocking_halves(hijacked.socket)?;
        let (sender, ended) = mpsc::unbounded_channel();
        let raw = if parts.tty && parts.stdin { Some(RawMode::enter(io::stdin())?) } else { None };
        // Given back by the thread that sees the end, not when this function returns.
        std::mem::forget(raw);

        let has_output = parts.stdout || parts.stderr;
        if has_output {
            let (sender, parts, read_ahead) = (sender.clone(), parts.clone(), hijacked.read_ahead);
            thread::Builder::new().name("output".to_owned()).spawn(move || {
                let result = demultiplex::copy(reader, &read_ahead, &parts);
                if parts.tty {
                    restore_now();
                }
                // Nobody listens any more when the command has ended.
                let _ = sender.send(Ended::Output(result));
            })?;
        }
        let detector = (parts.tty && parts.stdin).then(|| Detector::new(detach_keys(&parts.detach_keys)));
        let stdin = parts.stdin;
        thread::Builder::new().name("input".to_owned()).spawn(move || {
            let detached = stdin && input::copy(&writer, detector);
            if detached {
                restore_now();
                let _ = sender.send(Ended::Detached);
                return;
            }
            // The other side may be gone already.
            let _ = writer.shutdown();
            if !has_output {
                let _ = sender.send(Ended::Output(Ok(())));
            }
        })?;
        Ok(Self { ended, has_output })
    }

    /// Waits for the end.
    pub async fn ended(&mut self) -> Ended {
        self.ended.recv().await.unwrap_or(Ended::Output(Ok(())))
    }

    /// Whether output is copied, so that its end is worth waiting for.
    pub const fn has_output(&self) -> bool {
        self.has_output
    }
}

/// The sequence given, or the usual one when it cannot be typed.
fn detach_keys(given: &str) -> Vec<u8> {
    if given.is_empty() {
        return corten_terminal::detach::DEFAULT_KEYS.to_vec();
    }
    corten_terminal::detach::parse(given).unwrap_or_else(|error| {
        eprintln!("invalid detach escape keys, using default: {error}");
        corten_terminal::detach::DEFAULT_KEYS.to_vec()
    })
}

/// One end of the connection, for blocking calls.
#[derive(Debug)]
pub enum Half {
    Unix(UnixStream),
    Tcp(std::net::TcpStream),
}

fn blocking_halves(socket: Socket) -> io::Result<(Half, Half)> {
    match socket {
        Socket::Unix(stream) => {
            let stream = stream.into_std()?;
            stream.set_nonblocking(false)?;
            Ok((Half::Unix(stream.try_clone()?), Half::Unix(stream)))
        }
        Socket::Tcp(stream) => {
            let stream = stream.into_std()?;
            stream.set_nonblocking(false)?;
            Ok((Half::Tcp(stream.try_clone()?), Half::Tcp(stream)))
        }
    }
}

impl Half {
    fn shutdown(&self) -> io::Result<()> {
        match self {
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
        }
    }
}

impl io::Read for Half {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.read(buffer),
            Self::Tcp(stream) => stream.read(buffer),
        }
    }
}

impl io::Write for &Half {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Half::Unix(stream) => (&*stream).write(bytes),
            Half::Tcp(stream) => (&*stream).write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
