//! Addresses of interfaces (rtnetlink(7), "RTM_NEWADDR").

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::{Batch, Result, Socket, batch::flag, reply::Message, socket};

const NEW: u16 = 20;
const DELETE: u16 = 21;
const GET: u16 = 22;
/// Bytes of `struct ifaddrmsg`.
const FIXED_BYTES: usize = 8;
const ATTRIBUTE_ADDRESS: u16 = 1;
const ATTRIBUTE_LOCAL: u16 = 2;
const ATTRIBUTE_BROADCAST: u16 = 4;
/// The address is used at once: nobody else can have it, and two seconds of asking would be lost (`IFA_F_NODAD`).
const FLAG_NO_DAD: u8 = 0x02;

const FAMILY_INET: u8 = 2;
const FAMILY_INET6: u8 = 10;

/// An address of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    /// The index of the interface.
    pub link: u32,
    /// The address.
    pub address: IpAddr,
    /// How many bits of it name the subnet.
    pub prefix: u8,
}

impl Batch {
    /// Gives an interface an address, which it uses at once. One that it has already is no error.
    pub fn add_address(&mut self, address: Address) {
        let what = format!("give interface number {} the address {}", address.link, address.address);
        self.add(what, NEW, flag::CREATE | flag::REPLACE, &fixed(address), |batch| batch.address(address));
    }

    /// Takes an address from an interface.
    pub fn delete_address(&mut self, address: Address) {
        let what = format!("take from interface number {} the address {}", address.link, address.address);
        self.add(what, DELETE, 0, &fixed(address), |batch| batch.address(address));
    }

    fn address(&mut self, address: Address) {
        self.ip(ATTRIBUTE_LOCAL, address.address);
        self.ip(ATTRIBUTE_ADDRESS, address.address);
        if let (IpAddr::V4(local), 0..31) = (address.address, address.prefix) {
            let host_bits = u32::MAX.checked_shr(u32::from(address.prefix)).unwrap_or_default();
            self.ip(ATTRIBUTE_BROADCAST, IpAddr::V4(Ipv4Addr::from_bits(local.to_bits() | host_bits)));
        }
    }

    /// An attribute that is an address.
    pub(crate) fn ip(&mut self, kind: u16, address: IpAddr) {
        match address {
            IpAddr::V4(address) => self.bytes(kind, &address.octets()),
            IpAddr::V6(address) => self.bytes(kind, &address.octets()),
        }
    }
}

/// Every address of every interface.
///
/// # Errors
/// What the kernel refuses.
pub fn all(socket: &mut Socket) -> Result<Vec<Address>> {
    socket.dump(&socket::dump("list addresses", GET, &[0; FIXED_BYTES]), read)
}

/// Reads an address; `None` when the message is about something else.
#[must_use]
pub fn read(message: &Message<'_>) -> Option<Address> {
    if !matches!(message.kind, NEW | DELETE) {
        return None;
    }
    let &[_, prefix, _, _, a, b, c, d, ..] = message.body else { return None };
    let attributes = message.attributes(FIXED_BYTES);
    // Of a point-to-point interface the local address is the one that is its own.
    let address = ip(attributes.value(ATTRIBUTE_LOCAL).or_else(|| attributes.value(ATTRIBUTE_ADDRESS))?)?;
    Some(Address { link: u32::from_ne_bytes([a, b, c, d]), address, prefix })
}

/// The number of an address's family.
pub(crate) fn family(address: IpAddr) -> u8 {
    if address.is_ipv4() { FAMILY_INET } else { FAMILY_INET6 }
}

/// An address of four or sixteen bytes.
pub(crate) fn ip(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => Some(IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?))),
        16 => Some(IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?))),
        _ => None,
    }
}

/// `struct ifaddrmsg`.
fn fixed(address: Address) -> [u8; FIXED_BYTES] {
    let flags = if address.address.is_ipv6() { FLAG_NO_DAD } else { 0 };
    let [a, b, c, d] = address.link.to_ne_bytes();
    [family(address.address), address.prefix, flags, 0, a, b, c, d]
}
