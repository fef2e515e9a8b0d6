//! The fixed rules. Networks, endpoints and ports are elements of the sets these rules look into, so that neither a packet
//! nor a change costs more with more of them. `nft list table` shows them; a test holds the text.
//!
//! A packet that comes in or goes out passes, in this order: `loopback` (what a container may not name), `prerouting` or
//! `output` (published ports), `forward` (who may reach whom), `postrouting` (whose address it leaves with).

use corten_netlink::{
    Batch,
    nft::{
        Chain, Expression, Family, Hook, Set, Table, Type, Verdict,
        expression::{Base, Meta, Register, Tracked},
        object::Place,
        set::Values,
    },
};

use super::mark;
use crate::plan::Mark;

/// Published ports of one address: protocol, address and port of the host → address and port of the container.
pub const PORTS: [Set; 2] = [
    map("ports4", &[Type::Transport, Type::Ipv4, Type::Port], &[Type::Ipv4, Type::Port]),
    map("ports6", &[Type::Transport, Type::Ipv6, Type::Port], &[Type::Ipv6, Type::Port]),
];
/// Published ports of all of the host's addresses.
pub const ANY_PORTS: [Set; 2] = [
    map("any4", &[Type::Transport, Type::Port], &[Type::Ipv4, Type::Port]),
    map("any6", &[Type::Transport, Type::Port], &[Type::Ipv6, Type::Port]),
];
/// What may be reached of containers: address, protocol, port.
pub const OPEN: [Set; 2] = [
    set("open4", &[Type::Ipv4, Type::Transport, Type::Port]),
    set("open6", &[Type::Ipv6, Type::Transport, Type::Port]),
];
/// Ports of all addresses where a relay serves the host's loopback.
pub const RELAYED: Set = set("relayed4", &[Type::Transport, Type::Port]);
/// Our bridges.
pub const BRIDGES: Set = set("bridges", &[Type::Interface]);
/// Our bridges, each with itself: what goes back where it came from.
pub const SAME: Set = set("same", &[Type::Interface, Type::Interface]);
/// Bridges whose containers do not reach each other, and their ports in the table of frames.
pub const CLOSED: Set = set("closed", &[Type::Interface]);
/// What containers reach of each other there all the same: who, of whom, protocol, port.
pub const LINKED: Set = set("linked4", &[Type::Ipv4, Type::Ipv4, Type::Transport, Type::Port]);
/// What becomes of what leaves a bridge.
pub const FROM: Set = Set { name: "from", key: &[Type::Interface], values: Values::Verdicts };
/// What becomes of what goes to a bridge.
pub const TO: [Set; 2] = [
    Set { name: "to4", key: &[Type::Interface], values: Values::Verdicts },
    Set { name: "to6", key: &[Type::Interface], values: Values::Verdicts },
];
/// From which interface containers on which bridge may be reached by their own addresses.
pub const TRUSTED: Set = set("trusted", &[Type::Interface, Type::Interface]);
/// Bridges whose containers do not reach the host.
pub const ISOLATED: Set = set("isolated", &[Type::Interface]);
/// Bridges whose containers leave with the address of the way out.
pub const MASQUERADE: [Set; 2] = [set("masquerade4", &[Type::Interface]), set("masquerade6", &[Type::Interface])];
/// Bridges whose containers leave with an address of their network's choice.
pub const LEAVE_AS: [Set; 2] =
    [map("leave4", &[Type::Interface], &[Type::Ipv4]), map("leave6", &[Type::Interface], &[Type::Ipv6])];

/// Every set of the table of packets.
pub const SETS: [&Set; 20] = [
    &PORTS[0],
    &PORTS[1],
    &ANY_PORTS[0],
    &ANY_PORTS[1],
    &OPEN[0],
    &OPEN[1],
    &RELAYED,
    &BRIDGES,
    &SAME,
    &CLOSED,
    &LINKED,
    &FROM,
    &TO[0],
    &TO[1],
    &TRUSTED,
    &ISOLATED,
    &MASQUERADE[0],
    &MASQUERADE[1],
    &LEAVE_AS[0],
    &LEAVE_AS[1],
];

/// Every set of the table of frames.
pub const FRAME_SETS: [&Set; 2] = [&CLOSED, &LINKED];

