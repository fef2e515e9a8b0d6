//! A container that nobody does anything to: its ports and names are there all the time.

use std::net::{Ipv4Addr, Ipv6Addr};

use integration_tests::{DEADLINE, Stack, connects, resolve, wait_for};
use serde_json::{Value, json};

use crate::operation::expect;

/// It, published on both families and named.
pub struct Bystander {
    pid: u32,
    port: u16,
    address: Ipv4Addr,
}

/// The network it is in.
pub const NETWORK: &str = "bystander-net";

impl Bystander {
    /// Starts it.
    pub fn start(stack: &mut Stack) -> Bystander {
        let api = stack.api();
        let _ = expect("create a network", api.post("/networks/create", &json!({ "Name": NETWORK })));
        let _ = expect("create", api.post("/containers/create?name=bystander", &server(NETWORK)));
        let _ = expect("start", api.post("/containers/bystander/start", &Value::Null));
        let shown = expect("inspect", api.get("/containers/bystander/json")).json();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let bystander = Bystander {
            pid: shown["State"]["Pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()).expect("it runs"),
            port: text(&shown["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"]).parse().expect("a port"),
            address: text(&shown["NetworkSettings"]["Networks"][NETWORK]["IPAddress"]).parse().expect("an address"),
        };
        bystander.assert_served(stack, "at the start");
        bystander
    }

    /// Its port answers by address translation and by relay, and its name is known.
    pub fn assert_served(&self, stack: &mut Stack, context: &str) {
        let network = stack.cortend().network();
        wait_for(&format!("the bystander's port ({context})"), DEADLINE, || {
            network.enter(|| connects((Ipv4Addr::LOCALHOST, self.port)))
        });
        wait_for(&format!("the bystander's relayed port ({context})"), DEADLINE, || {
            network.enter(|| connects((Ipv6Addr::LOCALHOST, self.port)))
        });
        wait_for(&format!("the bystander's name ({context})"), DEADLINE, || {
            resolve(self.pid, "bystander") == [self.address]
        });
    }
}

/// A container that serves at port 80, is published at a port of the host, and ends at once when it is stopped.
pub fn server(network: &str) -> Value {
    json!({
        "Image": "busybox", "Cmd": ["httpd", "-f", "-p", "80", "-h", "/etc"], "StopSignal": "SIGKILL",
        "ExposedPorts": { "80/tcp": {} },
        "HostConfig": { "NetworkMode": network, "PortBindings": { "80/tcp": [{ "HostPort": "" }] } },
    })
}
