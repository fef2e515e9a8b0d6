//! Networks through the API: made, listed, inspected, joined, left, removed; ports; after a restart of the engine.

use integration_tests::{CortendNetwork, DEADLINE, Kind, Stack, StackOptions, TempRoot, wait_for};
use serde_json::{Value, json};

use crate::{create, delete, expect, get, post, refusal, start, wait_for_exit};

/// Our engine with a network of its own.
pub fn networked() -> Stack {
    networked_with(&[])
}

pub fn networked_with(arguments: &[&str]) -> Stack {
    let engine_arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    let options = StackOptions { network: CortendNetwork::Private, engine_arguments, ..StackOptions::default() };
    let stack = Stack::start_with(TempRoot::new(), Kind::Ours, options);
    stack.load_busybox();
    stack
}

pub fn network(stack: &Stack, name: &str, rest: Value) -> String {
    let mut body = json!({ "Name": name, "CheckDuplicate": true });
    for (key, value) in rest.as_object().unwrap() {
        body[key] = value.clone();
    }
    let answer = expect(post(stack, "/networks/create", &body), 201);
    answer.json()["Id"].as_str().unwrap().to_owned()
}

pub fn sleeper(mode: &str) -> Value {
    json!({ "Image": "busybox", "Cmd": ["sleep", "1000"], "HostConfig": { "NetworkMode": mode } })
}

pub fn inspect(stack: &Stack, name: &str) -> Value {
    expect(get(stack, &format!("/containers/{name}/json")), 200).json()
}

/// The output of a command in a running container, and its exit status.
pub fn exec(stack: &Stack, name: &str, command: &[&str]) -> (i32, String) {
    let ran = stack.docker().run(&[&["exec", name], command].concat());
    (ran.code, format!("{}{}", ran.out(), ran.err()))
}

#[test]
fn a_network_is_shown_as_it_was_asked_for_and_goes_without_a_trace() {
    let stack = networked();
    let body = json!({
        "Driver": "bridge",
        "IPAM": { "Driver": "default", "Options": {}, "Config": [
            { "Subnet": "10.77.0.0/16", "IPRange": "10.77.5.0/24", "Gateway": "10.77.5.254", "AuxiliaryAddresses": { "x": "10.77.5.1" } }
        ] },
        "Options": { "com.docker.network.driver.mtu": "1400", "nobody.knows": "it" },
        "Labels": { "a": "b" }, "Attachable": true,
    });
    let id = network(&stack, "web", body.clone());
    let shown = get(&stack, "/networks/web").json();
    for key in ["IPAM", "Options", "Labels", "Attachable", "Driver"] {
        assert_eq!(shown[key], body[key], "{key}");
    }
    assert_eq!(
        (&shown["Scope"], &shown["Internal"], &shown["Containers"]),
        (&json!("local"), &json!(false), &json!({}))
    );
    assert_eq!(
        refusal(post(&stack, "/networks/create", &json!({ "Name": "web" })), 409),
        "network with name web already exists"
    );
    assert_eq!(get(&stack, &format!("/networks/{}", &id[..9])).json()["Name"], "web");
    let listed = get(&stack, "/networks?filters=%7B%22name%22:%5B%22we%22%5D,%22type%22:%5B%22custom%22%5D%7D").json();
    assert_eq!(listed.as_array().unwrap().len(), 1);
    expect(delete(&stack, "/networks/web"), 204);
    assert_eq!(refusal(get(&stack, "/networks/web"), 404), "network web not found");
    assert_eq!(refusal(delete(&stack, "/networks/web"), 404), "network web not found");
}

