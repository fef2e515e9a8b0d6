//! `features` says true only where a test proves it: the table in features.txt and what is printed have the same keys.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::Host;

const ROWS: &str = include_str!("features.txt");

/// The keys of the table.
fn rows() -> BTreeSet<&'static str> {
    let rows = ROWS.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    rows.filter_map(|line| line.split(' ').next()).collect()
}

fn printed() -> Value {
    serde_json::from_str(&Host::new().run(&["features"]).ok().stdout).expect("features prints JSON")
}

/// A key that is printed, and whether it claims something: an element of a list does, a `false` does not.
fn claims(path: &str, value: &Value, found: &mut Vec<(String, bool)>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members.iter().filter(|(key, _)| *key != "annotations") {
                claims(&if path.is_empty() { key.clone() } else { format!("{path}.{key}") }, value, found);
            }
        }
        Value::Array(elements) => {
            let name = |element: &Value| element.as_str().expect("features lists names").to_owned();
            found.extend(elements.iter().map(|element| (format!("{path}[{}]", name(element)), true)));
        }
        Value::Bool(claimed) => found.push((path.to_owned(), *claimed)),
        // The versions of the specification say nothing that one test could show.
        _ => {}
    }
}

/// The row of every element of the list that `key` is an element of.
fn of_the_list(key: &str) -> String {
    key.split_once('[').map_or_else(String::new, |(list, _)| format!("{list}[*]"))
}

#[test]
fn every_true_key_has_a_row_and_every_row_a_key() {
    let (rows, mut keys) = (rows(), Vec::new());
    claims("", &printed(), &mut keys);
    assert!(keys.len() > 100, "{keys:?}");
    let has_row = |key: &str| rows.contains(key) || rows.contains(of_the_list(key).as_str());
    let unproven: Vec<_> = keys.iter().filter(|(key, claimed)| *claimed && !has_row(key)).collect();
    let has_key = |row: &str| keys.iter().any(|(key, _)| key == row || of_the_list(key) == row);
    let unknown: Vec<_> = rows.iter().filter(|row| !has_key(row)).collect();
    assert!(unproven.is_empty() && unknown.is_empty(), "true without a row: {unproven:?}; rows of no key: {unknown:?}");
}

#[test]
fn every_capability_of_features_can_be_given() {
    let host = Host::new();
    let features = printed();
    let listed: Vec<&str> =
        features["linux"]["capabilities"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    assert!(listed.contains(&"CAP_CHECKPOINT_RESTORE"), "{listed:?}");
    let mask = |line: Option<&str>| u64::from_str_radix(line.expect("it is there").trim(), 16).expect("a mask");
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc is mounted");
    let own = mask(status.lines().find_map(|line| line.strip_prefix("CapBnd:")));
    let mut given = 0;
    let bundle = host.bundle("web", &["grep", "CapBnd", "/proc/self/status"], |_| {});
    let file = bundle.join("config.json");
    let mut config: Value =
        serde_json::from_slice(&std::fs::read(&file).expect("the bundle is there")).expect("a bundle is JSON");
    for capability in listed {
        for set in ["bounding", "effective", "permitted"] {
            config["process"]["capabilities"][set] = json!([capability]);
        }
        std::fs::write(&file, config.to_string()).expect("the bundle is ours");
        let ran = host.run(&["run", "--bundle", crate::text(&bundle), "web"]);
        // One that this machine does not have cannot be handed on, and is named.
        if ran.code != 0 {
            assert!(ran.stderr.contains(capability), "{capability}: {ran:?}");
            continue;
        }
        let bit = mask(ran.stdout.strip_prefix("CapBnd:"));
        assert_eq!((bit.count_ones(), bit & own & !given), (1, bit), "{capability}: {ran:?}");
        given |= bit;
    }
    assert_eq!(given, own, "what this process has can be given");
}

/// What configures another runtime: `bundle` is written by runc itself, the others are for systemd and criu.
#[test]
fn annotations_that_are_unsafe_elsewhere_have_no_effect() {
    let host = Host::new();
    let _ = host.sleeping("web", |config| {
        config["annotations"] = json!({"bundle": "/nowhere", "org.systemd.property.MemoryMax": "1",
            "org.criu.config": "/etc/passwd"});
    });
    let state = host.state_of("web");
    assert_eq!(state["bundle"], json!(host.root.join("bundles/web")));
    assert_eq!(state["annotations"]["org.criu.config"], "/etc/passwd");
    let _ = host.run(&["delete", "--force", "web"]).ok();
    host.assert_clean();
}
