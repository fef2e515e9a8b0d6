//! The places of containers in networks: a pair of interfaces, or a macvlan one.

use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::AsFd;

use corten_netlink::{
    Batch, Socket,
    address::Address,
    link::{self, MacvlanMode, Settings},
    route::{self, Route},
};

use super::{Kernel, Result, bridge, refused, sandbox, sysctl};
use crate::error::NetworkError;
use crate::plan::{self, Bridge, DefaultRoutes, Driver, Endpoint, Macvlan, Network, Sandbox, alias};

/// Connects the sandbox with the network; an endpoint that is there is brought to what it is to be.
pub fn make(kernel: &Kernel, sandbox: &Sandbox, network: &Network, endpoint: &Endpoint) -> Result<()> {
    let object = name(endpoint, network);
    match &network.driver {
        Driver::Bridge(bridge) => make_pair(kernel, sandbox, network, endpoint, bridge, &object)?,
        Driver::Macvlan(macvlan) => make_macvlan(kernel, sandbox, network, endpoint, macvlan, &object)?,
    }
    let done = sandbox::inside(sandbox, || configure(endpoint, &object));
    if done.is_err() {
        let _ = remove(kernel, sandbox, network, endpoint); // the first error is the one to tell
    }
    done
}

/// Removes the endpoint's interface from a sandbox that stays.
pub fn remove(kernel: &Kernel, sandbox: &Sandbox, network: &Network, endpoint: &Endpoint) -> Result<()> {
    let object = name(endpoint, network);
    match &network.driver {
        Driver::Bridge(_) => remove_link(&mut kernel.route_socket(), &endpoint.host_interface(), &object, |_| true),
        Driver::Macvlan(_) if !sandbox::is_there(&sandbox.path) => Ok(()),
        Driver::Macvlan(_) => sandbox::inside(sandbox, || {
            let mut socket = Socket::route().map_err(refused(&object))?;
            remove_link(&mut socket, &endpoint.interface, &object, |link| link.mac == Some(endpoint.mac))
        }),
    }
}

/// Makes these the sandbox's default routes, and the only ones.
pub fn route(sandbox: &Sandbox, routes: &DefaultRoutes) -> Result<()> {
    let object = sandbox::name(sandbox);
    sandbox::inside(sandbox, || {
        let mut socket = Socket::route().map_err(refused(&object))?;
        let mut wanted = Vec::new();
        if let Some(route) = &routes.v4 {
            let link = index(&mut socket, &route.interface, &object)?;
            wanted.push(default_route(IpAddr::from([0; 4]), route.via.map(IpAddr::V4), link));
        }
        if let Some(route) = &routes.v6 {
            let link = index(&mut socket, &route.interface, &object)?;
            wanted.push(default_route(IpAddr::V6(Ipv6Addr::UNSPECIFIED), route.via.map(IpAddr::V6), link));
        }
        let present = route::all(&mut socket).map_err(refused(&object))?;
        let present: Vec<Route> = present.into_iter().filter(|route| route.prefix == 0).collect();
        let mut batch = Batch::new();
        present.iter().filter(|route| !wanted.contains(route)).for_each(|route| batch.delete_route(*route));
        wanted.iter().filter(|route| !present.contains(route)).for_each(|route| batch.replace_route(*route));
        socket.run(batch).map_err(refused(&object))
    })
}

fn default_route(destination: IpAddr, gateway: Option<IpAddr>, link: u32) -> Route {
    Route { destination, prefix: 0, gateway, link }
}

fn make_pair(
    kernel: &Kernel,
    sandbox: &Sandbox,
    network: &Network,
    endpoint: &Endpoint,
    bridge: &Bridge,
    object: &str,
) -> Result<()> {
    let namespace = sandbox::open(sandbox)?;
    let mut socket = kernel.route_socket();
    let master = Some(index(&mut socket, &bridge.interface, object)?);
    let host = endpoint.host_interface();
    let outer = Settings { master, mtu: network.mtu, up: Some(true), ..Settings::default() };
    let inner = Settings {
        mac: Some(endpoint.mac),
        mtu: network.mtu,
        namespace: Some(namespace.as_fd()),
        ..Settings::default()
    };
    let mut batch = Batch::new();
    batch.new_veth(&host, outer, &endpoint.interface, inner);
    batch.set_alias(&host, &alias(&kernel.settings.owner, &network.id));
    if bridge::is_filtered(bridge) {
        // A container that names its own published port is then sent its packets by the bridge.
        batch.set_hairpin(&host);
    }
    let refusals = socket.run_all(batch.clone());
    let Some((_, error)) = refusals.into_iter().next() else { return Ok(()) };
    if !error.is_present() {
        return Err(refused(object)(error));
    }
    // One of the names is taken. By a maker that was killed, and the pair is the one we want; or half of it; or by the pair
    // of an earlier run of the container, which the kernel is taking away, now or a moment ago.
    let there = link::named(&mut socket, &host).map_err(refused(object))?;
    let Some(there) = there else { return socket.run(batch).map_err(refused(object)) };
    let whole = sandbox::inside(sandbox, || {
        let mut socket = Socket::route().map_err(refused(object))?;
        let inner = link::named(&mut socket, &endpoint.interface).map_err(refused(object))?;
        Ok(inner.is_some_and(|link| link.mac == Some(endpoint.mac) && link.kind == "veth"))
    })?;
    let mut again = Batch::new();
    if whole {
        again.set_link(there.index, Settings { mtu: network.mtu, ..outer });
        again.set_alias(&host, &alias(&kernel.settings.owner, &network.id));
    } else {
        let mut gone = Batch::new();
        gone.delete_link(there.index);
        match socket.run(gone) {
            Err(error) if error.is_missing() => {}
            other => other.map_err(refused(object))?,
        }
        again.append(batch);
    }
    socket.run(again).map_err(refused(object))
}

