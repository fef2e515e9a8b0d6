//! Networks as docker 28.5.2 has them: what was recorded of it, compared with ours.
//!
//! `DOCKER_PEER_ROOT=DIRECTORY cargo test -p integration-tests --test engine like_docker` records anew, where DIRECTORY is
//! a root file system that holds dockerd 28.5, containerd, runc and iptables; nothing is compared then.

mod calls;
mod lab;
mod reachability;
mod shapes;

use std::{collections::BTreeMap, env, fs, path::PathBuf};

use integration_tests::{CortendNetwork, DockerPeer, EngineApi, Kind, PrivateNetwork, Stack, StackOptions, TempRoot};

/// What was recorded: what was tried, and what came of it.
type Recorded = BTreeMap<String, String>;

/// Our engine, or the docker that is recorded.
enum Subject {
    Ours(Box<Stack>),
    Docker { network: PrivateNetwork, peer: DockerPeer, _root: TempRoot },
}

impl Subject {
    /// One whose network `script` has prepared, with `arguments`.
    fn start(script: &'static str, arguments: &[&str]) -> Subject {
        let Some(peer_root) = env::var_os("DOCKER_PEER_ROOT").map(PathBuf::from) else {
            let engine_arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
            let network = CortendNetwork::Prepared(script);
            let options = StackOptions { network, engine_arguments, ..StackOptions::default() };
            let stack = Stack::start_with(TempRoot::new(), Kind::Ours, options);
            stack.load_busybox();
            return Subject::Ours(Box::new(stack));
        };
        let (root, network) = (TempRoot::new(), PrivateNetwork::new());
        drop(network.enter(|| integration_tests::sh(script)));
        let peer = DockerPeer::start(&root, &peer_root, &network, arguments);
        let archive = integration_tests::busybox::docker_archive_file(&root, &["busybox:latest"]);
        let docker = integration_tests::DockerCli::newest(&peer.socket());
        let _ = docker.run(&["load", "--input", &archive.display().to_string()]).ok();
        Subject::Docker { network, peer, _root: root }
    }

    fn api(&self) -> EngineApi {
        match self {
            Subject::Ours(stack) => stack.api(),
            Subject::Docker { peer, .. } => peer.api(),
        }
    }

    fn network(&mut self) -> &PrivateNetwork {
        match self {
            Subject::Ours(stack) => stack.cortend().network(),
            Subject::Docker { network, .. } => network,
        }
    }

    fn is_recorded(&self) -> bool {
        matches!(self, Subject::Docker { .. })
    }
}

fn file(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/engine/like_docker")).join(format!("{name}.json"))
}

/// What was recorded of docker under that name.
fn recorded(name: &str) -> Recorded {
    let text = fs::read_to_string(file(name)).unwrap_or_else(|error| panic!("{name} is not recorded: {error}"));
    serde_json::from_str(&text).unwrap()
}

/// Records `found`, or compares it with what was recorded; `ours` names what is not alike, with ours, each with its reason
/// beside it.
fn compare(subject: &Subject, name: &str, found: &Recorded, ours: &[(&str, &str)]) {
    if subject.is_recorded() {
        let text = serde_json::to_string_pretty(found).unwrap() + "\n";
        return fs::write(file(name), text).unwrap();
    }
    let mut expected = recorded(name);
    for (key, value) in ours {
        let before = expected.insert((*key).to_owned(), (*value).to_owned());
        assert!(before.is_some_and(|before| before != *value), "{key} is as docker's now");
    }
    let keys: std::collections::BTreeSet<&String> = found.keys().chain(expected.keys()).collect();
    let differs = |key: &&&String| found.get(**key) != expected.get(**key);
    let differences: Vec<String> = keys
        .iter()
        .filter(differs)
        .map(|key| format!("{key}: {:?}, docker: {:?}", found.get(*key), expected.get(*key)))
        .collect();
    assert!(differences.is_empty(), "{} of {} differ:\n{}", differences.len(), keys.len(), differences.join("\n"));
}
