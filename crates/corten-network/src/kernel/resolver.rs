//! The resolver's sockets in a sandbox, and the rules that lead port 53 of 127.0.0.11 to them: so a container may have
//! port 53 to itself.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::thread;

use corten_netlink::{
    Batch, Socket,
    nft::{
        self, Chain, Expression, Family, Hook, Table,
        expression::{Base, Checksum, Meta, Register, Verdict},
        object::Place,
    },
};

use super::{ResolverSockets, Result, refused, sandbox};
use crate::error::NetworkError;
use crate::plan::Sandbox;

/// Where resolv.conf of a container points to.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);
const PORT: u16 = 53;
const UDP: u8 = 17;
const TCP: u8 = 6;
const ICMP: u8 = 1;
const TABLE: Table = Table { family: Family::Ipv4, name: std::borrow::Cow::Borrowed("corten-resolver") };
const REGISTER: Register = Register(1);
/// Where a packet has them.
const SOURCE_ADDRESS: u32 = 12;
const DESTINATION_ADDRESS: u32 = 16;
const SOURCE_PORT: u32 = 0;
const DESTINATION_PORT: u32 = 2;
/// Priorities of `enum nf_ip_hook_priorities`: connections are tracked at -200, destinations translated at -100.
const BEFORE_TRACKING: i32 = -300;
const BEFORE_TRANSLATION: i32 = -101;

/// Makes sockets and rules; rules that are there are exchanged for those of the new sockets.
pub fn make(sandbox: &Sandbox) -> Result<ResolverSockets> {
    let object = sandbox::name(sandbox);
    sandbox::inside(sandbox, || {
        let failed = |source| NetworkError::Kernel {
            object: object.clone(),
            step: format!("bind the resolver's sockets to {ADDRESS}"),
            source,
        };
        let udp = UdpSocket::bind((ADDRESS, 0)).map_err(failed)?;
        let tcp = TcpListener::bind((ADDRESS, 0)).map_err(failed)?;
        let batch = rules(port(udp.local_addr()).map_err(failed)?, port(tcp.local_addr()).map_err(failed)?);
        let mut socket = Socket::netfilter().map_err(refused(&object))?;
        let done = nft::commit(&mut socket, batch, None);
        // The kernel waits for a grace period, up to 12 ms, when a socket of the packet filter is closed: not for this
        // container. Without a thread the socket is closed here.
        let _ = thread::Builder::new().name("close".to_owned()).spawn(move || drop(socket));
        match done {
            Ok(()) => Ok(ResolverSockets { udp, tcp }),
            Err(error) if error.is_lacking() => {
                Err(NetworkError::Lacking { what: "names in networks".to_owned(), option: "CONFIG_NF_TABLES" })
            }
            Err(error) => Err(refused(&object)(error)),
        }
    })
}

fn port(address: std::io::Result<SocketAddr>) -> std::io::Result<u16> {
    address.map(|address| address.port())
}

/// One batch: an older table goes, if there is one.
///
/// Ports are exchanged packet by packet. Address translation would do it, too, and would have every connection of the
/// container tracked, which was a third of what a question and its answer cost. A container that tracks connections by
/// rules of its own sees port 53 both ways: questions are rewritten after tracking, answers before it.
fn rules(udp: u16, tcp: u16) -> Batch {
    let mut batch = Batch::new();
    batch.add_table(&TABLE, "corten: names");
    batch.delete_table(&TABLE);
    batch.add_table(&TABLE, "corten: names");
    let chain = |name, priority| Chain { name, hook: Some(Hook { kind: "filter", place: Place::Output, priority }) };
    batch.add_chain(&TABLE, &chain("questions", BEFORE_TRANSLATION));
    batch.add_chain(&TABLE, &chain("answers", BEFORE_TRACKING));
    batch.add_rule(&TABLE, "questions", "not to the resolver", &unless_ours(DESTINATION_ADDRESS));
    batch.add_rule(&TABLE, "answers", "not of the resolver", &unless_ours(SOURCE_ADDRESS));
    for (protocol, theirs) in [(UDP, udp), (TCP, tcp)] {
        batch.add_rule(&TABLE, "questions", "questions", &rewrite(protocol, DESTINATION_PORT, PORT, theirs));
        batch.add_rule(&TABLE, "answers", "answers", &rewrite(protocol, SOURCE_PORT, theirs, PORT));
    }
    batch.add_rule(&TABLE, "answers", "nobody listens", &refusal(udp));
    batch
}

/// Everything else passes after one comparison.
fn unless_ours(address: u32) -> Vec<Expression> {
    vec![
        Expression::Payload(Base::Network, address, 4, REGISTER),
        Expression::Unequal(REGISTER, ADDRESS.octets().to_vec()),
        Expression::Verdict(Verdict::Accept),
    ]
}

/// What has that port at the offset gets the other one.
fn rewrite(protocol: u8, port: u32, from: u16, to: u16) -> Vec<Expression> {
    vec![
        Expression::Meta(Meta::Transport, REGISTER),
        Expression::Equal(REGISTER, vec![protocol]),
        Expression::Payload(Base::Transport, port, 2, REGISTER),
        Expression::Equal(REGISTER, from.to_be_bytes().to_vec()),
        Expression::Load(REGISTER, to.to_be_bytes().to_vec()),
        Expression::Write(Base::Transport, port, 2, REGISTER, Checksum::Transport),
    ]
}

/// A datagram comes back in an ICMP message when nobody has its port: with the port that its sender knows, who would not
/// hear of it otherwise. (Of a connection the answer is a packet of its own.)
fn refusal(udp: u16) -> Vec<Expression> {
    const UNREACHABLE: u8 = 3;
    const CHECKSUM: u32 = 2;
    /// A header of 20 bytes, as all are that have no options.
    const VERSION_AND_LENGTH: u8 = 0x45;
    const INNER: u32 = 8;
    const INNER_PROTOCOL: u32 = INNER + 9;
    const INNER_PORT: u32 = INNER + 20 + DESTINATION_PORT;
    let mut steps = vec![Expression::Meta(Meta::Transport, REGISTER), Expression::Equal(REGISTER, vec![ICMP])];
    let is = |offset, value: &[u8]| {
        let length = value.len() as u32;
        let load = Expression::Payload(Base::Transport, offset, length, REGISTER);
        [load, Expression::Equal(REGISTER, value.to_vec())]
    };
    steps.extend(is(0, &[UNREACHABLE]));
    steps.extend(is(INNER, &[VERSION_AND_LENGTH]));
    steps.extend(is(INNER_PROTOCOL, &[UDP]));
    steps.extend(is(INNER + DESTINATION_ADDRESS, &ADDRESS.octets()));
    steps.extend(is(INNER_PORT, &udp.to_be_bytes()));
    steps.push(Expression::Load(REGISTER, PORT.to_be_bytes().to_vec()));
    steps.push(Expression::Write(Base::Transport, INNER_PORT, 2, REGISTER, Checksum::At(CHECKSUM)));
    steps
}
