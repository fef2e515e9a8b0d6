//! Networks while every daemon is dead, and what is found when they are back.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    time::Instant,
};

use integration_tests::{DEADLINE, NetLeaks, Stack, in_network_of, resolve, resolve_within, send_signal, wait_for};
use serde_json::{Value, json};

use crate::networks::{inspect, network, networked, sleeper};
use crate::{delete, expect, get, post, start, state};

/// Questions and connections of which none may be lost.
const QUESTIONS: usize = 1000;
const CONNECTIONS: usize = 100;

fn server() -> Value {
    let mut body = sleeper("web");
    body["Cmd"] = json!(["sh", "-c", "echo hello > /tmp/index.html; exec httpd -f -p 80 -h /tmp"]);
    body["HostConfig"]["PortBindings"] = json!({ "80/tcp": [{ "HostPort": "" }] });
    body["ExposedPorts"] = json!({ "80/tcp": {} });
    body
}

/// A running server: its process, its address, its port at the host.
struct Server {
    pid: u32,
    address: Ipv4Addr,
    port: u16,
}

impl Server {
    fn start(stack: &mut Stack, name: &str) -> Server {
        let _ = start(stack, name, &server());
        let shown = inspect(stack, name);
        let settings = &shown["NetworkSettings"];
        let server = Server {
            pid: u32::try_from(shown["State"]["Pid"].as_u64().unwrap()).unwrap(),
            address: settings["Networks"]["web"]["IPAddress"].as_str().unwrap().parse().unwrap(),
            port: settings["Ports"]["80/tcp"][0]["HostPort"].as_str().unwrap().parse().unwrap(),
        };
        wait_for("the server to answer", DEADLINE, || stack.cortend().network().enter(|| server.fetch()).is_ok());
        server
    }

    /// By address translation.
    fn translated(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// By corten-proxy.
    fn relayed(&self) -> SocketAddr {
        (Ipv6Addr::LOCALHOST, self.port).into()
    }

    fn fetch(&self) -> std::io::Result<()> {
        fetch(self.translated()).and_then(|()| fetch(self.relayed()))
    }
}

/// Asks a server for its page, in this thread's network namespace.
fn fetch(address: SocketAddr) -> std::io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&address, DEADLINE)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    let mut page = String::new();
    stream.read_to_string(&mut page)?;
    if page.ends_with("hello\n") { Ok(()) } else { Err(std::io::Error::other(format!("{address} answers {page:?}"))) }
}

#[test]
fn ports_and_names_answer_while_every_daemon_is_dead_and_records_are_true_afterwards() {
    let mut stack = networked();
    let _ = network(&stack, "web", json!({}));
    let empty = NetLeaks::of(stack.cortend().network());
    let (one, two) = (Server::start(&mut stack, "one"), Server::start(&mut stack, "two"));
    stack.kill();
    for number in 0..QUESTIONS {
        assert_eq!(resolve_within(DEADLINE, two.pid, "one"), [one.address], "question {number}");
    }
    stack.cortend().network().enter(|| {
        for number in 0..CONNECTIONS {
            for address in [one.translated(), one.relayed()] {
                fetch(address).unwrap_or_else(|error| panic!("connection {number} to {address}: {error}"));
            }
        }
    });

    // One ends, and nobody is there to clean up behind it but corten-proxy.
    let killed = Instant::now();
    assert!(send_signal(one.pid, "KILL"));
    let on_host = stack.cortend().network();
    wait_for("its relayed port to refuse", DEADLINE, || {
        let refused = on_host.enter(|| TcpStream::connect(one.relayed())).map_err(|error| error.kind());
        refused.is_err_and(|kind| kind == std::io::ErrorKind::ConnectionRefused)
    });
    wait_for("its interface to go", DEADLINE, || NetLeaks::of(on_host).veths() == 1);
    println!("after {:?} its port refuses and its interface is gone", killed.elapsed());
    assert_eq!(resolve(two.pid, "two"), [two.address]);
    on_host.enter(|| two.fetch()).unwrap();
    in_network_of(two.pid, || fetch((two.address, 80).into())).unwrap();

    stack.restart();
    wait_for("the engine to know that it has ended", DEADLINE, || {
        get(&stack, "/containers/one/json").status == 200 && state(&stack, "one")["Status"] == "exited"
    });
    assert_eq!(state(&stack, "one")["ExitCode"], 137);
    assert_eq!(state(&stack, "two")["Running"], true);
    wait_for("kernel and records to agree", DEADLINE, || {
        post(&stack, "/corten/networks/check", &Value::Null).json() == json!([])
    });
    wait_for("its name to be gone", DEADLINE, || resolve(two.pid, "one").is_empty());
    assert_eq!(resolve(two.pid, "two"), [two.address]);
    stack.cortend().network().enter(|| two.fetch()).unwrap();
    let three = Server::start(&mut stack, "three");
    assert_eq!(three.address, one.address);
    for name in ["one", "two", "three"] {
        expect(delete(&stack, &format!("/containers/{name}?force=1")), 204);
    }
    let mut left = Vec::new();
    let is_clean = integration_tests::try_for(DEADLINE, || {
        left = NetLeaks::of(stack.cortend().network()).difference(&empty);
        left.is_empty()
    });
    assert!(is_clean, "{left:#?}");
}

