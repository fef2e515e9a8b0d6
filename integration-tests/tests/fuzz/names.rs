//! What containers and servers send to the resolver, what the engine hands over, and the files of names.

use std::net::IpAddr;

use corten_proxy::resolver::{
    message::{self, Transport, Upstream},
    respond::{Outcome, respond},
    zones::{View, Zone, Zones},
};
use corten_relay::{
    Answer, Request,
    names::{ContainerNames, NetworkNames},
};

use crate::{
    each_input,
    mutate::{Random, bytes},
};

const NETWORK: &str = "corten-names 1
network 3b1c front%20end
host 5f2a 172.18.0.2,fd00::2 web WWW 5f2a
host 5f2b - gone
host 5f2c 172.18.0.3 a.b web
";
const CONTAINER: &str = "corten-names 1
container 5f2a
network 3b1c db=web store=a.b
network 3b1d
forward everywhere
single-labels kept
server container 192.0.2.53:53
server host [::1]:53
";

fn known() -> (Zones, View) {
    let mut zones = Zones::default();
    let network = NetworkNames::parse(NETWORK).unwrap();
    zones.set(network.id.clone(), Some(Zone::new(network)));
    (zones, View::new(ContainerNames::parse(CONTAINER).unwrap()))
}

/// A query of a name that may be known, with and without EDNS.
fn query(random: &mut Random) -> Vec<u8> {
    const NAMES: [&str; 8] =
        ["web", "WEB.front", "db", "a.b", "gone", "2.0.18.172.in-addr.arpa", "www.example.com", ""];
    const KINDS: [u16; 8] = [1, 28, 15, 12, 33, 255, 41, 0];
    let has_edns = random.one_in(2);
    let mut query = vec![random.next() as u8, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(has_edns)];
    for label in random.of(&NAMES).split('.').filter(|label| !label.is_empty()) {
        query.push(label.len() as u8);
        query.extend_from_slice(label.as_bytes());
    }
    query.push(0);
    query.extend_from_slice(&KINDS[random.below(KINDS.len())].to_be_bytes());
    query.extend_from_slice(&[0, 1]);
    if has_edns {
        query.extend_from_slice(&[0, 0, 41, random.next() as u8, random.next() as u8, 0, 0, 0, 0, 0, 0]);
    }
    query
}

#[test]
fn any_query_is_answered_in_bounds_forwarded_or_ignored() {
    let (zones, view) = known();
    each_input("query", |random| {
        let good = query(random);
        let sent = if random.one_in(4) { good } else { bytes(random, &good) };
        let mut out = Vec::new();
        for transport in [Transport::Udp, Transport::Tcp] {
            match respond(&view, &zones, &sent, transport, random.below(5), &mut out) {
                Outcome::Answered => {
                    assert_eq!((&out[..2], out[2] & 0x80), (&sent[..2], 0x80));
                    assert!((12..=usize::from(u16::MAX)).contains(&out.len()));
                }
                Outcome::Forward { question_end } => assert!((12..=sent.len()).contains(&question_end)),
                Outcome::Ignored => assert!(sent.len() < 12 || sent[2] & 0x80 != 0),
            }
        }
    });
}

#[test]
fn any_answer_of_a_server_is_judged() {
    each_input("answer", |random| {
        let asked = query(random);
        let mut answer = asked.clone();
        answer[2] |= 0x80;
        let answer = bytes(random, &answer);
        let end = 12 + random.below(asked.len() - 11);
        if message::judge(&asked, end, &answer) != Upstream::Foreign {
            assert_eq!(answer[..2], asked[..2]);
        }
    });
}

#[test]
fn any_file_of_names_is_read_or_refused() {
    each_input("names", |random| {
        let text = String::from_utf8_lossy(&bytes(random, NETWORK.as_bytes())).into_owned();
        if let Ok(network) = NetworkNames::parse(&text) {
            assert_eq!(NetworkNames::parse(&network.to_text()).as_ref(), Ok(&network));
            let _ = Zone::new(network);
        }
        let text = String::from_utf8_lossy(&bytes(random, CONTAINER.as_bytes())).into_owned();
        if let Ok(container) = ContainerNames::parse(&text) {
            assert_eq!(ContainerNames::parse(&container.to_text()).as_ref(), Ok(&container));
            let _ = View::new(container);
        }
    });
}

#[test]
fn any_packet_is_a_request_an_answer_or_refused() {
    const PACKETS: [&str; 5] = [
        "corten-relay 1 hold\ncontainer 5f2a\nport tcp [::]:80 172.18.0.2:80\nresolver\n",
        "corten-relay 1 drop-ports\ncontainer 5f2a\nport udp 0.0.0.0:53\n",
        "corten-relay 1 refresh\nnetwork 3b1c\ncontainer 5f2a\nhost 3b1c 5f2a\n",
        "corten-relay 1 listed\ncontainer 5f2a\nresolver\nport tcp 1.2.3.4:5\ncontainer b\n",
        "corten-relay 1 error\nwhy not\n",
    ];
    each_input("packet", |random| {
        let good = random.of(&PACKETS).as_bytes();
        let packet = bytes(random, good);
        let _ = Request::parse(&packet, Vec::new());
        let _ = Answer::parse(&packet, Vec::new());
        let name: Vec<u8> =
            (0..random.below(80)).map(|_| *b"0123456789abcdef.".get(random.below(17)).unwrap()).collect();
        let suffix = random.of(&[".in-addr.arpa", ".ip6.arpa"]).as_bytes();
        let _: Option<IpAddr> = message::reverse(&[&name, suffix].concat());
    });
}
