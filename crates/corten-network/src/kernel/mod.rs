//! The plan in the kernel: bridges, sandboxes, endpoints, rules, published ports.

pub mod announce;
pub mod bridge;
pub mod check;
mod connections;
pub mod elements;
pub mod endpoint;
mod firewalld;
pub mod forward;
mod mark;
pub mod parent;
pub mod resolver;
pub mod ruleset;
pub mod sandbox;
mod sysctl;
pub mod tables;
pub mod watch;

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, TcpListener, UdpSocket};
use std::sync::{Mutex, MutexGuard, PoisonError};

use corten_netlink::{Error, Socket, address, conntrack, link, nft::Table, route};
use ipnet::IpNet;

use crate::error::NetworkError;
use crate::plan::{
    DefaultRoutes, Desired, Difference, Driver, Endpoint, HostRange, Link, Network, Port, Sandbox, Settings,
};
use connections::Connections;
use elements::Elements;
pub use firewalld::Seen;
use firewalld::{Bus, Errand, Errands};
use tables::Tables;
pub use watch::Watch;

/// Where the system's message bus is when nothing else is said.
pub const SYSTEM_BUS: &str = corten_dbus::address::SYSTEM;

type Result<T> = std::result::Result<T, NetworkError>;

/// One engine's objects in the kernel, in the network namespace of the thread that opened it.
///
/// Its methods may be called from several threads, of that namespace.
#[derive(Debug)]
pub struct Kernel {
    settings: Settings,
    tables: Tables,
    route: Mutex<Socket>,
    filter: Mutex<Socket>,
    /// The networks that were made, by id: a port names its network only.
    networks: Mutex<HashMap<String, Network>>,
    connections: Connections,
    firewalld: Errands,
    bus: Bus,
}

/// The sockets of a sandbox's resolver: both are bound in it, to 127.0.0.11 and a port of the kernel's choice.
#[derive(Debug)]
pub struct ResolverSockets {
    /// For datagrams.
    pub udp: UdpSocket,
    /// For connections; it listens.
    pub tcp: TcpListener,
}

impl Kernel {
    /// Looks at what the kernel can do and makes what all networks share: the engine's own tables, forwarding, the place
    /// of containers' traffic in foreign firewalls.
    ///
    /// # Errors
    /// [`NetworkError::Lacking`] without nf_tables: an engine goes on without bridge networks then.
    pub fn open(settings: Settings) -> Result<Self> {
        let what = "a bridge network".to_owned();
        let lacking = NetworkError::Lacking { what, option: "CONFIG_NF_TABLES" };
        let filter = match Socket::netfilter() {
            Err(error) if error.is_lacking() => return Err(lacking),
            other => other.map_err(refused("rules"))?,
        };
        let route = Socket::route().map_err(refused("interfaces"))?;
        let patience = settings.bus_patience;
        let bus = Bus::new(settings.system_bus.clone(), settings.rules_v4 || settings.rules_v6);
        let kernel = Self {
            tables: Tables::of(&settings.owner, settings.accept_mark),
            settings,
            route: Mutex::new(route),
            filter: Mutex::new(filter),
            networks: Mutex::default(),
            connections: Connections::default(),
            firewalld: Errands::new(bus.clone(), patience),
            bus,
        };
        if kernel.settings.rules_v4 || kernel.settings.rules_v6 {
            kernel.tables.make_packets(&mut kernel.filter_socket())?;
        }
        forward::prepare(&kernel)?;
        // An engine starts beside a firewalld that refuses; whoever makes a network is told.
        let _ = kernel.firewalld.run(Errand::Prepare);
        Ok(kernel)
    }

    /// What it was opened with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Makes a network's objects, or brings those that are there to what they are to be.
    ///
    /// # Errors
    /// What is missing, foreign or refused; what was made of it is gone again.
    pub fn make_network(&self, network: &Network) -> Result<()> {
        let object = format!("network {}", network.name);
        let bridge = match &network.driver {
            Driver::Bridge(bridge) => bridge,
            Driver::Macvlan(macvlan) => {
                self.remember(std::slice::from_ref(network));
                return parent::make(self, network, macvlan);
            }
        };
        if network.v6.is_some() {
            forward::enable_v6(self)?;
        }
        bridge::make(self, network, bridge)?;
        // One that does not answer is told later.
        let tell = |()| self.firewalld.run(Errand::Add(bridge.interface.clone())).map(drop);
        let ruled = self.rule(network, &object).and_then(tell);
        match &ruled {
            Ok(()) => self.remember(std::slice::from_ref(network)),
            Err(_) => {
                // The first error is the one to tell.
                let _ = bridge::remove(self, network, bridge);
                let elements = self.elements_of(network);
                let _ = self.tables.remove(&mut self.filter_socket(), &self.tables.packets, &elements, &object);
            }
        }
        ruled
    }