/// Where connections to published ports go on.
pub const CHAIN_NAT: &str = "nat";
/// Where connections to the ports of routed containers go on.
pub const CHAIN_ROUTED: &str = "routed";
/// Where connections to containers go on that everybody but other networks reaches directly.
pub const CHAIN_UNPROTECTED: &str = "unprotected";

const CHAIN_PUBLISHED: &str = "published";
/// Where goes on what stays within a bridge.
pub const CHAIN_SAME: &str = "same_bridge";

const fn set(name: &'static str, key: &'static [Type]) -> Set {
    Set { name, key, values: Values::None }
}

const fn map(name: &'static str, key: &'static [Type], values: &'static [Type]) -> Set {
    Set { name, key, values: Values::Fields(values) }
}

const fn base(name: &'static str, kind: &'static str, place: Place, priority: i32) -> Chain {
    Chain { name, hook: Some(Hook { kind, place, priority }) }
}

/// Before Docker's and other firewalls' own translation (−100 and 100), so that theirs cannot take what is ours; ours looks
/// only at what is in our sets.
const CHAINS: [Chain; 11] = [
    Chain { name: CHAIN_NAT, hook: None },
    Chain { name: CHAIN_ROUTED, hook: None },
    Chain { name: CHAIN_UNPROTECTED, hook: None },
    Chain { name: CHAIN_PUBLISHED, hook: None },
    Chain { name: CHAIN_SAME, hook: None },
    base("loopback", "filter", Place::Prerouting, -300),
    base("prerouting", "nat", Place::Prerouting, -101),
    base("output", "nat", Place::Output, -101),
    base("input", "filter", Place::Input, 0),
    base("forward", "filter", Place::Forward, 0),
    base("postrouting", "nat", Place::Postrouting, 99),
];

const BRIDGE_CHAINS: [Chain; 1] = [base("forward", "filter", Place::Forward, -200)];

/// One rule: its chain, what it is for, and its steps.
type Rule = (&'static str, &'static str, Vec<Expression>);

const FIRST: Register = Register(0);
/// After an interface's name.
const SECOND_NAME: Register = Register(4);
const ESTABLISHED_OR_RELATED: u32 = 2 | 4;
const DESTINATION_TRANSLATED: u32 = 32;
const KIND_LOCAL: u32 = 2;
const ARP: u16 = 0x0806;
const IPV4: u16 = 0x0800;

/// The rules of the table of packets, in order.
fn rules() -> Vec<Rule> {
    let mut rules = vec![
        (
            "loopback",
            "no container names a loopback address of the host",
            [of_family(0), input(FIRST), in_set(&BRIDGES), to_loopback(), verdict(Verdict::Drop)].concat(),
        ),
        (
            "prerouting",
            "ports are published at the host's addresses",
            [not_to_host(), verdict(Verdict::Return)].concat(),
        ),
        (
            "prerouting",
            "loopback ports are not for neighbours",
            [of_family(0), to_loopback(), verdict(Verdict::Return)].concat(),
        ),
        ("prerouting", "published ports", jump(CHAIN_PUBLISHED)),
        ("output", "ports are published at the host's addresses", [not_to_host(), verdict(Verdict::Return)].concat()),
        (
            "output",
            "a relay serves these on loopback",
            [of_family(0), to_loopback(), transport_and_port(FIRST), in_set(&RELAYED), verdict(Verdict::Return)]
                .concat(),
        ),
        ("output", "a relay serves IPv6 loopback", [of_family(1), to_loopback_v6(), verdict(Verdict::Return)].concat()),
        ("output", "published ports", jump(CHAIN_PUBLISHED)),
        (
            "input",
            "isolated containers do not reach the host",
            [input(FIRST), in_set(&ISOLATED), verdict(Verdict::Drop)].concat(),
        ),
    ];
    rules.extend(published());
    rules.extend(forward());
    rules.extend(postrouting());
    rules
}

