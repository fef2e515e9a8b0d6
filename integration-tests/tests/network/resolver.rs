//! The way to the resolver: port 53 of 127.0.0.11, and nothing else of a container's.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream, UdpSocket},
};

use corten_network::{kernel::ResolverSockets, plan::Sandbox};
use integration_tests::DEADLINE;

use crate::host::{inside, on_host, sh_in};

#[test]
fn names_are_asked_at_port_53_which_stays_the_containers() {
    on_host(|host| {
        let sandbox = host.sandbox();
        host.kernel.resolver(&sandbox).unwrap();
        // Again, as after the end of whoever had the sockets.
        let resolver = host.kernel.resolver(&sandbox).unwrap();
        let asked = inside(&sandbox, || {
            let _own = UdpSocket::bind("0.0.0.0:53").unwrap();
            let udp = UdpSocket::bind("0.0.0.0:0").unwrap();
            udp.connect("127.0.0.11:53").unwrap();
            udp.set_read_timeout(Some(DEADLINE)).unwrap();
            udp.send(b"question").unwrap();
            udp
        });
        let mut buffer = [0; 64];
        let (length, sender) = resolver.udp.recv_from(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"question");
        resolver.udp.send_to(b"answer", sender).unwrap();
        // It comes from where it was asked: a connected socket takes nothing else.
        assert_eq!(asked.recv(&mut buffer).unwrap(), 6);
        let mut asked = inside(&sandbox, || TcpStream::connect("127.0.0.11:53").unwrap());
        let (mut stream, _) = resolver.tcp.accept().unwrap();
        stream.write_all(b"answer").unwrap();
        drop(stream);
        let mut text = String::new();
        asked.read_to_string(&mut text).unwrap();
        assert_eq!(text, "answer");
    });
}

/// A socket of the container's that asks at port 53 and hears nobody else.
fn asking(sandbox: &Sandbox) -> UdpSocket {
    inside(sandbox, || {
        let udp = UdpSocket::bind("0.0.0.0:0").unwrap();
        udp.connect("127.0.0.11:53").unwrap();
        udp.set_read_timeout(Some(DEADLINE)).unwrap();
        udp
    })
}

/// A question and its answer, by a datagram and by a stream.
#[track_caller]
fn exchange(sandbox: &Sandbox, resolver: &ResolverSockets) {
    let udp = asking(sandbox);
    udp.send(b"question").unwrap();
    let mut buffer = [0; 64];
    let (_, sender) = resolver.udp.recv_from(&mut buffer).unwrap();
    resolver.udp.send_to(b"answer", sender).unwrap();
    assert_eq!(udp.recv(&mut buffer).unwrap(), 6);
    let mut asked = inside(sandbox, || TcpStream::connect("127.0.0.11:53").unwrap());
    let (mut stream, _) = resolver.tcp.accept().unwrap();
    stream.write_all(b"answer").unwrap();
    drop(stream);
    let mut text = String::new();
    asked.read_to_string(&mut text).unwrap();
    assert_eq!(text, "answer");
}

#[test]
fn a_resolver_that_is_dead_refuses_at_once() {
    on_host(|host| {
        let sandbox = host.sandbox();
        let resolver = host.kernel.resolver(&sandbox).unwrap();
        let asked = asking(&sandbox);
        asked.send(b"question").unwrap();
        resolver.udp.recv_from(&mut [0; 64]).unwrap();
        drop(resolver);
        asked.send(b"question").unwrap();
        // The kernel's message speaks of port 53, or this socket would not hear of it.
        assert_eq!(asked.recv(&mut [0; 64]).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        let refused = inside(&sandbox, || TcpStream::connect("127.0.0.11:53").unwrap_err());
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        // A socket that asked before it died has its answers from the one that comes after.
        let resolver = host.kernel.resolver(&sandbox).unwrap();
        asked.send(b"question").unwrap();
        let mut buffer = [0; 64];
        let (_, sender) = resolver.udp.recv_from(&mut buffer).unwrap();
        resolver.udp.send_to(b"answer", sender).unwrap();
        assert_eq!(asked.recv(&mut buffer).unwrap(), 6);
    });
}

#[test]
fn other_addresses_and_ports_of_loopback_are_the_containers() {
    on_host(|host| {
        let sandbox = host.sandbox();
        let resolver = host.kernel.resolver(&sandbox).unwrap();
        inside(&sandbox, || {
            let mut buffer = [0; 64];
            for own in ["127.0.0.1:53", "127.0.0.11:54", "127.0.0.12:53"] {
                let own: SocketAddr = own.parse().unwrap();
                let server = UdpSocket::bind(own).unwrap();
                let client = UdpSocket::bind("127.0.0.1:0").unwrap();
                client.connect(own).unwrap();
                client.set_read_timeout(Some(DEADLINE)).unwrap();
                client.send(b"question").unwrap();
                let (length, sender) = server.recv_from(&mut buffer).unwrap();
                assert_eq!((&buffer[..length], sender), (&b"question"[..], client.local_addr().unwrap()), "{own}");
                server.send_to(b"answer", sender).unwrap();
                assert_eq!(client.recv(&mut buffer).unwrap(), 6, "{own}");
                // Who is not there refuses with the port that was asked.
                drop(server);
                client.send(b"question").unwrap();
                assert_eq!(client.recv(&mut buffer).unwrap_err().kind(), ErrorKind::ConnectionRefused, "{own}");
            }
        });
        resolver.udp.set_nonblocking(true).unwrap();
        let nothing = resolver.udp.recv_from(&mut [0; 64]).unwrap_err();
        assert_eq!(nothing.kind(), ErrorKind::WouldBlock);
    });
}

#[test]
fn a_container_that_tracks_its_connections_sees_answers_to_its_questions() {
    on_host(|host| {
        let sandbox = host.sandbox();
        let resolver = host.kernel.resolver(&sandbox).unwrap();
        sh_in(
            &sandbox,
            "nft -f - <<'END'
            table ip own {
              chain output {
                type filter hook output priority 0; policy drop;
                ct state established accept
                ct state new meta l4proto udp ct original proto-dst 53 accept
                ct state new meta l4proto tcp ct original proto-dst 53 accept
              }
              chain nat { type nat hook output priority -100; }
            }\nEND",
        );
        exchange(&sandbox, &resolver);
    });
}

#[test]
fn rules_of_an_older_release_are_exchanged() {
    on_host(|host| {
        let sandbox = host.sandbox();
        sh_in(
            &sandbox,
            "nft -f - <<'END'
            table ip corten-resolver {
              chain output { type nat hook output priority -101; udp dport 53 dnat to 127.0.0.11:9; }
              chain postrouting { type nat hook postrouting priority 99; udp sport 9 snat to 127.0.0.11:53; }
            }\nEND",
        );
        let resolver = host.kernel.resolver(&sandbox).unwrap();
        exchange(&sandbox, &resolver);
        assert!(!sh_in(&sandbox, "nft list ruleset").contains("dnat"));
    });
}
