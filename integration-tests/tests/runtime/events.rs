//! events and update: what a container uses, running out of memory, limits changed while it runs.

use std::{fs, process::Stdio};

use integration_tests::{DEADLINE, wait_for};
use serde_json::{Value, json};

use crate::{Host, text};

#[test]
fn stats_are_what_runc_prints() {
    let host = Host::new();
    let _ = host.sleeping("web", |config| {
        config["linux"]["resources"]["memory"] = json!({"limit": 67_108_864});
        config["linux"]["resources"]["pids"] = json!({"limit": 20});
    });
    let ran = host.run(&["events", "--stats", "web"]).ok();
    assert!(ran.stdout.starts_with(r#"{"type":"stats","id":"web","data":{"#), "scripts match the beginning: {ran:?}");
    let event: Value = serde_json::from_str(&ran.stdout).expect("one line of JSON");
    assert_eq!((&event["type"], &event["id"]), (&json!("stats"), &json!("web")));
    let data = &event["data"];
    assert_eq!(data["memory"]["usage"]["limit"], 67_108_864);
    assert!(data["memory"]["usage"]["usage"].as_u64().is_some_and(|usage| usage > 0), "{data}");
    assert_eq!(data["pids"], json!({"current": 1, "limit": 20}));
    assert!(data["cpu"]["usage"]["total"].as_u64().is_some_and(|total| total > 0), "{data}");
    assert!(data["cpuset"]["sched_load_balance"].is_u64() && data["hugetlb"].is_object(), "{data}");
    // The same keys as runc's own, on the same cgroups: ours under its name.
    for key in ["cpu", "cpuset", "memory", "pids", "blkio", "hugetlb", "intel_rdt", "network_interfaces"] {
        assert!(data.get(key).is_some(), "{key} in {data}");
    }
    let _ = host.run(&["delete", "--force", "web"]).ok();
    let gone = host.run(&["events", "--stats", "web"]);
    assert!(gone.code == 1 && gone.stderr.contains("container does not exist"), "{gone:?}");
}

#[test]
fn events_follow_until_the_container_ends() {
    let host = Host::new();
    let script = "until test -e /go; do usleep 10000; done; dd if=/dev/zero of=/dev/null bs=64M count=1; \
                  echo; until test -e /end; do usleep 10000; done";
    let bundle = host.bundle("web", &["sh", "-c", script], |config| {
        config["linux"]["resources"]["memory"] = json!({"limit": 16_777_216, "swap": 16_777_216});
    });
    host.create("web", &bundle);
    let _ = host.run(&["start", "web"]).ok();
    let out = host.root.join("events");
    let log = fs::File::create(&out).expect("the root is writable");
    let mut events = host.command(&["events", "--interval", "50ms", "web"]);
    let mut events = events.stdout(log).stderr(Stdio::null()).spawn().expect("it starts");
    let has = |kind: &str| fs::read_to_string(&out).is_ok_and(|text| text.contains(&format!("\"type\":\"{kind}\"")));
    wait_for("the first stats", DEADLINE, || has("stats"));
    fs::write(bundle.join("rootfs/go"), "").expect("the bundle is writable");
    wait_for("the kernel to run out of memory", DEADLINE, || has("oom"));
    fs::write(bundle.join("rootfs/end"), "").expect("the bundle is writable");
    assert!(events.wait().expect("ours").success(), "it ends with the container");
    for line in fs::read_to_string(&out).expect("written").lines() {
        let event: Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(event["id"], "web");
    }
    let _ = host.run(&["delete", "--force", "web"]).ok();
    host.assert_clean();
}

#[test]
fn update_changes_what_is_named_and_nothing_else() {
    let host = Host::new();
    let _ = host.sleeping("web", |config| {
        config["linux"]["resources"]["memory"] = json!({"limit": 67_108_864});
        config["linux"]["resources"]["pids"] = json!({"limit": 20});
        config["linux"]["resources"]["cpu"] = json!({"shares": 512});
    });
    let limits = || {
        let ran = host.run(&["events", "--stats", "web"]).ok();
        let event: Value = serde_json::from_str(&ran.stdout).expect("JSON");
        (event["data"]["memory"]["usage"]["limit"].clone(), event["data"]["pids"]["limit"].clone())
    };
    let _ = host.run(&["update", "--pids-limit", "30", "web"]).ok();
    assert_eq!(limits(), (json!(67_108_864), json!(30)));
    let file = host.root.join("limits.json");
    let update = |limits: Value| {
        fs::write(&file, limits.to_string()).expect("the root is writable");
        host.run(&["update", "--resources", text(&file), "web"])
    };
    let _ = update(json!({"memory": {"limit": 134_217_728, "swap": 0}, "pids": {}})).ok();
    assert_eq!(limits(), (json!(134_217_728), json!(30)));
    // What a caller sends back unchanged is taken; what cannot be changed is refused and not passed over.
    let _ = update(json!({"devices": [{"allow": false, "access": "rwm"}]})).ok();
    for (asked, said) in [
        (
            json!({"devices": [{"allow": true, "access": "rwm"}]}),
            "linux.resources.devices: cannot be changed by update",
        ),
        (json!({"memory": {"kernel": 4096}}), "linux.resources.memory.kernel: not supported yet"),
        (json!({"memory": {"limit": 4096, "checkBeforeUpdate": true}}), "rejecting memory limit 4096 <= usage "),
    ] {
        let ran = update(asked);
        assert!(ran.code == 1 && ran.stderr.contains(said), "{said}: {ran:?}");
    }
    let _ = host.run(&["delete", "--force", "web"]).ok();
    host.assert_clean();
}

#[test]
fn an_exec_can_run_in_a_cgroup_below_the_containers() {
    let host = Host::new();
    let _ = host.sleeping("web", |_| {});
    let state = fs::read_to_string(host.state().join("web/state.json")).expect("the record");
    let state: Value = serde_json::from_str(&state).expect("JSON");
    // v1 has a path for each controller, v2 one for all.
    let paths = &state["cgroup_paths"];
    let (prefix, path) = match paths["pids"].as_str() {
        Some(path) => ("pids:", path),
        None => ("", paths[""].as_str().expect("v2 has one path")),
    };
    let (below, outside) = (format!("{prefix}below"), format!("{prefix}../x"));
    let ran = host.run(&["exec", "--cgroup", &below, "web", "true"]);
    assert!(ran.code == 255 && ran.stderr.contains("/below"), "it is not made: {ran:?}");
    assert!(ran.stderr.contains(" adding pid ") && ran.stderr.contains("o such file or directory"), "{ran:?}");
    let refused = host.run(&["exec", "--cgroup", &outside, "web", "true"]);
    assert!(refused.stderr.contains("bad sub cgroup path"), "{refused:?}");
    fs::create_dir(format!("{path}/below")).expect("a cgroup can be made");
    let ran = host.run(&["exec", "--cgroup", &below, "web", "cat", "/proc/self/cgroup"]).ok();
    let below = ran.stdout.lines().filter(|line| line.ends_with("/below")).count();
    assert_eq!(below, 1, "{ran:?}");
    let _ = host.run(&["delete", "--force", "web"]).ok();
    host.assert_clean();
}