fn published() -> Vec<Rule> {
    let mut rules = Vec::new();
    for six in [0, 1] {
        let to = |key: Vec<Expression>, map: &Set| {
            let port = Register(if six == 1 { 4 } else { 1 });
            let map = Expression::Map(map.name, FIRST, FIRST);
            let translate = Expression::TranslateDestination { v6: six == 1, address: FIRST, port };
            [of_family(six), key, vec![map, translate]].concat()
        };
        let port = Register(if six == 1 { 5 } else { 2 });
        let of_address = [transport(FIRST), destination(six, Register(1)), destination_port(port)].concat();
        rules.push((CHAIN_PUBLISHED, "of one address", to(of_address, &PORTS[six])));
        rules.push((CHAIN_PUBLISHED, "of all addresses", to(transport_and_port(FIRST), &ANY_PORTS[six])));
    }
    rules
}

fn forward() -> Vec<Rule> {
    let mut rules = vec![
        ("forward", "answers", [tracked(Tracked::State, ESTABLISHED_OR_RELATED), verdict(Verdict::Accept)].concat()),
        ("forward", "within a bridge", [pair(), in_set(&SAME), jump(CHAIN_SAME)].concat()),
        ("forward", "out of a bridge", [input(FIRST), verdict_map(&FROM)].concat()),
    ];
    for six in [0, 1] {
        rules.push(("forward", "to a bridge", [of_family(six), output(FIRST), verdict_map(&TO[six])].concat()));
    }
    rules.push((
        CHAIN_SAME,
        "published ports",
        [tracked(Tracked::Status, DESTINATION_TRANSLATED), verdict(Verdict::Accept)].concat(),
    ));
    rules.push((CHAIN_SAME, "links", [linked(Direction::There), verdict(Verdict::Accept)].concat()));
    rules.push((
        CHAIN_SAME,
        "containers that do not reach each other",
        [output(FIRST), in_set(&CLOSED), verdict(Verdict::Drop)].concat(),
    ));
    rules.push((CHAIN_SAME, "containers reach each other", verdict(Verdict::Accept)));
    for six in [0, 1] {
        let published = tracked(Tracked::Status, DESTINATION_TRANSLATED);
        rules.push((CHAIN_NAT, "published ports", [published, open(six)].concat()));
        rules.push((CHAIN_NAT, "trusted interfaces", [pair(), in_set(&TRUSTED), open(six)].concat()));
    }
    rules.push((CHAIN_NAT, "nothing else", verdict(Verdict::Drop)));
    for (six, icmp) in [(0, 1), (1, 58)] {
        let ping = [of_family(six), transport(FIRST), vec![Expression::Equal(FIRST, vec![icmp])]].concat();
        rules.push((CHAIN_ROUTED, "ICMP", [ping, verdict(Verdict::Accept)].concat()));
        rules.push((CHAIN_ROUTED, "published ports", open(six)));
    }
    rules.push((CHAIN_ROUTED, "nothing else", verdict(Verdict::Drop)));
    let from_bridges = [input(FIRST), in_set(&BRIDGES), jump(CHAIN_NAT)].concat();
    rules.push((CHAIN_UNPROTECTED, "from other networks published ports alone", from_bridges));
    rules
}

fn postrouting() -> Vec<Rule> {
    let back = tracked(Tracked::Status, DESTINATION_TRANSLATED);
    let mut rules = vec![
        // The container that is reached would answer the other directly, which waits for the host's address.
        ("postrouting", "published ports of the same bridge", [pair(), in_set(&SAME), back, masquerade()].concat()),
        ("postrouting", "within a bridge", [pair(), in_set(&SAME), verdict(Verdict::Return)].concat()),
        (
            // With bridge-nf-call-iptables they do not leave the bridge, and where they came by is not known.
            "postrouting",
            "published ports of the same bridge, seen there",
            [bridged(), tracked(Tracked::Status, DESTINATION_TRANSLATED), masquerade()].concat(),
        ),
        (
            "postrouting",
            "published ports by loopback",
            [of_family(0), from_loopback(), output(FIRST), in_set(&BRIDGES), masquerade()].concat(),
        ),
    ];
    for six in [0, 1] {
        let address = FIRST;
        let leave = vec![
            Expression::Map(LEAVE_AS[six].name, FIRST, address),
            Expression::TranslateSource { v6: six == 1, address, port: None },
        ];
        rules.push(("postrouting", "leave with a chosen address", [of_family(six), input(FIRST), leave].concat()));
        let leave = [of_family(six), input(FIRST), in_set(&MASQUERADE[six]), masquerade()].concat();
        rules.push(("postrouting", "leave with the host's address", leave));
    }
    rules
}

