//! Unix sockets at paths of any length, and packet sockets (unix(7)).
//!
//! A socket's address holds 107 bytes of path. Longer ones are bound and reached through
//! `/proc/self/fd/N/name`, where N is a descriptor of the directory.

use std::{
    fs::File,
    io,
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            fs::OpenOptionsExt,
            net::{SocketAddr, UnixDatagram, UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
};

use crate::{cvt_int, retry};

/// Longest path that fits into an address together with its NUL byte.
const ADDRESS_MAX: usize = 107;

/// A path short enough for an address; keeps the directory open while it is used.
struct Address {
    path: PathBuf,
    _directory: Option<File>,
}

impl Address {
    fn of(path: &Path) -> io::Result<Self> {
        if path.as_os_str().len() <= ADDRESS_MAX {
            return Ok(Self { path: path.to_owned(), _directory: None });
        }
        let invalid = || io::Error::from_raw_os_error(libc::EINVAL);
        let name = path.file_name().ok_or_else(invalid)?;
        let parent = path.parent().ok_or_else(invalid)?;
        let directory = File::options().read(true).custom_flags(libc::O_PATH | libc::O_DIRECTORY).open(parent)?;
        let short = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd())).join(name);
        Ok(Self { path: short, _directory: Some(directory) })
    }
}

/// Binds a stream listener at `path`, of any length.
///
/// # Errors
/// `EADDRINUSE` when something is there; else as bind(2).
pub fn listen(path: &Path) -> io::Result<UnixListener> {
    UnixListener::bind(Address::of(path)?.path)
}

/// Binds a stream listener at `path`; what a dead process left there is removed first.
///
/// A listener that answers may be a dead process's too, while a child of its stands between fork and
/// exec: who listened is asked (SO_PEERCRED, unix(7)).
///
/// # Errors
/// `EADDRINUSE` when somebody still listens there; else as bind(2).
pub fn listen_replacing_dead(path: &Path) -> io::Result<UnixListener> {
    match listen(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let dead = match connect(path) {
                // No pid: it is in a pid namespace we do not see.
                Ok(stream) => {
                    crate::scm::peer(&stream).is_ok_and(|peer| peer.pid != 0 && !crate::pidfd::lives(peer.pid))
                }
                Err(refused) => refused.kind() == io::ErrorKind::ConnectionRefused,
            };
            if !dead {
                return Err(error);
            }
            std::fs::remove_file(path)?;
            listen(path)
        }
        result => result,
    }
}

/// Listens again on a listening socket: from now on those who connect see this process as their peer
/// (SO_PEERCRED), not the one that listened first and has forked.
///
/// # Errors
/// As listen(2).
pub fn listen_again(listener: impl std::os::fd::AsFd) -> io::Result<()> {
    // SAFETY: listen takes two integers.
    cvt_int(unsafe { libc::listen(listener.as_fd().as_raw_fd(), 128) }).map(drop)
}

/// Connects to the stream socket at `path`, of any length.
///
/// # Errors
/// `ECONNREFUSED` when nobody listens, `ENOENT` when nothing is there; else as connect(2).
pub fn connect(path: &Path) -> io::Result<UnixStream> {
    UnixStream::connect(Address::of(path)?.path)
}

/// Binds a datagram socket at `path`, of any length.
///
/// # Errors
/// `EADDRINUSE` when something is there; else as bind(2).
pub fn bind_datagram(path: &Path) -> io::Result<UnixDatagram> {
    UnixDatagram::bind(Address::of(path)?.path)
}

/// A datagram socket that sends to the one at `path`, of any length; a leading `@` names an abstract address, as
/// sd_notify(3) has it.
///
/// # Errors
/// As connect(2).
pub fn connect_datagram(path: &Path) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    match path.as_os_str().as_bytes().strip_prefix(b"@") {
        Some(name) => socket.connect_addr(&SocketAddr::from_abstract_name(name)?)?,
        None => socket.connect(Address::of(path)?.path)?,
    }
    Ok(socket)
}

