//! Names at 127.0.0.11: corten-proxy beside dockerd, asked inside of a container of each, one question after the other and
//! by dnsperf with many outstanding.

use std::{
    net::UdpSocket,
    process::Command,
    time::{Duration, Instant},
};

use corten_relay::{
    Hold, Relay, Subject,
    names::{ContainerNames, Directory, Forward, HostNames, NetworkNames, SeenNetwork},
    start,
};
use integration_tests::{
    Containerd, DockerCli, Dockerd, DockerdNetwork, DockerdOptions, NetContainer, Ran, TempRoot, busybox,
    in_network_of, in_own_network, programs,
};

use crate::{compare::Report, memory::pss_mib, proxy::cpu};

const ROUNDS: usize = 5;
/// How long dnsperf asks in a round.
const SECONDS: &str = "2";
/// Questions on their way at once for dnsperf. With one it says more of its own two threads than of anybody's answers.
const OUTSTANDING: &str = "64";
/// Questions one after the other in a round.
const QUESTIONS: u16 = 3000;

/// Measures it; not where there is no dnsperf.
pub fn measure(report: &mut Report) {
    if programs::find_original("dnsperf").is_none() {
        println!("  note: dnsperf is not installed: names are not measured");
        return;
    }
    let root = TempRoot::new();
    let questions = root.join("questions");
    std::fs::write(&questions, "web A\n").expect("the root is writable");
    let questions = questions.display().to_string();
    let mut theirs = Theirs::start();
    let container = theirs.client();
    in_own_network(|| {
        let ours = Ours::start(&root);
        let resolvers = [ours.relay.hello().pid, theirs.dockerd.daemon().pid()];
        let mut measured = |what: &str, promise: f64, ask: &(dyn Fn() -> Asked + Sync)| {
            let mut figures = [const { Vec::new() }; 4];
            for round in 0..=ROUNDS {
                let before = resolvers.map(cpu);
                let asked = [ours.client.inside(ask), in_network_of(container, ask)];
                let after = resolvers.map(cpu);
                if round > 0 {
                    for (index, Asked { questions, took }) in asked.into_iter().enumerate() {
                        let each = |time: Duration| time.as_secs_f64() * 1e6 / questions;
                        figures[index].push(each(took));
                        figures[index + 2].push(each(after[index] - before[index]));
                    }
                }
            }
            let [mine, other, my_cpu, other_cpu] = figures.map(median);
            report.bound(what, mine, Some(other), other * promise, "µs");
            report.bound("CPU of the resolver for it", my_cpu, Some(other_cpu), other_cpu * promise, "µs");
        };
        measured("a name, one after the other", 1.0, &one_by_one);
        measured("a name, 64 outstanding", 0.5, &|| many(&questions));
        report.bound("proxy of an engine, PSS", pss_mib(ours.relay.hello().pid), None, 2.0, "MiB");
    });
}

/// What was asked in a round.
struct Asked {
    questions: f64,
    took: Duration,
}

/// Many questions, one after the other.
fn one_by_one() -> Asked {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback has a port");
    socket.connect("127.0.0.11:53").expect("loopback is there");
    socket.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
    let mut question = b"\0\0\x01\0\0\x01\0\0\0\0\0\0\x03web\0\0\x01\0\x01".to_vec();
    let mut answer = [0; 512];
    let begun = Instant::now();
    for number in 0..QUESTIONS {
        question[..2].copy_from_slice(&number.to_be_bytes());
        socket.send(&question).expect("sent");
        let length = socket.recv(&mut answer).expect("answered");
        assert_eq!((&answer[..2], answer[7], length > 12), (&question[..2], 1, true));
    }
    Asked { questions: f64::from(QUESTIONS), took: begun.elapsed() }
}

/// As many as can be in some seconds.
fn many(questions: &str) -> Asked {
    let mut dnsperf = Command::new("dnsperf");
    dnsperf.args(["-s", "127.0.0.11", "-d", questions, "-l", SECONDS, "-c", "1", "-T", "1", "-q", OUTSTANDING]);
    let ran = Ran::of(&mut dnsperf).ok();
    let figure = |name: &str| {
        let line = ran.out().lines().find_map(|line| line.trim().strip_prefix(name));
        line.and_then(|rest| rest.split_whitespace().next()).expect("dnsperf says it").to_owned()
    };
    assert_eq!(figure("Queries lost:"), "0", "{}", ran.out());
    let number = |name: &str| figure(name).parse::<f64>().expect("a number");
    let questions = number("Queries completed:");
    Asked { questions, took: Duration::from_secs_f64(questions / number("Queries per second:")) }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

struct Ours {
    client: NetContainer,
    relay: Relay,
}

impl Ours {
    fn start(root: &TempRoot) -> Ours {
        let (socket, directory) = (root.join("proxy.sock"), root.join("names"));
        start(&programs::path("corten-proxy"), &socket, &directory, &directory).expect("it starts");
        let mut relay = Relay::connect(&socket).expect("it listens");
        let client = NetContainer::new("client");
        let names = Directory::at(&directory);
        let network = NetworkNames {
            id: "net".parse().expect("an id"),
            name: "net".to_owned(),
            hosts: vec![HostNames {
                container: "web".parse().expect("an id"),
                names: vec!["web".to_owned(), "0123456789ab".to_owned()],
                addresses: vec!["10.0.0.2".parse().expect("an address")],
            }],
        };
        names.write_hosts(&network).expect("written");
        let view = ContainerNames {
            id: client.id.clone(),
            networks: vec![SeenNetwork { id: network.id.clone(), links: Vec::new() }],
            forward: Forward::Nowhere,
            keeps_single_labels: false,
            servers: Vec::new(),
        };
        names.write_container(&view).expect("written");
        relay.refresh(vec![Subject::Network(network.id)]).expect("read");
        relay.hold(Hold { resolver: Some(client.resolver()), ..client.hold() }).expect("held");
        Ours { client, relay }
    }
}

/// A dockerd with a network, dropped in this order.
struct Theirs {
    dockerd: Dockerd,
    _containerd: Containerd,
    root: TempRoot,
}

impl Theirs {
    fn start() -> Theirs {
        let root = TempRoot::new();
        let containerd = Containerd::start(&root);
        let options = DockerdOptions { network: DockerdNetwork::Private, ..DockerdOptions::default() };
        let dockerd = Dockerd::start_with(&root, &containerd.address(), options);
        Theirs { dockerd, _containerd: containerd, root }
    }

    /// The pid of a container that finds `web`.
    fn client(&self) -> u32 {
        let docker = DockerCli::newest(&self.dockerd.socket());
        let archive = busybox::docker_archive_file(&self.root, &["busybox:latest"]);
        let run = |arguments: &[&str]| docker.run(arguments).ok().out().to_owned();
        run(&["load", "--input", &archive.display().to_string()]);
        run(&["network", "create", "net"]);
        for name in ["web", "client"] {
            run(&["run", "-d", "--network", "net", "--name", name, "busybox", "sleep", "1000"]);
        }
        run(&["inspect", "--format", "{{.State.Pid}}", "client"]).trim().parse().expect("inspect prints a pid")
    }
}
