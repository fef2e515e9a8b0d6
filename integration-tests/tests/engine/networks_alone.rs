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
