//! What tells neighbours of an endpoint's addresses without being asked: gratuitous ARP (RFC 5227) and unsolicited
//! neighbour advertisements (RFC 4861). The kernel's own (`arp_notify`) come before the other end of a veth listens.

use std::net::{Ipv4Addr, Ipv6Addr};

use corten_netlink::{Socket, link};
use corten_sys::packet;

use super::{Result, refused, sandbox};
use crate::error::NetworkError;
use crate::plan::{Endpoint, Sandbox};

const ARP: u16 = 0x0806;
const IPV6: u16 = 0x86dd;
const ICMPV6: u8 = 58;

/// Announces the addresses once. An interface that is not the endpoint's any more announces nothing.
pub fn announce(sandbox: &Sandbox, endpoint: &Endpoint) -> Result<()> {
    let object = format!("container {}", endpoint.container);
    sandbox::inside(sandbox, || {
        let mut socket = Socket::route().map_err(refused(&object))?;
        let found = link::named(&mut socket, &endpoint.interface).map_err(refused(&object))?;
        let Some(link) = found.filter(|link| link.mac == Some(endpoint.mac)) else { return Ok(()) };
        let sent = |result: std::io::Result<()>| {
            let step = "announce an address".to_owned();
            result.map_err(|source| NetworkError::Kernel { object: object.clone(), step, source })
        };
        if let Some(v4) = endpoint.v4 {
            sent(packet::send(link.index, ARP, [0xff; 6], &gratuitous(endpoint.mac, v4.addr())))?;
        }
        if let Some(v6) = endpoint.v6 {
            sent(packet::send(link.index, IPV6, ALL_NODES_MAC, &unsolicited(endpoint.mac, v6.addr())))?;
        }
        Ok(())
    })
}

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_NODES_MAC: [u8; 6] = [0x33, 0x33, 0, 0, 0, 1];

/// A question for the own address (RFC 826, RFC 5227 section 3).
fn gratuitous(mac: [u8; 6], address: Ipv4Addr) -> Vec<u8> {
    // Ethernet, IPv4, the lengths of their addresses, a question.
    let mut message = vec![0, 1, 8, 0, 6, 4, 0, 1];
    message.extend(mac);
    message.extend(address.octets());
    message.extend([0; 6]);
    message.extend(address.octets());
    message
}

/// An advertisement nobody asked for, which replaces what was known (RFC 4861 section 4.4), with its IPv6 header.
fn unsolicited(mac: [u8; 6], address: Ipv6Addr) -> Vec<u8> {
    const ADVERTISEMENT: u8 = 136;
    const OVERRIDE: u8 = 0x20;
    let mut message = vec![ADVERTISEMENT, 0, 0, 0, OVERRIDE, 0, 0, 0];
    message.extend(address.octets());
    // The target's hardware address, of eight bytes.
    message.extend([2, 1]);
    message.extend(mac);
    let sum = checksum(address, &message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let length = message.len() as u16;
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend(length.to_be_bytes());
    packet.extend([ICMPV6, 255]);
    packet.extend(address.octets());
    packet.extend(ALL_NODES.octets());
    packet.extend(message);
    packet
}

/// Over the message and what stands for its IPv6 header (RFC 4443 section 2.3).
fn checksum(from: Ipv6Addr, message: &[u8]) -> u16 {
    let length = (message.len() as u32).to_be_bytes();
    let protocol = [0, 0, 0, ICMPV6];
    let all = [&from.octets()[..], &ALL_NODES.octets(), &length, &protocol, message].concat();
    let mut sum: u32 = all.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: [u8; 6] = [2, 0x42, 0xac, 0x11, 0, 2];

    #[test]
    fn a_gratuitous_question_names_its_own_address_twice() {
        let message = gratuitous(MAC, Ipv4Addr::new(172, 17, 0, 2));
        assert_eq!(message.len(), 28);
        assert_eq!(message[8..14], MAC);
        assert_eq!((&message[14..18], &message[24..28]), (&[172, 17, 0, 2][..], &[172, 17, 0, 2][..]));
    }

    #[test]
    fn an_advertisement_adds_up() {
        let address: Ipv6Addr = "fd00::2".parse().unwrap();
        let packet = unsolicited(MAC, address);
        assert_eq!(packet.len(), 40 + 32);
        assert_eq!((packet[4..6].to_vec(), packet[6], packet[7]), (vec![0, 32], ICMPV6, 255));
        // Over everything with its own sum it comes to nothing.
        assert_eq!(checksum(address, &packet[40..]), 0);
    }
}
