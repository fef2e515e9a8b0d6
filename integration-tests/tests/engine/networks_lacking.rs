//! A kernel without nf_tables: told once, refused by name, and everything else works. It runs in a virtual machine; a host
//! that has nf_tables makes networks instead.

use integration_tests::try_sh;
use serde_json::{Value, json};

use crate::networks::{network, networked};
use crate::{create, expect, get, post, refusal, start, wait_for_exit};

#[test]
fn a_kernel_without_nf_tables_has_no_bridge_networks_and_says_so() {
    let mut stack = networked();
    // nft may not be there; the kernel's answer is what the engine goes by, too.
    let has_rules =
        stack.cortend().network().enter(|| try_sh("nft add table inet probe && nft delete table inet probe"));
    if has_rules.is_ok() {
        let _ = network(&stack, "web", json!({}));
        return;
    }
    let text = refusal(post(&stack, "/networks/create", &json!({ "Name": "web" })), 501);
    assert!(text.contains("CONFIG_NF_TABLES"), "{text}");
    assert_eq!(get(&stack, "/networks").json().as_array().map(Vec::len), Some(3));
    let log = stack.cortend().daemon().log();
    let is_warning = |line: &&str| line.contains(" WARN ") && line.contains("CONFIG_NF_TABLES");
    assert_eq!(log.lines().filter(is_warning).count(), 1, "it is said once, at the start");
    // What needs no bridge runs, and so does what asks for nothing.
    for mode in ["none", "host", "default"] {
        let body = json!({ "Image": "busybox", "Cmd": ["true"], "HostConfig": { "NetworkMode": mode } });
        let id = start(&stack, &format!("in-{mode}"), &body);
        assert_eq!(wait_for_exit(&stack, &id), 0, "{mode}");
    }
    let published = json!({
        "Image": "busybox", "Cmd": ["true"], "ExposedPorts": { "80/tcp": {} },
        "HostConfig": { "PortBindings": { "80/tcp": [{ "HostPort": "" }] } },
    });
    let id = create(&stack, "published", &published);
    let text = refusal(post(&stack, &format!("/containers/{id}/start"), &Value::Null), 501);
    assert!(text.contains("publish port 80:") && text.contains("CONFIG_NF_TABLES"), "{text}");
    expect(get(&stack, "/info"), 200);
}
