//! Networks of every kind with two containers each, and a world outside.

use std::{
    fs::File,
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    os::fd::AsFd,
    thread,
    time::Duration,
};

use corten_sys::clone::{self, Namespaces};
use integration_tests::{Answer, EngineApi, NetContainer, sh};
use serde_json::{Value, json};

use super::Subject;

/// The published port of a container, one that is not, and one of the host and the world.
pub const PUBLISHED: u16 = 80;
pub const UNPUBLISHED: u16 = 81;
pub const SERVED: u16 = 9000;

/// A network: its name, its number in addresses, whether it has IPv6, and what it is made with.
pub struct Net {
    pub name: &'static str,
    pub number: u8,
    pub six: bool,
    rest: fn() -> Value,
}

/// All of them. The default bridge is made by the daemon.
pub const NETS: [Net; 9] = [
    Net { name: "bridge", number: 10, six: false, rest: || Value::Null },
    Net { name: "open-1", number: 1, six: true, rest: || json!({}) },
    Net { name: "open-2", number: 2, six: true, rest: || json!({}) },
    Net {
        name: "closed",
        number: 3,
        six: true,
        rest: || json!({ "Options": { "com.docker.network.bridge.enable_icc": "false" } }),
    },
    Net { name: "internal", number: 4, six: true, rest: || json!({ "Internal": true }) },
    Net {
        name: "internal-closed",
        number: 5,
        six: false,
        rest: || json!({ "Internal": true, "Options": { "com.docker.network.bridge.enable_icc": "false" } }),
    },
    Net {
        name: "routed",
        number: 6,
        six: false,
        rest: || json!({ "Options": { "com.docker.network.bridge.gateway_mode_ipv4": "routed" } }),
    },
    Net {
        name: "unprotected",
        number: 7,
        six: false,
        rest: || json!({ "Options": { "com.docker.network.bridge.gateway_mode_ipv4": "nat-unprotected" } }),
    },
    Net {
        name: "isolated",
        number: 8,
        six: false,
        rest: || json!({ "Internal": true, "Options": { "com.docker.network.bridge.gateway_mode_ipv4": "isolated" } }),
    },
];

/// The daemon's argument for the default bridge.
pub const BRIDGE: &str = "--bip=10.71.10.1/24";

/// Where somebody asks from.
pub struct Place {
    namespace: File,
    /// Its own addresses.
    pub v4: IpAddr,
    pub v6: Option<IpAddr>,
}

/// Everything.
pub struct Lab {
    pub host: Place,
    pub world: Place,
    /// The two containers of each network, the first of which is published at `8000 + number`.
    pub containers: Vec<[Place; 2]>,
    _world: NetContainer,
}

impl Lab {
    /// Makes it.
    pub fn new(subject: &mut Subject) -> Lab {
        let api = subject.api();
        let outside = NetContainer::new("world");
        let pid = outside.pid();
        let namespace = subject.network().enter(|| {
            sh(&format!(
                "ip link add wan type veth peer name eth0 netns {pid}; ip addr add 203.0.113.1/24 dev wan; \
                 ip addr add 2001:db8::1/64 dev wan nodad; ip link set wan up"
            ));
            listen(SERVED);
            File::open("/proc/thread-self/ns/net").unwrap()
        });
        let host = Place { namespace, v4: address("203.0.113.1"), v6: address_of("2001:db8::1") };
        outside.inside(|| {
            sh("ip addr add 203.0.113.2/24 dev eth0; ip addr add 2001:db8::2/64 dev eth0 nodad; ip link set eth0 up; \
                ip route add 10.71.0.0/16 via 203.0.113.1; ip route add fd71::/16 via 2001:db8::1");
            listen(SERVED);
        });
        let world = place(pid, address("203.0.113.2"), address_of("2001:db8::2"));
        let containers = NETS.iter().map(|net| ["a", "b"].map(|name| container(&api, net, name))).collect();
        Lab { host, world, containers, _world: outside }
    }
}