#[test]
fn what_cannot_be_is_refused_with_docker_s_words() {
    let stack = networked();
    let _ = network(&stack, "one", json!({ "IPAM": { "Config": [{ "Subnet": "10.78.0.0/16" }] } }));
    for (body, status, text) in [
        (json!({ "Name": "bridge" }), 403, "operation is not permitted on predefined bridge network "),
        (json!({ "Name": "" }), 400, "invalid name: name is empty"),
        (json!({ "Name": "x", "Driver": "host" }), 403, "only one instance of \"host\" network is allowed"),
        (json!({ "Name": "x", "Driver": "nope" }), 404, "plugin \"nope\" not found"),
        (json!({ "Name": "x", "Driver": "ipvlan" }), 501, "networks of the driver ipvlan: not supported yet"),
        (
            json!({ "Name": "x", "IPAM": { "Config": [{ "Subnet": "10.78.3.0/24" }] } }),
            403,
            "invalid pool request: Pool overlaps with other one on this address space: network one has 10.78.0.0/16",
        ),
        (
            json!({ "Name": "x", "IPAM": { "Config": [{ "Subnet": "10.1.2.3/24" }] } }),
            400,
            "invalid network config:\ninvalid subnet 10.1.2.3/24: it should be 10.1.2.0/24",
        ),
        (
            json!({ "Name": "x", "Options": { "com.docker.network.bridge.enable_icc": "x" } }),
            400,
            "failed to parse com.docker.network.bridge.enable_icc value: x (strconv.ParseBool: parsing \"x\": invalid syntax)",
        ),
        (json!({ "Name": "x", "ConfigOnly": true }), 501, "ConfigOnly: not supported yet"),
    ] {
        assert_eq!(refusal(post(&stack, "/networks/create", &body), status), text, "{body}");
    }
    assert_eq!(
        refusal(delete(&stack, "/networks/bridge"), 403),
        "bridge is a pre-defined network and cannot be removed"
    );
    let id = create(&stack, "lost", &sleeper("nowhere"));
    let text = refusal(post(&stack, &format!("/containers/{id}/start"), &Value::Null), 404);
    assert_eq!(text, "failed to set up container networking: network nowhere not found");
}

#[test]
fn containers_reach_each_other_by_address_and_by_name() {
    let stack = networked();
    let id = network(&stack, "web", json!({}));
    let mut body = sleeper("web");
    body["NetworkingConfig"] = json!({ "EndpointsConfig": { "web": { "Aliases": ["db"] } } });
    let one = start(&stack, "one", &body);
    let _ = start(&stack, "two", &sleeper("web"));
    let place = inspect(&stack, "one")["NetworkSettings"]["Networks"]["web"].clone();
    let address = place["IPAddress"].as_str().unwrap().to_owned();
    assert_eq!(place["NetworkID"], json!(id));
    assert_eq!(place["DNSNames"], json!(["one", "db", &one[..12]]));
    assert!(address.ends_with(".0.2"), "{address}");
    let members = get(&stack, "/networks/web").json()["Containers"].clone();
    assert_eq!(members[&one]["IPv4Address"], json!(format!("{address}/16")));
    assert_eq!(members.as_object().unwrap().len(), 2);

    let (code, said) = exec(&stack, "two", &["ping", "-c", "1", "-W", "5", &address]);
    assert_eq!(code, 0, "{said}");
    for name in ["one", "db", &one[..12], "one.web"] {
        let (code, said) = exec(&stack, "two", &["ping", "-c", "1", "-W", "5", name]);
        assert_eq!(code, 0, "{name}: {said}");
    }
    let text = refusal(delete(&stack, "/networks/web"), 403);
    assert!(text.starts_with("error while removing network: network web has active endpoints (name:\""), "{text}");
    for name in ["one", "two"] {
        expect(delete(&stack, &format!("/containers/{name}?force=1")), 204);
    }
    expect(delete(&stack, "/networks/web"), 204);
}

