//! The resolver's sockets in a sandbox, and the rules that lead port 53 of 127.0.0.11 to them: so a container may have
//! port 53 to itself.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::thread;

use corten_netlink::{
    Batch, Socket,
    nft::{
        self, Chain, Expression, Family, Hook, Table,
        expression::{Base, Meta, Register},
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
const TABLE: Table = Table { family: Family::Ipv4, name: std::borrow::Cow::Borrowed("corten-resolver") };
const ADDRESS_REGISTER: Register = Register(1);
const PORT_REGISTER: Register = Register(2);

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
fn rules(udp: u16, tcp: u16) -> Batch {
    let mut batch = Batch::new();
    batch.add_table(&TABLE, "corten: names");
    batch.delete_table(&TABLE);
    batch.add_table(&TABLE, "corten: names");
    let chain = |name, place, priority| Chain { name, hook: Some(Hook { kind: "nat", place, priority }) };
    batch.add_chain(&TABLE, &chain("output", Place::Output, -101));
    batch.add_chain(&TABLE, &chain("postrouting", Place::Postrouting, 99));
    for (protocol, theirs) in [(UDP, udp), (TCP, tcp)] {
        let to = Expression::TranslateDestination { v6: false, address: ADDRESS_REGISTER, port: PORT_REGISTER };
        batch.add_rule(&TABLE, "output", "questions", &translation(16, 2, protocol, PORT, theirs, to));
        let from = Expression::TranslateSource { v6: false, address: ADDRESS_REGISTER, port: Some(PORT_REGISTER) };
        batch.add_rule(&TABLE, "postrouting", "answers", &translation(12, 0, protocol, theirs, PORT, from));
    }
    batch
}

/// What has our address and that port at these offsets gets the other port.
fn translation(address: u32, port: u32, protocol: u8, from: u16, to: u16, how: Expression) -> Vec<Expression> {
    let ours = ADDRESS.octets().to_vec();
    vec![
        Expression::Payload(Base::Network, address, 4, ADDRESS_REGISTER),
        Expression::Equal(ADDRESS_REGISTER, ours.clone()),
        Expression::Meta(Meta::Transport, ADDRESS_REGISTER),
        Expression::Equal(ADDRESS_REGISTER, vec![protocol]),
        Expression::Payload(Base::Transport, port, 2, PORT_REGISTER),
        Expression::Equal(PORT_REGISTER, from.to_be_bytes().to_vec()),
        Expression::Load(ADDRESS_REGISTER, ours),
        Expression::Load(PORT_REGISTER, to.to_be_bytes().to_vec()),
        how,
    ]
}
