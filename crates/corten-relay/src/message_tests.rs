use std::{io, os::fd::AsFd};

use super::*;

fn descriptor() -> OwnedFd {
    io::pipe().expect("a pipe").0.into()
}

fn id(text: &str) -> Identifier {
    text.parse().expect("an id")
}

fn port(text: &str) -> Port {
    let (protocol, host) = text.split_once(' ').expect("two words");
    Port { protocol: protocol.parse().expect("a protocol"), host: host.parse().expect("an address") }
}

fn hold(ports: u16) -> Hold {
    let socket = |number| PortSocket {
        port: port(&format!("tcp [::]:{number}")),
        target: (number % 2 == 0).then(|| "172.18.0.2:80".parse().expect("an address")),
        socket: descriptor(),
    };
    let resolver = Resolver { udp: descriptor(), tcp: descriptor(), namespace: descriptor() };
    Hold {
        container: id("5f2a"),
        init: PidFd::from_owned(descriptor()),
        ports: (1..=ports).map(socket).collect(),
        resolver: Some(resolver),
        flows: Vec::new(),
    }
}

/// As the other end reads it.
fn over_the_wire(packet: &Packet<'_>) -> (Vec<u8>, Vec<OwnedFd>) {
    assert!(packet.text.len() <= MAX_PACKET_BYTES);
    let (ours, theirs) = corten_sys::descriptors::packet_pair().expect("a pair");
    scm::send(&ours, packet.text.as_bytes(), &packet.descriptors).expect("sent");
    let mut buffer = vec![0; MAX_PACKET_BYTES];
    let (length, descriptors) = scm::receive(&theirs, &mut buffer).expect("received");
    (buffer[..length].to_vec(), descriptors)
}

#[test]
fn clients_of_datagrams_travel_with_their_sockets() {
    for count in [0, 1, 56, 57, 300] {
        let mut given = hold(1);
        given.flows.extend((1..=count).map(|number: u16| Flow {
            port: port("udp [::]:1"),
            client: SocketAddr::from(([127, 0, 0, 1], number)),
            destination: number.is_multiple_of(2).then(|| IpAddr::from([127, 0, 0, 2])),
            socket: descriptor(),
        }));
        let answer = Answer::Given(given);
        let mut flows = Vec::new();
        for packet in answer.packets() {
            let (bytes, descriptors) = over_the_wire(&packet);
            let Ok(Answer::Given(part)) = Answer::parse(&bytes, descriptors) else { panic!("nothing given") };
            flows.extend(part.flows);
        }
        assert_eq!(flows.len(), usize::from(count));
        for (flow, number) in flows.iter().zip(1..) {
            assert_eq!((flow.client.port(), flow.destination.is_some()), (number, number % 2 == 0));
            assert_eq!(flow.port, port("udp [::]:1"));
        }
    }
}

#[test]
fn many_ports_travel_in_parts_with_their_sockets() {
    for count in [0, 1, 56, 57, 500] {
        let request = Request::Hold(hold(count));
        let (mut ports, mut resolvers) = (0, 0);
        for packet in request.packets() {
            let (bytes, descriptors) = over_the_wire(&packet);
            let Ok(Request::Hold(part)) = Request::parse(&bytes, descriptors) else { panic!("no hold") };
            assert_eq!(part.container, id("5f2a"));
            for (held, number) in part.ports.iter().zip(ports + 1..) {
                assert_eq!((held.port.host.port(), held.target.is_some()), (number, number % 2 == 0));
            }
            ports += part.ports.len() as u16;
            resolvers += usize::from(part.resolver.is_some());
        }
        assert_eq!((ports, resolvers), (count, 1));
    }
}

