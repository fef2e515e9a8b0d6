//! Damage that somebody else does to networks heals by itself: judged by traffic, one repair each, and quiet afterwards.
//! `CORTEN_CRASH_ROUNDS` rounds for each damage (2 when not set).

use std::{
    env, fs,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    thread,
    time::{Duration, Instant},
};

use integration_tests::{
    CortendNetwork, DEADLINE, EngineApi, Kind, NetContainer, Stack, StackOptions, TempRoot, connects_within,
    in_network_of, resolve_within, sh, try_for, wait_for,
};
use serde_json::{Value, json};

use super::{bystander::server, victim::Victim};
use crate::operation::expect;

/// Rounds of a damage when nothing else is said.
const ROUNDS: usize = 2;
/// How long nobody may wake up after a repair: the usual rounds are few, and many ones must not come in crowds, at which
/// the engine rests.
const QUIET: (Duration, Duration) = (Duration::from_millis(500), Duration::from_millis(2100));
/// The same after the last of many rounds.
const LONG_QUIET: Duration = Duration::from_secs(10);
/// How long one try may take: what is lost meanwhile is not sent again for a second.
const TRY: Duration = Duration::from_millis(100);
const WORLD: &str = "203.0.113.2";
const HOST: &str = "203.0.113.1";

/// An engine with two containers in a network, one published, and a world outside.
struct Lab {
    stack: Stack,
    world: NetContainer,
    /// The first container's process.
    pid: u32,
    /// The second one's address and published port.
    address: Ipv4Addr,
    port: u16,
    /// What is damaged, by name.
    words: [(&'static str, String); 4],
}

impl Lab {
    fn new() -> Lab {
        let options = StackOptions { network: CortendNetwork::Private, ..StackOptions::default() };
        let mut stack = Stack::start_with(TempRoot::new(), Kind::Ours, options);
        stack.load_busybox();
        let api = stack.api();
        let body = json!({ "Name": "net", "IPAM": { "Config": [{ "Subnet": "10.77.0.0/24" }] } });
        let network = expect("create a network", api.post("/networks/create", &body)).json();
        let first = start(&api, "first");
        let second = start(&api, "second");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let place = &second["NetworkSettings"]["Networks"]["net"];
        let bridge = format!("br-{}", &text(&network["Id"])[..12]);
        let on_host = stack.cortend().network();
        let table = on_host.enter(|| sh("nft list tables | sed -n 's/^table inet corten-/corten-/p'"));
        // The one that the engine's names for interfaces and the kernel's order agree on.
        let veth = on_host
            .enter(|| sh(&format!("ip -o link show master {bridge} | sed -n 's/^[0-9]*: \\([^@:]*\\).*/\\1/p'")));
        let veth = veth.lines().last().unwrap_or_default().to_owned();
        let words = [
            ("BRIDGE", bridge),
            ("TABLE", table.trim().to_owned()),
            ("VETH", veth),
            ("SUBNET", "10.77.0.0/24".to_owned()),
        ];
        let lab = Lab {
            world: world(&mut stack),
            stack,
            pid: first["State"]["Pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()).expect("it runs"),
            address: text(&place["IPAddress"]).parse().expect("an address"),
            port: text(&second["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"]).parse().expect("a port"),
            words,
        };
        let mut lab = lab;
        wait_for("everything to be reached", DEADLINE, || lab.lacks(TRY).is_none());
        lab
    }

    /// The first thing that is not reached within `patience`.
    fn lacks(&mut self, patience: Duration) -> Option<&'static str> {
        let address = |text: &str, port: u16| SocketAddr::new(text.parse().expect("an address"), port);
        let (port, pid) = (self.port, self.pid);
        let on_host = self.stack.cortend().network();
        let checks: [(&'static str, bool); 6] = [
            ("the world from a container", in_network_of(pid, || connects_within(patience, address(WORLD, 80)))),
            ("a container from its neighbour", in_network_of(pid, || connects_within(patience, (self.address, 80)))),
            (
                "the published port from the host",
                on_host.enter(|| connects_within(patience, (Ipv4Addr::LOCALHOST, port))),
            ),
            (
                "the relayed port from the host",
                on_host.enter(|| connects_within(patience, (Ipv6Addr::LOCALHOST, port))),
            ),
            ("the published port from the world", self.world.inside(|| connects_within(patience, address(HOST, port)))),
            ("the name of a neighbour", resolve_within(patience, pid, "second") == [self.address]),
        ];
        checks.into_iter().find(|(_, holds)| !holds).map(|(what, _)| what)
    }

    /// How often networks were mended so far.
    fn repairs(&mut self) -> usize {
        self.stack.cortend().daemon().log().matches("networks were mended").count()
    }

    /// How often the thread that mends has woken up.
    fn wake_ups(&mut self) -> String {
        let tasks = format!("/proc/{}/task", self.stack.engine_pid());
        let is_healer = |directory: &fs::DirEntry| {
            fs::read_to_string(directory.path().join("comm")).is_ok_and(|name| name.trim() == "heal-networks")
        };
        let healer = fs::read_dir(tasks).expect("the engine runs").flatten().find(is_healer).expect("it heals");
        let status = fs::read_to_string(healer.path().join("status")).expect("it still does");
        status.lines().filter(|line| line.contains("ctxt_switches")).collect()
    }

    /// Waits until nobody has woken up for so long.
    fn assert_quiet(&mut self, quiet: Duration, context: &str) {
        let (mut last, mut since) = (self.wake_ups(), Instant::now());
        let is_quiet = try_for(DEADLINE, || {
            let now = self.wake_ups();
            if now != last {
                (last, since) = (now, Instant::now());
            }
            since.elapsed() >= quiet
        });
        assert!(is_quiet, "after {context} networks are looked at again and again: {last}");
    }
}

/// A container that is published and serves.
fn start(api: &EngineApi, name: &str) -> Value {
    let _ = expect("create", api.post(&format!("/containers/create?name={name}"), &server("net")));
    let _ = expect("start", api.post(&format!("/containers/{name}/start"), &Value::Null));
    expect("inspect", api.get(&format!("/containers/{name}/json"))).json()
}

/// Another machine, which serves at port 80.
fn world(stack: &mut Stack) -> NetContainer {
    let world = NetContainer::new("world");
    let pid = world.pid();
    stack.cortend().network().enter(|| {
        sh(&format!(
            "ip link add wan type veth peer name eth0 netns {pid}; ip addr add {HOST}/24 dev wan; ip link set wan up"
        ))
    });
    let listener = world.inside(|| {
        sh(&format!("ip addr add {WORLD}/24 dev eth0; ip link set eth0 up"));
        TcpListener::bind("0.0.0.0:80").expect("nobody else is there")
    });
    // For as long as the test runs.
    drop(thread::spawn(move || listener.incoming().flatten().for_each(drop)));
    world
}

/// Whether a damage is one of the kernel's objects, which one repair mends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mended {
    Once,
    /// corten-proxy is started again instead.
    Never,
}

fn heals(damages: &[(&str, Mended)]) {
    let asked: Option<usize> = env::var("CORTEN_CRASH_ROUNDS").ok().and_then(|text| text.parse().ok());
    let mut lab = Lab::new();
    lab.assert_quiet(QUIET.0, "the start");
    for (damage, mended) in damages {
        let mut times = Vec::new();
        let rounds = asked.unwrap_or(ROUNDS);
        for round in 1..=rounds {
            let script = lab.words.iter().fold((*damage).to_owned(), |text, (word, name)| text.replace(word, name));
            let before = lab.repairs();
            let proxy = (*mended == Mended::Never).then(|| Victim::Proxy.find(&mut lab.stack, None)).flatten();
            let started = Instant::now();
            match proxy {
                Some(process) => Victim::Proxy.kill(&mut lab.stack, &process),
                None => drop(lab.stack.cortend().network().enter(|| sh(&script))),
            }
            let mut lacks = None;
            let heals = try_for(DEADLINE, || {
                lacks = lab.lacks(TRY);
                lacks.is_none() && (*mended == Mended::Never || lab.repairs() > before)
            });
            let context = format!("{damage}, round {round}");
            assert!(heals, "{context}: {lacks:?} is not reached, {} repairs", lab.repairs() - before);
            times.push(started.elapsed());
            let quiet = match asked {
                None => QUIET.0,
                Some(_) if round == rounds => LONG_QUIET,
                Some(_) => QUIET.1,
            };
            lab.assert_quiet(quiet, &context);
            assert_eq!(lab.repairs() - before, usize::from(*mended == Mended::Once), "repairs after {context}");
            assert_eq!(lab.lacks(DEADLINE), None, "later, after {context}");
        }
        times.sort();
        println!("{damage}: {rounds} times, everything reached after {:?} to {:?}", times[0], times[rounds - 1]);
    }
}

#[test]
fn lost_interfaces_are_made_again() {
    heals(&[("ip link del BRIDGE", Mended::Once), ("ip link del VETH", Mended::Once)]);
}

#[test]
fn interfaces_that_are_down_or_elsewhere_are_put_right() {
    heals(&[("ip link set BRIDGE down", Mended::Once), ("ip link set VETH nomaster", Mended::Once)]);
}

#[test]
fn lost_addresses_and_routes_are_made_again() {
    heals(&[("ip addr flush dev BRIDGE", Mended::Once), ("ip route del SUBNET", Mended::Once)]);
}

#[test]
fn lost_rules_are_made_again() {
    heals(&[("nft flush ruleset", Mended::Once), ("nft flush chain inet TABLE forward", Mended::Once)]);
}

#[test]
fn lost_elements_and_tables_are_made_again() {
    heals(&[("nft flush map inet TABLE any4", Mended::Once), ("nft delete table inet TABLE", Mended::Once)]);
}

#[test]
fn a_killed_proxy_relays_and_answers_again() {
    heals(&[("corten-proxy killed", Mended::Never)]);
}
