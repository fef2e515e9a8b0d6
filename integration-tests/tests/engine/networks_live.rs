//! What moves while containers run: published ports with their way out, links, announcements of addresses.

use integration_tests::{DEADLINE, Stack, in_network_of, sh, try_sh, wait_for};
use serde_json::{Value, json};

use crate::networks::{exec, inspect, network, networked, networked_with, sleeper};
use crate::{delete, expect, get, post, start};

/// A container that says hello at 80 and 82.
fn server(mode: &str) -> Value {
    let mut body = sleeper(mode);
    body["Cmd"] = json!(["sh", "-c", "echo hello > /tmp/index.html; httpd -p 82 -h /tmp; exec httpd -f -p 80 -h /tmp"]);
    body["ExposedPorts"] = json!({ "80/tcp": {} });
    body
}

/// What `http://address/` answers in the network of a process; empty when nobody does.
fn fetch(pid: u32, address: &str) -> String {
    let script = format!("curl -g -s -m 5 --connect-timeout 1 http://{address}/");
    in_network_of(pid, || try_sh(&script)).unwrap_or_default()
}

fn init(stack: &Stack, container: &str) -> u32 {
    u32::try_from(inspect(stack, container)["State"]["Pid"].as_u64().unwrap()).unwrap()
}

fn connect(stack: &Stack, to: &str, body: &Value) {
    expect(post(stack, &format!("/networks/{to}/connect"), body), 200);
}

fn disconnect(stack: &Stack, from: &str, container: &str) {
    expect(post(stack, &format!("/networks/{from}/disconnect"), &json!({ "Container": container })), 200);
}

#[test]
fn published_ports_follow_the_way_out() {
    let mut stack = networked();
    let engine = stack.engine_pid();
    for (name, number) in [("a", 1), ("b", 2), ("c", 3)] {
        let config = json!({ "Config": [{ "Subnet": format!("10.9{number}.0.0/24") }] });
        let _ = network(&stack, name, json!({ "IPAM": config, "Internal": name == "c" }));
    }
    let mut body = server("b");
    body["HostConfig"]["PortBindings"] = json!({ "80/tcp": [{ "HostPort": "" }] });
    let _ = start(&stack, "web", &body);
    let ports = || inspect(&stack, "web")["NetworkSettings"]["Ports"]["80/tcp"].clone();
    let (shown, number) = (ports(), ports()[0]["HostPort"].as_str().unwrap().to_owned());
    let leads_to = |address: &str| {
        let map = in_network_of(engine, || sh("nft list ruleset"));
        assert!(map.contains(&format!("tcp . {number} : {address} . 80")), "{map}");
        assert!(exec(&stack, "web", &["ip", "route"]).1.contains(&format!("default via {}", gateway(address))));
        for host in ["127.0.0.1", "[::1]", &gateway(address)] {
            let host = format!("{host}:{number}");
            wait_for(&format!("{host} to answer"), DEADLINE, || fetch(engine, &host) == "hello\n");
        }
    };
    leads_to("10.92.0.2");
    // The name says who is the way out, where no priority does.
    connect(&stack, "a", &json!({ "Container": "web" }));
    assert_eq!(ports(), shown, "the same numbers of the host");
    leads_to("10.91.0.2");
    disconnect(&stack, "b", "web");
    leads_to("10.91.0.2");
    connect(&stack, "b", &json!({ "Container": "web", "EndpointConfig": { "GwPriority": 7 } }));
    leads_to("10.92.0.2");
    connect(&stack, "c", &json!({ "Container": "web" }));
    disconnect(&stack, "b", "web");
    leads_to("10.91.0.2");
    disconnect(&stack, "a", "web");
    assert_eq!(ports(), Value::Null, "an internal network publishes nothing");
    assert_eq!(fetch(engine, &format!("127.0.0.1:{number}")), "");
    in_network_of(engine, || std::net::TcpListener::bind(format!("0.0.0.0:{number}")).map(drop)).unwrap();
    connect(&stack, "a", &json!({ "Container": "web" }));
    assert_eq!(ports().as_array().unwrap().len(), 2);
    let again = format!("127.0.0.1:{}", ports()[0]["HostPort"].as_str().unwrap());
    wait_for("the port to answer again", DEADLINE, || fetch(engine, &again) == "hello\n");
    expect(delete(&stack, "/containers/web?force=1"), 204);
    let left = in_network_of(engine, || sh("nft list ruleset"));
    assert!(!left.contains(". 80"), "{left}");
}

