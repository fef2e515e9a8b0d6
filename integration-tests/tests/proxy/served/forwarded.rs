//! What no network knows goes to servers: in order, from the right place, and in bounds.

use std::{
    collections::HashSet,
    net::{SocketAddr, TcpListener, UdpSocket},
    sync::{Arc, Mutex},
    thread,
};

use corten_relay::names::{Forward, Server, Standpoint};
use integration_tests::{DEADLINE, in_own_network, wait_for};

use super::{Container, Served, answer_code, answer_with, serve_names};
use crate::patient_datagrams;

/// A server of names in this network namespace.
fn server(standpoint: Standpoint, answer: impl Fn(&[u8]) -> Option<Vec<u8>> + Send + 'static) -> Server {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    serve_names(socket, answer);
    Server { address, standpoint }
}

fn resolving(forward: Forward, container: &Container, servers: Vec<Server>) -> Served {
    let mut served = Served::new();
    served.name_network("net", &[("web", &["10.0.0.2"])]);
    served.name_container(container, &["net"], forward, servers);
    served.resolve_for(container);
    served
}

#[test]
fn servers_are_asked_from_where_they_are_until_one_answers() {
    in_own_network(|| {
        let container = Container::new("client");
        let at_host = server(Standpoint::Host, |query| Some(answer_with(query, [192, 0, 2, 1])));
        let inside =
            container.inside(|| server(Standpoint::Container, |query| Some(answer_with(query, [192, 0, 2, 2]))));
        let fails = server(Standpoint::Host, |query| Some(answer_code(query, 2)));
        let refuses = server(Standpoint::Host, |query| Some(answer_code(query, 5)));
        let silent = server(Standpoint::Host, |_| None);
        let absent = Server { address: "127.0.0.1:9".parse().unwrap(), standpoint: Standpoint::Host };
        let knows_none = server(Standpoint::Host, |query| Some(answer_code(query, 3)));
        let mut served = resolving(Forward::Everywhere, &container, vec![at_host]);
        for (servers, forward, answer) in [
            (vec![at_host], Forward::Everywhere, Ok("192.0.2.1")),
            (vec![inside, at_host], Forward::Everywhere, Ok("192.0.2.2")),
            (vec![fails, refuses, at_host], Forward::Everywhere, Ok("192.0.2.1")),
            (vec![silent, absent, at_host], Forward::Everywhere, Ok("192.0.2.1")),
            (vec![knows_none, at_host], Forward::Everywhere, Err("NXDOMAIN")),
            (vec![fails, refuses, absent], Forward::Everywhere, Err("SERVFAIL")),
            (vec![at_host, inside], Forward::OwnNetworks, Ok("192.0.2.2")),
            (vec![at_host], Forward::OwnNetworks, Err("SERVFAIL")),
            (vec![at_host, inside], Forward::Nowhere, Err("SERVFAIL")),
            (vec![], Forward::Everywhere, Err("SERVFAIL")),
        ] {
            let case = format!("{servers:?} {forward:?}");
            served.name_container(&container, &["net"], forward, servers);
            match answer {
                Ok(address) => assert_eq!(container.ask("example.com"), [address], "{case}"),
                Err(code) => assert_eq!(container.status("example.com"), code, "{case}"),
            }
            assert_eq!(container.ask("web"), ["10.0.0.2"], "{case}");
        }
    });
}

#[test]
fn what_is_ours_is_never_forwarded_and_ids_are_not_the_clients() {
    in_own_network(|| {
        let container = Container::new("client");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let noted = seen.clone();
        let at_host = server(Standpoint::Host, move |query| {
            noted.lock().unwrap().push(query.to_vec());
            Some(answer_with(query, [192, 0, 2, 1]))
        });
        let _served = resolving(Forward::Everywhere, &container, vec![at_host]);
        for question in ["web", "web AAAA", "web MX", "web.net", "-x 10.0.0.2"] {
            let _ = container.dig(question);
        }
        assert!(seen.lock().unwrap().is_empty(), "what is ours stays here");
        container.inside(|| {
            let socket = patient_datagrams(UdpSocket::bind("127.0.0.1:0").unwrap());
            let query = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x07example\x03com\0\0\x01\0\x01";
            for _ in 0..8 {
                socket.send_to(query, "127.0.0.11:53").unwrap();
                let mut answer = [0; 512];
                socket.recv(&mut answer).unwrap();
                assert_eq!(&answer[..2], b"\x12\x34");
            }
        });
        let ids: HashSet<[u8; 2]> = seen.lock().unwrap().iter().map(|query| [query[0], query[1]]).collect();
        assert!(ids.len() > 4, "they are drawn anew: {ids:?}");
    });
}

