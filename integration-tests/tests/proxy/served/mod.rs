//! `corten-proxy serve`, spoken to as the engine does. Each test is in a network namespace of its own.

mod engine_dead;
mod forwarded;
mod holds;
mod names;
mod relays;
mod takeover;

use std::{
    net::{SocketAddr, TcpListener, UdpSocket},
    os::fd::{AsFd, OwnedFd},
    path::PathBuf,
    thread,
};

use corten_relay::{
    Hold, Port, PortSocket, Protocol, Relay, Subject,
    names::{ContainerNames, Directory, Forward, HostNames, NetworkNames, SeenNetwork, Server},
    reserve, start,
};
use corten_types::Identifier;
use integration_tests::{NetContainer as Container, TempRoot};

use crate::{ours, serve_datagrams, serve_echo};

/// The program, in a root of its own.
struct Served {
    root: TempRoot,
    relay: Relay,
}

impl Served {
    /// In the network namespace of this thread.
    fn new() -> Served {
        let root = TempRoot::new();
        let socket = root.join("proxy.sock");
        start(&ours(), &socket, &root.join("names"), &root.join("netns")).unwrap();
        let relay = Relay::connect(&socket).unwrap();
        Served { root, relay }
    }

    fn socket(&self) -> PathBuf {
        self.root.join("proxy.sock")
    }

    fn names(&self) -> Directory {
        Directory::at(&self.root.join("names"))
    }

    /// The engine ends, and another one comes.
    fn reconnect(&mut self) {
        self.relay = Relay::connect(&self.socket()).unwrap();
    }

    fn hold_ports(&mut self, container: &Container, ports: Vec<PortSocket>) {
        self.relay.hold(Hold { ports, ..container.hold() }).unwrap();
    }

    /// Writes the names of one network, and tells.
    fn name_network(&mut self, name: &str, hosts: &[(&str, &[&str])]) {
        let hosts = hosts.iter().enumerate().map(|(number, (names, addresses))| HostNames {
            container: id(&format!("c{number}")),
            names: names.split(' ').map(str::to_owned).collect(),
            addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        });
        let network = NetworkNames { id: id(name), name: name.to_owned(), hosts: hosts.collect() };
        self.names().remove_network(&network.id).unwrap();
        self.names().write_hosts(&network).unwrap();
        self.relay.refresh(vec![Subject::Network(id(name))]).unwrap();
    }

    /// Writes what `container` sees, and tells.
    fn name_container(&mut self, container: &Container, networks: &[&str], forward: Forward, servers: Vec<Server>) {
        let networks = networks.iter().map(|name| SeenNetwork { id: id(name), links: Vec::new() }).collect();
        let names = ContainerNames { id: container.id.clone(), networks, forward, keeps_single_labels: false, servers };
        self.names().write_container(&names).unwrap();
        self.relay.refresh(vec![Subject::Container(container.id.clone())]).unwrap();
    }

    /// Has the names of `container` answered, at 127.0.0.11:53 in it.
    fn resolve_for(&mut self, container: &Container) {
        self.relay.hold(Hold { resolver: Some(container.resolver()), ..container.hold() }).unwrap();
    }
}

fn id(text: &str) -> Identifier {
    text.parse().unwrap()
}

fn port(protocol: Protocol, host: SocketAddr) -> Port {
    Port { protocol, host }
}

/// A reserved port of the kernel's choice.
fn reserved(protocol: Protocol, ip: &str, target: Option<SocketAddr>) -> PortSocket {
    let socket = reserve(port(protocol, SocketAddr::new(ip.parse().unwrap(), 0))).unwrap();
    let host = address_of(&socket);
    PortSocket { port: port(protocol, host), target, socket }
}

fn address_of(socket: &OwnedFd) -> SocketAddr {
    // Of a socket of either kind.
    UdpSocket::from(socket.as_fd().try_clone_to_owned().unwrap()).local_addr().unwrap()
}

/// A server in the container's place: what comes is sent back.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    serve_echo(listener);
    address
}

/// As [`echo`], of datagrams.
fn echo_datagrams() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    serve_datagrams(socket);
    address
}

/// A server of names on `socket` that answers each query with what `answer` makes of it.
fn serve_names(socket: UdpSocket, answer: impl Fn(&[u8]) -> Option<Vec<u8>> + Send + 'static) {
    thread::spawn(move || {
        let mut query = [0; 4096];
        while let Ok((length, sender)) = socket.recv_from(&mut query) {
            if let Some(answer) = answer(&query[..length]) {
                let _ = socket.send_to(&answer, sender); // who asked may be gone
            }
        }
    });
}

/// An answer to `query` with one address.
fn answer_with(query: &[u8], address: [u8; 4]) -> Vec<u8> {
    let end = 12 + query[12..].iter().position(|byte| *byte == 0).unwrap() + 5;
    let mut answer = query[..end].to_vec();
    answer[2] |= 0x80;
    answer[3] = 0x80;
    answer[6..12].copy_from_slice(&[0, 1, 0, 0, 0, 0]);
    answer.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
    answer.extend_from_slice(&address);
    answer
}

/// An answer to `query` with nothing but a code.
fn answer_code(query: &[u8], code: u8) -> Vec<u8> {
    let mut answer = answer_with(query, [0; 4]);
    answer.truncate(answer.len() - 16);
    answer[7] = 0;
    answer[3] |= code;
    answer
}
