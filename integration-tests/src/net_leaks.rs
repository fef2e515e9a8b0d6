//! What an engine has in its host's network, counted to show that nothing was left there.

use std::{collections::BTreeSet, fmt, fs};

use crate::{PrivateNetwork, try_sh};

/// Interfaces (host-side veths, bridges), addresses, routes, nftables with their elements, and bound ports of a network
/// namespace. A container's network namespace that somebody still holds shows as its host-side veth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetLeaks(BTreeSet<String>);

impl NetLeaks {
    /// What there is now in that network.
    ///
    /// # Panics
    /// When it cannot be listed.
    #[must_use]
    pub fn of(network: &PrivateNetwork) -> NetLeaks {
        network.enter(|| {
            let mut found = BTreeSet::new();
            // What goes between two looks, or within one, makes nft start anew: its complaint is no answer.
            let rules = (0..10).find_map(|_| try_sh("nft --stateless --numeric list ruleset").ok());
            elements(&rules.expect("nft lists what there is"), &mut found);
            lines("interface", &interfaces(), &mut found);
            lines("address", &sh_lines("ip -o addr | sed 's/^[0-9]*: //'"), &mut found);
            lines("route", &sh_lines("ip route; ip -6 route"), &mut found);
            ports(&mut found);
            NetLeaks(found)
        })
    }

    /// What is here now and was not `before`, or was and is no more.
    #[must_use]
    pub fn difference(&self, before: &NetLeaks) -> Vec<String> {
        let more = self.0.difference(&before.0).map(|line| format!("left: {line}"));
        more.chain(before.0.difference(&self.0).map(|line| format!("missing: {line}"))).collect()
    }

    /// How many interfaces of containers there are on the host's side.
    #[must_use]
    pub fn veths(&self) -> usize {
        self.0.iter().filter(|line| line.starts_with("interface veth")).count()
    }
}

impl fmt::Display for NetLeaks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|line| writeln!(formatter, "  {line}"))
    }
}

fn lines(kind: &str, all: &[String], found: &mut BTreeSet<String>) {
    found.extend(all.iter().map(|line| format!("{kind} {line}")));
}

/// Lines without what comes and goes with containers on a bridge.
fn sh_lines(script: &str) -> Vec<String> {
    let text = try_sh(script).unwrap_or_default();
    let plain = |line: &str| {
        let words = line.split_whitespace().filter(|word| !matches!(*word, "linkdown" | "tentative" | "dadfailed"));
        words.collect::<Vec<_>>().join(" ")
    };
    // A link's own address follows from its carrier.
    text.lines().map(plain).filter(|line| !line.contains("fe80:") && !line.starts_with("multicast")).collect()
}

/// The interfaces of this thread's namespace: `/sys` may show another one's.
fn interfaces() -> Vec<String> {
    let devices = fs::read_to_string("/proc/thread-self/net/dev").unwrap_or_default();
    devices.lines().filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned())).collect()
}

/// Each rule and each element on a line of its own, after the name of its set, map or chain.
fn elements(ruleset: &str, found: &mut BTreeSet<String>) {
    let mut place = Vec::new();
    for line in ruleset.lines().map(str::trim) {
        if let Some(opened) = line.strip_suffix('{').filter(|line| !line.contains('=')) {
            place.push(opened.trim().to_owned());
            continue;
        }
        if line == "}" {
            let _ = place.pop();
            continue;
        }
        let line = line.strip_prefix("elements = {").unwrap_or(line).trim_end_matches('}');
        let of = place.join(" ");
        for part in line.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            found.insert(format!("nft {of}: {part}"));
        }
    }
}

/// TCP sockets that listen and UDP sockets that are bound.
fn ports(found: &mut BTreeSet<String>) {
    for kind in ["tcp", "tcp6", "udp", "udp6"] {
        let table = fs::read_to_string(format!("/proc/thread-self/net/{kind}")).unwrap_or_default();
        for line in table.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            if let [_, local, _, state, ..] = fields[..]
                && (kind.starts_with("udp") || state == "0A")
            {
                found.insert(format!("port {kind} {local}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_and_elements_are_told_apart_by_where_they_are() {
        let text = "table inet x {\n\tset a {\n\t\ttype mark\n\t\telements = { 1, 2,\n\t\t\t     3 }\n\t}\n\n\tmap b {\n\t\telements = { 1 }\n\t}\n}\n";
        let mut found = BTreeSet::new();
        elements(text, &mut found);
        let of = |set: &str| found.iter().filter(|line| line.starts_with(&format!("nft table inet x {set}: "))).count();
        assert_eq!((of("set a"), of("map b")), (4, 1), "{found:?}");
    }

    #[test]
    fn what_is_new_and_what_is_gone_is_told() {
        let network = PrivateNetwork::new();
        let before = NetLeaks::of(&network);
        assert_eq!(before.difference(&before), Vec::<String>::new());
        let _socket = network.enter(|| {
            crate::sh("ip link add veth1234567 type veth peer name other; ip addr del 127.0.0.1/8 dev lo");
            std::net::UdpSocket::bind("[::]:0").unwrap()
        });
        let after = NetLeaks::of(&network);
        let difference = after.difference(&before);
        for expected in ["left: interface veth1234567", "missing: address lo inet 127.0.0.1/8", "left: port udp6"] {
            assert!(difference.iter().any(|line| line.starts_with(expected)), "{expected}: {difference:?}");
        }
        assert_eq!((before.veths(), after.veths()), (0, 1));
    }
}
