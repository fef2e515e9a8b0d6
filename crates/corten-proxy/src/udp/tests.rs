//! The time that passes is told to a turn, so that nothing here waits for it.

use std::io::ErrorKind;

use corten_sys::poll;

use super::*;

const PATIENCE: Duration = Duration::from_secs(60);
const LOCAL: &str = "127.0.0.1:0";

fn local() -> UdpSocket {
    let socket = UdpSocket::bind(LOCAL).expect("bound");
    socket.set_read_timeout(Some(PATIENCE)).expect("set");
    socket
}

fn port_to(container: &UdpSocket) -> UdpPort {
    let socket = inet::bind_datagrams(LOCAL.parse().expect("an address")).expect("bound");
    UdpPort::new(socket, container.local_addr().expect("bound"), IDLE).expect("made")
}

fn turn(port: &mut UdpPort, now: Instant) -> Next {
    poll::readable(&[port.as_fd()], Some(PATIENCE)).expect("polled");
    turn_at(port, now)
}

fn turn_at(port: &mut UdpPort, now: Instant) -> Next {
    let mut shared = shared_by(port);
    port.turn(&mut shared, now).expect("taken")
}

/// Of a program that may have two clients.
fn shared_by(port: &UdpPort) -> Shared {
    let mut shared = Shared::within(64 + 2);
    shared.clients = port.clients();
    shared
}

/// Sends from `client` and returns the address the container sees it under.
fn seen_as(port: &mut UdpPort, client: &UdpSocket, container: &UdpSocket, now: Instant) -> SocketAddr {
    client.send_to(b"ping", port.socket.local_addr().expect("bound")).expect("sent");
    turn(port, now);
    let (length, sender) = container.recv_from(&mut [0; 16]).expect("relayed");
    assert_eq!(length, 4);
    sender
}

#[test]
fn a_client_keeps_its_socket_until_nothing_was_heard_for_the_idle_time() {
    let (client, container) = (local(), local());
    let mut port = port_to(&container);
    let begin = Instant::now();
    let first = seen_as(&mut port, &client, &container, begin);
    // A datagram of the container counts as well.
    container.send_to(b"pong", first).expect("sent");
    assert_eq!(turn(&mut port, begin + IDLE / 2), Next::After(IDLE / 2));
    client.recv_from(&mut [0; 16]).expect("answered");
    assert_eq!(turn_at(&mut port, begin + IDLE), Next::After(IDLE / 2));
    assert_eq!(seen_as(&mut port, &client, &container, begin + IDLE), first);
    turn_at(&mut port, begin + IDLE * 3 / 2);
    assert_eq!(port.clients(), 1, "it sent something in between");
    assert_eq!(turn_at(&mut port, begin + IDLE * 2), Next::Event);
    assert_eq!((port.clients(), port.numbers.len(), port.expiry.len()), (0, 0, 0));
}

#[test]
fn beyond_the_bound_the_one_silent_longest_gives_way() {
    let container = local();
    let mut port = port_to(&container);
    let clients = [local(), local(), local()];
    let begin = Instant::now();
    let step = Duration::from_secs(1);
    let first = seen_as(&mut port, &clients[0], &container, begin);
    let second = seen_as(&mut port, &clients[1], &container, begin + step);
    assert_eq!(seen_as(&mut port, &clients[0], &container, begin + step * 2), first);
    seen_as(&mut port, &clients[2], &container, begin + step * 3);
    assert_eq!(port.clients(), 2);
    assert_eq!(seen_as(&mut port, &clients[0], &container, begin + step * 4), first, "the second one went");
    assert!(!port.clients.values().any(|client| client.to_container.local_addr().expect("bound") == second));
}

#[test]
fn a_container_that_does_not_listen_yet_is_tried_again() {
    // Of an address of this process's own, and no port that the kernel gives to others: it can be bound twice.
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    let address = SocketAddr::from(([127, 128 | high, middle, low | 1], 20_007));
    let container = UdpSocket::bind(address).expect("bound");
    let mut port = port_to(&container);
    let client = local();
    drop(container);
    let host = port.socket.local_addr().expect("bound");
    for _ in 0..3 {
        client.send_to(b"lost", host).expect("sent");
        turn(&mut port, Instant::now());
    }
    assert_eq!(port.clients(), 1);
    let container = UdpSocket::bind(address).expect("bound again");
    container.set_read_timeout(Some(PATIENCE)).expect("set");
    seen_as(&mut port, &client, &container, Instant::now());
    client.set_nonblocking(true).expect("a flag");
    assert_eq!(client.recv_from(&mut [0; 16]).expect_err("no answer").kind(), ErrorKind::WouldBlock);
}
