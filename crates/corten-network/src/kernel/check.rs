//! What should be, compared with what is; and the way from one to the other. Nothing is remembered in between.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use corten_netlink::{
    Batch,
    address::Address,
    link::{self, Link},
    nft::{self, Element, Table, dump},
};

use super::{
    Kernel, Result, bridge, elements, elements::Elements, endpoint, forward, parent, refused, ruleset, sandbox, sysctl,
    tables::State,
};
use crate::error::NetworkError;
use crate::plan::{Desired, Difference, Driver, Endpoint, GatewayMode, Network, Sandbox};

/// How often rules are compared again because somebody else changed them meanwhile.
const ATTEMPTS: u32 = 20;

/// What of `desired` is not there, and what is there and not desired.
pub fn check(kernel: &Kernel, desired: &Desired) -> Result<Vec<Difference>> {
    let found = look(kernel, desired)?;
    let mut differences = found.differences;
    differences.extend(forward::check(kernel, desired.networks.iter().any(|network| network.v6.is_some()))?);
    let mut socket = kernel.filter_socket();
    for table in kernel.wanted_tables(desired) {
        let state = kernel.tables.state(&mut socket, table)?;
        let (some, _) = compare(kernel, &mut socket, desired, table, state)?;
        differences.extend(some);
    }
    Ok(differences)
}

/// Brings everything to what is desired; says what had to be mended.
pub fn repair(kernel: &Kernel, desired: &Desired) -> Result<Vec<Difference>> {
    kernel.remember(&desired.networks);
    let found = look(kernel, desired)?;
    let mut differences = found.differences;
    let mut first_error = None;
    let mut keep = |result: Result<()>| {
        if let Err(error) = result {
            first_error.get_or_insert(error);
        }
    };
    keep(remove_links(kernel, &found.left_over));
    for &network in &found.networks {
        match &network.driver {
            Driver::Bridge(bridge) => keep(bridge::make(kernel, network, bridge)),
            Driver::Macvlan(macvlan) => keep(parent::make(kernel, network, macvlan)),
        }
    }
    let mut touched = BTreeSet::new();
    for &(sandbox, network, endpoint) in &found.endpoints {
        keep(endpoint::make(kernel, sandbox, network, endpoint));
        touched.insert(sandbox);
    }
    for (sandbox, routes) in desired.routes.iter().filter(|(sandbox, _)| touched.contains(sandbox)) {
        keep(endpoint::route(sandbox, routes));
    }
    match repair_rules(kernel, desired) {
        Ok(mended) => differences.extend(mended),
        Err(error) => keep(Err(error)),
    }
    first_error.map_or(Ok(differences), Err)
}

/// What is to be done about interfaces.
#[derive(Default)]
struct Found<'a> {
    differences: Vec<Difference>,
    networks: Vec<&'a Network>,
    endpoints: Vec<(&'a Sandbox, &'a Network, &'a Endpoint)>,
    left_over: Vec<Link>,
}

impl Found<'_> {
    fn note(&mut self, object: impl Into<String>, what: String) {
        self.differences.push(Difference { object: object.into(), what, is_left_over: false });
    }
}

fn look<'a>(kernel: &Kernel, desired: &'a Desired) -> Result<Found<'a>> {
    let (links, present) = {
        let mut socket = kernel.route_socket();
        let links = link::all(&mut socket).map_err(refused("interfaces"))?;
        (links, bridge::Present::read(&mut socket).map_err(refused("addresses"))?)
    };
    let by_name: HashMap<&str, &Link> = links.iter().map(|link| (link.name.as_str(), link)).collect();
    let networks: HashMap<&str, &Network> =
        desired.networks.iter().map(|network| (network.id.as_str(), network)).collect();
    let mut found = Found::default();
    let mut mine = HashSet::new();
    for network in &desired.networks {
        mine.extend(network.bridge().or(network.own_parent()));
        look_at_network(kernel, network, &by_name, &present, &mut found);
    }
    let hosts: Vec<String> = desired.endpoints.iter().map(|(_, endpoint)| endpoint.host_interface()).collect();
    for ((sandbox, endpoint), host) in desired.endpoints.iter().zip(&hosts) {
        let Some(&network) = networks.get(endpoint.network.as_str()) else { continue };
        let Some(bridge) = network.bridge() else {
            // Interfaces go with the parent they share.
            let is_lost = found.networks.iter().any(|lost| lost.id == network.id);
            if is_lost && sandbox::is_there(&sandbox.path) {
                found.endpoints.push((sandbox, network, endpoint));
            }
            continue;
        };
        mine.insert(host);
        // One whose sandbox is gone is no longer running, and whoever made the plan will know soon.
        let missing = match (by_name.get(host.as_str()), by_name.get(bridge)) {
            _ if !sandbox::is_there(&sandbox.path) => continue,
            (None, _) => format!("interface {host} is missing"),
            (Some(link), Some(bridge)) if link.master != bridge.index => {
                format!("interface {host} is no port of bridge {}", bridge.name)
            }
            (Some(link), None) => format!("interface {} is no port of bridge {bridge}", link.name),
            (Some(link), _) if !link.up => format!("interface {host} is down"),
            _ => continue,
        };
        found.note(endpoint::name(endpoint, network), missing);
        found.endpoints.push((sandbox, network, endpoint));
    }
    let mark = format!("corten:{}/", kernel.settings.owner);
    for link in &links {
        let marked = link.alias.as_ref().is_some_and(|alias| alias.starts_with(&mark));
        if marked && !mine.contains(link.name.as_str()) {
            let what = "it belongs to nothing and is left over".to_owned();
            let object = format!("interface {}", link.name);
            found.differences.push(Difference { object, what, is_left_over: true });
            found.left_over.push(link.clone());
        }
    }
    Ok(found)
}