#[test]
fn by_a_stream_servers_are_asked_by_streams() {
    in_own_network(|| {
        let container = Container::new("client");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        thread::spawn(move || {
            use std::io::{Read, Write};
            for stream in listener.incoming() {
                let mut stream = crate::patient(stream.unwrap());
                let mut length = [0; 2];
                stream.read_exact(&mut length).unwrap();
                let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
                stream.read_exact(&mut query).unwrap();
                let answer = answer_with(&query, [192, 0, 2, 7]);
                stream.write_all(&(answer.len() as u16).to_be_bytes()).unwrap();
                // In two parts, as a network may.
                let (one, two) = answer.split_at(5);
                stream.write_all(one).unwrap();
                stream.write_all(two).unwrap();
            }
        });
        let at_host = Server { address, standpoint: Standpoint::Host };
        let absent = Server { address: "127.0.0.1:9".parse().unwrap(), standpoint: Standpoint::Host };
        let _served = resolving(Forward::Everywhere, &container, vec![absent, at_host]);
        assert_eq!(container.ask("+tcp example.com"), ["192.0.2.7"]);
        assert_eq!(container.status("example.com"), "SERVFAIL", "by datagrams nobody is there");
    });
}

/// An answer with so many addresses, cut after the first ones for who takes no more bytes.
fn answer_with_many(query: &[u8], most_bytes: usize) -> Vec<u8> {
    const ADDRESSES: u8 = 100;
    let mut answer = answer_with(query, [192, 0, 2, 0]);
    let mut count = 1;
    while count < ADDRESSES && answer.len() + 16 <= most_bytes {
        answer.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, count]);
        count += 1;
    }
    answer[7] = count;
    answer[2] |= if count < ADDRESSES { 2 } else { 0 };
    answer
}

#[test]
fn answers_of_servers_come_as_they_are_cut_or_long() {
    in_own_network(|| {
        let container = Container::new("client");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let noted = seen.clone();
        // It believes who says by EDNS how much he takes: the wish must have come along.
        serve_names(UdpSocket::bind(address).unwrap(), move |query| {
            let end = 12 + query[12..].iter().position(|byte| *byte == 0).unwrap() + 5;
            let takes =
                query.get(end + 3..end + 5).map_or(512, |bytes| usize::from(bytes[0]) << 8 | usize::from(bytes[1]));
            noted.lock().unwrap().push(takes);
            Some(answer_with_many(query, takes))
        });
        thread::spawn(move || {
            use std::io::{Read, Write};
            for stream in listener.incoming() {
                let mut stream = crate::patient(stream.unwrap());
                let mut length = [0; 2];
                stream.read_exact(&mut length).unwrap();
                let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
                stream.read_exact(&mut query).unwrap();
                let answer = answer_with_many(&query, usize::MAX);
                stream.write_all(&(answer.len() as u16).to_be_bytes()).unwrap();
                stream.write_all(&answer).unwrap();
            }
        });
        let _served =
            resolving(Forward::Everywhere, &container, vec![Server { address, standpoint: Standpoint::Host }]);
        let said = container.dig("many.example +noedns +ignore");
        assert!(said.contains(" tc ") && !said.contains("ANSWER: 100,"), "{said}");
        let said = container.dig("many.example +noedns");
        assert!(said.contains("ANSWER: 100,") && said.contains("retrying in TCP mode"), "{said}");
        let said = container.dig("many.example +bufsize=4096 +ignore");
        assert!(said.contains("ANSWER: 100,") && !said.contains(" tc "), "{said}");
        assert_eq!(*seen.lock().unwrap(), [512, 512, 4096]);
    });
}