#[test]
fn ports_that_a_kill_left_behind_follow_the_way_out() {
    let mut stack = networked();
    let mut ids = Vec::new();
    for (name, number) in [("a", 1), ("b", 2)] {
        let config = json!({ "Config": [{ "Subnet": format!("10.9{number}.0.0/24") }] });
        ids.push(network(&stack, name, json!({ "IPAM": config })));
    }
    let mut body = server("b");
    body["HostConfig"]["PortBindings"] = json!({ "80/tcp": [{ "HostPort": "" }] });
    let containers = ["web", "two", "three"].map(|name| (name, start(&stack, name, &body)));
    for (name, _) in &containers {
        connect(&stack, "a", &json!({ "Container": name }));
    }
    let address = |stack: &Stack, name: &str, network: &str| {
        let place = inspect(stack, name)["NetworkSettings"]["Networks"][network].clone();
        place["IPAddress"].as_str().unwrap().to_owned()
    };
    let shown = |stack: &Stack, name: &str| inspect(stack, name)["NetworkSettings"]["Ports"]["80/tcp"].clone();
    let before: Vec<_> = containers.iter().map(|(name, _)| (shown(&stack, name), address(&stack, name, "a"))).collect();
    let behind: Vec<_> = containers.iter().map(|(name, _)| address(&stack, name, "b")).collect();

    // As a kill leaves them between the connect and the move: the state says they lead to `b` yet.
    stack.kill();
    for ((_, id), address) in containers.iter().zip(&behind) {
        let file = stack.cortend().data_root().join("containers").join(id).join("state.json");
        let mut state: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        for port in state["networking"]["ports"].as_array_mut().unwrap() {
            assert_eq!(port["network"], json!(ids[0]));
            port["network"] = json!(ids[1]);
            port["container"] = json!(format!("{address}:80"));
        }
        std::fs::write(&file, state.to_string()).unwrap();
    }
    stack.restart();
    for ((name, _), (ports, address)) in containers.iter().zip(&before) {
        let number = ports[0]["HostPort"].as_str().unwrap();
        let leads = format!("tcp . {number} : {address} . 80");
        wait_for(&format!("the port of {name} to lead to {address}"), DEADLINE, || {
            in_network_of(stack.engine_pid(), || sh("nft list ruleset")).contains(&leads)
        });
        assert_eq!(shown(&stack, name), *ports, "the same numbers of the host");
        for host in ["127.0.0.1", "[::1]"] {
            let host = format!("{host}:{number}");
            wait_for(&format!("{host} to answer"), DEADLINE, || fetch(stack.engine_pid(), &host) == "hello\n");
        }
    }
    for (name, _) in &containers {
        expect(delete(&stack, &format!("/containers/{name}?force=1")), 204);
    }
    let left = in_network_of(stack.engine_pid(), || sh("nft list ruleset"));
    assert!(!left.contains(". 80"), "{left}");
}

fn gateway(address: &str) -> String {
    address.replace(".0.2", ".0.1")
}