fn look_at_network<'a>(
    kernel: &Kernel,
    network: &'a Network,
    by_name: &HashMap<&str, &Link>,
    present: &bridge::Present,
    found: &mut Found<'a>,
) {
    let object = format!("network {}", network.name);
    let bridge = match &network.driver {
        Driver::Bridge(bridge) => bridge,
        Driver::Macvlan(macvlan) => {
            if !by_name.contains_key(macvlan.parent.as_str()) {
                found.note(object, format!("interface {} is missing", macvlan.parent));
                found.networks.extend(network.own_parent().map(|_| network));
            }
            return;
        }
    };
    let name = &bridge.interface;
    let Some(link) = by_name.get(name.as_str()) else {
        found.note(object, format!("bridge {name} is missing"));
        found.networks.push(network);
        return;
    };
    let mut wrong = Vec::new();
    if !bridge.adopted && !bridge::is_ours(kernel, network, link) {
        wrong.push(format!("interface {name} is not ours"));
    }
    if !link.up {
        wrong.push(format!("bridge {name} is down"));
    }
    // Somebody else's is left showing what it shows, unless containers on it are kept from each other.
    if link.filters != bridge::filters(bridge) && (!bridge.adopted || bridge::filters(bridge)) {
        wrong.push(format!("bridge {name} does not show the packet filter what it should"));
    }
    if !bridge.adopted && link.group != bridge::GROUP {
        wrong.push(format!("bridge {name} is in interface group {}", link.group));
    }
    for (address, prefix) in bridge::addresses(network) {
        let address = Address { link: link.index, address, prefix };
        if !present.addresses.contains(&address) {
            wrong.push(format!("bridge {name} lacks the address {}/{prefix}", address.address));
        } else if link.up && !present.is_routed(&address) {
            wrong.push(format!("the route to the subnet of {}/{prefix} on bridge {name} is missing", address.address));
        }
    }
    for (path, value) in bridge::sysctls(kernel, network, bridge) {
        if let Some(other) = sysctl::get(&path).filter(|there| there != value) {
            wrong.push(format!("/proc/sys/{path} is {other}, not {value}"));
        }
    }
    if !wrong.is_empty() {
        found.networks.push(network);
        wrong.into_iter().for_each(|what| found.note(&object, what));
    }
}

fn remove_links(kernel: &Kernel, links: &[Link]) -> Result<()> {
    let mut batch = Batch::new();
    links.iter().for_each(|link| batch.delete_link(link.index));
    match kernel.route_socket().run_all(batch).into_iter().find(|(_, error)| !error.is_missing()) {
        Some((_, error)) => Err(refused("interfaces that are left over")(error)),
        None => Ok(()),
    }
}

fn repair_rules(kernel: &Kernel, desired: &Desired) -> Result<Vec<Difference>> {
    let mut socket = kernel.filter_socket();
    for _ in 0..ATTEMPTS {
        let wanted = kernel.wanted_tables(desired);
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let generation = nft::generation(&mut socket).map_err(refused("rules"))?;
        let mut differences = Vec::new();
        let mut batch = Batch::new();
        for table in wanted {
            let state = kernel.tables.state(&mut socket, table)?;
            let (some, changes) = compare(kernel, &mut socket, desired, table, state)?;
            differences.extend(some);
            batch.append(changes);
        }
        match nft::commit(&mut socket, batch, Some(generation)) {
            Err(error) if error.is_stale() => {}
            other => return other.map(|()| differences).map_err(refused("rules")),
        }
    }
    Err(NetworkError::Conflict("rules: somebody else changes rules all the time".to_owned()))
}

