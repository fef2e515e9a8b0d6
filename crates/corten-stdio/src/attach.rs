//! Handing an attached client over to the shim's hub: one packet, one acknowledgement.
//!
//! ```text
//! engine → hub   {"format":1,"stdin":true,…,"read_ahead_bytes":3}\n abc     + SCM_RIGHTS: the client
//! hub → engine   {"format":1}            or {"format":1,"error":"…"}
//! hub → engine   {"format":1,"detached":true}   when the client types the keys
//! ```
//! From the acknowledgement on the hub owns the client: it writes what is produced from then on, and
//! closes it when the process has ended and all was written. No daemon copies a byte, and the client
//! outlives the engine. The connection of a client that can detach stays open as long as the client: an
//! engine that is still there learns from it how the client left.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

use corten_sys::{poll, scm, sockets};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The format this release speaks.
pub const FORMAT: u32 = 1;
/// Most bytes already read from the client that travel along: an HTTP parser's buffer and some.
pub const MAX_READ_AHEAD_BYTES: usize = 64 * 1024;
/// Longest packet: the request's JSON and the bytes read ahead.
const MAX_PACKET_BYTES: usize = MAX_READ_AHEAD_BYTES + 4096;
/// How long a hub may take to acknowledge; it does nothing but put the client into a list.
const ACKNOWLEDGE_WITHIN: Duration = Duration::from_secs(10);

/// How output is framed on the client's socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Framing {
    /// Bytes as they are: terminals, and `/exec` or `/attach` upgraded with a terminal.
    Raw,
    /// Docker's [`framing`](crate::framing).
    Multiplexed,
}

/// What a client attaches to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachRequest {
    /// [`FORMAT`].
    pub format: u32,
    /// The client's bytes go to standard input; its half close ends them.
    pub stdin: bool,
    /// Standard output goes to the client.
    pub stdout: bool,
    /// Standard error goes to the client.
    pub stderr: bool,
    /// How.
    pub framing: Framing,
    /// Bytes that detach the client when it types them; terminals only.
    pub detach_keys: Option<Vec<u8>>,
}

#[derive(Serialize, Deserialize)]
struct Packet {
    #[serde(flatten)]
    request: AttachRequest,
    #[serde(default)]
    read_ahead_bytes: usize,
}

#[derive(Serialize, Deserialize)]
struct Acknowledgement {
    format: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Farewell {
    format: u32,
    #[serde(default)]
    detached: bool,
}

/// Passes `client` to the hub that listens at `socket`, with the bytes already read from it; returns
/// when the hub has acknowledged. Blocks. The answer is the connection, which becomes readable when the
/// client is gone; [`has_detached`] tells how.
///
/// # Errors
/// Those of connecting (`NotFound`, `ConnectionRefused`: the process is gone); `InvalidInput` for too
/// many bytes read ahead; `TimedOut`; `Other` with the hub's own words when it refuses.
pub fn hand_over(
    socket: &Path,
    request: &AttachRequest,
    read_ahead: &[u8],
    client: BorrowedFd<'_>,
) -> io::Result<OwnedFd> {
    if read_ahead.len() > MAX_READ_AHEAD_BYTES {
        let reason = format!("more than {MAX_READ_AHEAD_BYTES} bytes read ahead of an attached client");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
    }
    let packet = Packet { request: request.clone(), read_ahead_bytes: read_ahead.len() };
    let mut message = serde_json::to_vec(&packet).map_err(io::Error::other)?;
    message.push(b'\n');
    message.extend_from_slice(read_ahead);
    let hub = sockets::connect_packets(socket)?;
    scm::send(&hub, &message, &[client])?;
    if !poll::readable(&[hub.as_fd()], Some(ACKNOWLEDGE_WITHIN))?[0] {
        return Err(io::ErrorKind::TimedOut.into());
    }
    let mut answer = vec![0; 4096];
    let (length, _) = scm::receive(&hub, &mut answer)?;
    if length == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let answer: Acknowledgement = serde_json::from_slice(&answer[..length]).map_err(io::Error::other)?;
    answer.error.map_or(Ok(hub), |error| Err(io::Error::other(error)))
}

/// Whether the client of a connection that has become readable left by its detach keys. A hub of
/// before it told such things closes the connection at once.
///
/// # Errors
/// Those of recvmsg(2).
pub fn has_detached(hub: BorrowedFd<'_>) -> io::Result<bool> {
    let mut message = vec![0; 4096];
    let (length, _) = scm::receive(hub, &mut message)?;
    let farewell = serde_json::from_slice::<Farewell>(&message[..length]);
    Ok(farewell.is_ok_and(|farewell| farewell.detached))
}

/// A client that was handed over, on the hub's side.
#[derive(Debug)]
pub struct HandedOver {
    /// What it attaches to.
    pub request: AttachRequest,
    /// What it has sent already.
    pub read_ahead: Vec<u8>,
    /// Its socket.
    pub client: OwnedFd,
}

/// Receives the packet of [`hand_over`] from a connection that has one; `None` when the other side
/// left without a word. Refusals are answered here.
///
/// # Errors
/// Those of recvmsg(2); `InvalidData` when the packet is none of ours.
pub fn receive(connection: BorrowedFd<'_>) -> io::Result<Option<HandedOver>> {
    let mut buffer = vec![0; MAX_PACKET_BYTES];
    let (length, descriptors) = scm::receive(connection, &mut buffer)?;
    if length == 0 {
        return Ok(None);
    }
    parse(&buffer[..length], descriptors).map(Some).inspect_err(|error| {
        // The error goes up in any case; the other side may have left.
        let _ = answer(connection, Some(error.to_string()));
    })
}

fn parse(packet: &[u8], mut descriptors: Vec<OwnedFd>) -> io::Result<HandedOver> {
    let invalid = |reason: &str| io::Error::new(io::ErrorKind::InvalidData, reason.to_owned());
    let end = packet.iter().position(|byte| *byte == b'\n').ok_or_else(|| invalid("the packet has no request"))?;
    let (head, read_ahead) = (&packet[..end], &packet[end + 1..]);
    let Packet { request, read_ahead_bytes } =
        serde_json::from_slice(head).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    if request.format == 0 || request.format > FORMAT {
        return Err(invalid("the request has a format this shim does not know"));
    }
    if read_ahead_bytes != read_ahead.len() {
        return Err(invalid("the packet is shorter or longer than it says"));
    }
    if descriptors.len() != 1 {
        return Err(invalid("a request passes exactly one descriptor"));
    }
    Ok(HandedOver { request, read_ahead: read_ahead.to_vec(), client: descriptors.remove(0) })
}

/// Acknowledges, on the hub's side.
///
/// # Errors
/// Those of sendmsg(2).
pub fn acknowledge(connection: BorrowedFd<'_>) -> io::Result<()> {
    answer(connection, None)
}

/// Tells that the client has typed its detach keys, on the hub's side.
///
/// # Errors
/// Those of sendmsg(2): the engine is gone.
pub fn tell_detached(connection: BorrowedFd<'_>) -> io::Result<()> {
    let message = serde_json::to_vec(&Farewell { format: FORMAT, detached: true }).map_err(io::Error::other)?;
    scm::send(connection, &message, &[]).map(drop)
}

fn answer(connection: BorrowedFd<'_>, error: Option<String>) -> io::Result<()> {
    let message = serde_json::to_vec(&Acknowledgement { format: FORMAT, error }).map_err(io::Error::other)?;
    scm::send(connection, &message, &[]).map(drop)
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        os::unix::net::UnixStream,
    };

