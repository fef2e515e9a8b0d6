//! Streams: every byte in order, ends and resets on either side, and slow readers.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    thread,
    time::Duration,
};

use corten_sys::inet;
use integration_tests::{ProxiedPort, wait_for};
use sha2::{Digest, Sha256};

use crate::{DEADLINE, accept, ask, both, connect, container, ours, send_all, serve_echo, start};

#[test]
fn a_hundred_megabytes_come_back_as_they_went() {
    let (listener, target) = container();
    serve_echo(listener);
    let proxy = start(&ours(), ProxiedPort::of("tcp", target));
    let mut number = 1_u64;
    let mut next = || {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        number.to_le_bytes()
    };
    let bytes: Vec<u8> = (0..100_000_000 / 8).flat_map(|_| next()).collect();
    let sent = Sha256::digest(&bytes);
    let mut stream = connect(proxy.host());
    let sender = send_all(&stream, bytes);
    let mut received = Vec::with_capacity(100_000_000);
    stream.read_to_end(&mut received).unwrap();
    sender.join().unwrap();
    assert_eq!((received.len(), Sha256::digest(&received)), (100_000_000, sent));
}

#[test]
fn each_side_may_end_before_the_other() {
    for program in both() {
        let (listener, target) = container();
        let proxy = start(&program, ProxiedPort::of("tcp", target));
        // The client ends, and is answered.
        let mut client = connect(proxy.host());
        client.write_all(b"question").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut server = accept(&listener);
        let mut text = String::new();
        server.read_to_string(&mut text).unwrap();
        assert_eq!(text, "question");
        server.write_all(b"answer").unwrap();
        drop(server);
        client.read_to_string(&mut text).unwrap();
        assert_eq!(text, "questionanswer");
        // The container ends, and still hears.
        let mut client = connect(proxy.host());
        let mut server = accept(&listener);
        server.write_all(b"greeting").unwrap();
        server.shutdown(Shutdown::Write).unwrap();
        let mut text = String::new();
        client.read_to_string(&mut text).unwrap();
        client.write_all(b" heard").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        server.read_to_string(&mut text).unwrap();
        assert_eq!(text, "greeting heard");
    }
}

#[test]
fn a_container_that_refuses_ends_the_client_s_connection() {
    for program in both() {
        // An address of the test's own, where nobody listens.
        let target = ProxiedPort::of("tcp", container().1).host;
        let proxy = start(&program, ProxiedPort::of("tcp", target));
        let mut client = connect(proxy.host());
        assert_eq!(client.read(&mut [0]).unwrap(), 0, "{}", program.display());
    }
}

#[test]
fn a_reset_on_one_side_is_one_on_the_other_after_what_was_sent_before() {
    let (listener, target) = container();
    let proxy = start(&ours(), ProxiedPort::of("tcp", target));
    let pair = || {
        let client = connect(proxy.host());
        (client, accept(&listener))
    };
    let is_reset = |mut stream: TcpStream| {
        stream.read_exact(&mut [0; 4]).expect("what was sent before");
        assert_eq!(stream.read(&mut [0]).expect_err("it was reset").kind(), ErrorKind::ConnectionReset);
    };
    let (client, mut server) = pair();
    server.write_all(b"last").unwrap();
    inet::reset(server);
    is_reset(client);
    let (mut client, server) = pair();
    client.write_all(b"last").unwrap();
    inet::reset(client);
    is_reset(server);
    // Also when that side had nothing more to say.
    let (client, mut server) = pair();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(server.read(&mut [0]).unwrap(), 0);
    inet::reset(client);
    wait_for("the server's connection to be reset", DEADLINE, || server.write(b"x").is_err());
}

#[test]
fn a_reader_that_waits_stops_the_sender_and_loses_nothing() {
    const MOST: usize = 256 << 20;
    let (listener, target) = container();
    let proxy = start(&ours(), ProxiedPort::of("tcp", target));
    let mut client = connect(proxy.host());
    let mut server = accept(&listener);
    client.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    let piece = vec![7; 1 << 16];
    let mut sent = 0;
    while sent < MOST {
        match client.write(&piece) {
            Ok(length) => sent += length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(sent < MOST, "somebody keeps what the container does not read");
    client.shutdown(Shutdown::Write).unwrap();
    let mut received = Vec::new();
    server.read_to_end(&mut received).unwrap();
    assert_eq!(received.len(), sent);
}

#[test]
fn a_thousand_short_connections_leave_nothing_open() {
    let (listener, target) = container();
    serve_echo(listener);
    let proxy = start(&ours(), ProxiedPort::of("tcp", target));
    let before = proxy.descriptors();
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let host = proxy.host();
            thread::spawn(move || (0..250).for_each(|_| ask(host, b"short")))
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().unwrap());
    // Some empty pipes are kept, of two descriptors each.
    wait_for("the descriptors of all connections to be closed", DEADLINE, || proxy.descriptors() <= before + 32);
}

#[test]
fn idle_connections_hold_their_sockets_and_no_pipes() {
    let (listener, target) = container();
    serve_echo(listener);
    let proxy = start(&ours(), ProxiedPort::of("tcp", target));
    let before = proxy.descriptors();
    let clients: Vec<TcpStream> = (0..100)
        .map(|_| {
            let mut client = connect(proxy.host());
            client.write_all(b"x").unwrap();
            client.read_exact(&mut [0]).unwrap();
            client
        })
        .collect();
    assert!(proxy.descriptors() <= before + 2 * clients.len() + 32, "{} descriptors", proxy.descriptors());
    drop(clients);
    wait_for("the descriptors of all connections to be closed", DEADLINE, || proxy.descriptors() <= before + 32);
}
