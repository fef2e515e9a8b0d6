//! firewalld: it rejects what is forwarded between interfaces it does not know. So it is told of the bridges in docker's
//! words: they are in its zone `docker`, which accepts, and its policy `docker-forwarding` lets everybody reach that zone;
//! who may reach whom is decided in our table alone. A reload forgets the bridges, which is heard of ([`Ears`]).
//!
//! Where nobody listens at the bus's address nothing is done, and neither where firewalld guards another network
//! namespace than ours. Nobody waits long for one that hangs ([`Errands`]).

mod ears;
mod errands;

use std::fs;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use corten_dbus::{Call, Connection, Error, Value, address};
use corten_types::error::chain;

use super::Result;
use crate::error::NetworkError;
use crate::plan::{Desired, Difference};

pub use ears::Ears;
pub use errands::{Errand, Errands};

const NAME: &str = "org.fedoraproject.FirewallD1";
const PATH: &str = "/org/fedoraproject/FirewallD1";
const CONFIG_PATH: &str = "/org/fedoraproject/FirewallD1/config";
const ZONE: &str = "docker";
const POLICY: &str = "docker-forwarding";
/// For messages.
const OBJECT: &str = "firewalld";

/// What was seen of firewalld, for whoever asks how rules are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Whether one guards the engine's network namespace.
    pub is_in_use: bool,
    /// Whether it does not answer.
    pub is_late: bool,
    /// When it has last read its configuration anew.
    pub reloaded: Option<SystemTime>,
}

/// The bus by which it is reached.
#[derive(Clone, Debug)]
pub struct Bus {
    address: String,
    is_wanted: bool,
    seen: Arc<Mutex<Seen>>,
}

impl Bus {
    /// The one at an address; `is_wanted` says whether rules are ours to make.
    pub fn new(address: String, is_wanted: bool) -> Self {
        Self { address, is_wanted, seen: Arc::default() }
    }

    fn address(&self) -> &str {
        &self.address
    }

    fn is_wanted(&self) -> bool {
        self.is_wanted
    }

