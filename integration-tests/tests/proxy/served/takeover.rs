//! A newer program takes over while connections flow through the old one.

use std::io::{Read, Write};

use corten_relay::{Protocol, names::Forward, start};
use corten_sys::pidfd;
use integration_tests::{DEADLINE, in_own_network, wait_for};

use super::{Container, Served, echo, echo_datagrams, reserved};
use crate::{ask, connect, datagrams, ours};

#[test]
fn a_connection_stays_and_new_ones_go_to_the_new_program() {
    in_own_network(|| {
        let mut served = Served::new();
        let container = Container::new("web");
        served.name_network("net", &[("web", &["10.0.0.2"])]);
        served.name_container(&container, &["net"], Forward::Nowhere, Vec::new());
        served.resolve_for(&container);
        let streams = reserved(Protocol::Tcp, "::1", Some(echo()));
        let messages = reserved(Protocol::Udp, "::1", Some(echo_datagrams()));
        let kept = reserved(Protocol::Tcp, "0.0.0.0", None);
        let (stream_host, message_host, kept_port) = (streams.port.host, messages.port.host, kept.port);
        served.hold_ports(&container, vec![streams, messages, kept]);
        let old = served.relay.hello().pid;
        let mut flowing = connect(stream_host);
        flowing.write_all(b"one").unwrap();
        flowing.read_exact(&mut [0; 3]).unwrap();

        let (seen, asked) = (datagrams("[::1]:0"), datagrams("[::1]:0"));
        let told = reserved(Protocol::Udp, "::1", Some(seen.local_addr().unwrap()));
        let told_host = told.port.host;
        served.hold_ports(&container, vec![told]);
        let before = served.relay.list().unwrap();
        asked.send_to(b"before", told_host).unwrap();
        let (_, known_as) = seen.recv_from(&mut [0; 16]).unwrap();

        start(&ours(), &served.socket(), &served.root.join("names"), &served.root.join("netns")).unwrap();
        served.reconnect();
        // The container knows its client again, and answers him.
        asked.send_to(b"after", told_host).unwrap();
        assert_eq!(seen.recv_from(&mut [0; 16]).unwrap(), (5, known_as));
        seen.send_to(b"answer", known_as).unwrap();
        assert_eq!(asked.recv_from(&mut [0; 16]).unwrap(), (6, told_host));
        assert_ne!(served.relay.hello().pid, old);
        assert_eq!(served.relay.list().unwrap(), before);
        ask(stream_host, b"hello");
        let client = datagrams("[::1]:0");
        client.send_to(b"ping", message_host).unwrap();
        assert_eq!(client.recv_from(&mut [0; 16]).unwrap(), (4, message_host));
        assert_eq!(container.ask("web"), ["10.0.0.2"]);
        assert_eq!(container.ask("web +tcp"), ["10.0.0.2"]);
        corten_relay::reserve(kept_port).unwrap_err();

        assert!(pidfd::lives(old), "it has a connection");
        flowing.write_all(b"two").unwrap();
        flowing.read_exact(&mut [0; 3]).unwrap();
        drop(flowing);
        wait_for("the old program's end", DEADLINE, || !pidfd::lives(old));
        served.relay.drop_container(&container.id).unwrap();
        corten_relay::reserve(kept_port).unwrap();
    });
}

#[test]
fn after_the_old_one_is_killed_a_new_one_begins_anew() {
    in_own_network(|| {
        let mut served = Served::new();
        let container = Container::new("web");
        let held = reserved(Protocol::Tcp, "::1", None);
        let port = held.port;
        served.hold_ports(&container, vec![held]);
        served.relay.process().send(corten_types::Signal::KILL).unwrap();
        corten_sys::poll::readable(&[std::os::fd::AsFd::as_fd(&served.relay)], Some(DEADLINE)).unwrap();
        served.relay.list().unwrap_err();
        wait_for("the port to be free", DEADLINE, || corten_relay::reserve(port).is_ok());
        start(&ours(), &served.socket(), &served.root.join("names"), &served.root.join("netns")).unwrap();
        served.reconnect();
        assert_eq!(served.relay.list().unwrap(), []);
    });
}
