//! The files of names, which corten-proxy answers from.

use std::{collections::BTreeMap, fs, os::unix::fs::MetadataExt};

use integration_tests::{DEADLINE, send_signal, wait_for};
use serde_json::json;

use crate::networks::{inspect, network, networked, sleeper};
use crate::{delete, expect, post, start};

#[test]
fn a_start_writes_its_own_names_and_nobody_else_s() {
    let mut stack = networked();
    let id = network(&stack, "web", json!({}));
    let hosts = stack.cortend().exec_root().join("names/hosts").join(&id);
    let files = || {
        let entries = fs::read_dir(&hosts).into_iter().flatten().map(|entry| entry.unwrap());
        entries
            .map(|entry| (entry.file_name().into_string().unwrap(), entry.metadata().unwrap().ino()))
            .collect::<BTreeMap<_, _>>()
    };
    let one = start(&stack, "one", &sleeper("web"));
    let before = files();
    assert_eq!(before.keys().collect::<Vec<_>>(), [&one]);
    let two = start(&stack, "two", &sleeper("web"));
    let after = files();
    assert_eq!((after.len(), after[&one]), (2, before[&one]), "a file that was written anew is another one");
    expect(delete(&stack, "/containers/two?force=1"), 204);
    wait_for("the file of two to go", DEADLINE, || !files().contains_key(&two));
    assert_eq!(files(), before);
    // What ends while nobody looks is gone when the engine is back.
    let pid = u32::try_from(inspect(&stack, "one")["State"]["Pid"].as_u64().unwrap()).unwrap();
    stack.kill();
    assert!(send_signal(pid, "KILL"));
    fs::write(hosts.join(".x.1.tmp"), "half").unwrap();
    stack.restart();
    wait_for("no names of nobody", DEADLINE, || files().is_empty());
    expect(delete(&stack, "/networks/web"), 204);
    assert!(!hosts.exists());
}

#[test]
fn what_a_container_asks_of_the_world_depends_on_its_networks() {
    let mut stack = networked();
    let _ = network(&stack, "closed", json!({ "Internal": true }));
    let _ = network(&stack, "open", json!({}));
    let mut body = sleeper("closed");
    body["HostConfig"]["Dns"] = json!(["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"]);
    body["HostConfig"]["DnsOptions"] = json!(["ndots:1"]);
    let own = start(&stack, "own", &body);
    let plain = start(&stack, "plain", &sleeper("closed"));
    let directory = stack.cortend().exec_root().join("names/containers");
    let seen = |id: &str| fs::read_to_string(directory.join(id)).unwrap();
    let text = seen(&own);
    // Servers of its own are asked from inside, where an internal network leads nowhere; the host's are not asked for it.
    assert!(text.contains("forward own-networks\n") && text.contains("single-labels kept\n"), "{text}");
    assert!(text.contains("server container 192.0.2.1:53\nserver container 192.0.2.2:53\n"), "{text}");
    assert!(!text.contains("192.0.2.4"), "docker asks three: {text}");
    let text = seen(&plain);
    assert!(text.contains("forward own-networks\n") && text.contains("single-labels forwarded\n"), "{text}");
    assert!(text.contains("server host ") && !text.contains("server container "), "{text}");
    expect(post(&stack, "/networks/open/connect", &json!({ "Container": "plain" })), 200);
    assert!(seen(&plain).contains("forward everywhere\n"));
    expect(post(&stack, "/networks/open/disconnect", &json!({ "Container": "plain" })), 200);
    assert!(seen(&plain).contains("forward own-networks\n"));
}