    /// Whether anything is at its address.
    fn may_be_there(&self) -> bool {
        let sockets = address::sockets(&self.address);
        self.is_wanted && sockets.iter().any(|socket| socket.as_pathname().is_none_or(|path| path.exists()))
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// firewalld, spoken to for the time of one operation.
#[derive(Debug)]
struct Firewalld {
    bus: Connection,
}

/// The bridges that firewalld is to know.
pub fn bridges(desired: &Desired) -> Vec<String> {
    desired.networks.iter().filter_map(|network| network.bridge()).map(str::to_owned).collect()
}

/// What is said of firewalld.
pub fn difference(what: String) -> Difference {
    Difference { object: OBJECT.to_owned(), what, is_left_over: false }
}

impl Firewalld {
    /// `None` where there is none that guards this network namespace, or rules are not ours to make.
    fn speak(bus: &Bus) -> Result<Option<Firewalld>> {
        let found = Firewalld::find(bus)?;
        bus.seen().is_in_use = found.is_some();
        Ok(found)
    }

    fn find(bus: &Bus) -> Result<Option<Firewalld>> {
        if !bus.is_wanted() {
            return Ok(None);
        }
        let mut bus = match Connection::open(bus.address()) {
            Ok(bus) => bus,
            Err(error) if error.is_absent() || matches!(error, Error::Address(_)) => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        if !bus.has_owner(NAME).map_err(failed)? || !guards_us(&mut bus).map_err(failed)? {
            return Ok(None);
        }
        Ok(Some(Firewalld { bus }))
    }

    /// Has the zone accept a bridge.
    fn see_to_bridge(&mut self, bridge: &str) -> Result<()> {
        self.prepare()?;
        if self.interfaces()?.iter().any(|known| known == bridge) { Ok(()) } else { self.add(bridge) }
    }

    /// Takes a bridge out of the zone.
    fn remove(&mut self, bridge: &str) -> Result<()> {
        if !self.has_zone()? || !self.interfaces()?.iter().any(|known| known == bridge) {
            return Ok(());
        }
        let arguments = [Value::string(ZONE), Value::string(bridge)];
        self.call(PATH, "zone", "removeInterface", &arguments).map(drop).map_err(failed)
    }

    /// What it lacks.
    fn check(&mut self, bridges: &[String]) -> Result<Vec<Difference>> {
        if !self.has_zone()? || !self.has_policy()? {
            return Ok(vec![difference(format!("there is no zone {ZONE} or no policy {POLICY}"))]);
        }
        let lacking = self.lacking(bridges)?;
        let named = |bridge: &String| difference(format!("zone {ZONE} lacks the interface {bridge}"));
        Ok(lacking.iter().map(named).collect())
    }

    /// Tells it what it lacks; what that was.
    fn repair(&mut self, bridges: &[String]) -> Result<Vec<Difference>> {
        let differences = self.check(bridges)?;
        if !differences.is_empty() {
            self.prepare()?;
            for bridge in self.lacking(bridges)? {
                self.add(&bridge)?;
            }
        }
        Ok(differences)
    }

    /// The bridges it does not know. One in a zone of the administrator's choice stays there.
    fn lacking(&mut self, bridges: &[String]) -> Result<Vec<String>> {
        let known = self.interfaces()?;
        let mut lacking = Vec::new();
        for bridge in bridges.iter().filter(|bridge| !known.contains(bridge)) {
            if self.zone_of(bridge)?.is_none() {
                lacking.push(bridge.clone());
            }
        }
        Ok(lacking)
    }

    fn call(
        &mut self,
        path: &str,
        interface: &str,
        member: &str,
        body: &[Value],
    ) -> corten_dbus::Result<Option<Value>> {
        let dot = if interface.is_empty() { "" } else { "." };
        let interface = &format!("{NAME}{dot}{interface}");
        let answer = self.bus.call(&Call { destination: NAME, path, interface, member }, body)?;
        Ok(answer.into_iter().next())
    }

    /// What firewalld has of a kind, by name.
    fn names(&mut self, interface: &str, member: &str, body: &[Value]) -> Result<Vec<String>> {
        let answer = self.call(PATH, interface, member, body).map_err(failed)?;
        let names = answer.as_ref().and_then(Value::as_strings).unwrap_or_default();
        Ok(names.into_iter().map(str::to_owned).collect())
    }

    fn has_zone(&mut self) -> Result<bool> {
        Ok(self.names("zone", "getZones", &[])?.iter().any(|zone| zone == ZONE))
    }

    /// A firewalld that knows no policies needs none.
    fn has_policy(&mut self) -> Result<bool> {
        match self.call(PATH, "policy", "getPolicies", &[]) {
            Ok(answer) => Ok(answer.as_ref().and_then(Value::as_strings).unwrap_or_default().contains(&POLICY)),
            Err(error) if error.is_unknown_method() => Ok(true),
            Err(error) => Err(failed(error)),
        }
    }

    fn interfaces(&mut self) -> Result<Vec<String>> {
        self.names("zone", "getInterfaces", &[Value::string(ZONE)])
    }

    fn zone_of(&mut self, interface: &str) -> Result<Option<String>> {
        let answer = self.call(PATH, "zone", "getZoneOfInterface", &[Value::string(interface)]).map_err(failed)?;
        Ok(answer.as_ref().and_then(Value::as_str).filter(|zone| !zone.is_empty()).map(str::to_owned))
    }

    /// Makes what is missing of zone and policy in the permanent configuration, and has it read.
    fn prepare(&mut self) -> Result<()> {
        let (zone, policy) = (self.has_zone()?, self.has_policy()?);
        if zone && policy {
            return Ok(());
        }
        let described = |text: &str, target: &str| {
            vec![
                ("version", Value::string("1.0")),
                ("description", Value::string(text)),
                ("target", Value::string(target)),
            ]
        };
        if !zone {
            let settings = described("zone for docker bridge network interfaces", "ACCEPT");
            self.make("addZone2", ZONE, &settings)?;
        }
        if !policy {
            let mut settings = described("allow forwarding to the docker zone", "ACCEPT");
            settings.push(("ingress_zones", Value::strings(&["ANY"])));
            settings.push(("egress_zones", Value::strings(&[ZONE])));
            self.make("addPolicy", POLICY, &settings)?;
        }
        self.call(PATH, "", "reload", &[]).map(drop).map_err(failed)
    }

    fn make(&mut self, member: &str, name: &str, settings: &[(&str, Value)]) -> Result<()> {
        let arguments = [Value::string(name), Value::dictionary(settings)];
        match self.call(CONFIG_PATH, "config", member, &arguments) {
            // There it is, only not read yet.
            Err(error) if error.says("NAME_CONFLICT") => Ok(()),
            other => other.map(drop).map_err(failed),
        }
    }

    fn add(&mut self, interface: &str) -> Result<()> {
        match self.call(PATH, "zone", "addInterface", &[Value::string(ZONE), Value::string(interface)]) {
            // The administrator has put it elsewhere.
            Err(error) if error.says("ZONE_CONFLICT") || error.says("ZONE_ALREADY_SET") => Ok(()),
            other => other.map(drop).map_err(failed),
        }
    }
}

/// Whether firewalld is in the network namespace of this thread. One whose process cannot be seen may be.
fn guards_us(bus: &mut Connection) -> corten_dbus::Result<bool> {
    let Some(pid) = bus.process_of(NAME)? else { return Ok(true) };
    let namespace = |process: &str| fs::read_link(format!("/proc/{process}/ns/net")).ok();
    let theirs = namespace(&pid.to_string());
    Ok(theirs.is_none() || theirs == namespace("thread-self"))
}

fn failed(error: Error) -> NetworkError {
    let complaint = chain(&error);
    match error {
        Error::Connect { .. } | Error::Io(_) | Error::TimedOut(_) | Error::Malformed(_) => {
            NetworkError::Silent { program: OBJECT, complaint }
        }
        Error::Address(_) | Error::Refused(_) | Error::Answer { .. } => {
            NetworkError::Program { program: OBJECT.to_owned(), complaint }
        }
    }
}
