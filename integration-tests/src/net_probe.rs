//! Traffic as a container's neighbours make it: a connection, a question at 127.0.0.11.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket},
    time::Duration,
};

use crate::in_network_of;

/// How long one try may take. What is lost is tried again by whoever waits.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether somebody accepts a connection at `address`, as seen from this thread's network namespace.
#[must_use]
pub fn connects(address: impl Into<SocketAddr>) -> bool {
    connects_within(PATIENCE, address)
}

/// [`connects`], with another patience.
#[must_use]
pub fn connects_within(patience: Duration, address: impl Into<SocketAddr>) -> bool {
    TcpStream::connect_timeout(&address.into(), patience).is_ok()
}

/// The IPv4 addresses that the container with the process `pid` is told for `name`; none when nobody answers.
///
/// # Panics
/// When the process has ended, or the name does not fit into a question.
#[must_use]
pub fn resolve(pid: u32, name: &str) -> Vec<Ipv4Addr> {
    resolve_within(PATIENCE, pid, name)
}

/// [`resolve`], with another patience.
///
/// # Panics
/// As [`resolve`].
#[must_use]
pub fn resolve_within(patience: Duration, pid: u32, name: &str) -> Vec<Ipv4Addr> {
    in_network_of(pid, || ask(name, patience)).unwrap_or_default()
}

/// [`resolve`] in this thread's network namespace.
fn ask(name: &str, patience: Duration) -> Option<Vec<Ipv4Addr>> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.set_read_timeout(Some(patience)).ok()?;
    let mut query = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0".to_vec();
    for label in name.split('.') {
        query.push(u8::try_from(label.len()).expect("a label is short"));
        query.extend(label.bytes());
    }
    query.extend([0, 0, 1, 0, 1]);
    socket.send_to(&query, "127.0.0.11:53").ok()?;
    let mut answer = [0; 4096];
    let length = socket.recv(&mut answer).ok()?;
    let answer = answer.get(..length).filter(|answer| answer.len() > query.len() && answer[..2] == query[..2])?;
    let count = usize::from(u16::from_be_bytes([answer[6], answer[7]]));
    // Each answer is a pointer to the question's name, type, class, time to live, length and four bytes of address.
    let records = answer[query.len()..].chunks_exact(16).take(count);
    Some(records.map(|record| Ipv4Addr::new(record[12], record[13], record[14], record[15])).collect())
}
