//! The bound socket that dockerd 28 hands over, and IPv6.

use std::net::{SocketAddr, TcpListener, UdpSocket};

use corten_sys::inet;
use integration_tests::{PortProxy, ProxiedPort, random_id};

use crate::{ask, container, datagrams, ours, serve_datagrams, serve_echo, start};

#[test]
fn a_listener_of_either_family_leads_to_a_container_of_ipv4() {
    let (listener, target) = container();
    serve_echo(listener);
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let listener = TcpListener::bind(address).unwrap();
        let host = listener.local_addr().unwrap();
        let proxy = start(&ours(), ProxiedPort::handed_over("tcp", listener.into(), host, target));
        ask(proxy.host(), b"through a socket of somebody else's");
    }
}

#[test]
fn datagrams_of_either_family_lead_to_a_container_of_ipv4() {
    let server = datagrams("127.0.0.1:0");
    let target = server.local_addr().unwrap();
    serve_datagrams(server);
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let socket = UdpSocket::bind(address).unwrap();
        let host = socket.local_addr().unwrap();
        let _proxy = start(&ours(), ProxiedPort::handed_over("udp", socket.into(), host, target));
        let client = datagrams(address);
        client.send_to(b"ping", host).unwrap();
        assert_eq!(client.recv_from(&mut [0; 16]).unwrap(), (4, host));
    }
}

#[test]
fn a_container_of_ipv6_is_reached() {
    let listener = TcpListener::bind("[::1]:0").unwrap();
    let target = listener.local_addr().unwrap();
    serve_echo(listener);
    let proxy = start(&ours(), ProxiedPort::of("tcp", target));
    ask(proxy.host(), b"over six");
}

#[test]
fn the_same_port_of_both_families_is_bound_by_two() {
    let (listener, target) = container();
    serve_echo(listener);
    // A port that the kernel gives to nobody; somebody else may have just this one all the same.
    let pair = (0..20).find_map(|_| {
        let port = 20_000 + u16::from_str_radix(&random_id(3), 16).unwrap();
        let [four, six] = ["0.0.0.0", "::"].map(|host| SocketAddr::new(host.parse().unwrap(), port));
        let four = PortProxy::start(&ours(), ProxiedPort { host: four, ..ProxiedPort::of("tcp", target) }).ok()?;
        Some((four, PortProxy::start(&ours(), ProxiedPort { host: six, ..ProxiedPort::of("tcp", target) }).ok()?))
    });
    let (four, six) = pair.expect("a port that is free in both families, or they exclude each other");
    ask(SocketAddr::from(([127, 0, 0, 1], four.host().port())), b"four");
    ask(SocketAddr::new("::1".parse().unwrap(), six.host().port()), b"six");
}

#[test]
fn a_socket_of_another_kind_is_refused() {
    let (_listener, target) = container();
    let host = "127.0.0.1:1".parse().unwrap();
    let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
    let said = PortProxy::start(&ours(), ProxiedPort::handed_over("tcp", datagrams.into(), host, target));
    let kind = "unexpected socket type for listener fd";
    assert_eq!(said.unwrap_err(), format!("1 1\n{kind}: udp on descriptor 4, where tcp is wanted"));
    let listener = inet::listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let said = PortProxy::start(&ours(), ProxiedPort::handed_over("udp", listener.into(), host, target));
    assert_eq!(said.unwrap_err(), format!("1 1\n{kind}: tcp on descriptor 4, where udp is wanted"));
    let (unix, _other) = std::os::unix::net::UnixStream::pair().unwrap();
    let said = PortProxy::start(&ours(), ProxiedPort::handed_over("tcp", unix.into(), host, target));
    assert_eq!(said.unwrap_err(), format!("1 1\n{kind}: no internet socket on descriptor 4, where tcp is wanted"));
}
