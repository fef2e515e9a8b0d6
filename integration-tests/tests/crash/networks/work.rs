//! What is done to networks, as requests to the Engine API, and how its effect is told by traffic.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr},
};

use integration_tests::{Answer, DEADLINE, EngineApi, Stack, connects, random_id, sh, try_for, try_sh, wait_for};
use serde_json::{Value, json};

use super::{
    bystander::{self, server},
    victim::Victim,
};
use crate::operation::expect;

/// What is going on when the victim dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    Create,
    Connect,
    Run,
    Stop,
    Rm,
    Disconnect,
    Prune,
}

impl Work {
    /// Whether its effect lasts only as long as the container runs.
    pub fn needs_a_running_container(self) -> bool {
        matches!(self, Work::Connect | Work::Run)
    }
}

/// A network and a container of the round's own.
pub struct Site {
    pub work: Work,
    network: String,
    container: String,
    id: Option<String>,
}

impl Site {
    /// Brings about what the work needs.
    pub fn prepare(stack: &mut Stack, work: Work, victim: Victim) -> Site {
        let mark = random_id(12);
        let mut site = Site { work, network: format!("crash-{mark}"), container: format!("box-{mark}"), id: None };
        let api = stack.api();
        if work != Work::Create {
            let _ = expect("create a network", api.post("/networks/create", &json!({ "Name": site.network })));
        }
        match work {
            // Somebody whose shim can be killed.
            Work::Create | Work::Prune if victim == Victim::Shim => site.start(&api, bystander::NETWORK),
            Work::Create | Work::Prune => {}
            Work::Run if victim == Victim::Shim => site.create(&api, &site.network.clone()),
            Work::Run => {}
            Work::Connect => site.start(&api, "bridge"),
            Work::Stop | Work::Rm => site.start(&api, &site.network.clone()),
            Work::Disconnect => {
                site.start(&api, "bridge");
                let _ = expect("connect", api.post(&site.path("connect"), &json!({ "Container": site.container })));
            }
        }
        site
    }

    fn create(&mut self, api: &EngineApi, network: &str) {
        let _ = expect("create", self.create_container(api, network));
        self.look_up(api);
    }

    fn start(&mut self, api: &EngineApi, network: &str) {
        self.create(api, network);
        let _ = expect("start", api.post(&format!("/containers/{}/start", self.container), &Value::Null));
    }

    fn create_container(&self, api: &EngineApi, network: &str) -> io::Result<Answer> {
        api.post(&format!("/containers/create?name={}", self.container), &server(network))
    }

    fn path(&self, verb: &str) -> String {
        format!("/networks/{}/{verb}", self.network)
    }

    /// The id of the container, when there is one already.
    pub fn container_id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Asks whether there is a container by now.
    pub fn look_up(&mut self, api: &EngineApi) {
        if self.id.is_none() {
            self.id = inspect(api, &self.container)["Id"].as_str().map(str::to_owned);
        }
    }

    /// Does it; the error is the connection's: nobody knows then whether it was done.
    pub fn perform(&self, api: &EngineApi) -> io::Result<Answer> {
        let name = &self.container;
        match self.work {
            Work::Create => api.post("/networks/create", &json!({ "Name": self.network })),
            Work::Connect => api.post(&self.path("connect"), &json!({ "Container": name })),
            Work::Disconnect => api.post(&self.path("disconnect"), &json!({ "Container": name })),
            Work::Prune => api.post("/networks/prune", &Value::Null),
            Work::Stop => api.post(&format!("/containers/{name}/stop?t=20"), &Value::Null),
            Work::Rm => api.delete(&format!("/containers/{name}?force=1")),
            Work::Run => {
                let created = self.create_container(api, &self.network)?;
                if created.status != 201 && created.status != 409 {
                    return Ok(created);
                }
                api.post(&format!("/containers/{name}/start"), &Value::Null)
            }
        }
    }

    /// Whether the answer says that it was done.
    pub fn is_done(&self, answer: &Answer) -> bool {
        answer.is_ok()
    }

    /// Whether the answer says that nothing is left to do.
    pub fn was_done(&self, answer: &Answer) -> bool {
        match self.work {
            Work::Create => answer.status == 409,
            Work::Rm => answer.status == 404,
            Work::Connect => answer.status == 403 && answer.text().contains("already exists in network"),
            Work::Disconnect => answer.status == 500 && answer.text().contains("is not connected to"),
            Work::Run | Work::Stop | Work::Prune => false,
        }
    }

