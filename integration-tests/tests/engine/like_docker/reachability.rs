//! Who reaches whom, and as whom: every kind of network, from every side.

use std::{
    net::{IpAddr, SocketAddr},
    thread,
    time::Duration,
};

use integration_tests::DEADLINE;

use super::{
    Recorded, Subject, compare,
    lab::{self, Lab, NETS, PUBLISHED, Place, SERVED, UNPUBLISHED, address, ask},
    recorded,
};

/// How long a packet that is dropped is waited for. One that is late passes for dropped, never the other way.
const DROPPED: Duration = Duration::from_millis(400);
/// The same while docker is recorded, of which it is not known.
const UNKNOWN: Duration = Duration::from_secs(5);

/// One question: its name, who asks, and whom.
struct Row<'a> {
    name: String,
    from: &'a Place,
    to: SocketAddr,
    /// The addresses of the bridge of whoever is asked.
    gateways: [Option<IpAddr>; 2],
}

fn rows(lab: &Lab) -> Vec<Row<'_>> {
    let mut rows = Vec::new();
    for (net, [a, b]) in NETS.iter().zip(&lab.containers) {
        let gateways = [lab::gateway_v4(net), lab::gateway_v6(net)];
        let mut targets = Vec::new();
        for (family, own, host) in [("v4", Some(a.v4), Some(lab.host.v4)), ("v6", a.v6, lab.host.v6)] {
            if let Some(own) = own {
                targets.push((format!("{family}, published port"), SocketAddr::new(own, PUBLISHED)));
                targets.push((format!("{family}, unpublished port"), SocketAddr::new(own, UNPUBLISHED)));
            }
            let host = host.map(|host| SocketAddr::new(host, lab::published(net)));
            targets.extend(host.map(|host| (format!("{family}, the host's port"), host)));
        }
        // From another network of the usual kind; of the two themselves, from each other.
        let strangers = NETS.iter().zip(&lab.containers).filter(|(other, _)| other.name != net.name);
        let strangers =
            strangers.filter(|(other, _)| ["bridge", "open-1", "open-2", "internal", "routed"].contains(&other.name));
        let mut askers = vec![("host", &lab.host), ("world", &lab.world), ("neighbour", b), ("itself", a)];
        askers.extend(strangers.map(|(other, [_, stranger])| (other.name, stranger)));
        for (asker, from) in &askers {
            for (target, to) in &targets {
                if to.is_ipv4() || from.v6.is_some() {
                    let name = format!("{asker} to {}: {target}", net.name);
                    rows.push(Row { name, from, to: *to, gateways });
                }
            }
        }
        for loopback in ["127.0.0.1", "::1"] {
            let to = SocketAddr::new(address(loopback), lab::published(net));
            rows.push(Row { name: format!("host to {}: {loopback}", net.name), from: &lab.host, to, gateways });
        }
        let outside = [("the world, v4", lab.world.v4), ("the world, v6", lab.world.v6.unwrap())];
        let gateway = gateways.into_iter().flatten().map(|gateway| ("its gateway", gateway));
        for (target, to) in outside.into_iter().chain([("the host, v4", lab.host.v4)]).chain(gateway) {
            if to.is_ipv4() || b.v6.is_some() {
                let family = if to.is_ipv4() { "v4" } else { "v6" };
                let name = format!("{} to {target} ({family})", net.name);
                rows.push(Row { name, from: b, to: SocketAddr::new(to, SERVED), gateways });
            }
        }
    }
    rows
}

/// Whom the server saw, in words.
fn words(row: &Row<'_>, lab: &Lab, seen: Option<IpAddr>) -> String {
    let Some(seen) = seen else { return "no".to_owned() };
    let is = |place: &Place| place.v4 == seen || place.v6 == Some(seen);
    let word = match seen {
        _ if is(row.from) => "as itself",
        _ if is(&lab.host) => "as the host",
        _ if row.gateways.contains(&Some(seen)) => "as the gateway",
        _ => return format!("as {seen}"),
    };
    word.to_owned()
}

fn reach(script: &'static str, name: &str, ours: &[(&str, &str)]) {
    let mut subject = Subject::start(script, &[lab::BRIDGE]);
    let lab = Lab::new(&mut subject);
    let expected = if subject.is_recorded() { Recorded::new() } else { recorded(name) };
    let patience = |row: &Row<'_>| {
        let ours = ours.iter().find(|(key, _)| *key == row.name).map(|(_, value)| *value);
        match ours.or(expected.get(&row.name).map(String::as_str)) {
            None => UNKNOWN,
            Some("no") => DROPPED,
            Some(_) => DEADLINE,
        }
    };
    let rows = rows(&lab);
    let found = thread::scope(|scope| {
        // What is dropped takes its time, so all is asked at once.
        let asked: Vec<_> =
            rows.iter().map(|row| (row, scope.spawn(|| ask(row.from, row.to, patience(row))))).collect();
        asked.into_iter().map(|(row, seen)| (row.name.clone(), words(row, &lab, seen.join().unwrap()))).collect()
    });
    compare(&subject, name, &found, ours);
}

/// What differs: containers of a routed network are seen with their own addresses, which docker-proxy hides; a port of such
/// a network is at no address of the host, where docker-proxy relays that of IPv6.
const OURS: [(&str, &str); 10] = [
    ("routed to bridge: v4, the host's port", "as itself"),
    ("routed to closed: v4, the host's port", "as itself"),
    ("routed to open-1: v4, the host's port", "as itself"),
    ("routed to open-2: v4, the host's port", "as itself"),
    ("routed to unprotected: v4, the host's port", "as itself"),
    ("host to routed: ::1", "no"),
    ("host to routed: v6, the host's port", "no"),
    ("open-1 to routed: v6, the host's port", "no"),
    ("open-2 to routed: v6, the host's port", "no"),
    ("world to routed: v6, the host's port", "no"),
];

#[test]
fn everybody_reaches_whom_docker_lets_them_without_a_filter_of_frames() {
    reach(
        "echo 0 > /proc/sys/net/ipv4/ip_forward; \
         for which in iptables ip6tables; do echo 0 > /proc/sys/net/bridge/bridge-nf-call-$which || true; done",
        "reachability",
        &OURS,
    );
}

#[test]
fn everybody_reaches_whom_docker_lets_them_with_a_filter_of_frames() {
    reach(
        "echo 0 > /proc/sys/net/ipv4/ip_forward; \
         for which in iptables ip6tables; do echo 1 > /proc/sys/net/bridge/bridge-nf-call-$which || true; done",
        "reachability",
        &OURS,
    );
}
