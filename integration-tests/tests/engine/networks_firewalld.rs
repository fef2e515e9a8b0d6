//! The engine beside firewalld, on a message bus of the test's own.

use integration_tests::{DEADLINE, Firewalld, Stack, TempRoot, wait_for};
use serde_json::{Value, json};

use crate::networks::{network, networked};
use crate::{delete, expect, get, post};

/// One in the engine's network namespace, on the bus that the engine looks for.
fn start(root: &TempRoot, stack: &mut Stack) -> Firewalld {
    let engine = stack.cortend();
    let socket = engine.system_bus();
    std::fs::create_dir_all(socket.parent().unwrap()).unwrap();
    engine.network().enter(|| Firewalld::start(root, &socket))
}

fn firewall(stack: &Stack) -> Value {
    expect(get(stack, "/info"), 200).json()["FirewallBackend"].clone()
}

/// A network whose bridge is called after it.
fn bridge(stack: &Stack, name: &str) -> Value {
    let body = json!({ "Name": name, "Options": { "com.docker.network.bridge.name": name } });
    expect(post(stack, "/networks/create", &body), 201).json()
}

#[test]
fn firewalld_is_told_of_networks_whatever_becomes_of_it() {
    let mut stack = networked();
    let root = TempRoot::new();
    let _ = network(&stack, "early", json!({ "Options": { "com.docker.network.bridge.name": "early" } }));
    assert_eq!(firewall(&stack), json!({ "Driver": "nftables" }));

    // It and its bus come when the engine has long been there.
    let firewalld = start(&root, &mut stack);
    let knows = |firewalld: &Firewalld, bridges: &[&str]| {
        wait_for(&format!("firewalld to know {bridges:?}"), DEADLINE, || firewalld.zone() == bridges);
    };
    knows(&firewalld, &["docker0", "early"]);
    assert_eq!(firewall(&stack)["Driver"], "nftables+firewalld");
    // Told before the answer, unless it took its time.
    if bridge(&stack, "second")["Warning"] == "" {
        assert_eq!(firewalld.zone(), ["docker0", "early", "second"]);
    }
    knows(&firewalld, &["docker0", "early", "second"]);

    firewalld.reload();
    knows(&firewalld, &["docker0", "early", "second"]);
    let told = firewall(&stack)["Info"].clone();
    assert_eq!(told[0][0], "ReloadedAt", "{told}");
    expect(delete(&stack, "/networks/second"), 204);
    knows(&firewalld, &["docker0", "early"]);

    // Both are killed; another bus comes in the same place, with another firewalld that knows of nothing.
    firewalld.kill();
    let _ = bridge(&stack, "third");
    wait_for("firewalld not to be in use", DEADLINE, || firewall(&stack)["Driver"] == "nftables");
    let other = TempRoot::new();
    let firewalld = start(&other, &mut stack);
    knows(&firewalld, &["docker0", "early", "third"]);

    // It hangs: nobody waits until it answers, and then it is told all the same.
    firewalld.hang();
    for name in ["fourth", "fifth"] {
        let text = bridge(&stack, name)["Warning"].as_str().unwrap().to_owned();
        assert_eq!(text, "firewalld does not answer: it is told of the network when it does", "{name}");
    }
    expect(delete(&stack, "/networks/fourth"), 204);
    firewalld.go_on();
    knows(&firewalld, &["docker0", "early", "fifth", "third"]);
}