/// corten-proxy as another release has it: it says another version.
fn of_another_release(directory: &std::path::Path) -> std::path::PathBuf {
    let mut bytes = std::fs::read(integration_tests::programs::path("corten-proxy")).unwrap();
    let ours = corten_relay::VERSION.as_bytes();
    let places: Vec<usize> = (0..bytes.len() - ours.len()).filter(|at| bytes[*at..].starts_with(ours)).collect();
    assert!(!places.is_empty(), "it says its version");
    for at in places {
        bytes[at + ours.len() - 1] = b'0';
    }
    let path = directory.join("corten-proxy");
    std::fs::write(&path, bytes).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    path
}

#[test]
fn the_proxy_of_another_release_hands_over_to_the_engine_s_own() {
    let mut stack = networked();
    let id = network(&stack, "web", json!({}));
    let (one, two) = (Server::start(&mut stack, "one"), Server::start(&mut stack, "two"));
    stack.kill_engine();
    let exec_root = stack.cortend().exec_root();
    let (socket, names) = (exec_root.join("proxy.sock"), exec_root.join("names"));
    // As a release before wrote them.
    let text = format!("corten-names 1\nnetwork {id} web\nhost 1 {} one\nhost 2 {} two\n", one.address, two.address);
    std::fs::remove_dir_all(names.join("hosts")).unwrap();
    std::fs::create_dir(names.join("networks")).unwrap();
    std::fs::write(names.join("networks").join(&id), text).unwrap();
    let older = of_another_release(stack.root().path());
    let version = || corten_relay::Relay::connect(&socket).map(|relay| relay.hello().version.clone()).ok();
    stack.cortend().network().enter(|| corten_relay::start(&older, &socket, &names, &exec_root.join("netns")).unwrap());
    assert_ne!(version().unwrap(), corten_relay::VERSION);
    let mut kept = stack.cortend().network().enter(|| TcpStream::connect(one.relayed())).unwrap();
    assert_eq!(resolve(two.pid, "one"), [one.address]);

    stack.restart_engine();
    wait_for("the engine's own", DEADLINE, || version().as_deref() == Some(corten_relay::VERSION));
    wait_for("files as this release has them", DEADLINE, || !names.join("networks").exists());
    assert_eq!(std::fs::read_dir(names.join("hosts").join(&id)).unwrap().count(), 2);
    assert_eq!(resolve(two.pid, "one"), [one.address]);
    stack.cortend().network().enter(|| one.fetch()).unwrap();
    // What flows through the other one goes on.
    kept.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut page = String::new();
    kept.read_to_string(&mut page).unwrap();
    assert!(page.ends_with("hello\n"), "{page}");
    drop(kept);
    wait_for("no process of the other one's program", DEADLINE, || {
        let older = older.display().to_string();
        !integration_tests::processes().iter().any(|process| process.arguments.contains(&older))
    });
    let three = Server::start(&mut stack, "three");
    assert_eq!(resolve(two.pid, "three"), [three.address]);
}

#[test]
fn thirty_networks_come_and_go_without_a_trace() {
    let mut stack = networked();
    let empty = NetLeaks::of(stack.cortend().network());
    for number in 0..30 {
        let _ = network(&stack, &format!("net-{number}"), json!({}));
    }
    // The default bridge has the first of the pools' thirty-one subnets.
    let text = crate::refusal(post(&stack, "/networks/create", &json!({ "Name": "one-too-many" })), 400);
    assert!(text.contains("all predefined address pools have been fully subnetted"), "{text}");
    let mut body = sleeper("net-0");
    body["HostConfig"]["PortBindings"] = json!({ "80/tcp": [{ "HostPort": "" }] });
    body["ExposedPorts"] = json!({ "80/tcp": {} });
    let _ = start(&stack, "everywhere", &body);
    for number in 1..30 {
        let connect = json!({ "Container": "everywhere" });
        expect(post(&stack, &format!("/networks/net-{number}/connect"), &connect), 200);
    }
    assert_eq!(inspect(&stack, "everywhere")["NetworkSettings"]["Networks"].as_object().unwrap().len(), 30);
    expect(delete(&stack, "/containers/everywhere?force=1"), 204);
    let pruned = expect(post(&stack, "/networks/prune", &Value::Null), 200).json();
    assert_eq!(pruned["NetworksDeleted"].as_array().unwrap().len(), 30);
    let mut left = Vec::new();
    let is_clean = integration_tests::try_for(DEADLINE, || {
        left = NetLeaks::of(stack.cortend().network()).difference(&empty);
        left.is_empty()
    });
    assert!(is_clean, "{left:#?}");
}
