//! What the drivers' options do to packets: gateway modes, IPv6, containers kept from each other, macvlan. A machine
//! outside, on a wire to the engine's, tries what it can reach.

use std::{
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
};

use integration_tests::{DEADLINE, Stack, in_network_of, in_own_network, sh, try_sh, wait_for};
use serde_json::{Value, json};

use crate::networks::{exec, inspect, network, networked, networked_with, sleeper};
use crate::{delete, expect, get, post, refusal, start};

/// Another machine, 192.0.2.2 and 2001:db8::2, with the engine's at .1 and ::1; it reaches containers by that one.
struct World(Child);

impl World {
    /// On a wire whose end in the engine's network is called `wan`.
    fn of(engine: u32) -> World {
        let outside = in_own_network(|| Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().unwrap());
        let pid = outside.id();
        in_network_of(engine, || {
            let _ = sh(&format!(
                "ip link add wan type veth peer name eth0 netns {pid}
                ip addr add 192.0.2.1/24 dev wan; ip addr add 2001:db8::1/64 dev wan nodad; ip link set wan up
                ip route add default via 192.0.2.2"
            ));
        });
        let world = World(outside);
        let _ = world.run(
            "ip addr add 192.0.2.2/24 dev eth0; ip addr add 2001:db8::2/64 dev eth0 nodad; ip link set eth0 up
            ip route add default via 192.0.2.1; ip -6 route add default via 2001:db8::1",
        );
        world
    }

    /// What a script prints there; empty when it fails.
    fn run(&self, script: &str) -> String {
        in_network_of(self.0.id(), || try_sh(script)).unwrap_or_default()
    }

    /// Whether `http://address/` answers, which may take a moment after the server's start.
    fn comes_to_reach(&self, address: &str) {
        wait_for(&format!("{address} to answer the world"), DEADLINE, || self.reaches(address));
    }

    /// Whether `http://address/` answers at once.
    fn reaches(&self, address: &str) -> bool {
        self.run(&format!("curl -g -s -m 2 --connect-timeout 1 http://{address}/")).contains("hello")
    }