#[test]
fn of_a_flood_a_bound_number_is_on_its_way_and_the_rest_refused() {
    in_own_network(|| {
        let container = Container::new("client");
        let silent = server(Standpoint::Host, |_| None);
        let _served = resolving(Forward::Everywhere, &container, vec![silent]);
        container.inside(|| {
            let socket = patient_datagrams(UdpSocket::bind("127.0.0.1:0").unwrap());
            let mut query = b"\0\0\x01\0\0\x01\0\0\0\0\0\0\x07example\x03com\0\0\x01\0\x01".to_vec();
            let own = b"\xff\xff\x01\0\0\x01\0\0\0\0\0\0\x03web\0\0\x01\0\x01";
            let mut answer = [0; 512];
            let mut on_their_way = 0;
            'flood: for number in 0..20_000_u16 {
                query[..2].copy_from_slice(&number.to_be_bytes());
                socket.send_to(&query, "127.0.0.11:53").unwrap();
                on_their_way += 1;
                if number % 32 != 31 {
                    continue;
                }
                // Once what is ours is answered, all before it were taken, too: no buffer runs over.
                socket.send_to(own, "127.0.0.11:53").unwrap();
                loop {
                    socket.recv(&mut answer).unwrap();
                    match answer[3] & 0xf {
                        0 => break,
                        // Its time was over.
                        2 => on_their_way -= 1,
                        5 => break 'flood,
                        code => panic!("code {code}"),
                    }
                }
            }
            assert!((1024..1024 + 33).contains(&on_their_way), "{on_their_way} before the first refusal");
            // Their time is over after some seconds. A thousand failures at once are more than a socket takes.
            let socket = patient_datagrams(UdpSocket::bind("127.0.0.1:0").unwrap());
            wait_for("room for one more", DEADLINE, || {
                socket.send_to(&query, "127.0.0.11:53").unwrap();
                socket.recv(&mut answer).unwrap();
                answer[3] & 0xf == 2
            });
        });
        assert_eq!(container.ask("web"), ["10.0.0.2"]);
    });
}

/// What a process has in memory for itself, in KiB.
fn memory_kib(pid: u32) -> u64 {
    let said = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = said.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn floods_cost_bounded_memory_and_nobody_elses_names() {
    use std::{io::Write, net::TcpStream};
    in_own_network(|| {
        let (container, other) = (Container::new("client"), Container::new("other"));
        let silent = server(Standpoint::Host, |_| None);
        let mut served = resolving(Forward::Everywhere, &container, vec![silent]);
        let crowd: Vec<String> = (1..=200).map(|last| format!("10.9.0.{last}")).collect();
        let crowd: Vec<[&str; 1]> = crowd.iter().map(|address| [address.as_str()]).collect();
        let mut hosts: Vec<(&str, &[&str])> = crowd.iter().map(|address| ("crowd", address.as_slice())).collect();
        hosts.push(("web", &["10.0.0.2"]));
        served.name_network("net", &hosts);
        served.name_container(&other, &["net"], Forward::Nowhere, Vec::new());
        served.resolve_for(&other);
        let streams: Vec<TcpStream> = container.inside(|| {
            // Questions with long answers, which nobody reads: as many as the connection takes.
            let question = b"\0\x17\0\0\x01\0\0\x01\0\0\0\0\0\0\x05crowd\0\0\x01\0\x01".repeat(2000);
            let stream = |_| {
                let mut stream = TcpStream::connect("127.0.0.11:53").unwrap();
                stream.set_nonblocking(true).unwrap();
                let _ = stream.write(&question); // it takes what it takes
                stream
            };
            let streams = (0..100).map(stream).collect();
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            let query = b"\0\0\x01\0\0\x01\0\0\0\0\0\0\x07example\x03com\0\0\x01\0\x01";
            for _ in 0..20_000 {
                let _ = socket.send_to(query, "127.0.0.11:53"); // what its buffer does not take is lost
            }
            streams
        });
        assert_eq!(other.ask("web"), ["10.0.0.2"]);
        container.inside(|| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.set_read_timeout(Some(std::time::Duration::from_millis(200))).unwrap();
            let own = b"\xff\xff\x01\0\0\x01\0\0\0\0\0\0\x03web\0\0\x01\0\x01";
            let mut answer = [0; 512];
            // While the flood is still in its buffer, one more question may be lost.
            wait_for("its own names", DEADLINE, || {
                socket.send_to(own, "127.0.0.11:53").unwrap();
                socket.recv(&mut answer).is_ok() && answer[7] == 1
            });
        });
        // 64 streams with 128 KiB and an answer each, a thousand questions on their way, and what it needs at rest.
        let memory = memory_kib(served.relay.hello().pid);
        assert!(memory < 24 * 1024, "{memory} KiB");
        drop(streams);
    });
}
