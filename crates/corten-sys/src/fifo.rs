//! Fifos and the non-blocking mode of descriptors: fifo(7), mkfifo(3), fcntl(2).

use std::{
    ffi::CString,
    fs::File,
    io,
    os::{
        fd::{AsFd, AsRawFd},
        unix::{
            ffi::OsStrExt,
            fs::{FileTypeExt, OpenOptionsExt},
        },
    },
    path::Path,
};

use crate::cvt_int;

/// Makes a fifo.
///
/// # Errors
/// `EEXIST`; else as mkfifo(3).
pub fn make(path: &Path, mode: u32) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    // SAFETY: path is NUL-terminated and outlives the call.
    cvt_int(unsafe { libc::mkfifo(path.as_ptr(), mode) }).map(drop)
}

/// Whether `path` is a fifo.
///
/// # Errors
/// Those of stat(2).
pub fn is_fifo(path: &Path) -> io::Result<bool> {
    Ok(std::fs::metadata(path)?.file_type().is_fifo())
}

/// Opens a fifo for reading, non-blocking: succeeds without a writer.
///
/// # Errors
/// Those of open(2).
pub fn open_reader(path: &Path) -> io::Result<File> {
    File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)
}

/// Opens a fifo for writing, non-blocking.
///
/// # Errors
/// `ENXIO` without a reader; else as open(2).
pub fn open_writer(path: &Path) -> io::Result<File> {
    File::options().write(true).custom_flags(libc::O_NONBLOCK).open(path)
}

/// Turns the non-blocking mode of what `fd` refers to on or off, for everyone who shares it.
///
/// # Errors
/// Those of fcntl(2).
pub fn set_nonblocking(fd: impl AsFd, on: bool) -> io::Result<()> {
    let raw = fd.as_fd().as_raw_fd();
    // SAFETY: F_GETFL takes no argument.
    let flags = cvt_int(unsafe { libc::fcntl(raw, libc::F_GETFL) })?;
    let wanted = if on { flags | libc::O_NONBLOCK } else { flags & !libc::O_NONBLOCK };
    // SAFETY: F_SETFL takes an integer.
    cvt_int(unsafe { libc::fcntl(raw, libc::F_SETFL, wanted) }).map(drop)
}

/// Reads what is there; `WouldBlock` when nothing is, 0 at the end.
///
/// # Errors
/// Those of read(2).
pub fn read(fd: impl AsFd, buffer: &mut [u8]) -> io::Result<usize> {
    crate::retry(|| {
        // SAFETY: buffer has room for the bytes asked for and outlives the call.
        crate::cvt(
            unsafe { libc::read(fd.as_fd().as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len()) } as libc::c_long
        )
    })
    .map(|count| count as usize)
}

/// Writes what goes in; `WouldBlock` when nothing does. Never raises SIGPIPE on a socket.
///
/// # Errors
/// `EPIPE` when nobody can read any more; else as write(2).
pub fn write(fd: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    crate::retry(|| {
        // SAFETY: bytes outlives the call and is only read.
        crate::cvt(unsafe { libc::write(fd.as_fd().as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) } as libc::c_long)
    })
    .map(|count| count as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifo_is_made_and_carries_bytes() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("f");
        make(&path, 0o600).expect("made");
        assert!(is_fifo(&path).expect("it exists"));
        assert_eq!(open_writer(&path).expect_err("no reader").raw_os_error(), Some(libc::ENXIO));
        let reader = open_reader(&path).expect("opened");
        let writer = open_writer(&path).expect("opened");
        let mut buffer = [0; 8];
        assert_eq!(read(&reader, &mut buffer).expect_err("empty").kind(), io::ErrorKind::WouldBlock);
        assert_eq!(write(&writer, b"abc").expect("written"), 3);
        assert_eq!(read(&reader, &mut buffer).expect("read"), 3);
        drop(writer);
        assert_eq!(read(&reader, &mut buffer).expect("read"), 0);
    }
}
