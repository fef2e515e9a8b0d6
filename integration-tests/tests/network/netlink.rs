//! The codec against the kernel: what is told is there, as `ip` and `nft` see it, and is read back.

use std::{
    borrow::Cow,
    net::{TcpListener, TcpStream, UdpSocket},
    os::fd::AsFd,
};

use corten_netlink::{
    Batch, Socket,
    address::{self, Address},
    conntrack, events, link,
    link::{MacvlanMode, Settings},
    nft::{
        self, Chain, Data, Element, Expression, Family, Hook, Set, Table, Type, Verdict,
        expression::{Base, Meta, Register},
        object::Place,
        set::{Values, name_field},
    },
    route::{self, Route},
};
use integration_tests::{in_own_network, sh};

fn run(socket: &mut Socket, fill: impl FnOnce(&mut Batch)) {
    let mut batch = Batch::new();
    fill(&mut batch);
    socket.run(batch).unwrap();
}

#[test]
fn a_pair_is_made_in_one_message_with_its_other_end_elsewhere() {
    in_own_network(|| {
        let mut socket = Socket::route().unwrap();
        run(&mut socket, |batch| {
            batch.new_bridge("br0", Settings { group: Some(77), up: Some(true), ..Settings::default() });
            batch.set_alias("br0", "corten:test/1");
        });
        let bridge = link::named(&mut socket, "br0").unwrap().unwrap();
        assert_eq!(
            (bridge.kind.as_str(), bridge.alias.as_deref(), bridge.group),
            ("bridge", Some("corten:test/1"), 77)
        );
        assert!(bridge.up);
        let master = Some(bridge.index);
        let (namespace, found) = std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                in_own_network(|| {
                    let namespace = std::fs::File::open("/proc/thread-self/ns/net").unwrap();
                    let inside = Settings {
                        mac: Some([2, 0, 0, 0, 0, 9]),
                        mtu: Some(1400),
                        namespace: Some(namespace.as_fd()),
                        ..Settings::default()
                    };
                    let outside = Settings { master, mtu: Some(1400), up: Some(true), ..Settings::default() };
                    run(&mut socket, |batch| batch.new_veth("veth0", outside, "eth0", inside));
                    let mut socket = Socket::route().unwrap();
                    let found = link::named(&mut socket, "eth0").unwrap().unwrap();
                    (namespace, found)
                })
            });
            inside.join().unwrap()
        });
        assert_eq!((found.mac, found.mtu, found.kind.as_str()), (Some([2, 0, 0, 0, 0, 9]), 1400, "veth"));
        let mut socket = Socket::route().unwrap();
        let ours = link::named(&mut socket, "veth0").unwrap().unwrap();
        assert_eq!((ours.master, ours.up), (bridge.index, true));
        assert!(link::all(&mut socket).unwrap().contains(&ours));
        drop(namespace);
        run(&mut socket, |batch| batch.delete_link(bridge.index));
        assert_eq!(link::named(&mut socket, "br0").unwrap(), None);
    });
}

#[test]
fn addresses_and_routes_are_read_as_they_were_told() {
    in_own_network(|| {
        let mut socket = Socket::route().unwrap();
        run(&mut socket, |batch| batch.new_bridge("br0", Settings { up: Some(true), ..Settings::default() }));
        let index = link::named(&mut socket, "br0").unwrap().unwrap().index;
        let four = Address { link: index, address: "10.1.0.1".parse().unwrap(), prefix: 24 };
        let six = Address { link: index, address: "fd00::1".parse().unwrap(), prefix: 64 };
        let default = Route {
            destination: "0.0.0.0".parse().unwrap(),
            prefix: 0,
            gateway: Some("10.1.0.254".parse().unwrap()),
            link: index,
        };
        run(&mut socket, |batch| {
            batch.add_address(four);
            batch.add_address(six);
            batch.add_address(four);
            batch.replace_route(default);
            batch.replace_route(default);
        });
        let found = address::all(&mut socket).unwrap();
        assert!(found.contains(&four) && found.contains(&six), "{found:?}");
        assert!(sh("ip -4 addr show br0").contains("brd 10.1.0.255"));
        assert!(!sh("ip -6 addr show br0 | grep fd00").contains("tentative"));
        let routes = route::all(&mut socket).unwrap();
        assert!(routes.contains(&default), "{routes:?}");
        let subnet = |route: &Route| route.prefix == 24 && route.gateway.is_none() && route.link == index;
        assert!(routes.iter().any(subnet), "{routes:?}");
        run(&mut socket, |batch| {
            batch.delete_route(default);
            batch.delete_address(six);
        });
        assert!(!route::all(&mut socket).unwrap().contains(&default));
        assert!(!address::all(&mut socket).unwrap().contains(&six));
    });
}