/// The rules of the table of frames: containers on one bridge, where the kernel cannot show the table of packets what
/// passes from port to port (br_netfilter).
fn bridge_rules() -> Vec<Rule> {
    // Whoever asks for an address learns it and no more; connections are not known here, so answers are let pass as such.
    let mut rules = vec![("forward", "questions for addresses", [of_frame(ARP), verdict(Verdict::Accept)].concat())];
    for (direction, note) in [(Direction::There, "links"), (Direction::Back, "answers of links")] {
        rules.push(("forward", note, [of_frame(IPV4), linked(direction), verdict(Verdict::Accept)].concat()));
    }
    let mut both = [input(FIRST), in_set(&CLOSED)].concat();
    both.extend([output(FIRST), in_set(&CLOSED), verdict(Verdict::Drop)].concat());
    rules.push(("forward", "containers that do not reach each other", both));
    rules
}

/// The table of packets.
pub fn packets(name: &str) -> Table {
    Table { family: Family::Inet, name: name.to_owned().into() }
}

/// The table of frames.
pub fn frames(name: &str) -> Table {
    Table { family: Family::Bridge, name: name.to_owned().into() }
}

/// Makes the table of packets with everything but elements. `note` says whose it is.
pub fn make_packets(table: &Table, note: &str, mark: Option<Mark>) -> Batch {
    make(table, note, &SETS, &CHAINS, &mark::Rules::of_packets(mark), rules())
}

/// Makes the table of frames with everything but elements.
pub fn make_frames(table: &Table, note: &str, mark: Option<Mark>) -> Batch {
    make(table, note, &FRAME_SETS, &BRIDGE_CHAINS, &mark::Rules::of_frames(mark), bridge_rules())
}

/// What [`corten_netlink::nft::dump::rules`] finds in a table that nobody changed.
pub fn expected(table: &Table, mark: Option<Mark>) -> Vec<(String, String)> {
    let (marked, rules) = match table.family {
        Family::Bridge => (mark::Rules::of_frames(mark), bridge_rules()),
        _ => (mark::Rules::of_packets(mark), rules()),
    };
    let marked = marked.all().map(|(chain, note, _)| (chain.to_owned(), note));
    marked.chain(rules.into_iter().map(|(chain, note, _)| (chain.to_owned(), note.to_owned()))).collect()
}

fn make(table: &Table, note: &str, sets: &[&Set], chains: &[Chain], marked: &mark::Rules, rules: Vec<Rule>) -> Batch {
    let mut batch = Batch::new();
    batch.add_table(table, note);
    for (number, set) in sets.iter().enumerate() {
        batch.add_set(table, set, number as u32 + 1);
    }
    for chain in chains {
        batch.add_chain(table, chain);
    }
    for (chain, note, steps) in marked.all() {
        batch.add_rule(table, chain, &note, &steps);
    }
    for (chain, note, steps) in rules {
        batch.add_rule(table, chain, note, &steps);
    }
    batch
}

fn of_family(six: usize) -> Vec<Expression> {
    const FAMILIES: [u8; 2] = [2, 10];
    vec![Expression::Meta(Meta::Family, FIRST), Expression::Equal(FIRST, vec![FAMILIES[six]])]
}

fn input(to: Register) -> Vec<Expression> {
    vec![Expression::Meta(Meta::InputName, to)]
}

fn output(to: Register) -> Vec<Expression> {
    vec![Expression::Meta(Meta::OutputName, to)]
}

/// By which interface it came and goes.
fn pair() -> Vec<Expression> {
    [input(FIRST), output(SECOND_NAME)].concat()
}

fn in_set(set: &Set) -> Vec<Expression> {
    vec![Expression::InSet(set.name, FIRST)]
}

fn verdict_map(map: &Set) -> Vec<Expression> {
    vec![Expression::VerdictMap(map.name, FIRST)]
}

fn verdict(verdict: Verdict) -> Vec<Expression> {
    vec![Expression::Verdict(verdict)]
}

