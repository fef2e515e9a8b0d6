//! firewalld: it rejects what is forwarded between interfaces it does not know. So it is told of the bridges in docker's
//! words: they are in its zone `docker`, which accepts, and its policy `docker-forwarding` lets everybody reach that zone;
//! who may reach whom is decided in our table alone. A reload forgets the bridges, which is heard of ([`Ears`]).
//!
//! Where nobody listens at the bus's address nothing is done, and neither where firewalld guards another network
//! namespace than ours.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use corten_dbus::{Call, Connection, Error, Value};
use corten_types::error::chain;

use super::{Kernel, Result};
use crate::error::NetworkError;
use crate::plan::{Desired, Difference};

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
    /// When it has last read its configuration anew.
    pub reloaded: Option<SystemTime>,
}

/// firewalld, spoken to for the time of one operation.
#[derive(Debug)]
pub struct Firewalld {
    bus: Connection,
}

/// Sees to it that firewalld has the zone and the policy. At the start of an engine it may have neither.
pub fn prepare(kernel: &Kernel) -> Result<()> {
    match Firewalld::speak(kernel)? {
        Some(mut firewalld) => firewalld.prepare(),
        None => Ok(()),
    }
}

/// Has the zone accept a bridge.
pub fn add(kernel: &Kernel, interface: &str) -> Result<()> {
    let Some(mut firewalld) = Firewalld::speak(kernel)? else { return Ok(()) };
    firewalld.prepare()?;
    if firewalld.interfaces()?.iter().any(|known| known == interface) { Ok(()) } else { firewalld.add(interface) }
}

/// Takes a bridge out of the zone.
pub fn remove(kernel: &Kernel, interface: &str) -> Result<()> {
    let Some(mut firewalld) = Firewalld::speak(kernel)? else { return Ok(()) };
    if !firewalld.has_zone()? || !firewalld.interfaces()?.iter().any(|known| known == interface) {
        return Ok(());
    }
    let arguments = [Value::string(ZONE), Value::string(interface)];
    firewalld.call(PATH, "zone", "removeInterface", &arguments).map(drop).map_err(failed)
}

/// What firewalld lacks of what is desired. One that does not answer lacks everything, perhaps.
pub fn check(kernel: &Kernel, desired: &Desired) -> Vec<Difference> {
    let difference = |what: String| Difference { object: OBJECT.to_owned(), what, is_left_over: false };
    match missing(kernel, desired) {
        Ok(None) => Vec::new(),
        Ok(Some((true, interfaces))) => {
            let named = |interface: &String| difference(format!("zone {ZONE} lacks the interface {interface}"));
            interfaces.iter().map(named).collect()
        }
        Ok(Some((false, _))) => vec![difference(format!("there is no zone {ZONE} or no policy {POLICY}"))],
        Err(error) => vec![difference(format!("it cannot be asked: {}", chain(&error)))],
    }
}

/// Tells firewalld what it lacks; what that was.
pub fn repair(kernel: &Kernel, desired: &Desired) -> Result<Vec<Difference>> {
    let differences = check(kernel, desired);
    if !differences.is_empty()
        && let Some(mut firewalld) = Firewalld::speak(kernel)?
    {
        firewalld.prepare()?;
        let known = firewalld.interfaces()?;
        for bridge in bridges(desired).filter(|bridge| !known.iter().any(|known| known == bridge)) {
            firewalld.add(bridge)?;
        }
    }
    Ok(differences)
}

/// Whether firewalld has zone and policy, and the bridges it does not know; `None` without one.
fn missing(kernel: &Kernel, desired: &Desired) -> Result<Option<(bool, Vec<String>)>> {
    let Some(mut firewalld) = Firewalld::speak(kernel)? else { return Ok(None) };
    if !firewalld.has_zone()? || !firewalld.has_policy()? {
        return Ok(Some((false, Vec::new())));
    }
    let known = firewalld.interfaces()?;
    let mut lacking = Vec::new();
    for bridge in bridges(desired).filter(|bridge| !known.iter().any(|known| known == bridge)) {
        // In a zone of the administrator's choice it stays.
        if firewalld.zone_of(bridge)?.is_none() {
            lacking.push(bridge.to_owned());
        }
    }
    Ok(Some((true, lacking)))
}

fn bridges(desired: &Desired) -> impl Iterator<Item = &str> {
    desired.networks.iter().filter_map(|network| network.bridge())
}

impl Firewalld {
    /// `None` where there is none that guards this network namespace, or rules are not ours to make.
    fn speak(kernel: &Kernel) -> Result<Option<Firewalld>> {
        let found = Firewalld::find(kernel)?;
        kernel.seen().is_in_use = found.is_some();
        Ok(found)
    }

    fn find(kernel: &Kernel) -> Result<Option<Firewalld>> {
        let settings = &kernel.settings;
        if !settings.rules_v4 && !settings.rules_v6 {
            return Ok(None);
        }
        let mut bus = match Connection::open(&settings.system_bus) {
            Ok(bus) => bus,
            Err(error) if error.is_absent() || matches!(error, Error::Address(_)) => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        if !bus.has_owner(NAME).map_err(failed)? || !guards_us(&mut bus).map_err(failed)? {
            return Ok(None);
        }
        Ok(Some(Firewalld { bus }))
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

/// Hears when firewalld was started or has read its configuration anew.
#[derive(Debug)]
pub struct Ears {
    bus: Connection,
    seen: Arc<Mutex<Seen>>,
}

impl Ears {
    /// `None` where there is no bus.
    pub fn open(kernel: &Kernel) -> Option<Ears> {
        if !kernel.settings.rules_v4 && !kernel.settings.rules_v6 {
            return None;
        }
        let mut bus = Connection::open(&kernel.settings.system_bus).ok()?;
        let reloaded = format!("type='signal',sender='{NAME}',path='{PATH}',interface='{NAME}',member='Reloaded'");
        let owner = format!(
            "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',member='NameOwnerChanged',arg0='{NAME}'"
        );
        bus.listen(&reloaded).and_then(|()| bus.listen(&owner)).ok()?;
        Some(Ears { bus, seen: Arc::clone(&kernel.firewalld) })
    }

    /// Whether firewalld has to be looked at; `Err` when nothing will be heard any more.
    pub fn hear(&mut self) -> corten_dbus::Result<bool> {
        let signals = self.bus.signals()?;
        if signals.iter().any(|signal| signal.member == "Reloaded") {
            self.seen.lock().unwrap_or_else(PoisonError::into_inner).reloaded = Some(SystemTime::now());
        }
        Ok(signals.iter().any(|signal| match signal.member.as_str() {
            "Reloaded" => true,
            // Name, old owner, new owner.
            "NameOwnerChanged" => signal.body.get(2).and_then(Value::as_str).is_some_and(|owner| !owner.is_empty()),
            _ => false,
        }))
    }
}

impl AsFd for Ears {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bus.as_fd()
    }
}

fn failed(error: Error) -> NetworkError {
    NetworkError::Program { program: OBJECT.to_owned(), complaint: chain(&error) }
}