    /// Its effect is there.
    #[track_caller]
    pub fn assert_done(&self, stack: &mut Stack, context: &str) {
        let mut fault = None;
        let holds = try_for(DEADLINE, || {
            fault = self.fault(stack);
            fault.is_none()
        });
        assert!(holds, "{} ({context})", fault.unwrap_or_default());
    }

    fn fault(&self, stack: &mut Stack) -> Option<String> {
        let api = stack.api();
        let shown = inspect(&api, &self.container);
        let on_host = stack.cortend().network();
        match self.work {
            Work::Create => {
                let network = inspect_network(&api, &self.network);
                let bridge = format!("br-{}", network["Id"].as_str().and_then(|id| id.get(..12)).unwrap_or("none"));
                let is_there = on_host.enter(|| sh("ip -o link")).contains(&bridge);
                (!is_there).then(|| format!("there is no bridge {bridge} of {network}"))
            }
            Work::Connect => {
                let address = shown["NetworkSettings"]["Networks"][&self.network]["IPAddress"].clone();
                let address: Option<Ipv4Addr> = address.as_str().and_then(|text| text.parse().ok());
                let is_reached = address.is_some_and(|address| on_host.enter(|| connects((address, 80))));
                (!is_reached).then(|| format!("the container is not reached at {address:?}, which it was given"))
            }
            Work::Run => {
                let port = shown["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"].clone();
                let port: Option<u16> = port.as_str().and_then(|text| text.parse().ok());
                let is_reached = port.is_some_and(|port| {
                    on_host.enter(|| connects((Ipv4Addr::LOCALHOST, port)) && connects((Ipv6Addr::LOCALHOST, port)))
                });
                (!is_reached).then(|| format!("the container is not reached at {port:?}, which it was given"))
            }
            Work::Stop => {
                (shown["State"]["Running"] != json!(false)).then(|| format!("it is not stopped: {}", shown["State"]))
            }
            Work::Rm => (!shown.is_null()).then(|| "the removed container is there".to_owned()),
            Work::Disconnect => self.still_connected(&api, &shown),
            Work::Prune => {
                let network = inspect_network(&api, &self.network);
                (!network.is_null()).then(|| format!("the pruned network is there: {network}"))
            }
        }
    }

    /// What is left of the container in the network: in its own record, the network's, or its namespace.
    fn still_connected(&self, api: &EngineApi, shown: &Value) -> Option<String> {
        let own = &shown["NetworkSettings"]["Networks"][&self.network];
        if !own.is_null() {
            return Some(format!("the disconnected container shows {own}"));
        }
        let members = inspect_network(api, &self.network)["Containers"].clone();
        if members != json!({}) {
            return Some(format!("the network shows {members}"));
        }
        let pid = shown["State"]["Pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid != 0)?;
        // It may have ended meanwhile.
        let interfaces = try_sh(&format!("nsenter --net=/proc/{pid}/ns/net ip -o link")).ok()?;
        interfaces.contains(" eth1").then(|| format!("its interface is there: {interfaces}"))
    }

    /// Removes container and network.
    pub fn remove(&self, api: &EngineApi) {
        for path in [format!("/containers/{}?force=1", self.container), format!("/networks/{}", self.network)] {
            let mut last = None;
            let gone = try_for(DEADLINE, || {
                last = api.delete(&path).ok();
                last.as_ref().is_some_and(|answer| answer.is_ok() || answer.status == 404)
            });
            assert!(gone, "{path} cannot be removed: {:?}", last.map(|answer| answer.text()));
        }
    }
}

/// What `GET path` says once it is an answer: null for what is not there.
fn shown(api: &EngineApi, path: &str) -> Value {
    let mut last = None;
    wait_for(&format!("an answer to GET {path}"), DEADLINE, || {
        last = api.get(path).ok().filter(|answer| answer.status < 500);
        last.is_some()
    });
    last.filter(|answer| answer.status == 200).map(|answer| answer.json()).unwrap_or_default()
}

fn inspect(api: &EngineApi, name: &str) -> Value {
    shown(api, &format!("/containers/{name}/json"))
}

fn inspect_network(api: &EngineApi, name: &str) -> Value {
    shown(api, &format!("/networks/{name}"))
}