    use super::*;

    fn request() -> AttachRequest {
        AttachRequest {
            format: FORMAT,
            stdin: true,
            stdout: true,
            stderr: false,
            framing: Framing::Multiplexed,
            detach_keys: Some(vec![16, 17]),
        }
    }

    #[test]
    fn a_client_arrives_with_what_it_has_sent() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("attach.sock");
        let listener = sockets::listen_packets(&path).unwrap();
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let engine = std::thread::spawn(move || hand_over(&path, &request(), b"early", theirs.as_fd()));
        assert!(poll::readable(&[listener.as_fd()], Some(Duration::from_secs(20))).unwrap()[0]);
        let connection = sockets::accept(&listener).unwrap();
        let handed_over = receive(connection.as_fd()).unwrap().unwrap();
        acknowledge(connection.as_fd()).unwrap();
        let hub = engine.join().unwrap().unwrap();
        tell_detached(connection.as_fd()).unwrap();
        drop(connection);
        assert!(has_detached(hub.as_fd()).unwrap(), "once it is told");
        assert!(!has_detached(hub.as_fd()).unwrap(), "a connection that just ends is no farewell");
        assert_eq!((handed_over.request, handed_over.read_ahead.as_slice()), (request(), &b"early"[..]));
        UnixStream::from(handed_over.client).write_all(b"hello").unwrap();
        let mut text = String::new();
        ours.read_to_string(&mut text).unwrap();
        assert_eq!(text, "hello");
    }

    #[test]
    fn a_packet_that_is_none_of_ours_is_refused() {
        let json = |format: u32, ahead: usize| {
            format!(
                r#"{{"format":{format},"stdin":true,"stdout":true,"stderr":true,"framing":"raw","detach_keys":null,"read_ahead_bytes":{ahead}}}"#
            )
        };
        let cases = [
            ("nonsense".to_owned(), "no request"),
            (format!("{}\n", json(2, 0)), "format"),
            (format!("{}\n", json(1, 1)), "shorter or longer"),
            (format!("{}\n", json(1, 0)), "exactly one descriptor"),
        ];
        for (packet, reason) in cases {
            let error = parse(packet.as_bytes(), Vec::new()).unwrap_err();
            assert!(error.to_string().contains(reason), "{error}");
        }
    }

    #[test]
    fn nobody_listening_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let error = hand_over(&directory.path().join("no.sock"), &request(), b"", ours.as_fd()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
