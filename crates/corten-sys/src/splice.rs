//! Moving bytes between a socket and a pipe inside the kernel (splice(2)).

use std::{
    io,
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
};

use crate::{cvt, cvt_int, retry};

/// A pipe to splice through; neither end waits.
#[derive(Debug)]
pub struct SplicePipe {
    read: OwnedFd,
    write: OwnedFd,
}

impl SplicePipe {
    /// One with room for `bytes`, or for what the kernel gives when that is more than its user may have
    /// (pipe(7), "pipe-max-size").
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`.
    pub fn with_room(bytes: usize) -> io::Result<SplicePipe> {
        let mut pair = [-1; 2];
        // SAFETY: pipe2 writes two integers.
        cvt_int(unsafe { libc::pipe2(pair.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK) })?;
        // SAFETY: the kernel just made the first descriptor.
        let read = unsafe { OwnedFd::from_raw_fd(pair[0]) };
        // SAFETY: the kernel just made the second descriptor.
        let write = unsafe { OwnedFd::from_raw_fd(pair[1]) };
        crate::descriptors::widen_pipe(write.as_fd(), bytes);
        Ok(SplicePipe { read, write })
    }

    /// Moves at most `length` bytes from `socket` into this pipe; 0 when `socket` has ended.
    ///
    /// # Errors
    /// `EAGAIN` when `socket` has nothing or the pipe no room; else what recv(2) says of the socket.
    pub fn fill(&self, socket: impl AsFd, length: usize) -> io::Result<usize> {
        splice(socket, &self.write, length)
    }

    /// Moves at most `length` bytes out of this pipe into `socket`.
    ///
    /// # Errors
    /// `EAGAIN` when `socket` has no room; else what send(2) says of the socket.
    pub fn drain(&self, socket: impl AsFd, length: usize) -> io::Result<usize> {
        splice(&self.read, socket, length)
    }
}

fn splice(from: impl AsFd, to: impl AsFd, length: usize) -> io::Result<usize> {
    let (from, to) = (from.as_fd().as_raw_fd(), to.as_fd().as_raw_fd());
    let flags = libc::SPLICE_F_MOVE | libc::SPLICE_F_NONBLOCK;
    let none = std::ptr::null_mut;
    let moved = retry(|| {
        // SAFETY: no offset is given on either side, so the call touches no memory of ours.
        cvt(unsafe { libc::splice(from, none(), to, none(), length, flags) } as libc::c_long)
    })?;
    Ok(moved as usize)
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        os::unix::net::UnixStream,
    };

    use super::*;

    #[test]
    fn bytes_go_through_and_the_end_is_told() {
        let (mut writer, source) = UnixStream::pair().expect("a pair");
        let (target, mut reader) = UnixStream::pair().expect("a pair");
        source.set_nonblocking(true).expect("a flag");
        let pipe = SplicePipe::with_room(1 << 16).expect("a pipe");
        assert_eq!(pipe.fill(&source, 100).expect_err("nothing yet").kind(), io::ErrorKind::WouldBlock);
        writer.write_all(b"hello").expect("written");
        assert_eq!(pipe.fill(&source, 100).expect("moved"), 5);
        assert_eq!(pipe.drain(&target, 5).expect("moved"), 5);
        let mut bytes = [0; 5];
        reader.read_exact(&mut bytes).expect("read");
        assert_eq!(&bytes, b"hello");
        drop(writer);
        assert_eq!(pipe.fill(&source, 100).expect("ended"), 0);
    }
}