fn make_macvlan(
    kernel: &Kernel,
    sandbox: &Sandbox,
    network: &Network,
    endpoint: &Endpoint,
    macvlan: &Macvlan,
    object: &str,
) -> Result<()> {
    let namespace = sandbox::open(sandbox)?;
    let mut socket = kernel.route_socket();
    let parent = index(&mut socket, &macvlan.parent, object)?;
    let mode = match macvlan.mode {
        plan::MacvlanMode::Bridge => MacvlanMode::Bridge,
        plan::MacvlanMode::Private => MacvlanMode::Private,
        plan::MacvlanMode::Vepa => MacvlanMode::Vepa,
        plan::MacvlanMode::Passthru => MacvlanMode::Passthru,
    };
    let settings = Settings {
        mac: Some(endpoint.mac),
        mtu: network.mtu,
        namespace: Some(namespace.as_fd()),
        ..Settings::default()
    };
    let mut batch = Batch::new();
    batch.new_macvlan(&endpoint.interface, settings, parent, mode);
    match socket.run(batch) {
        Ok(()) => Ok(()),
        Err(error) if error.is_lacking() => {
            Err(NetworkError::Lacking { what: object.to_owned(), option: "CONFIG_MACVLAN" })
        }
        Err(error) if error.is_present() => {
            let ours = sandbox::inside(sandbox, || {
                let mut socket = Socket::route().map_err(refused(object))?;
                let found = link::named(&mut socket, &endpoint.interface).map_err(refused(object))?;
                Ok(found.is_some_and(|link| link.mac == Some(endpoint.mac) && link.kind == "macvlan"))
            })?;
            if ours { Ok(()) } else { Err(refused(object)(error)) }
        }
        Err(error) => Err(refused(object)(error)),
    }
}

/// In the sandbox: settings, addresses, and up.
fn configure(endpoint: &Endpoint, object: &str) -> Result<()> {
    let interface = &endpoint.interface;
    // Before the address: switching IPv6 off takes away addresses that are there.
    let disabled = if endpoint.v6.is_some() { "0" } else { "1" };
    sysctl::set_if_known(object, &format!("net/ipv6/conf/{interface}/disable_ipv6"), disabled)?;
    if endpoint.v6.is_some() {
        sysctl::set_if_known(object, &format!("net/ipv6/conf/{interface}/accept_ra"), "0")?;
    }
    for (path, value) in &endpoint.sysctls {
        sysctl::set(object, path, value)?;
    }
    let mut socket = Socket::route().map_err(refused(object))?;
    let link = index(&mut socket, interface, object)?;
    let mut batch = Batch::new();
    let v4 = endpoint.v4.map(|net| (IpAddr::V4(net.addr()), net.prefix_len()));
    let v6 = endpoint.v6.map(|net| (IpAddr::V6(net.addr()), net.prefix_len()));
    // Link-local addresses are of the size docker gives them.
    let local = endpoint.link_local.iter().map(|&address| (address, if address.is_ipv4() { 16 } else { 64 }));
    for (address, prefix) in v4.into_iter().chain(v6).chain(local) {
        batch.add_address(Address { link, address, prefix });
    }
    batch.set_link(link, Settings { up: Some(true), ..Settings::default() });
    socket.run(batch).map_err(refused(object))
}

fn remove_link(socket: &mut Socket, name: &str, object: &str, ours: impl Fn(&link::Link) -> bool) -> Result<()> {
    let Some(link) = link::named(socket, name).map_err(refused(object))?.filter(ours) else { return Ok(()) };
    let mut batch = Batch::new();
    batch.delete_link(link.index);
    match socket.run(batch) {
        Err(error) if error.is_missing() => Ok(()),
        other => other.map_err(refused(object)),
    }
}

fn index(socket: &mut Socket, name: &str, object: &str) -> Result<u32> {
    let link = link::named(socket, name).map_err(refused(object))?;
    let missing = || NetworkError::Conflict(format!("{object}: there is no interface {name}"));
    Ok(link.ok_or_else(missing)?.index)
}

/// For messages.
pub fn name(endpoint: &Endpoint, network: &Network) -> String {
    const DIGITS: usize = 12;
    let container = endpoint.container.get(..DIGITS).unwrap_or(&endpoint.container);
    format!("container {container} in network {}", network.name)
}