#[test]
fn a_refusal_names_the_request_and_the_others_are_done() {
    in_own_network(|| {
        let mut socket = Socket::route().unwrap();
        let mut batch = Batch::new();
        batch.new_bridge("br0", Settings::default());
        batch.new_bridge("br0", Settings::default());
        batch.new_bridge("br1", Settings::default());
        let refusals = socket.run_all(batch);
        assert_eq!(refusals.len(), 1);
        assert_eq!(refusals[0].0, 1);
        assert!(refusals[0].1.is_present());
        assert_eq!(refusals[0].1.to_string(), "make interface br0");
        assert!(link::named(&mut socket, "br1").unwrap().is_some());
        let mut batch = Batch::new();
        batch.add_address(Address { link: 4711, address: "10.0.0.1".parse().unwrap(), prefix: 24 });
        assert!(socket.run(batch).unwrap_err().is_missing());
        let mut batch = Batch::new();
        batch.new_plain("x0", "nonsense", Settings::default());
        let error = socket.run(batch).unwrap_err();
        assert!(error.is_lacking() && error.to_string().contains("Unknown device type"), "{error}");
    });
}

#[test]
fn macvlan_shares_its_parent() {
    in_own_network(|| {
        let mut socket = Socket::route().unwrap();
        run(&mut socket, |batch| {
            batch.new_veth("wire", Settings::default(), "other", Settings::default());
        });
        let parent = link::named(&mut socket, "wire").unwrap().unwrap().index;
        run(&mut socket, |batch| batch.new_macvlan("mac0", Settings::default(), parent, MacvlanMode::Bridge));
        let made = link::named(&mut socket, "mac0").unwrap().unwrap();
        assert_eq!((made.kind.as_str(), made.parent), ("macvlan", parent));
        assert!(sh("ip -d link show mac0").contains("macvlan mode bridge"));
        run(&mut socket, |batch| batch.rename_link(made.index, "mac1"));
        assert!(link::named(&mut socket, "mac1").unwrap().is_some());
    });
}

const PORTS: Set = Set {
    name: "ports",
    key: &[Type::Transport, Type::Ipv4, Type::Port],
    values: Values::Fields(&[Type::Ipv4, Type::Port]),
};
const BRIDGES: Set = Set { name: "bridges", key: &[Type::Interface], values: Values::Verdicts };

fn table() -> Table {
    Table { family: Family::Inet, name: Cow::Borrowed("corten-test") }
}

/// A table with one chain of translation and one that filters.
fn ruleset() -> Batch {
    let mut batch = Batch::new();
    let table = table();
    batch.add_table(&table, "corten:test");
    batch.add_set(&table, &PORTS, 1);
    batch.add_set(&table, &BRIDGES, 2);
    batch.add_chain(&table, &Chain { name: "closed", hook: None });
    let hook = Hook { kind: "nat", place: Place::Prerouting, priority: -101 };
    batch.add_chain(&table, &Chain { name: "prerouting", hook: Some(hook) });
    let hook = Hook { kind: "filter", place: Place::Forward, priority: 0 };
    batch.add_chain(&table, &Chain { name: "forward", hook: Some(hook) });
    let expressions = [
        Expression::Meta(Meta::Family, Register(0)),
        Expression::Equal(Register(0), vec![2]),
        Expression::Meta(Meta::Transport, Register(0)),
        Expression::Payload(Base::Network, 16, 4, Register(1)),
        Expression::Payload(Base::Transport, 2, 2, Register(2)),
        Expression::Map("ports", Register(0), Register(0)),
        Expression::TranslateDestination { v6: false, address: Register(0), port: Register(1) },
    ];
    batch.add_rule(&table, "prerouting", "published ports", &expressions);
    let expressions = [Expression::Meta(Meta::InputName, Register(0)), Expression::VerdictMap("bridges", Register(0))];
    batch.add_rule(&table, "forward", "by bridge", &expressions);
    batch
}

fn port(number: u16) -> Element {
    let [high, low] = number.to_be_bytes();
    let key = vec![6, 0, 0, 0, 10, 0, 0, 1, high, low, 0, 0];
    Element { key, data: Data::Value(vec![172, 17, 0, 2, high, low, 0, 0]) }
}

