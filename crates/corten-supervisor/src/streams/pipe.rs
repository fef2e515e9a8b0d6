//! Archives through a pipe of our own engine's: their bytes pass no message.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::FileTypeExt,
    path::Path,
};

use tokio::{net::unix::pipe, runtime::Handle};

use super::Stream;
use crate::error::{Error, Result};

/// Reads a pipe of another process to its end; for a thread that may block.
///
/// A pipe ends too when its writer dies, so that the archive is whole is said on the transfer's stream.
#[derive(Debug)]
pub struct PipeReader {
    pipe: File,
    stream: Stream,
    runtime: Handle,
    is_whole: bool,
}

impl PipeReader {
    /// Opens the pipe at `path`, which is `/proc/<pid>/fd/<number>`. Must be made inside a runtime.
    ///
    /// # Errors
    /// `InvalidArgument` for a path that is no such pipe.
    pub fn open(path: &str, stream: Stream) -> Result<Self> {
        check(path)?;
        let pipe = File::open(path).map_err(|error| invalid(path, &error))?;
        Ok(Self { pipe, stream, runtime: Handle::current(), is_whole: false })
    }
}

/// Opens a pipe of another process, which reads it, to write an archive to. Must be called inside a runtime.
///
/// # Errors
/// `InvalidArgument` for a path that is no such pipe.
pub fn open_writer(path: &str) -> Result<pipe::Sender> {
    check(path)?;
    pipe::OpenOptions::new().open_sender(path).map_err(|error| invalid(path, &error))
}

fn invalid(path: &str, why: &dyn std::fmt::Display) -> Error {
    Error::invalid(format!("pipe {path:?} of the archive: {why}"))
}

/// Looked at before it is opened: opening something else might wait, or do something.
fn check(path: &str) -> Result<()> {
    if !is_descriptor(path) {
        return Err(invalid(path, &"not the descriptor of a process"));
    }
    let kind = std::fs::metadata(path).map_err(|error| invalid(path, &error))?.file_type();
    if !kind.is_fifo() {
        return Err(invalid(path, &"not a pipe"));
    }
    Ok(())
}

fn is_descriptor(path: &str) -> bool {
    let parts: Vec<_> = Path::new(path).iter().map(|part| part.to_string_lossy()).collect();
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    matches!(&parts[..], [root, proc, pid, fd, number]
        if root == "/" && proc == "proc" && fd == "fd" && is_number(pid) && is_number(number))
}

impl Read for PipeReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.pipe.read(buffer)?;
        if read > 0 || buffer.is_empty() || self.is_whole {
            return Ok(read);
        }
        let said = self.runtime.clone().block_on(self.stream.incoming.message());
        self.is_whole = matches!(said, Ok(Some(_)));
        match self.is_whole {
            true => Ok(0),
            false => Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the client went away")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_descriptor_of_a_process_is_opened() {
        assert!(is_descriptor("/proc/12/fd/3"));
        for path in ["/proc/self/fd/3", "/proc/12/fd/../../1/root", "/etc/fifo", "proc/12/fd/3", "/proc/1/fd/3/x", ""] {
            assert!(!is_descriptor(path), "{path}");
        }
    }
}
