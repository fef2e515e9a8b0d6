//! Names at 127.0.0.11: corten-proxy beside dockerd, asked by dnsperf inside of a container of each.

use std::process::Command;

use corten_relay::{
    Hold, Relay, Subject,
    names::{ContainerNames, Directory, Forward, HostNames, NetworkNames, SeenNetwork},
    start,
};
use integration_tests::{
    Containerd, DockerCli, Dockerd, DockerdNetwork, DockerdOptions, NetContainer, Ran, TempRoot, busybox,
    in_network_of, in_own_network, programs,
};

use crate::{compare::Report, memory::pss_mib};

const ROUNDS: usize = 5;
/// How long dnsperf asks in a round.
const SECONDS: &str = "2";
/// Questions on their way at once, and how fast we promise to be then: ours through theirs.
const OUTSTANDING: [(&str, f64); 2] = [("1", 1.0), ("64", 2.0)];

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
    let theirs = Theirs::start();
    let container = theirs.client();
    in_own_network(|| {
        let ours = Ours::start(&root);
        for (outstanding, promise) in OUTSTANDING {
            let mut rates = (Vec::new(), Vec::new());
            for round in 0..=ROUNDS {
                let mine = ours.client.inside(|| rate(&questions, outstanding));
                let other = in_network_of(container, || rate(&questions, outstanding));
                if round > 0 {
                    rates.0.push(mine);
                    rates.1.push(other);
                }
            }
            let what = format!("names, µs each of {outstanding} outstanding");
            // As times, so that less is better as everywhere in the table.
            let [mine, other] = [rates.0, rates.1].map(|rates| 1e6 / median(rates));
            report.bound(&what, mine, Some(other), other / promise, "µs");
        }
        report.bound("proxy of an engine, PSS", pss_mib(ours.relay.hello().pid), None, 2.0, "MiB");
    });
}

/// Questions answered in a second.
fn rate(questions: &str, outstanding: &str) -> f64 {
    let mut dnsperf = Command::new("dnsperf");
    dnsperf.args(["-s", "127.0.0.11", "-d", questions, "-l", SECONDS, "-c", "1", "-T", "1", "-q", outstanding]);
    let ran = Ran::of(&mut dnsperf).ok();
    let figure = |name: &str| {
        let line = ran.out().lines().find_map(|line| line.trim().strip_prefix(name));
        line.and_then(|rest| rest.split_whitespace().next()).expect("dnsperf says it").to_owned()
    };
    assert_eq!(figure("Queries lost:"), "0", "{}", ran.out());
    figure("Queries per second:").parse().expect("a number")
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

struct Ours {
    client: NetContainer,
    relay: Relay,
}

impl Ours {
    fn start(root: &TempRoot) -> Ours {
        let (socket, directory) = (root.join("proxy.sock"), root.join("names"));
        start(&programs::path("corten-proxy"), &socket, &directory).expect("it starts");
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
        names.write_network(&network).expect("written");
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