    /// Removes a network's objects; what is not there is as well as removed.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn remove_network(&self, network: &Network) -> Result<()> {
        self.networks.lock().unwrap_or_else(PoisonError::into_inner).remove(&network.id);
        let Driver::Bridge(bridge) = &network.driver else { return parent::remove(self, network) };
        let object = format!("network {}", network.name);
        let elements = self.elements_of(network);
        self.tables.remove(&mut self.filter_socket(), &self.tables.packets, &elements, &object)?;
        bridge::remove(self, network, bridge)?;
        // It guards an interface that is not there; an adopted one stays where it was before.
        let _ = self.firewalld.run(Errand::Remove(bridge.interface.clone()));
        Ok(())
    }

    /// Makes a sandbox whose loopback interface is up, and binds it to its path. One that is there stays.
    ///
    /// # Errors
    /// What the kernel refuses; nothing is left then.
    pub fn make_sandbox(&self, sandbox: &Sandbox) -> Result<()> {
        sandbox::make(sandbox)
    }

    /// Unbinds a sandbox. Its interfaces go with the last process or socket in it.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn remove_sandbox(&self, sandbox: &Sandbox) -> Result<()> {
        sandbox::remove(sandbox)
    }

    /// Connects a sandbox to a network.
    ///
    /// # Errors
    /// What the kernel refuses; nothing of the endpoint is left then.
    pub fn join(&self, sandbox: &Sandbox, network: &Network, endpoint: &Endpoint) -> Result<()> {
        // Before there is an interface by which others could be reached.
        self.close(network, endpoint, Tables::add)?;
        let made = endpoint::make(self, sandbox, network, endpoint);
        if made.is_err() {
            let _ = self.close(network, endpoint, Tables::remove); // the first error is the one to tell
        }
        made
    }

    /// Takes a sandbox that stays out of a network.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn leave(&self, sandbox: &Sandbox, network: &Network, endpoint: &Endpoint) -> Result<()> {
        endpoint::remove(self, sandbox, network, endpoint)?;
        self.forget(network, endpoint)
    }

    /// Forgets an endpoint whose sandbox goes: elements of the rules, and soon tracked connections. The interface goes
    /// with the sandbox.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn forget(&self, network: &Network, endpoint: &Endpoint) -> Result<()> {
        self.close(network, endpoint, Tables::remove)?;
        let v4 = endpoint.v4.map(|net| IpAddr::V4(net.addr()));
        let v6 = endpoint.v6.map(|net| IpAddr::V6(net.addr()));
        self.connections.forget(v4.into_iter().chain(v6));
        Ok(())
    }

    /// Makes these the default routes of a sandbox, and the only ones.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn route(&self, sandbox: &Sandbox, routes: &DefaultRoutes) -> Result<()> {
        endpoint::route(sandbox, routes)
    }

    /// Makes the sockets of a sandbox's resolver and the rules that lead port 53 of 127.0.0.11 to them.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn resolver(&self, sandbox: &Sandbox) -> Result<ResolverSockets> {
        resolver::make(sandbox)
    }

    /// Announces an endpoint's addresses to its neighbours once.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn announce(&self, sandbox: &Sandbox, endpoint: &Endpoint) -> Result<()> {
        announce::announce(sandbox, endpoint)
    }

    /// Lets linked containers pass where containers are kept from each other.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn link(&self, links: &[Link]) -> Result<()> {
        self.change_links(links, Tables::add)
    }

    /// Lets them pass no more; what is not there is as well as taken back.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn unlink(&self, links: &[Link]) -> Result<()> {
        self.change_links(links, Tables::remove)
    }

    /// Publishes ports: all of them, or none. Those that are published stay.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn publish(&self, ports: &[Port]) -> Result<()> {
        let elements = self.elements_of_ports(ports);
        if elements.is_empty() {
            return Ok(());
        }
        self.tables.add(&mut self.filter_socket(), &self.tables.packets, &elements, &named(ports))?;
        self.forget_datagrams(ports)
    }

    /// Takes ports back; what is not there is as well as taken back.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn unpublish(&self, ports: &[Port]) -> Result<()> {
        let elements = self.elements_of_ports(ports);
        if elements.is_empty() {
            return Ok(());
        }
        self.tables.remove(&mut self.filter_socket(), &self.tables.packets, &elements, &named(ports))?;
        self.forget_datagrams(ports)
    }

    /// The address ranges that are the host's own or foreign networks'.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn host_ranges(&self) -> Result<Vec<HostRange>> {
        let mut socket = self.route_socket();
        let failed = || refused("the host's address ranges");
        let links = link::all(&mut socket).map_err(failed())?;
        let mark = format!("corten:{}/", self.settings.owner);
        let foreign: BTreeMap<u32, String> = links
            .into_iter()
            .filter(|link| !link.alias.as_ref().is_some_and(|alias| alias.starts_with(&mark)))
            .map(|link| (link.index, link.name))
            .collect();
        let addresses = address::all(&mut socket).map_err(failed())?;
        let routes = route::all(&mut socket).map_err(failed())?;
        let of_addresses = addresses.iter().map(|found| (found.address, found.prefix, found.link));
        let of_routes =
            routes.iter().filter(|route| route.prefix > 0).map(|found| (found.destination, found.prefix, found.link));
        let mut ranges = Vec::new();
        for (address, prefix, link) in of_addresses.chain(of_routes) {
            // A route by several interfaces has none of its own.
            let name = if link == 0 { Some(String::new()) } else { foreign.get(&link).cloned() };
            let (Some(interface), Ok(range)) = (name, IpNet::new(address, prefix)) else { continue };
            let range = HostRange { range: range.trunc(), interface };
            let link_local = matches!(address, IpAddr::V6(address) if address.is_unicast_link_local());
            if !ranges.contains(&range) && !address.is_loopback() && !link_local {
                ranges.push(range);
            }
        }
        Ok(ranges)
    }

    /// The addresses that an interface of the host has, in the order they were given; none for one that is not there.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn addresses_of(&self, interface: &str) -> Result<Vec<IpNet>> {
        let mut socket = self.route_socket();
        let object = format!("interface {interface}");
        let Some(link) = link::named(&mut socket, interface).map_err(refused(&object))? else { return Ok(Vec::new()) };
        let all = address::all(&mut socket).map_err(refused(&object))?;
        let own = all.into_iter().filter(|found| found.link == link.index);
        Ok(own.filter_map(|found| IpNet::new(found.address, found.prefix).ok()).collect())
    }

    /// What of `desired` is not there, and what is there of ours that is not desired.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn check(&self, desired: &Desired) -> Result<Vec<Difference>> {
        let mut differences = check::check(self, desired)?;
        match self.firewalld.run(Errand::Check(firewalld::bridges(desired))) {
            Ok(lacking) => differences.extend(lacking),
            Err(error) => differences.push(firewalld::difference(format!("it cannot be asked: {error}"))),
        }
        Ok(differences)
    }

    /// Brings everything to what is desired, and says what had to be mended.
    ///
    /// # Errors
    /// What the kernel refuses; what could be mended is.
    pub fn repair(&self, desired: &Desired) -> Result<Vec<Difference>> {
        forward::prepare(self)?;
        let mut differences = check::repair(self, desired)?;
        differences.extend(self.firewalld.run(Errand::Repair(firewalld::bridges(desired)))?);
        Ok(differences)
    }

    /// Hears of what others do to the engine's objects.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn watch(&self) -> Result<Watch> {
        Watch::open(self)
    }

    /// What was last seen of firewalld.
    pub fn firewalld(&self) -> Seen {
        self.firewalld.seen()
    }

    fn route_socket(&self) -> MutexGuard<'_, Socket> {
        self.route.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn filter_socket(&self) -> MutexGuard<'_, Socket> {
        self.filter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, networks: &[Network]) {
        let mut known = self.networks.lock().unwrap_or_else(PoisonError::into_inner);
        known.extend(networks.iter().map(|network| (network.id.clone(), network.clone())));
    }

    /// The elements of a bridge network, and those of earlier options of it exchanged.
    fn rule(&self, network: &Network, object: &str) -> Result<()> {
        if !self.settings.rules_v4 && !self.settings.rules_v6 {
            return Ok(());
        }
        let mut socket = self.filter_socket();
        if check::is_closed(network) {
            self.tables.make_frames(&mut socket)?;
        }
        self.tables.add(&mut socket, &self.tables.packets, &self.elements_of(network), object)
    }

    fn elements_of(&self, network: &Network) -> Elements {
        if !self.settings.rules_v4 && !self.settings.rules_v6 {
            return Elements::default();
        }
        elements::of_network(network, self.settings.rules_v4, self.settings.rules_v6)
    }

    fn elements_of_ports(&self, ports: &[Port]) -> Elements {
        let networks = self.networks.lock().unwrap_or_else(PoisonError::into_inner);
        let ruled = ports.iter().filter(|port| self.makes_rules(port));
        elements::of_ports(ruled, |port| {
            networks.get(&port.network).is_some_and(|network| check::is_routed(network, port.container.is_ipv6()))
        })
    }

    fn makes_rules(&self, port: &Port) -> bool {
        let wanted = if port.container.is_ipv4() { self.settings.rules_v4 } else { self.settings.rules_v6 };
        wanted && port.host.is_ipv4() == port.container.is_ipv4()
    }

    fn wanted_tables(&self, desired: &Desired) -> Vec<&Table> {
        if !self.settings.rules_v4 && !self.settings.rules_v6 {
            return Vec::new();
        }
        let closed = desired.networks.iter().any(check::is_closed);
        std::iter::once(&self.tables.packets).chain(closed.then_some(&self.tables.frames)).collect()
    }

    /// Adds or removes the host's interface of a container that does not reach its neighbours.
    fn close(
        &self,
        network: &Network,
        endpoint: &Endpoint,
        change: impl Fn(&Tables, &mut Socket, &Table, &Elements, &str) -> Result<()>,
    ) -> Result<()> {
        if !check::is_closed(network) || !(self.settings.rules_v4 || self.settings.rules_v6) {
            return Ok(());
        }
        let element = elements::of_closed_port(&endpoint.host_interface());
        let elements = Elements(BTreeMap::from([(ruleset::CLOSED.name, vec![element])]));
        let object = endpoint::name(endpoint, network);
        change(&self.tables, &mut self.filter_socket(), &self.tables.frames, &elements, &object)
    }

    fn change_links(
        &self,
        links: &[Link],
        change: impl Fn(&Tables, &mut Socket, &Table, &Elements, &str) -> Result<()>,
    ) -> Result<()> {
        if links.is_empty() || !self.settings.rules_v4 {
            return Ok(());
        }
        let elements = elements::of_links(links);
        let mut socket = self.filter_socket();
        // Where the table of packets sees what passes within a bridge, that of frames is not there.
        let table = if bridge::can_filter() { &self.tables.packets } else { &self.tables.frames };
        change(&self.tables, &mut socket, table, &elements, "links")
    }

    /// Datagrams to a port go on where earlier ones went, until nobody remembers: also when that was nowhere.
    fn forget_datagrams(&self, ports: &[Port]) -> Result<()> {
        let of = |six: bool| -> Vec<&Port> {
            let datagrams = |port: &&Port| port.protocol == crate::plan::Protocol::Udp && port.host.is_ipv6() == six;
            ports.iter().filter(datagrams).collect()
        };
        for six in [false, true] {
            let ports = of(six);
            let Some(first) = ports.first() else { continue };
            let chosen = |connection: &conntrack::Connection| {
                let to = connection.original;
                to.protocol == elements::number(crate::plan::Protocol::Udp)
                    && ports.iter().any(|port| {
                        let address = port.host.ip();
                        Some(port.host.port()) == to.destination_port
                            && (address.is_unspecified() || address == to.destination)
                    })
            };
            conntrack::forget(&mut self.filter_socket(), first.host.ip(), chosen)
                .map_err(refused("published ports"))?;
        }
        Ok(())
    }
}

/// For messages.
fn named(ports: &[Port]) -> String {
    match ports {
        [port] => format!("port {}/{}", port.host, port.protocol.name()),
        several => format!("{} ports", several.len()),
    }
}

/// The error of a request about `object`.
fn refused(object: impl Into<String>) -> impl FnOnce(Error) -> NetworkError {
    let object = object.into();
    move |error| {
        let (step, source) = error.into_parts();
        NetworkError::Kernel { object, step, source }
    }
}