#[test]
fn options_of_a_place_say_its_interface_and_the_way_out() {
    let stack = networked();
    let _ = network(&stack, "a", json!({}));
    let _ = network(&stack, "b", json!({ "Options": { "com.docker.network.container_iface_prefix": "net" } }));
    let mut body = sleeper("a");
    let sysctls = "net.ipv4.conf.IFNAME.log_martians=1,net.ipv4.conf.IFNAME.forwarding=0";
    body["NetworkingConfig"] = json!({ "EndpointsConfig": {
        "a": { "DriverOpts": {
            "com.docker.network.endpoint.ifname": "wan0", "com.docker.network.endpoint.sysctls": sysctls,
        } },
        "b": { "GwPriority": 1 },
    } });
    let _ = start(&stack, "web", &body);
    let said = |command: &[&str]| exec(&stack, "web", command).1;
    let routes = said(&["ip", "route"]);
    assert!(routes.lines().any(|line| line.starts_with("default via") && line.contains("dev net0")), "{routes}");
    assert!(routes.contains("dev wan0"), "{routes}");
    assert_eq!(said(&["cat", "/proc/sys/net/ipv4/conf/wan0/log_martians"]), "1");
    assert_eq!(said(&["cat", "/proc/sys/net/ipv4/conf/wan0/forwarding"]), "0");
    let shown = inspect(&stack, "web")["NetworkSettings"]["Networks"].clone();
    assert_eq!(shown["a"]["DriverOpts"]["com.docker.network.endpoint.ifname"], "wan0");
    assert_eq!(shown["b"]["GwPriority"], 1);
    // Before 1.48 nobody could say so, and before 1.44 nobody could say several networks.
    let create = |version: &str| {
        let path = format!("/v{version}/containers/create");
        stack.api().post(&path, &body).unwrap()
    };
    let answer = create("1.43");
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert_eq!(answer.json()["message"], "Container cannot be created with multiple network endpoints: a, b");
    let id = create("1.47").json()["Id"].as_str().unwrap().to_owned();
    assert_eq!(inspect(&stack, &id)["NetworkSettings"]["Networks"]["b"]["GwPriority"], 0);
    let listed = get(&stack, "/v1.27/networks").json();
    let of =
        |list: &Value| list.as_array().unwrap().iter().find(|one| one["Name"] == "a").unwrap()["Containers"].clone();
    assert_eq!(of(&listed).as_object().unwrap().len(), 1, "old clients' lists tell containers");
    assert_eq!(of(&get(&stack, "/v1.28/networks").json()), json!({}));
    assert_eq!(get(&stack, "/networks/a?verbose=true").status, 200);
    assert_eq!(get(&stack, "/networks/a?verbose=x").status, 400);
}

#[test]
fn links_open_what_is_exposed_where_containers_are_kept_apart() {
    let mut stack = networked_with(&["--icc=false"]);
    let engine = stack.engine_pid();
    let _ = start(&stack, "db", &server("bridge"));
    let mut linked = sleeper("bridge");
    linked["HostConfig"]["Links"] = json!(["db:store"]);
    let _ = start(&stack, "web", &linked);
    let _ = start(&stack, "other", &sleeper("bridge"));
    let address = || inspect(&stack, "db")["NetworkSettings"]["IPAddress"].as_str().unwrap().to_owned();
    let reaches = |from: &str, port: u16| fetch(init(&stack, from), &format!("{}:{port}", address())) == "hello\n";
    wait_for("the linked container to answer", DEADLINE, || reaches("web", 80));
    assert!(!reaches("web", 82), "it is not exposed");
    assert!(!reaches("other", 80), "it is not linked");
    assert!(exec(&stack, "web", &["cat", "/etc/hosts"]).1.contains("\tstore "));
    // Whoever is linked to may come again, and is reached where it is then.
    expect(post(&stack, "/containers/db/restart?t=0", &Value::Null), 204);
    wait_for("the linked container to answer again", DEADLINE, || reaches("web", 80));
    expect(post(&stack, "/containers/web/restart?t=0", &Value::Null), 204);
    wait_for("the linked container to answer after a restart", DEADLINE, || reaches("web", 80));
    let links = || in_network_of(engine, || sh("nft list ruleset")).matches(" . tcp . 80").count();
    assert_eq!(links(), 1);
    expect(delete(&stack, "/containers/web?force=1"), 204);
    assert_eq!(links(), 0);
}