#[test]
fn every_other_request_and_answer_survives_the_way() {
    let requests = [
        Request::Hello,
        Request::Drop { container: id("a"), ports: None },
        Request::Drop { container: id("a"), ports: Some(vec![port("udp 0.0.0.0:53"), port("tcp [::1]:1")]) },
        Request::Refresh(vec![
            Subject::Network(id("n")),
            Subject::Container(id("c")),
            Subject::Host { network: id("n"), container: id("c") },
        ]),
        Request::List,
        Request::Takeover,
        Request::Taken,
    ];
    for request in requests {
        let read = Request::parse(request.packets()[0].text.as_bytes(), Vec::new()).expect("read");
        assert_eq!(format!("{read:?}"), format!("{request:?}"));
    }
    let target = Some("172.18.0.2:53".parse().expect("an address"));
    let ports = vec![HeldPort { port: port("udp 0.0.0.0:53"), target }];
    let held = vec![
        Held { container: id("a"), ports: Vec::new(), has_resolver: true },
        Held { container: id("b"), ports, has_resolver: false },
    ];
    for answer in [
        Answer::Done,
        Answer::Hello { version: "1.2".to_owned() },
        Answer::Listed(Vec::new()),
        Answer::Listed(held),
        Answer::Refused("because".to_owned()),
    ] {
        let read = Answer::parse(answer.packets()[0].text.as_bytes(), Vec::new()).expect("read");
        assert_eq!(format!("{read:?}"), format!("{answer:?}"));
    }
}

#[test]
fn a_long_list_is_told_in_parts_that_name_their_container() {
    let ports = (1..=1000).map(|number| HeldPort { port: port(&format!("tcp 0.0.0.0:{number}")), target: None });
    let answer = Answer::Listed(vec![Held { container: id("a"), ports: ports.collect(), has_resolver: true }]);
    let packets = answer.packets();
    assert_eq!(packets.len(), 3);
    let mut ports = 0;
    for packet in packets {
        let Ok(Answer::Listed(part)) = Answer::parse(packet.text.as_bytes(), Vec::new()) else { panic!("no list") };
        assert_eq!(part[0].container, id("a"));
        ports += part[0].ports.len();
    }
    assert_eq!(ports, 1000);
}

#[test]
fn a_packet_that_is_none_of_ours_is_refused() {
    let head = |rest: &str| format!("corten-relay 1 {rest}");
    let cases = [
        (String::new(), MessageError::Head),
        ("corten-relay x hold".to_owned(), MessageError::Head),
        ("corten-relay 2 hold".to_owned(), MessageError::Format(2)),
        (head("hold now"), MessageError::Head),
        (head("shout"), MessageError::Verb("shout".to_owned())),
        (head("hold"), MessageError::Missing("container")),
        (head("hold\ncontainer ../x"), MessageError::Line("container ../x".to_owned())),
        (head("hold\ncontainer a"), MessageError::Descriptors),
        (head("hold\nport tcp 0.0.0.0:80"), MessageError::Line("port tcp 0.0.0.0:80".to_owned())),
        (head("drop\ncontainer a\ncontainer b"), MessageError::Line("container b".to_owned())),
        (head("drop\ncontainer a\nport tcp 1.1.1.1:1"), MessageError::Line("port".to_owned())),
        (head("drop-ports\ncontainer a\nport sctp 1.1.1.1:1"), MessageError::Line("port sctp 1.1.1.1:1".to_owned())),
        (head("refresh\nvolume a"), MessageError::Line("volume a".to_owned())),
    ];
    for (text, error) in cases {
        assert_eq!(Request::parse(text.as_bytes(), Vec::new()).expect_err(&text), error, "{text}");
    }
    let one_too_many = Request::parse(head("hello").as_bytes(), vec![descriptor()]);
    assert_eq!(one_too_many.expect_err("a descriptor"), MessageError::Descriptors);
    let hold = hold(1);
    let missing = Request::parse(
        head("hold\ncontainer a\nresolver").as_bytes(),
        vec![hold.init.as_fd().try_clone_to_owned().expect("a copy"), descriptor()],
    );
    assert_eq!(missing.expect_err("two are missing"), MessageError::Descriptors);
}
