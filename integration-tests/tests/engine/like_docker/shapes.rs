//! What `inspect` says of networks and containers, and the files of names that containers see.

use std::collections::BTreeMap;

use integration_tests::{Answer, EngineApi};
use serde_json::{Value, json};

use super::{Recorded, Subject, compare};

/// What differs between any two runs, by the name of the field.
const RANDOM: [&str; 9] =
    ["Id", "Created", "NetworkID", "EndpointID", "MacAddress", "SandboxID", "SandboxKey", "Name", "Hostname"];

fn ok(answer: std::io::Result<Answer>) -> Value {
    match answer {
        Ok(answer) if answer.is_ok() => answer.json(),
        other => panic!("{other:?}"),
    }
}

/// Makes what is looked at, and looks.
fn look(subject: &Subject) -> Recorded {
    let api = subject.api();
    let _ = ok(api.post(
        "/networks/create",
        &json!({
            "Name": "web", "CheckDuplicate": true, "EnableIPv6": true, "Labels": { "a": "b" }, "Attachable": true,
            "IPAM": { "Config": [
                { "Subnet": "10.81.0.0/16", "IPRange": "10.81.5.0/24", "Gateway": "10.81.0.9" }, { "Subnet": "fd81::/64" },
            ] },
            "Options": { "com.docker.network.driver.mtu": "1400", "nobody.knows": "it" },
        }),
    ));
    let _ = ok(api.post(
        "/networks/create",
        &json!({ "Name": "closed", "Internal": true, "IPAM": { "Config": [{ "Subnet": "10.82.0.0/24" }] } }),
    ));
    let mut containers = BTreeMap::new();
    for (name, network, rest) in [
        ("on-bridge", "bridge", json!({ "PortBindings": { "80/tcp": [{ "HostPort": "8000" }] } })),
        ("on-web", "web", json!({ "PortBindings": { "80/tcp": [{ "HostIp": "127.0.0.1", "HostPort": "8001" }] } })),
        ("on-closed", "closed", json!({ "Dns": ["9.9.9.9"], "DnsSearch": ["s.example"], "DnsOptions": ["ndots:2"] })),
        ("with-hosts", "web", json!({ "ExtraHosts": ["up:host-gateway", "six:2001:db8::6"], "Dns": ["9.9.9.9"] })),
        ("on-none", "none", json!({})),
    ] {
        let mut host = rest;
        host["NetworkMode"] = json!(network);
        let body = json!({
            "Image": "busybox", "Cmd": ["sleep", "1000"], "ExposedPorts": { "80/tcp": {}, "81/udp": {} },
            "Hostname": "me", "Domainname": "example.org", "HostConfig": host,
        });
        let _ = ok(api.post(&format!("/containers/create?name={name}"), &body));
        let _ = ok(api.post(&format!("/containers/{name}/start"), &Value::Null));
        containers.insert(name, ());
    }
    let connect = json!({ "Container": "on-bridge", "EndpointConfig": { "Aliases": ["other"], "IPAMConfig": { "IPv4Address": "10.82.0.77" } } });
    let _ = api.post("/networks/closed/connect", &connect).map(|answer| assert!(answer.is_ok(), "{}", answer.text()));
    let mut found = Recorded::new();
    for network in ["bridge", "web", "closed", "host", "none"] {
        flatten(&format!("network {network}"), &ok(api.get(&format!("/networks/{network}"))), &mut found);
    }
    for name in containers.keys() {
        let shown = ok(api.get(&format!("/containers/{name}/json")));
        flatten(&format!("container {name}"), &shown["NetworkSettings"], &mut found);
        for file in ["resolv.conf", "hosts", "hostname"] {
            found.insert(format!("container {name} /etc/{file}"), read(&api, name, file));
        }
    }
    found
}

/// A file of a container, without comments and the container's id.
fn read(api: &EngineApi, name: &str, file: &str) -> String {
    let shown = ok(api.get(&format!("/containers/{name}/json")));
    let id = shown["Id"].as_str().unwrap_or_default().to_owned();
    let key = match file {
        "hosts" => "HostsPath",
        "hostname" => "HostnamePath",
        _ => "ResolvConfPath",
    };
    let text = std::fs::read_to_string(shown[key].as_str().unwrap()).unwrap();
    // Without servers, search list and options of its own a container has the host's, whatever they are.
    let is_of_host = |line: &str| match (file, name) {
        ("resolv.conf", "on-closed") => false,
        ("resolv.conf", "on-web" | "with-hosts") => !line.starts_with("nameserver"),
        ("resolv.conf", _) => true,
        _ => false,
    };
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty() && !is_of_host(line));
    let mut lines: Vec<String> = lines.map(|line| line.replace(&id[..12], "SHORT-ID")).collect();
    if file == "hosts" {
        // Networks come in the order of a Go map.
        lines.sort();
    }
    lines.join("\n")
}

/// Each value by the way to it, but for random ones, of which it says whether they are there.
fn flatten(way: &str, value: &Value, found: &mut Recorded) {
    match value {
        Value::Object(fields) if fields.is_empty() => drop(found.insert(way.to_owned(), "{}".to_owned())),
        Value::Object(fields) => {
            for (key, value) in fields {
                let is_id = key.len() == 64;
                let name = value["Name"].as_str().unwrap_or_default();
                let key = if is_id { format!("of {name}") } else { key.clone() };
                let way = format!("{way}: {key}");
                match value {
                    Value::String(text) if RANDOM.contains(&key.as_str()) => {
                        let shown = if text.is_empty() { "" } else { "<some>" };
                        found.insert(way, shown.to_owned());
                    }
                    _ => flatten(&way, value, found),
                }
            }
        }
        Value::Array(list) if key_of(way) == "DNSNames" => {
            let is_id = |name: &&Value| {
                name.as_str()
                    .is_some_and(|name| name.len() == 12 && name.chars().all(|letter| letter.is_ascii_hexdigit()))
            };
            let names: Vec<String> =
                list.iter().map(|name| if is_id(&name) { "SHORT-ID".to_owned() } else { name.to_string() }).collect();
            found.insert(way.to_owned(), names.join(", "));
        }
        other => drop(found.insert(way.to_owned(), other.to_string())),
    }
}

fn key_of(way: &str) -> &str {
    way.rsplit(": ").next().unwrap_or_default()
}

#[test]
fn networks_and_their_containers_are_shown_as_docker_shows_them() {
    let subject = Subject::start("true", &["--bip=10.80.0.1/24"]);
    let found = look(&subject);
    compare(&subject, "shapes", &found, &[]);
}