#[test]
fn rules_sets_and_elements_are_as_nft_reads_them() {
    in_own_network(|| {
        let mut socket = Socket::netfilter().unwrap();
        nft::commit(&mut socket, ruleset(), None).unwrap();
        let closed = Element { key: name_field("br-1").to_vec(), data: Data::Verdict(Verdict::Jump("closed".into())) };
        let mut batch = Batch::new();
        let ports: Vec<Element> = (1..=5000).map(port).collect();
        batch.add_elements(&table(), "ports", &ports);
        batch.add_elements(&table(), "bridges", std::slice::from_ref(&closed));
        nft::commit(&mut socket, batch, None).unwrap();
        let text = sh("nft list table inet corten-test");
        for part in [
            "comment \"corten:test\"",
            "type inet_proto . ipv4_addr . inet_service : ipv4_addr . inet_service",
            "tcp . 10.0.0.1 . 80 : 172.17.0.2 . 80",
            "\"br-1\" : jump closed",
            "dnat ip to meta l4proto . ip daddr . th dport map @ports comment \"published ports\"",
            "iifname vmap @bridges comment \"by bridge\"",
            "priority dstnat - 1; policy accept;",
        ] {
            assert!(text.contains(part), "{part:?} is not in {text}");
        }
        let tables = nft::dump::tables(&mut socket, Family::Inet).unwrap();
        assert_eq!(tables, [("corten-test".to_owned(), Some("corten:test".to_owned()))]);
        let rules = nft::dump::rules(&mut socket, &table()).unwrap();
        let expected = [("prerouting", "published ports"), ("forward", "by bridge")];
        assert_eq!(rules, expected.map(|(chain, note)| (chain.to_owned(), note.to_owned())));
        let mut found = nft::dump::elements(&mut socket, &table(), "ports").unwrap().unwrap();
        found.sort_by_key(|element| element.key.clone());
        assert_eq!(found, ports);
        assert_eq!(nft::dump::elements(&mut socket, &table(), "bridges").unwrap().unwrap(), [closed]);
        assert_eq!(nft::dump::elements(&mut socket, &table(), "none").unwrap(), None);
    });
}

#[test]
fn a_batch_is_done_as_a_whole_and_not_over_the_changes_of_others() {
    in_own_network(|| {
        let mut socket = Socket::netfilter().unwrap();
        nft::commit(&mut socket, ruleset(), None).unwrap();
        let before = nft::generation(&mut socket).unwrap();
        let mut batch = Batch::new();
        batch.add_elements(&table(), "ports", &[port(1)]);
        batch.delete_elements(&table(), "ports", &[port(2)]);
        let error = nft::commit(&mut socket, batch, None).unwrap_err();
        assert!(error.is_missing(), "{error}");
        assert_eq!(error.to_string(), "remove elements of set ports in table corten-test");
        assert_eq!(nft::dump::elements(&mut socket, &table(), "ports").unwrap().unwrap(), []);
        sh("nft add table ip theirs");
        let mut batch = Batch::new();
        batch.add_elements(&table(), "ports", &[port(1)]);
        let error = nft::commit(&mut socket, batch.clone(), Some(before)).unwrap_err();
        assert!(error.is_stale(), "{error}");
        let now = nft::generation(&mut socket).unwrap();
        nft::commit(&mut socket, batch, Some(now)).unwrap();
        assert_eq!(nft::dump::elements(&mut socket, &table(), "ports").unwrap().unwrap(), [port(1)]);
    });
}

#[test]
fn tracked_connections_are_found_and_forgotten() {
    in_own_network(|| {
        // Something must ask for tracking, else a namespace has none.
        sh(
            "nft add table ip t; nft 'add chain ip t c { type filter hook output priority 0; }'; nft add rule ip t c ct state new",
        );
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        let _stream = TcpStream::connect(to).unwrap();
        let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
        datagrams.send_to(b"x", to).unwrap();
        let mut socket = Socket::netfilter().unwrap();
        let found = conntrack::all(&mut socket, to.ip()).unwrap();
        let of = |protocol: u8| {
            let mut connections = found.iter().filter(|connection| connection.original.protocol == protocol);
            connections.find(|connection| connection.original.destination_port == Some(to.port()))
        };
        assert_eq!(of(6).unwrap().reply.source, to.ip());
        assert!(of(17).is_some());
        let chosen = |connection: &conntrack::Connection| connection.original.protocol == 17;
        assert_eq!(conntrack::forget(&mut socket, to.ip(), chosen).unwrap(), 1);
        let left = conntrack::all(&mut socket, to.ip()).unwrap();
        assert!(!left.iter().any(chosen) && left.iter().any(|connection| connection.original.protocol == 6));
    });
}

#[test]
fn changes_of_others_are_heard() {
    in_own_network(|| {
        let (mut links, mut rules) = (events::links().unwrap(), events::rules().unwrap());
        sh("ip link add br0 type bridge; ip addr add 10.0.0.1/24 dev br0; ip link del br0; nft add table ip t");
        let mut heard = Vec::new();
        links.events(|message| heard.extend(events::read(message))).unwrap();
        rules.events(|message| heard.extend(events::read(message))).unwrap();
        for expected in [events::Change::Link, events::Change::Address, events::Change::LinkGone] {
            assert!(heard.contains(&expected), "{heard:?}");
        }
        assert!(matches!(heard.last(), Some(events::Change::Rules { process: Some(_) })), "{heard:?}");
    });
}