#[test]
fn addresses_are_announced_as_often_as_the_network_says() {
    let mut stack = networked();
    let engine = stack.engine_pid();
    for (name, number, count) in [("often", 1, "3"), ("once", 2, "1"), ("never", 3, "0")] {
        let _ = network(
            &stack,
            name,
            json!({
                "EnableIPv6": true,
                "IPAM": { "Config": [
                    { "Subnet": format!("10.9{number}.0.0/24") }, { "Subnet": format!("fd00:9{number}::/64") }
                ] },
                "Options": {
                    "com.docker.network.advertise_addr_nmsgs": count, "com.docker.network.advertise_addr_ms": "100",
                },
            }),
        );
    }
    in_network_of(engine, || {
        sh("nft -f - <<'END'
table bridge probe {
  chain heard {
    type filter hook prerouting priority -300;
    ether type arp arp saddr ip 10.91.0.2 arp daddr ip 10.91.0.2 counter comment \"v4-often\"
    ether type arp arp saddr ip 10.92.0.2 arp daddr ip 10.92.0.2 counter comment \"v4-once\"
    ether type arp arp saddr ip 10.93.0.2 arp daddr ip 10.93.0.2 counter comment \"v4-never\"
    icmpv6 type nd-neighbor-advert ip6 saddr fd00:91::2 ip6 daddr ff02::1 counter comment \"v6-often\"
    icmpv6 type nd-neighbor-advert ip6 saddr fd00:92::2 ip6 daddr ff02::1 counter comment \"v6-once\"
    icmpv6 type nd-neighbor-advert ip6 saddr fd00:93::2 ip6 daddr ff02::1 counter comment \"v6-never\"
  }
}
END")
    });
    let heard = |what: &str| -> u32 {
        let rules = in_network_of(engine, || sh("nft list table bridge probe"));
        let line = rules.lines().find(|line| line.contains(&format!("\"{what}\""))).unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        let at = words.iter().position(|word| *word == "packets").unwrap();
        words[at + 1].parse().unwrap()
    };
    for name in ["never", "once", "often"] {
        let _ = start(&stack, name, &sleeper(name));
    }
    for family in ["v4", "v6"] {
        let often = format!("{family}-often");
        wait_for(&format!("three announcements of {family}"), DEADLINE, || heard(&often) == 3);
        assert_eq!(heard(&format!("{family}-once")), 1, "{family}");
        assert_eq!(heard(&format!("{family}-never")), 0, "{family}");
    }
}

#[test]
fn an_adopted_bridge_keeps_its_addresses_and_one_of_them_is_the_gateway() {
    let flags = ["--bridge=br9", "--fixed-cidr=10.71.0.128/25", "--default-gateway=10.71.0.77", "--icc=false"];
    let mut stack = networked_with(&flags);
    let engine = stack.engine_pid();
    let text = get(&stack, "/networks/bridge").json()["IPAM"]["Config"].clone();
    assert_eq!(text, Value::Null, "there is no br9 yet");
    in_network_of(engine, || {
        sh("ip link add br9 type bridge; ip addr add 10.70.0.9/24 dev br9; ip addr add 10.71.0.9/24 dev br9
            ip link set br9 up")
    });
    stack.kill_and_restart();
    let engine = stack.engine_pid();
    let shown = get(&stack, "/networks/bridge").json();
    let pool = json!([{
        "Subnet": "10.71.0.0/24", "IPRange": "10.71.0.128/25", "Gateway": "10.71.0.9",
        "AuxiliaryAddresses": { "DefaultGatewayIPv4": "10.71.0.77" },
    }]);
    assert_eq!(shown["IPAM"]["Config"], pool);
    assert_eq!(shown["Options"]["com.docker.network.bridge.name"], "br9");
    let mut body = server("bridge");
    body["HostConfig"]["PortBindings"] = json!({ "80/tcp": [{ "HostPort": "" }] });
    let _ = start(&stack, "one", &body);
    let _ = start(&stack, "two", &sleeper("bridge"));
    let place = inspect(&stack, "one")["NetworkSettings"].clone();
    let address = place["IPAddress"].as_str().unwrap().to_owned();
    assert!(address.starts_with("10.71.0.1"), "{address}");
    assert!(exec(&stack, "one", &["ip", "route"]).1.contains("default via 10.71.0.77"));
    let host = format!("10.71.0.9:{}", place["Ports"]["80/tcp"][0]["HostPort"].as_str().unwrap());
    wait_for("the host to reach a container by its port", DEADLINE, || fetch(engine, &host) == "hello\n");
    assert_eq!(fetch(init(&stack, "two"), &format!("{address}:80")), "", "they are kept apart there too");
    assert_eq!(fetch(init(&stack, "two"), &host), "hello\n");
    for name in ["one", "two"] {
        expect(delete(&stack, &format!("/containers/{name}?force=1")), 204);
    }
    let rules = in_network_of(engine, || sh("nft list ruleset"));
    let masquerade = rules.split("set masquerade4 {").nth(1).unwrap().split('}').next().unwrap().to_owned();
    assert!(masquerade.contains("\"br9\""), "{masquerade}");
    let left = in_network_of(engine, || sh("ip -o -4 addr show dev br9"));
    assert!(left.contains("10.70.0.9/24") && left.contains("10.71.0.9/24") && left.lines().count() == 2, "{left}");
}
