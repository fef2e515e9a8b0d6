//! corten-proxy's end of the socket.

use std::{
    fs, io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::{fs::PermissionsExt, net::UnixStream},
    },
    path::{Path, PathBuf},
    time::Duration,
};

use corten_sys::{credentials, scm, sockets};

use crate::{Answer, MAX_PACKET_BYTES, MessageError, Request};

/// How long the other end may leave an answer unread, where its buffer is full.
const TAKEN_WITHIN: Duration = Duration::from_secs(5);

/// Listens at `path`, in the place of whatever is there: who may do that is settled by a lock. Only the own user and
/// root may connect. Accepting does not wait.
///
/// # Errors
/// As bind(2), chmod(2), rename(2).
pub fn listen(path: &Path) -> io::Result<OwnedFd> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    let beside = PathBuf::from(beside);
    let _ = fs::remove_file(&beside); // of a process that had this pid and did not come further
    let listener = sockets::listen_packets(&beside)?;
    fs::set_permissions(&beside, fs::Permissions::from_mode(0o600))?;
    fs::rename(&beside, path)?;
    Ok(listener)
}

/// Accepts the next who may speak: root, or the own user. Others are sent away.
///
/// # Errors
/// `EAGAIN` when nobody is there; else as accept(2).
pub fn accept(listener: impl AsFd) -> io::Result<OwnedFd> {
    loop {
        let connection = UnixStream::from(sockets::accept(&listener)?);
        if scm::peer(&connection).is_ok_and(|peer| is_trusted(peer.uid)) {
            connection.set_write_timeout(Some(TAKEN_WITHIN))?;
            return Ok(connection.into());
        }
    }
}

/// What came on a connection that is readable: `None` is its end, an error in it is to be answered.
///
/// # Errors
/// As recvmsg(2).
pub fn receive(connection: impl AsFd) -> io::Result<Option<Result<Request, MessageError>>> {
    let mut buffer = vec![0; MAX_PACKET_BYTES];
    let (length, descriptors) = scm::receive(connection, &mut buffer)?;
    Ok((length > 0).then(|| Request::parse(&buffer[..length], descriptors)))
}

/// Answers.
///
/// # Errors
/// As sendmsg(2): the other end is gone; `EAGAIN`: it does not read.
pub fn answer(connection: BorrowedFd<'_>, answer: &Answer) -> io::Result<()> {
    for packet in answer.packets() {
        scm::send(connection, packet.text.as_bytes(), &packet.descriptors)?;
    }
    Ok(())
}

/// Whether a process of `uid` may be at the other end.
pub(crate) fn is_trusted(uid: u32) -> bool {
    uid == 0 || uid == credentials::effective_user()
}