    /// The address by which it sees a container that comes to it.
    fn sees(&self, stack: &Stack, container: &str) -> String {
        let listener = in_network_of(self.0.id(), || TcpListener::bind("192.0.2.2:0").unwrap());
        let to = listener.local_addr().unwrap();
        let stream = in_network_of(init(stack, container), || TcpStream::connect_timeout(&to, DEADLINE).unwrap());
        let seen = listener.accept().unwrap().1.ip().to_string();
        drop(stream);
        seen
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn init(stack: &Stack, container: &str) -> u32 {
    let pid = inspect(stack, container)["State"]["Pid"].as_u64().unwrap();
    u32::try_from(pid).unwrap()
}

/// What a container is told at `http://address/`; empty when nobody answers.
fn fetch(stack: &Stack, container: &str, address: &str) -> String {
    let script = format!("curl -g -s -m 5 --connect-timeout 1 http://{address}/");
    in_network_of(init(stack, container), || try_sh(&script)).unwrap_or_default()
}

/// A container that says hello at 80 and 81, and publishes 80.
fn server(mode: &str) -> Value {
    let mut body = sleeper(mode);
    body["Cmd"] = json!(["sh", "-c", "echo hello > /tmp/index.html; httpd -p 81 -h /tmp; exec httpd -f -p 80 -h /tmp"]);
    body["ExposedPorts"] = json!({ "80/tcp": {}, "81/tcp": {} });
    body["HostConfig"]["PortBindings"] = json!({ "80/tcp": [{ "HostPort": "" }] });
    body
}

fn address(stack: &Stack, container: &str, network: &str) -> String {
    inspect(stack, container)["NetworkSettings"]["Networks"][network]["IPAddress"].as_str().unwrap().to_owned()
}

fn port(stack: &Stack, container: &str) -> String {
    let ports = inspect(stack, container)["NetworkSettings"]["Ports"]["80/tcp"].clone();
    ports[0]["HostPort"].as_str().unwrap_or_default().to_owned()
}

fn mode(value: &str) -> Value {
    json!({ "Options": { "com.docker.network.bridge.gateway_mode_ipv4": value } })
}

#[test]
fn the_gateway_mode_says_who_reaches_a_container() {
    let mut stack = networked();
    let engine = stack.engine_pid();
    let world = World::of(engine);
    for name in ["nat", "nat-unprotected", "routed"] {
        let _ = network(&stack, name, mode(name));
        let _ = start(&stack, name, &server(name));
    }
    let host = |name: &str| format!("192.0.2.1:{}", port(&stack, name));
    let own = |name: &str, port: u16| format!("{}:{port}", address(&stack, name, name));

    world.comes_to_reach(&host("nat"));
    assert!(!world.reaches(&own("nat", 80)) && !world.reaches(&own("nat", 81)));
    world.comes_to_reach(&host("nat-unprotected"));
    world.comes_to_reach(&own("nat-unprotected", 80));
    world.comes_to_reach(&own("nat-unprotected", 81));
    world.comes_to_reach(&own("routed", 80));
    assert!(!world.reaches(&own("routed", 81)));
    assert_eq!(
        inspect(&stack, "routed")["NetworkSettings"]["Ports"]["80/tcp"],
        json!([{ "HostIp": "0.0.0.0", "HostPort": "" }])
    );

    // Whoever is routed keeps its own address on its way out, whoever is not gets the host's.
    assert_eq!(world.sees(&stack, "routed"), address(&stack, "routed", "routed"));
    assert_eq!(world.sees(&stack, "nat-unprotected"), "192.0.2.1");
}

#[test]
fn an_isolated_network_reaches_its_own_containers_alone() {
    let mut stack = networked();
    let engine = stack.engine_pid();
    let text =
        refusal(post(&stack, "/networks/create", &json!({ "Name": "x", "Options": mode("isolated")["Options"] })), 400);
    assert_eq!(text, "gateway mode 'isolated' can only be used for an internal network");
    let mut body = mode("isolated");
    body["Internal"] = json!(true);
    let id = network(&stack, "alone", body);
    let _ = start(&stack, "one", &server("alone"));
    let _ = start(&stack, "two", &sleeper("alone"));
    let one = address(&stack, "one", "alone");
    assert!(one.ends_with(".0.1"), "nothing else has the first address: {one}");
    let place = inspect(&stack, "one")["NetworkSettings"].clone();
    assert_eq!((&place["Networks"]["alone"]["Gateway"], &place["Ports"]["80/tcp"]), (&json!(""), &Value::Null));
    wait_for("a neighbour to answer", DEADLINE, || fetch(&stack, "two", &one) == "hello\n");
    assert_eq!(exec(&stack, "two", &["ping", "-c", "1", "-W", "10", "one"]).0, 0);
    let (_, routes) = exec(&stack, "two", &["ip", "route"]);
    assert!(!routes.contains("default"), "{routes}");
    in_network_of(engine, || {
        let addresses = sh(&format!("ip addr show br-{}", &id[..12]));
        assert!(!addresses.contains("inet "), "{addresses}");
    });
}

#[test]
fn containers_kept_from_each_other_are_reached_by_their_ports() {
    let mut stack = networked();
    let engine = stack.engine_pid();
    let world = World::of(engine);
    let options = json!({ "Options": { "com.docker.network.bridge.enable_icc": "false" } });
    let _ = network(&stack, "apart", options);
    let _ = start(&stack, "one", &server("apart"));
    let _ = start(&stack, "two", &sleeper("apart"));
    let (host, one) = (format!("192.0.2.1:{}", port(&stack, "one")), address(&stack, "one", "apart"));
    world.comes_to_reach(&host);
    assert_eq!(fetch(&stack, "two", &host), "hello\n", "by the host, as anybody");
    for address in [one.clone(), format!("{one}:81")] {
        assert_eq!(fetch(&stack, "two", &address), "", "{address}");
    }
}

#[test]
fn ipv6_comes_with_the_network_and_goes_out_with_a_port() {
    let mut stack = networked_with(&["--default-network-opt", "bridge=com.docker.network.enable_ipv6=true"]);
    let engine = stack.engine_pid();
    let world = World::of(engine);
    let pool = json!({ "Config": [{ "Subnet": "fd00:88::/64" }, { "Subnet": "10.88.0.0/24" }] });
    let _ = network(&stack, "both", json!({ "IPAM": pool }));
    let _ = network(&stack, "four", json!({ "EnableIPv6": false }));
    let _ = network(&stack, "six", json!({ "EnableIPv4": false }));
    let shown = get(&stack, "/networks/both").json();
    assert_eq!((&shown["EnableIPv4"], &shown["EnableIPv6"]), (&json!(true), &json!(true)));
    let _ = start(&stack, "both", &server("both"));
    let _ = start(&stack, "four", &sleeper("four"));
    let _ = start(&stack, "six", &server("six"));

    let place = inspect(&stack, "both")["NetworkSettings"]["Networks"]["both"].clone();
    for (key, value) in [
        ("IPAddress", json!("10.88.0.2")),
        ("Gateway", json!("10.88.0.1")),
        ("GlobalIPv6Address", json!("fd00:88::2")),
        ("GlobalIPv6PrefixLen", json!(64)),
        ("IPv6Gateway", json!("fd00:88::1")),
    ] {
        assert_eq!(place[key], value, "{key}");
    }
    let id = inspect(&stack, "both")["Id"].as_str().unwrap().to_owned();
    assert_eq!(get(&stack, "/networks/both").json()["Containers"][&id]["IPv6Address"], "fd00:88::2/64");
    let bindings = inspect(&stack, "both")["NetworkSettings"]["Ports"]["80/tcp"].clone();
    let number = port(&stack, "both");
    assert_eq!(bindings, json!([{ "HostIp": "0.0.0.0", "HostPort": number }, { "HostIp": "::", "HostPort": number }]));
    world.comes_to_reach(&format!("[2001:db8::1]:{number}"));
    world.comes_to_reach(&format!("192.0.2.1:{number}"));
    assert!(!world.reaches("[fd00:88::2]"), "nobody is let in but by a port");
    world.comes_to_reach(&format!("[2001:db8::1]:{}", port(&stack, "six")));
    assert!(!world.reaches(&format!("192.0.2.1:{}", port(&stack, "six"))), "there is no way from IPv4 to IPv6");

    let own = |name: &str, path: &str| exec(&stack, name, &["cat", path]).1;
    assert_eq!(own("four", "/proc/sys/net/ipv6/conf/eth0/disable_ipv6"), "1");
    assert_eq!(own("both", "/proc/sys/net/ipv6/conf/eth0/disable_ipv6"), "0");
    assert_eq!(own("both", "/proc/sys/net/ipv6/conf/eth0/accept_ra"), "0");
    assert!(!exec(&stack, "six", &["ip", "-4", "addr", "show", "eth0"]).1.contains("inet "));
    let (code, said) = exec(&stack, "both", &["ping", "-6", "-c", "1", "-W", "10", "2001:db8::2"]);
    assert_eq!(code, 0, "out by the host's address: {said}");
    let (code, said) = exec(&stack, "both", &["nslookup", "-type=aaaa", "both", "127.0.0.11"]);
    assert!(code == 0 && said.contains("fd00:88::2"), "{said}");
}

fn macvlan(stack: &Stack, name: &str, mode: &str, rest: Value) {
    let mut body = json!({ "Driver": "macvlan", "Options": { "parent": "wan", "macvlan_mode": mode } });
    for (key, value) in rest.as_object().unwrap() {
        body[key] = value.clone();
    }
    let _ = network(stack, name, body);
}

#[test]
fn macvlan_puts_containers_on_the_host_s_wire() {
    let mut stack = networked();
    let engine = stack.engine_pid();
    let world = World::of(engine);
    let _ = world.run("ip addr add 10.90.0.254/16 dev eth0");
    let pool = |third: u8| json!({ "IPAM": { "Config": [{ "Subnet": format!("10.90.{third}.0/24"), "Gateway": format!("10.90.{third}.254") }] } });
    let _ = world.run("for third in 1 2; do ip addr add 10.90.$third.254/24 dev eth0; done");
    macvlan(&stack, "wire", "bridge", pool(1));
    macvlan(&stack, "apart", "private", pool(2));
    macvlan(&stack, "no-way-out", "vepa", json!({}));
    for (name, at) in [("one", "wire"), ("two", "wire"), ("three", "apart"), ("four", "apart"), ("five", "no-way-out")]
    {
        let _ = start(&stack, name, &server(at));
    }
    let pings = |from: &str, to: &str| exec(&stack, from, &["ping", "-c", "1", "-W", "2", to]).0 == 0;
    let (one, three) = (address(&stack, "one", "wire"), address(&stack, "three", "apart"));
    assert!(pings("two", "one"), "names are answered, and neighbours reached");
    assert!(!pings("four", &three), "private: nobody reaches a neighbour");
    for address in [&one, &three] {
        world.comes_to_reach(address);
        world.comes_to_reach(&format!("{address}:81"));
    }
    assert!(pings("one", "192.0.2.2"), "out by the gateway on the wire");
    let place = inspect(&stack, "one")["NetworkSettings"].clone();
    assert_eq!(place["Networks"]["wire"]["Gateway"], "10.90.1.254");
    assert_eq!(place["Ports"]["80/tcp"], Value::Null, "nothing is published on a wire");
    let mac = place["Networks"]["wire"]["MacAddress"].as_str().unwrap().to_owned();
    assert!(world.run(&format!("ip neigh show {one}")).contains(&mac), "its own hardware address is on the wire");

    // Of several subnets the first that has an address gives it, and its gateway; a container may name one of another.
    macvlan(
        &stack,
        "wide",
        "bridge",
        json!({ "IPAM": { "Config": [
            { "Subnet": "10.91.4.0/30", "Gateway": "10.91.4.1" }, { "Subnet": "10.91.5.0/24", "Gateway": "10.91.5.254" },
        ] } }),
    );
    let place = |name: &str| {
        let place = inspect(&stack, name)["NetworkSettings"]["Networks"]["wide"].clone();
        let text = |key: &str| place[key].as_str().unwrap().to_owned();
        (text("IPAddress"), place["IPPrefixLen"].clone(), text("Gateway"))
    };
    let mut named = sleeper("wide");
    named["NetworkingConfig"] =
        json!({ "EndpointsConfig": { "wide": { "IPAMConfig": { "IPv4Address": "10.91.5.77" } } } });
    for (name, body, address, length, gateway) in [
        ("six", sleeper("wide"), "10.91.4.2", 30, "10.91.4.1"),
        ("seven", sleeper("wide"), "10.91.5.1", 24, "10.91.5.254"),
        ("eight", named, "10.91.5.77", 24, "10.91.5.254"),
    ] {
        let _ = start(&stack, name, &body);
        assert_eq!(place(name), (address.to_owned(), json!(length), gateway.to_owned()), "{name}");
        assert!(exec(&stack, name, &["ip", "route"]).1.contains(&format!("default via {gateway}")), "{name}");
    }
    assert!(pings("seven", "eight"), "by name");
    let two =
        json!({ "Name": "two", "IPAM": { "Config": [{ "Subnet": "10.92.1.0/24" }, { "Subnet": "10.92.2.0/24" }] } });
    assert_eq!(refusal(post(&stack, "/networks/create", &two), 403), "bridge driver doesn't support multiple subnets");

    // Nobody has named a gateway: none is made up.
    let shown = get(&stack, "/networks/no-way-out").json();
    assert_eq!(shown["IPAM"]["Config"][0]["Gateway"], Value::Null);
    assert!(address(&stack, "five", "no-way-out").ends_with(".0.1"));
    assert!(!exec(&stack, "five", &["ip", "route"]).1.contains("default"));

    let alone =
        json!({ "Name": "alone", "Driver": "macvlan", "Options": { "parent": "wan", "macvlan_mode": "passthru" } });
    let text = refusal(post(&stack, "/networks/create", &alone), 500);
    assert!(
        text.starts_with("cannot use mode passthru, macvlan network ")
            && text.ends_with(" is already using parent interface wan"),
        "{text}"
    );
    for name in ["one", "two", "three", "four", "five", "six", "seven", "eight"] {
        expect(delete(&stack, &format!("/containers/{name}?force=1")), 204);
    }
    for name in ["wire", "apart", "no-way-out", "wide"] {
        expect(delete(&stack, &format!("/networks/{name}")), 204);
    }
    macvlan(&stack, "alone", "passthru", json!({ "Internal": true, "IPAM": pool(3)["IPAM"] }));
    let again = json!({ "Name": "again", "Driver": "macvlan", "Options": { "parent": "wan" } });
    let text = refusal(post(&stack, "/networks/create", &again), 500);
    assert!(text.ends_with(" is already using parent interface wan in mode passthru"), "{text}");
    let _ = start(&stack, "one", &sleeper("alone"));
    assert!(!exec(&stack, "one", &["ip", "route"]).1.contains("default"), "an internal one leads nowhere");
    expect(delete(&stack, "/containers/one?force=1"), 204);
    expect(delete(&stack, "/networks/alone"), 204);
}

#[test]
fn macvlan_without_a_parent_has_one_of_its_own() {
    let mut stack = networked();
    let engine = stack.engine_pid();
    let has_dummy = in_own_network(|| try_sh("ip link add probe type dummy").is_ok());
    let body = json!({ "Name": "own", "Driver": "macvlan" });
    if !has_dummy {
        let text = refusal(post(&stack, "/networks/create", &body), 501);
        assert!(text.contains("CONFIG_DUMMY"), "{text}");
        assert_eq!(get(&stack, "/networks/own").status, 404);
        return;
    }
    let id = network(&stack, "own", body);
    let parent = format!("dm-{}", &id[..12]);
    let is_there = || in_network_of(engine, || try_sh(&format!("ip link show {parent}")).is_ok());
    assert!(is_there());
    let _ = start(&stack, "one", &server("own"));
    let _ = start(&stack, "two", &sleeper("own"));
    assert_eq!(exec(&stack, "two", &["ping", "-c", "1", "-W", "10", "one"]).0, 0);
    for name in ["one", "two"] {
        expect(delete(&stack, &format!("/containers/{name}?force=1")), 204);
    }
    expect(delete(&stack, "/networks/own"), 204);
    assert!(!is_there());
}