/// Binds a packet socket (SOCK_SEQPACKET) at `path` and listens; non-blocking when asked.
///
/// # Errors
/// As socket(2), bind(2), listen(2).
pub fn listen_packets(path: &Path) -> io::Result<OwnedFd> {
    let socket = packet_socket(libc::SOCK_NONBLOCK)?;
    let address = Address::of(path)?;
    let (raw, length) = sockaddr(&address.path)?;
    // SAFETY: raw is a valid sockaddr_un of at least `length` bytes that outlives the call.
    cvt_int(unsafe { libc::bind(socket.as_raw_fd(), (&raw const raw).cast(), length) })?;
    // SAFETY: listen takes two integers.
    cvt_int(unsafe { libc::listen(socket.as_raw_fd(), 64) })?;
    Ok(socket)
}

/// Connects to the packet socket at `path`.
///
/// # Errors
/// As socket(2), connect(2).
pub fn connect_packets(path: &Path) -> io::Result<OwnedFd> {
    let socket = packet_socket(0)?;
    let address = Address::of(path)?;
    let (raw, length) = sockaddr(&address.path)?;
    retry(|| {
        // SAFETY: raw is a valid sockaddr_un of at least `length` bytes that outlives the call.
        cvt_int(unsafe { libc::connect(socket.as_raw_fd(), (&raw const raw).cast(), length) })
    })?;
    Ok(socket)
}

/// Accepts a connection on a listening socket of any kind; the new descriptor blocks.
///
/// # Errors
/// `EAGAIN` on a non-blocking listener without a caller; else as accept(2).
pub fn accept(listener: impl std::os::fd::AsFd) -> io::Result<OwnedFd> {
    let fd = retry(|| {
        // SAFETY: the peer's address is not asked for.
        cvt_int(unsafe {
            libc::accept4(listener.as_fd().as_raw_fd(), std::ptr::null_mut(), std::ptr::null_mut(), libc::SOCK_CLOEXEC)
        })
    })?;
    // SAFETY: the kernel just returned this descriptor and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn packet_socket(flags: i32) -> io::Result<OwnedFd> {
    // SAFETY: socket takes three integers.
    let fd = cvt_int(unsafe { libc::socket(libc::AF_UNIX, libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC | flags, 0) })?;
    // SAFETY: the kernel just returned this descriptor and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn sockaddr(path: &Path) -> io::Result<(libc::sockaddr_un, libc::socklen_t)> {
    let bytes = path.as_os_str().as_bytes();
    if bytes.is_empty() || bytes.len() > ADDRESS_MAX || bytes.contains(&0) {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // SAFETY: an all-zero sockaddr_un is valid.
    let mut raw: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    raw.sun_family = libc::AF_UNIX as libc::sa_family_t;
    for (target, byte) in raw.sun_path.iter_mut().zip(bytes) {
        *target = *byte as libc::c_char;
    }
    let length = std::mem::offset_of!(libc::sockaddr_un, sun_path) + bytes.len() + 1;
    Ok((raw, length as libc::socklen_t))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_path_longer_than_an_address_is_bound_and_reached() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let deep = directory.path().join("d".repeat(120));
        std::fs::create_dir(&deep).expect("mkdir");
        let path = deep.join("s.sock");
        let listener = listen(&path).expect("bound");
        connect(&path).expect("connected");
        assert_eq!(listen_replacing_dead(&path).expect_err("alive").kind(), io::ErrorKind::AddrInUse);
        drop(listener);
        listen_replacing_dead(&path).expect("the dead one is replaced");
    }

    #[test]
    fn packets_keep_their_borders() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("p.sock");
        let listener = listen_packets(&path).expect("bound");
        let client = connect_packets(&path).expect("connected");
        let server = accept(&listener).expect("accepted");
        for message in [&b"one"[..], b"two"] {
            crate::scm::send(&client, message, &[]).expect("sent");
        }
        let mut buffer = [0; 16];
        assert_eq!(crate::scm::receive(server.as_fd(), &mut buffer).expect("received").0, 3);
        assert_eq!(&buffer[..3], b"one");
    }
}
