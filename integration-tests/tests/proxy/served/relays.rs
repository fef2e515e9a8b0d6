//! Ports that translation of addresses does not reach, and the end of their container.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
};

use corten_relay::Protocol;
use integration_tests::{DEADLINE, in_own_network, sh, wait_for};

use super::{Container, Served, echo, echo_datagrams, reserved};
use crate::{ask, connect, datagrams};

#[test]
fn a_port_of_either_family_and_protocol_leads_to_a_container_of_ipv4() {
    in_own_network(|| {
        let mut served = Served::new();
        let container = Container::new("web");
        let streams = ["::1", "127.0.0.1"].map(|ip| reserved(Protocol::Tcp, ip, Some(echo())));
        let messages = ["::1", "127.0.0.1"].map(|ip| reserved(Protocol::Udp, ip, Some(echo_datagrams())));
        let hosts = streams.iter().chain(&messages).map(|held| held.port).collect::<Vec<_>>();
        served.hold_ports(&container, streams.into_iter().chain(messages).collect());
        for port in hosts {
            match port.protocol {
                Protocol::Tcp => ask(port.host, b"hello"),
                Protocol::Udp => {
                    let client = datagrams(if port.host.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" });
                    client.send_to(b"ping", port.host).unwrap();
                    assert_eq!(client.recv_from(&mut [0; 16]).unwrap(), (4, port.host));
                }
            }
        }
    });
}

#[test]
fn with_its_init_all_of_a_container_goes_and_nobody_elses() {
    in_own_network(|| {
        let mut served = Served::new();
        let (mut one, other) = (Container::new("one"), Container::new("other"));
        sh(&format!("ip link add veth-one type veth peer name eth0 netns {}", one.pid()));
        served.name_network("net", &[("web", &["10.0.0.2"])]);
        for container in [&one, &other] {
            served.name_container(container, &["net"], corten_relay::names::Forward::Nowhere, Vec::new());
            served.resolve_for(container);
        }
        let ports = [&one, &other].map(|container| {
            let held = reserved(Protocol::Tcp, "::1", Some(echo()));
            let host = held.port.host;
            served.hold_ports(container, vec![held]);
            host
        });
        ask(ports[0], b"hello");
        assert_eq!(one.ask("web"), ["10.0.0.2"]);
        one.kill();
        wait_for("the port's end", DEADLINE, || {
            TcpStream::connect(ports[0]).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
        });
        wait_for("the network namespace's end", DEADLINE, || !sh("ip -o link").contains("veth-one"));
        assert_eq!(served.relay.list().unwrap().len(), 1);
        ask(ports[1], b"hello");
        assert_eq!(other.ask("web"), ["10.0.0.2"]);
    });
}

#[test]
fn what_a_container_has_sent_arrives_after_its_end() {
    in_own_network(|| {
        let mut served = Served::new();
        let mut container = Container::new("web");
        let (listener, target) = crate::container();
        let held = reserved(Protocol::Tcp, "::1", Some(target));
        let host = held.port.host;
        served.hold_ports(&container, vec![held]);
        let mut client = connect(host);
        let mut server = crate::accept(&listener);
        server.write_all(&[7; 10_000]).unwrap();
        drop(server);
        container.kill();
        served.relay.drop_container(&container.id).unwrap();
        let mut received = Vec::new();
        client.read_to_end(&mut received).unwrap();
        assert_eq!(received.len(), 10_000);
    });
}
