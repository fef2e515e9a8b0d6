//! More clients than descriptors.

use std::{
    io::{Read, Write},
    net::{TcpStream, UdpSocket},
};

use integration_tests::ProxiedPort;

use crate::{connect, container, datagrams, ours, serve_datagrams, serve_echo, start};

/// Room for six connections: (100 - 64) / 6.
const OPEN_FILES: u32 = 100;

#[test]
fn clients_beyond_the_limit_of_descriptors_wait_for_their_turn() {
    let (listener, target) = container();
    serve_echo(listener);
    let port = ProxiedPort { open_files: Some(OPEN_FILES), ..ProxiedPort::of("tcp", target) };
    let proxy = start(&ours(), port);
    let mut clients: Vec<TcpStream> = (0..40).map(|_| connect(proxy.host())).collect();
    for client in &mut clients {
        client.write_all(b"x").unwrap();
    }
    // In the order they came: each makes room for the next.
    for mut client in clients {
        client.read_exact(&mut [0]).unwrap();
    }
    assert!(proxy.descriptors() <= OPEN_FILES as usize);
}

#[test]
fn beyond_the_limit_of_descriptors_the_newest_datagrams_are_relayed() {
    let server = datagrams("127.0.0.1:0");
    let target = server.local_addr().unwrap();
    serve_datagrams(server);
    let port = ProxiedPort { open_files: Some(OPEN_FILES), ..ProxiedPort::of("udp", target) };
    let proxy = start(&ours(), port);
    let clients: Vec<UdpSocket> = (0..200).map(|_| datagrams("127.0.0.1:0")).collect();
    for client in &clients {
        client.send_to(b"x", proxy.host()).unwrap();
        assert_eq!(client.recv_from(&mut [0; 16]).unwrap(), (1, proxy.host()));
    }
    assert!(proxy.descriptors() <= OPEN_FILES as usize);
}