fn ok(answer: std::io::Result<Answer>) -> Value {
    match answer {
        Ok(answer) if answer.is_ok() => answer.json(),
        other => panic!("{other:?}"),
    }
}

fn container(api: &EngineApi, net: &Net, which: &str) -> Place {
    let mut body = (net.rest)();
    if !body.is_null() && which == "a" {
        let mut pools = vec![json!({ "Subnet": format!("10.71.{}.0/24", net.number) })];
        if net.six {
            pools.push(json!({ "Subnet": format!("fd71:{}::/64", net.number) }));
        }
        body["Name"] = json!(net.name);
        body["EnableIPv6"] = json!(net.six);
        body["IPAM"] = json!({ "Config": pools });
        let _ = ok(api.post("/networks/create", &body));
    }
    let ports =
        if which == "a" { json!({ "80/tcp": [{ "HostPort": published(net).to_string() }] }) } else { json!({}) };
    let name = format!("{}-{which}", net.name);
    let body = json!({
        "Image": "busybox", "Cmd": ["sleep", "1000"], "ExposedPorts": { "80/tcp": {} },
        "HostConfig": { "NetworkMode": net.name, "PortBindings": ports },
    });
    let _ = ok(api.post(&format!("/containers/create?name={name}"), &body));
    let _ = ok(api.post(&format!("/containers/{name}/start"), &Value::Null));
    let shown = ok(api.get(&format!("/containers/{name}/json")));
    let pid = u32::try_from(shown["State"]["Pid"].as_u64().unwrap()).unwrap();
    let endpoint = &shown["NetworkSettings"]["Networks"][net.name];
    let own = |key: &str| endpoint[key].as_str().filter(|text| !text.is_empty()).map(address);
    let place = place(pid, own("IPAddress").unwrap(), own("GlobalIPv6Address"));
    inside(&place, || [PUBLISHED, UNPUBLISHED].map(listen));
    place
}

/// The host's port that leads to the first container of a network.
pub fn published(net: &Net) -> u16 {
    8000 + u16::from(net.number)
}

/// The address of the network's bridge.
pub fn gateway_v4(net: &Net) -> Option<IpAddr> {
    Some(address(&format!("10.71.{}.1", net.number)))
}

/// The same of the other family.
pub fn gateway_v6(net: &Net) -> Option<IpAddr> {
    net.six.then(|| address(&format!("fd71:{}::1", net.number)))
}

fn place(pid: u32, v4: IpAddr, v6: Option<IpAddr>) -> Place {
    let namespace = File::open(format!("/proc/{pid}/ns/net")).unwrap();
    Place { namespace, v4, v6 }
}

/// The address that is written so.
pub fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn address_of(text: &str) -> Option<IpAddr> {
    text.parse().ok()
}

/// Answers at `port` of this thread's network namespace, with the address of whoever asks, for as long as the test runs.
fn listen(port: u16) {
    let any = TcpListener::bind(("::", port)).or_else(|_| TcpListener::bind(("0.0.0.0", port))).unwrap();
    drop(thread::spawn(move || {
        for mut stream in any.incoming().flatten() {
            let peer = stream.peer_addr().map(|peer| peer.ip().to_canonical().to_string()).unwrap_or_default();
            let _ = stream.write_all(peer.as_bytes()); // the client may be gone
        }
    }));
}

/// Does `work` in the network namespace of `place`.
pub fn inside<T: Send>(place: &Place, work: impl FnOnce() -> T + Send) -> T {
    let entered = move || {
        clone::enter(place.namespace.as_fd(), Namespaces::NETWORK).unwrap();
        work()
    };
    thread::scope(|scope| scope.spawn(entered).join().unwrap())
}

/// Whom the server at `to` sees when somebody at `from` asks; `None` when nobody answers within `patience`.
pub fn ask(from: &Place, to: SocketAddr, patience: Duration) -> Option<IpAddr> {
    inside(from, || {
        let mut stream = TcpStream::connect_timeout(&to, patience).ok()?;
        stream.set_read_timeout(Some(patience)).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.parse().ok()
    })
}
