//! xz, within a bound of memory: the dictionary is what the stream asks for.

use std::io::{self, Read};

use lzma_rust2::XzReader;

/// What `xz -9` needs, which nothing that is in use exceeds: a dictionary of 64 MiB, and a MiB beside it.
const MEMORY_MAX_KIB: u32 = 65 << 10;

/// One or more streams. After an error there is nothing more.
pub(super) struct Xz<R: Read> {
    inner: Option<XzReader<R>>,
}

impl<R: Read> Xz<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { inner: Some(XzReader::new_mem_limit(reader, true, MEMORY_MAX_KIB)) }
    }
}

impl<R: Read> Read for Xz<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(inner) = &mut self.inner else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the xz stream is broken"));
        };
        inner.read(buffer).map_err(|error| {
            self.inner = None;
            match error.kind() {
                io::ErrorKind::OutOfMemory => {
                    let text = format!("an xz dictionary is over the bound of {MEMORY_MAX_KIB} KiB");
                    io::Error::new(io::ErrorKind::InvalidData, text)
                }
                _ => error,
            }
        })
    }
}
