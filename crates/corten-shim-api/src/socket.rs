//! Unix sockets by path, also where the path is longer than an address holds (107 bytes).

use std::{
    fs::File,
    io,
    os::fd::AsRawFd,
    path::{Path, PathBuf},
};

use tokio::net::{UnixListener, UnixStream};

/// Bytes of `sun_path` without its final zero (unix(7)).
const MAX_ADDRESS_BYTES: usize = 107;

/// `path` without `unix://` in front.
pub fn strip_scheme(path: &Path) -> PathBuf {
    path.to_str().and_then(|text| text.strip_prefix("unix://")).map_or_else(|| path.to_owned(), PathBuf::from)
}

/// Connects to the socket at `path`.
///
/// # Errors
/// Those of open(2) of its directory and connect(2).
pub async fn connect(path: &Path) -> io::Result<UnixStream> {
    let (_directory, address) = short(path)?;
    UnixStream::connect(address).await
}

/// Binds a listening socket at `path`, which must not exist.
///
/// # Errors
/// Those of open(2) of its directory and bind(2).
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    let (_directory, address) = short(path)?;
    UnixListener::bind(address)
}

/// A path of the same file that fits an address, and the directory it goes through, to be kept open
/// meanwhile.
fn short(path: &Path) -> io::Result<(Option<File>, PathBuf)> {
    if path.as_os_str().len() <= MAX_ADDRESS_BYTES {
        return Ok((None, path.to_owned()));
    }
    let invalid = || io::Error::from(io::ErrorKind::InvalidInput);
    let name = path.file_name().ok_or_else(invalid)?;
    let directory = File::open(path.parent().ok_or_else(invalid)?)?;
    let address = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd())).join(name);
    Ok((Some(directory), address))
}
