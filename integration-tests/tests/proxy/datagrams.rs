//! Datagrams: each client its own answers, from the address it asked.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use integration_tests::ProxiedPort;

use crate::{both, datagrams, ours, serve_datagrams, start};

fn echo_server() -> SocketAddr {
    let server = datagrams("127.0.0.1:0");
    let address = server.local_addr().unwrap();
    serve_datagrams(server);
    address
}

fn exchange(client: &UdpSocket, host: SocketAddr, question: &[u8]) {
    client.send_to(question, host).unwrap();
    let mut answer = vec![0; 1 << 16];
    let (length, sender) = client.recv_from(&mut answer).unwrap();
    assert_eq!((&answer[..length], sender), (question, host));
}

#[test]
fn every_client_has_its_own_answers() {
    let target = echo_server();
    for program in both() {
        let proxy = start(&program, ProxiedPort::of("udp", target));
        let clients: Vec<UdpSocket> = (0..20).map(|_| datagrams("127.0.0.1:0")).collect();
        for (number, client) in clients.iter().enumerate() {
            client.send_to(&[number as u8], proxy.host()).unwrap();
        }
        for (number, client) in clients.iter().enumerate() {
            let mut answer = [0; 16];
            assert_eq!(client.recv_from(&mut answer).unwrap(), (1, proxy.host()));
            assert_eq!(answer[0], number as u8);
        }
    }
}

#[test]
fn the_longest_and_the_empty_datagram_arrive_whole() {
    let proxy = start(&ours(), ProxiedPort::of("udp", echo_server()));
    let client = datagrams("127.0.0.1:0");
    for length in [0, 1, 1472, 65507] {
        exchange(&client, proxy.host(), &vec![9; length]);
    }
}

#[test]
fn the_answer_comes_from_the_address_that_was_asked() {
    // On every address of the host, where the kernel would answer from the first one.
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let any = SocketAddr::from(([0, 0, 0, 0], port));
    let _proxy = start(&ours(), ProxiedPort::handed_over("udp", socket.into(), any, echo_server()));
    let client = datagrams("127.0.0.1:0");
    for last in [5, 6] {
        exchange(&client, SocketAddr::new(IpAddr::from([127, 0, 0, last]), port), b"from where?");
    }
}

#[test]
fn a_container_that_listens_late_is_reached_by_the_same_client() {
    // An address of the test's own, which is free again at once.
    let target = ProxiedPort::of("udp", echo_server()).host;
    let proxy = start(&ours(), ProxiedPort::of("udp", target));
    let client = datagrams("127.0.0.1:0");
    for _ in 0..3 {
        client.send_to(b"lost", proxy.host()).unwrap();
    }
    let server = datagrams(&target.to_string());
    client.send_to(b"heard", proxy.host()).unwrap();
    let mut question = [0; 16];
    // Some of the first may be on the way still.
    let heard = std::iter::repeat_with(|| server.recv_from(&mut question).unwrap().0);
    assert!(heard.take(4).any(|length| length == 5));
}
