//! Where one output of a process goes when it is a fifo or a file.

use std::{fs::File, io, io::Write, sync::Arc};

use corten_sys::fifo;
use tokio::io::unix::AsyncFd;

use crate::readiness;

use super::open;

/// An opened sink.
pub(super) enum Sink {
    /// A fifo: bytes wait for its reader.
    Fifo { writer: AsyncFd<File>, _reader: File },
    /// A file.
    File(Arc<File>),
    /// The log and the clients, which the pump serves itself.
    Ours,
}

impl Sink {
    /// Registers the sink with the event loop.
    ///
    /// # Errors
    /// Those of epoll_ctl(2).
    pub(super) fn new(sink: open::Sink) -> io::Result<Self> {
        Ok(match sink {
            open::Sink::Fifo { writer, _reader } => Self::Fifo { writer: readiness::register(writer)?, _reader },
            open::Sink::File(file) => Self::File(file),
            open::Sink::Ours => Self::Ours,
        })
    }

    /// Writes all of `bytes`; a fifo that is full makes this wait, and so the process.
    ///
    /// # Errors
    /// Those of write(2).
    pub(super) async fn write(&self, mut bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Ours => Ok(()),
            Self::File(file) => (&**file).write_all(bytes),
            Self::Fifo { writer, .. } => {
                while !bytes.is_empty() {
                    let mut ready = writer.writable().await?;
                    match fifo::write(writer.get_ref(), bytes) {
                        Ok(count) => bytes = &bytes[count..],
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                        Err(error) => return Err(error),
                    }
                }
                Ok(())
            }
        }
    }
}