fn jump(chain: &'static str) -> Vec<Expression> {
    verdict(Verdict::Jump(chain.into()))
}

fn masquerade() -> Vec<Expression> {
    vec![Expression::Masquerade]
}

fn transport(to: Register) -> Vec<Expression> {
    vec![Expression::Meta(Meta::Transport, to)]
}

fn destination(six: usize, to: Register) -> Vec<Expression> {
    const PLACES: [(u32, u32); 2] = [(16, 4), (24, 16)];
    let (offset, length) = PLACES[six];
    vec![Expression::Payload(Base::Network, offset, length, to)]
}

fn destination_port(to: Register) -> Vec<Expression> {
    vec![Expression::Payload(Base::Transport, 2, 2, to)]
}

fn of_frame(protocol: u16) -> Vec<Expression> {
    vec![Expression::Meta(Meta::Protocol, FIRST), Expression::Equal(FIRST, protocol.to_be_bytes().to_vec())]
}

/// Which way a packet goes between who reaches and who is reached.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    There,
    Back,
}

/// Whether a packet of IPv4 is one of linked containers'.
fn linked(direction: Direction) -> Vec<Expression> {
    const SOURCE: (u32, u32) = (12, 0);
    const DESTINATION: (u32, u32) = (16, 2);
    let ((from, _), (to, _), port) = match direction {
        Direction::There => (SOURCE, DESTINATION, DESTINATION.1),
        Direction::Back => (DESTINATION, SOURCE, SOURCE.1),
    };
    let network = |offset, to| vec![Expression::Payload(Base::Network, offset, 4, Register(to))];
    let port = vec![Expression::Payload(Base::Transport, port, 2, Register(3))];
    let family = if direction == Direction::There { of_family(0) } else { Vec::new() };
    [family, network(from, 0), network(to, 1), transport(Register(2)), port, in_set(&LINKED)].concat()
}

fn transport_and_port(to: Register) -> Vec<Expression> {
    [transport(to), destination_port(Register(to.0 + 1))].concat()
}

/// Whether a container's port is open, and then it passes.
fn open(six: usize) -> Vec<Expression> {
    let after = if six == 1 { 4 } else { 1 };
    let key = [
        destination(six, FIRST),
        transport(Register(after)),
        destination_port(Register(after + 1)),
        in_set(&OPEN[six]),
        verdict(Verdict::Accept),
    ];
    [of_family(six), key.concat()].concat()
}

/// What goes to a bridge of ours from nowhere, and is not from this host.
fn bridged() -> Vec<Expression> {
    let nowhere = vec![Expression::Equal(FIRST, vec![0; 16])];
    let foreign = vec![Expression::SourceKind(FIRST), Expression::Unequal(FIRST, KIND_LOCAL.to_ne_bytes().to_vec())];
    [input(FIRST), nowhere, output(FIRST), in_set(&BRIDGES), foreign].concat()
}

fn not_to_host() -> Vec<Expression> {
    vec![Expression::DestinationKind(FIRST), Expression::Unequal(FIRST, KIND_LOCAL.to_ne_bytes().to_vec())]
}

fn to_loopback() -> Vec<Expression> {
    loopback(16)
}

fn from_loopback() -> Vec<Expression> {
    loopback(12)
}

/// 127.0.0.0/8 at that offset of an IPv4 header.
fn loopback(offset: u32) -> Vec<Expression> {
    const FIRST_BYTE: u32 = 1;
    vec![Expression::Payload(Base::Network, offset, FIRST_BYTE, FIRST), Expression::Equal(FIRST, vec![127])]
}

fn to_loopback_v6() -> Vec<Expression> {
    let address = std::net::Ipv6Addr::LOCALHOST.octets().to_vec();
    [destination(1, FIRST), vec![Expression::Equal(FIRST, address)]].concat()
}

/// Bits of a connection, one of which is set.
fn tracked(what: Tracked, bits: u32) -> Vec<Expression> {
    vec![
        Expression::Tracked(what, FIRST),
        Expression::Mask(FIRST, bits.to_ne_bytes().to_vec()),
        Expression::Unequal(FIRST, vec![0; 4]),
    ]
}