#[test]
fn a_published_port_answers_and_is_free_again_afterwards() {
    let stack = networked();
    let mut body = sleeper("bridge");
    body["Cmd"] = json!(["sh", "-c", "echo hello > /tmp/index.html; exec httpd -f -p 80 -h /tmp"]);
    // A binding counts only for a port that is exposed, as in dockerd 20.10 and 28; the client exposes what it binds.
    let any = json!([{ "HostPort": "" }]);
    body["HostConfig"]["PortBindings"] = json!({ "80/tcp": any, "82/tcp": any });
    body["ExposedPorts"] = json!({ "80/tcp": {}, "81/tcp": {} });
    let _ = start(&stack, "web", &body);
    let shown = inspect(&stack, "web")["NetworkSettings"].clone();
    assert_eq!(shown["Ports"].as_object().unwrap().keys().collect::<Vec<_>>(), ["80/tcp", "81/tcp"]);
    assert_eq!(shown["Ports"]["81/tcp"], Value::Null);
    let port = shown["Ports"]["80/tcp"][0]["HostPort"].as_str().unwrap().to_owned();
    assert_eq!(shown["Ports"]["80/tcp"][0]["HostIp"], "0.0.0.0");
    let address = shown["IPAddress"].as_str().unwrap().to_owned();
    for (filters, is_listed) in [
        (json!({ "publish": [port] }), true),
        (json!({ "publish": ["80"] }), false),
        (json!({ "expose": ["80/tcp"] }), true),
        (json!({ "expose": ["70-90"] }), true),
        (json!({ "expose": ["80/udp"] }), false),
        (json!({ "publish": ["1"], "expose": ["80"] }), true),
    ] {
        let encoded: String = filters.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect();
        let listed = expect(get(&stack, &format!("/containers/json?filters={encoded}")), 200).json();
        assert_eq!(listed.as_array().unwrap().len(), usize::from(is_listed), "{filters}");
    }
    let pid = inspect(&stack, "web")["State"]["Pid"].as_u64().unwrap();
    assert_ne!(pid, 0);
    let mut stack = stack;
    let fetch = |stack: &mut Stack, host: &str, port: &str| {
        let url = format!("http://{host}:{port}/");
        stack.cortend().network().enter(|| {
            let ran = std::process::Command::new("curl").args(["-s", "-m", "10", &url]).output().unwrap();
            String::from_utf8_lossy(&ran.stdout).into_owned()
        })
    };
    wait_for("the server to answer", DEADLINE, || fetch(&mut stack, &address, "80") == "hello\n");
    assert_eq!(fetch(&mut stack, "127.0.0.1", &port), "hello\n");
    assert_eq!(fetch(&mut stack, "[::1]", &port), "hello\n");
    let counted = expect(get(&stack, "/containers/web/stats?stream=0&one-shot=1"), 200).json()["networks"].clone();
    assert_eq!(counted.as_object().unwrap().keys().collect::<Vec<_>>(), ["eth0"]);
    assert!(counted["eth0"]["rx_bytes"].as_u64() > Some(100) && counted["eth0"]["tx_packets"].as_u64() > Some(2));

    let mut second = body.clone();
    second["HostConfig"]["PortBindings"] = json!({ "80/tcp": [{ "HostPort": port }] });
    let id = create(&stack, "second", &second);
    let text = refusal(post(&stack, &format!("/containers/{id}/start"), &Value::Null), 500);
    assert!(text.starts_with("failed to set up container networking: driver failed programming external connectivity on endpoint second ("), "{text}");
    assert!(text.ends_with(&format!("Bind for 0.0.0.0:{port} failed: port is already allocated")), "{text}");
    expect(delete(&stack, "/containers/web?force=1"), 204);
    expect(post(&stack, &format!("/containers/{id}/start"), &Value::Null), 204);
    wait_for("the second to answer", DEADLINE, || fetch(&mut stack, "127.0.0.1", &port) == "hello\n");
}

#[test]
fn a_running_container_joins_and_leaves() {
    let stack = networked();
    let _ = network(&stack, "front", json!({}));
    let _ = network(&stack, "back", json!({ "IPAM": { "Config": [{ "Subnet": "10.79.0.0/24" }] } }));
    let _ = start(&stack, "one", &sleeper("front"));
    let _ = start(&stack, "two", &sleeper("back"));
    let connect = json!({ "Container": "one", "EndpointConfig": { "IPAMConfig": { "IPv4Address": "10.79.0.3" }, "Aliases": ["here"] } });
    expect(post(&stack, "/networks/back/connect", &connect), 200);
    assert_eq!(
        refusal(post(&stack, "/networks/back/connect", &connect), 403),
        "endpoint with name one already exists in network back"
    );
    assert_eq!(inspect(&stack, "one")["NetworkSettings"]["Networks"]["back"]["IPAddress"], "10.79.0.3");
    for name in ["10.79.0.3", "here", "one"] {
        let (code, said) = exec(&stack, "two", &["ping", "-c", "1", "-W", "5", name]);
        assert_eq!(code, 0, "{name}: {said}");
    }
    let mut thief = sleeper("back");
    thief["NetworkingConfig"] =
        json!({ "EndpointsConfig": { "back": { "IPAMConfig": { "IPv4Address": "10.79.0.3" } } } });
    let id = create(&stack, "thief", &thief);
    let text = refusal(post(&stack, &format!("/containers/{id}/start"), &Value::Null), 403);
    assert!(text.contains("Address already in use: 10.79.0.3 belongs to container one"), "{text}");
    // Nobody gets it by chance, also while its owner does not run.
    expect(post(&stack, "/containers/one/stop?t=0", &Value::Null), 204);
    let _ = start(&stack, "next", &sleeper("back"));
    assert_eq!(inspect(&stack, "next")["NetworkSettings"]["Networks"]["back"]["IPAddress"], "10.79.0.4");
    expect(post(&stack, "/containers/one/start", &Value::Null), 204);
    expect(post(&stack, "/networks/back/disconnect", &json!({ "Container": "one" })), 200);
    let (code, said) = exec(&stack, "two", &["ping", "-c", "1", "-W", "2", "10.79.0.3"]);
    assert_ne!(code, 0, "{said}");
    assert!(inspect(&stack, "one")["NetworkSettings"]["Networks"]["back"].is_null());
    let text = refusal(post(&stack, "/networks/back/disconnect", &json!({ "Container": "one" })), 500);
    assert!(text.contains("is not connected to network back"), "{text}");
}