/// What of a table is not as desired, and the batch that mends it.
fn compare(
    kernel: &Kernel,
    socket: &mut corten_netlink::Socket,
    desired: &Desired,
    table: &Table,
    state: State,
) -> Result<(Vec<Difference>, Batch)> {
    let wanted = if *table == kernel.tables.packets { of_packets(kernel, desired) } else { of_frames(desired) };
    let object = format!("table {}", table.name);
    let difference = |what: String| Difference { object: object.clone(), what, is_left_over: false };
    if state != State::Good {
        let mut batch = kernel.tables.rebuild(table, state);
        for (set, elements) in &wanted {
            let elements: Vec<Element> = elements.values().cloned().collect();
            batch.add_elements(table, set, &elements);
        }
        let what = if state == State::Missing { "it is missing" } else { "its rules were changed" };
        return Ok((vec![difference(what.to_owned())], batch));
    }
    let mut differences = Vec::new();
    let mut batch = Batch::new();
    let sets: &[&nft::Set] = if *table == kernel.tables.packets { &ruleset::SETS } else { &ruleset::FRAME_SETS };
    for set in sets {
        let none = BTreeMap::new();
        let wanted = wanted.get(set.name).unwrap_or(&none);
        let found = dump::elements(socket, table, set.name).map_err(refused(&object))?.unwrap_or_default();
        let found: BTreeMap<Vec<u8>, Element> =
            found.into_iter().map(|element| (element.key.clone(), element)).collect();
        let surplus: Vec<Element> =
            found.values().filter(|element| wanted.get(&element.key) != Some(element)).cloned().collect();
        let missing: Vec<Element> =
            wanted.values().filter(|element| found.get(&element.key) != Some(element)).cloned().collect();
        for (elements, how) in [(&missing, "are missing"), (&surplus, "do not belong")] {
            if !elements.is_empty() {
                differences.push(difference(format!("{} elements of set {} {how}", elements.len(), set.name)));
            }
        }
        batch.delete_elements(table, set.name, &surplus);
        batch.add_elements(table, set.name, &missing);
    }
    Ok((differences, batch))
}

type Wanted = BTreeMap<&'static str, BTreeMap<Vec<u8>, Element>>;

fn of_packets(kernel: &Kernel, desired: &Desired) -> Wanted {
    let mut all = Elements::default();
    for network in &desired.networks {
        all.extend(kernel.elements_of(network));
    }
    let networks: HashMap<&str, &Network> =
        desired.networks.iter().map(|network| (network.id.as_str(), network)).collect();
    let ports = desired.ports.iter().filter(|port| kernel.makes_rules(port));
    all.extend(elements::of_ports(ports, |port| {
        networks.get(port.network.as_str()).is_some_and(|network| is_routed(network, port.container.is_ipv6()))
    }));
    if kernel.settings.rules_v4 && bridge::can_filter() {
        all.extend(elements::of_links(&desired.links));
    }
    all.0.into_iter().map(|(set, elements)| (set, by_key(elements))).collect()
}

/// Whether the network's containers are reached by their own addresses.
pub fn is_routed(network: &Network, six: bool) -> bool {
    let mode =
        if six { network.v6.as_ref().map(|family| family.mode) } else { network.v4.as_ref().map(|family| family.mode) };
    mode == Some(GatewayMode::Routed)
}

fn of_frames(desired: &Desired) -> Wanted {
    let closed: HashSet<&str> =
        desired.networks.iter().filter(|network| is_closed(network)).map(|network| network.id.as_str()).collect();
    let ports = desired.endpoints.iter().filter(|(_, endpoint)| closed.contains(endpoint.network.as_str()));
    let ports = ports.map(|(_, endpoint)| elements::of_closed_port(&endpoint.host_interface()));
    let links = elements::of_links(&desired.links).0.into_iter().map(|(set, elements)| (set, by_key(elements)));
    std::iter::once((ruleset::CLOSED.name, by_key(ports.collect()))).chain(links).collect()
}

/// Whether the network's containers are kept from each other where frames pass: where packets are not seen.
pub fn is_closed(network: &Network) -> bool {
    matches!(&network.driver, Driver::Bridge(bridge) if !bridge.icc) && !bridge::can_filter()
}

fn by_key(elements: Vec<Element>) -> BTreeMap<Vec<u8>, Element> {
    elements.into_iter().map(|element| (element.key.clone(), element)).collect()
}
