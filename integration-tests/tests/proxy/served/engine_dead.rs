//! While the engine is dead.

use corten_relay::{Protocol, names::Forward};
use integration_tests::in_own_network;
use std::net::UdpSocket;

use super::{Container, Served, echo, reserved};
use crate::{ask, patient_datagrams};

#[test]
fn a_thousand_questions_and_a_hundred_connections_lose_none() {
    in_own_network(|| {
        let mut served = Served::new();
        let container = Container::new("web");
        served.name_network("net", &[("web", &["10.0.0.2"])]);
        served.name_container(&container, &["net"], Forward::Nowhere, Vec::new());
        served.resolve_for(&container);
        let held = reserved(Protocol::Tcp, "::1", Some(echo()));
        let host = held.port.host;
        served.hold_ports(&container, vec![held]);
        let before = served.relay.list().unwrap();
        let Served { root, relay } = served;
        drop(relay);
        (0..100).for_each(|_| ask(host, b"hello"));
        container.inside(|| {
            let socket = patient_datagrams(UdpSocket::bind("127.0.0.1:0").unwrap());
            let mut query = b"\0\0\x01\0\0\x01\0\0\0\0\0\0\x03web\0\0\x01\0\x01".to_vec();
            for number in 0..1000_u16 {
                query[..2].copy_from_slice(&number.to_be_bytes());
                socket.send_to(&query, "127.0.0.11:53").unwrap();
                let mut answer = [0; 512];
                let length = socket.recv(&mut answer).unwrap();
                assert_eq!((&answer[..2], &answer[length - 4..length]), (&query[..2], &[10, 0, 0, 2][..]));
            }
        });
        let mut served = Served { relay: corten_relay::Relay::connect(&root.join("proxy.sock")).unwrap(), root };
        assert_eq!(served.relay.list().unwrap(), before);
    });
}
