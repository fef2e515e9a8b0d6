//! Tracked connections (`nfnetlink_conntrack.h`): found by what they were translated to, and forgotten.

use std::net::IpAddr;

use crate::{
    Batch, Result, Socket,
    address::{family, ip},
    attributes::Attributes,
    batch::flag,
    reply::Message,
};

const SUBSYSTEM: u16 = 1 << 8;
const NEW: u16 = SUBSYSTEM;
const GET: u16 = SUBSYSTEM | 1;
const DELETE: u16 = SUBSYSTEM | 2;
/// Bytes of `struct nfgenmsg`.
const FIXED_BYTES: usize = 4;
const ATTRIBUTE_ORIGINAL: u16 = 1;
const ATTRIBUTE_REPLY: u16 = 2;
const ATTRIBUTE_ID: u16 = 12;
const TUPLE_IP: u16 = 1;
const TUPLE_PROTOCOL: u16 = 2;
const PROTOCOL_NUMBER: u16 = 1;
const PROTOCOL_DESTINATION: u16 = 3;

/// One end-to-end flow, as it was begun or as its answers come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tuple {
    /// Who sends.
    pub source: IpAddr,
    /// To whom.
    pub destination: IpAddr,
    /// The number of the protocol: 6 for TCP, 17 for UDP.
    pub protocol: u8,
    /// To which port, where the protocol has ports.
    pub destination_port: Option<u16>,
}

/// A tracked connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// As it was begun.
    pub original: Tuple,
    /// As its answers come.
    pub reply: Tuple,
    tuple: Vec<u8>,
    id: Option<u32>,
}

/// Every tracked connection of the family of `like`.
///
/// # Errors
/// What the kernel refuses.
pub fn all(socket: &mut Socket, like: IpAddr) -> Result<Vec<Connection>> {
    let mut batch = Batch::new();
    batch.add("list tracked connections", GET, flag::DUMP, &[family(like), 0, 0, 0], |_| {});
    socket.dump(&batch, read)
}

/// Forgets every tracked connection that `chosen` is true of; says how many.
///
/// # Errors
/// What the kernel refuses; that one is gone already is none.
pub fn forget(socket: &mut Socket, like: IpAddr, chosen: impl Fn(&Connection) -> bool) -> Result<usize> {
    let mut batch = Batch::new();
    let found = match all(socket, like) {
        Ok(found) => found,
        // Without connection tracking nothing is tracked.
        Err(error) if error.is_lacking() || error.number() == Some(22) => return Ok(0),
        Err(error) => return Err(error),
    };
    for connection in found.iter().filter(|connection| chosen(connection)) {
        batch.add("forget a tracked connection", DELETE, 0, &[family(like), 0, 0, 0], |batch| {
            batch.nest_after(ATTRIBUTE_ORIGINAL | 0x8000, &connection.tuple, |_| {});
            if let Some(id) = connection.id {
                batch.big(ATTRIBUTE_ID, id);
            }
        });
    }
    let count = batch.len();
    match socket.run_all(batch).into_iter().find(|(_, error)| !error.is_missing()) {
        Some((_, error)) => Err(error),
        None => Ok(count),
    }
}

/// Reads a tracked connection; `None` when the message is about something else.
#[must_use]
pub fn read(message: &Message<'_>) -> Option<Connection> {
    if message.kind != NEW {
        return None;
    }
    let attributes = message.attributes(FIXED_BYTES);
    let tuple = attributes.value(ATTRIBUTE_ORIGINAL)?.to_vec();
    Some(Connection {
        original: read_tuple(Attributes::new(&tuple))?,
        reply: read_tuple(attributes.nested(ATTRIBUTE_REPLY))?,
        id: attributes.big(ATTRIBUTE_ID),
        tuple,
    })
}

fn read_tuple(attributes: Attributes<'_>) -> Option<Tuple> {
    let addresses = attributes.nested(TUPLE_IP);
    // Sources are 1 and 3, destinations 2 and 4, for IPv4 and IPv6.
    let either = |four: u16, six: u16| addresses.value(four).or_else(|| addresses.value(six)).and_then(ip);
    let protocol = attributes.nested(TUPLE_PROTOCOL);
    let port = protocol.value(PROTOCOL_DESTINATION).and_then(|bytes| bytes.try_into().ok());
    Some(Tuple {
        source: either(1, 3)?,
        destination: either(2, 4)?,
        protocol: *protocol.value(PROTOCOL_NUMBER)?.first()?,
        destination_port: port.map(u16::from_be_bytes),
    })
}