#[test]
fn a_container_of_the_default_bridge_finds_names_once_it_joins_a_network() {
    let stack = networked();
    let _ = network(&stack, "web", json!({}));
    let _ = start(&stack, "one", &sleeper("web"));
    let _ = start(&stack, "two", &sleeper("bridge"));
    let ping = ["ping", "-c", "1", "-W", "5", "one"];
    assert_ne!(exec(&stack, "two", &["grep", "-q", "127.0.0.11", "/etc/resolv.conf"]).0, 0);
    expect(post(&stack, "/networks/web/connect", &json!({ "Container": "two" })), 200);
    let (code, said) = exec(&stack, "two", &ping);
    assert_eq!(code, 0, "{said}");
    let address = inspect(&stack, "two")["NetworkSettings"]["Networks"]["web"]["IPAddress"].clone();
    let line = format!("^{}\\s", address.as_str().unwrap());
    assert_eq!(exec(&stack, "two", &["grep", "-q", &line, "/etc/hosts"]).0, 0, "{line}");
    expect(post(&stack, "/networks/web/disconnect", &json!({ "Container": "two" })), 200);
    assert_ne!(exec(&stack, "two", &["grep", "-q", &line, "/etc/hosts"]).0, 0, "{line}");
}

#[test]
fn what_runs_stays_connected_while_the_engine_is_dead_and_after_it_is_back() {
    let mut stack = networked();
    let _ = network(&stack, "web", json!({}));
    let one = start(&stack, "one", &sleeper("web"));
    let _ = start(&stack, "two", &sleeper("web"));
    let before = inspect(&stack, "one")["NetworkSettings"].clone();
    stack.kill_and_restart();
    wait_for("the engine to know its containers", DEADLINE, || inspect(&stack, "one")["State"]["Running"] == true);
    assert_eq!(inspect(&stack, "one")["NetworkSettings"], before);
    let (code, said) = exec(&stack, "two", &["ping", "-c", "1", "-W", "5", "one"]);
    assert_eq!(code, 0, "{said}");
    // Its address is known to be in use, and free again once it has ended.
    let third = start(&stack, "third", &sleeper("web"));
    assert_ne!(
        inspect(&stack, &third)["NetworkSettings"]["Networks"]["web"]["IPAddress"],
        before["Networks"]["web"]["IPAddress"]
    );
    stack.kill_engine();
    stack.restart_engine();
    wait_for("the engine to know its containers", DEADLINE, || inspect(&stack, &one)["State"]["Running"] == true);
    expect(delete(&stack, &format!("/containers/{one}?force=1")), 204);
    let again = start(&stack, "again", &sleeper("web"));
    assert_eq!(
        inspect(&stack, &again)["NetworkSettings"]["Networks"]["web"]["IPAddress"],
        before["Networks"]["web"]["IPAddress"]
    );
}

#[test]
fn the_files_of_a_container_say_what_its_networks_are() {
    let stack = networked();
    let _ = network(&stack, "web", json!({}));
    let mut body = json!({
        "Image": "busybox", "Hostname": "me", "Domainname": "example.org",
        "Cmd": ["sh", "-c", "cat /etc/hosts /etc/resolv.conf"],
        "HostConfig": { "NetworkMode": "web", "ExtraHosts": ["up:host-gateway"], "DnsSearch": ["s.example"],
            "DnsOptions": ["timeout:1", "attempts:3"] },
    });
    let ran = |body: &Value, name: &str| {
        let id = start(&stack, name, body);
        assert_eq!(wait_for_exit(&stack, &id), 0);
        stack.docker().run(&["logs", &id]).ok().out().to_owned()
    };
    let text = ran(&body, "named");
    assert!(text.contains("\tme.example.org me\n") && text.contains("\tup\n"), "{text}");
    assert!(text.contains("nameserver 127.0.0.11\n") && text.contains("search s.example\n"), "{text}");
    assert!(text.ends_with("\noptions timeout:1 attempts:3 ndots:0"), "{text}");
    body["HostConfig"]["NetworkMode"] = json!("bridge");
    let text = ran(&body, "plain");
    assert!(!text.contains("127.0.0.11") && text.contains("\tme.example.org me\n"), "{text}");
}
