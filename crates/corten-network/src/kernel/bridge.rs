//! The bridges of networks.

use std::net::IpAddr;

use corten_netlink::{
    Batch, Socket,
    address::{self, Address},
    link::{self, Link, Settings},
    route::{self, Route},
};
use ipnet::IpNet;

use super::{Kernel, Result, refused, sysctl};
use crate::error::NetworkError;
use crate::plan::{Bridge, GatewayMode, Network, alias};

/// The group of every bridge of ours, by which foreign firewalls know them (`devgroup` of iptables).
pub const GROUP: u32 = 0xc0_27e4;

const FILTER: &str = "net/bridge/bridge-nf-call-iptables";
const FILTER_V6: &str = "net/bridge/bridge-nf-call-ip6tables";

/// Makes the network's bridge, or brings the one that is there to what it is to be.
pub fn make(kernel: &Kernel, network: &Network, bridge: &Bridge) -> Result<()> {
    let object = format!("network {}", network.name);
    let (link, made) = find_or_make(kernel, network, bridge, &object)?;
    let done = configure(kernel, network, bridge, &link, &object);
    if done.is_err() && made {
        let mut batch = Batch::new();
        batch.delete_link(link.index);
        let _ = kernel.route_socket().run(batch); // the first error is the one to tell
    }
    done
}

/// Removes the network's bridge, if it is ours.
pub fn remove(kernel: &Kernel, network: &Network, bridge: &Bridge) -> Result<()> {
    let object = format!("network {}", network.name);
    let mut socket = kernel.route_socket();
    let Some(link) = link::named(&mut socket, &bridge.interface).map_err(refused(&object))? else { return Ok(()) };
    if bridge.adopted || !is_ours(kernel, network, &link) {
        return Ok(());
    }
    let mut batch = Batch::new();
    batch.delete_link(link.index);
    match socket.run(batch) {
        Err(error) if error.is_missing() => Ok(()),
        other => other.map_err(refused(&object)),
    }
}

/// Whether an interface carries the network's mark.
pub fn is_ours(kernel: &Kernel, network: &Network, link: &Link) -> bool {
    link.alias.as_deref() == Some(&alias(&kernel.settings.owner, &network.id))
}

/// The addresses the bridge is to have.
pub fn addresses(network: &Network) -> Vec<(IpAddr, u8)> {
    let v4 = network.v4.as_ref().filter(|family| family.on_bridge && family.mode != GatewayMode::Isolated);
    let v6 = network.v6.as_ref().filter(|family| family.on_bridge && family.mode != GatewayMode::Isolated);
    let v4 = v4.and_then(|family| Some((IpAddr::V4(family.gateway?), family.subnet.prefix_len())));
    let v6 = v6.and_then(|family| Some((IpAddr::V6(family.gateway?), family.subnet.prefix_len())));
    v4.into_iter().chain(v6).collect()
}

/// The addresses and routes that are there.
pub struct Present {
    /// Of every interface.
    pub addresses: Vec<Address>,
    routes: Vec<Route>,
}

impl Present {
    /// Those of now.
    pub fn read(socket: &mut Socket) -> corten_netlink::Result<Self> {
        Ok(Self { addresses: address::all(socket)?, routes: route::all(socket)? })
    }

    /// Whether the subnet of an address is reached by its interface.
    pub fn is_routed(&self, address: &Address) -> bool {
        let Ok(subnet) = IpNet::new(address.address, address.prefix) else { return true };
        let subnet = subnet.trunc();
        self.routes.iter().any(|route| {
            route.link == address.link && route.destination == subnet.addr() && route.prefix == subnet.prefix_len()
        })
    }
}

/// The values the bridge is to have below `/proc/sys`.
pub fn sysctls(kernel: &Kernel, network: &Network, bridge: &Bridge) -> Vec<(String, &'static str)> {
    let name = &bridge.interface;
    let mut values = Vec::new();
    let translated = |mode| matches!(mode, GatewayMode::Nat | GatewayMode::NatUnprotected);
    if kernel.settings.rules_v4 && network.v4.as_ref().is_some_and(|family| translated(family.mode)) {
        // What goes from 127.0.0.1 to a container leaves and comes back by the bridge. The rules keep containers from
        // using it.
        values.push((format!("net/ipv4/conf/{name}/route_localnet"), "1"));
    }
    values.push((format!("net/ipv6/conf/{name}/accept_ra"), "0"));
    if !bridge.adopted {
        // A network without IPv6 has no link-local addresses either, by which containers would reach the host.
        let disabled = if network.v6.is_some() { "0" } else { "1" };
        values.push((format!("net/ipv6/conf/{name}/disable_ipv6"), disabled));
    }
    values
}

fn find_or_make(kernel: &Kernel, network: &Network, bridge: &Bridge, object: &str) -> Result<(Link, bool)> {
    let mut socket = kernel.route_socket();
    let found = link::named(&mut socket, &bridge.interface).map_err(refused(object))?;
    if let Some(link) = found {
        if link.kind != "bridge" {
            return Err(NetworkError::Conflict(format!("{object}: interface {} is no bridge", link.name)));
        }
        if !bridge.adopted && !is_ours(kernel, network, &link) {
            return Err(NetworkError::Foreign { object: format!("bridge {}", link.name) });
        }
        return Ok((link, false));
    }
    if bridge.adopted {
        return Err(NetworkError::Invalid(format!("{object}: there is no bridge {}", bridge.interface)));
    }
    let mut batch = Batch::new();
    let settings = Settings {
        mac: Some(hardware_address(&network.id)),
        mtu: network.mtu,
        group: Some(GROUP),
        ..Settings::default()
    };
    batch.new_bridge(&bridge.interface, settings);
    batch.set_alias(&bridge.interface, &alias(&kernel.settings.owner, &network.id));
    if filters(bridge) {
        batch.set_bridge_filter(&bridge.interface, true);
    }
    socket.run(batch).map_err(refused(object))?;
    let made = link::named(&mut socket, &bridge.interface).map_err(refused(object))?;
    let gone = || NetworkError::Conflict(format!("{object}: bridge {} was removed meanwhile", bridge.interface));
    Ok((made.ok_or_else(gone)?, true))
}

fn configure(kernel: &Kernel, network: &Network, bridge: &Bridge, link: &Link, object: &str) -> Result<()> {
    for (path, value) in sysctls(kernel, network, bridge) {
        if sysctl::get(&path).as_deref() != Some(value) {
            sysctl::set_if_known(object, &path, value)?;
        }
    }
    let mut socket = kernel.route_socket();
    let present = Present::read(&mut socket).map_err(refused(object))?;
    let wanted = addresses(network);
    let mut batch = Batch::new();
    for found in present.addresses.iter().filter(|found| found.link == link.index && !bridge.adopted) {
        let local = matches!(found.address, IpAddr::V6(address) if address.is_unicast_link_local());
        if !local && !wanted.contains(&(found.address, found.prefix)) {
            batch.delete_address(*found);
        }
    }
    for &(address, prefix) in &wanted {
        let address = Address { link: link.index, address, prefix };
        let there = present.addresses.contains(&address);
        if there && link.up && !present.is_routed(&address) {
            // The kernel makes the route with the address.
            batch.delete_address(address);
        }
        if !there || link.up && !present.is_routed(&address) {
            batch.add_address(address);
        }
    }
    let group = (link.group != GROUP && (!bridge.adopted || link.group == 0)).then_some(GROUP);
    let mtu = network.mtu.filter(|&mtu| mtu != link.mtu && !bridge.adopted);
    if !link.up || group.is_some() || mtu.is_some() {
        batch.set_link(link.index, Settings { up: Some(true), group, mtu, ..Settings::default() });
    }
    if link.filters != filters(bridge) && (!bridge.adopted || filters(bridge)) {
        batch.set_bridge_filter(&bridge.interface, filters(bridge));
    }
    socket.run(batch).map_err(refused(object))
}

/// Whether the bridge is to show the packet filter what passes from port to port, so that containers are kept from each
/// other there.
pub fn filters(bridge: &Bridge) -> bool {
    !bridge.icc && can_filter()
}

/// Whether the kernel can show the packet filter what passes within a bridge (br_netfilter). Where it cannot, frames are
/// filtered by themselves.
pub fn can_filter() -> bool {
    sysctl::get(FILTER).is_some()
}

/// Whether the packet filter sees what passes within a bridge, of one family at least.
pub fn is_filtered(bridge: &Bridge) -> bool {
    filters(bridge) || [FILTER, FILTER_V6].iter().any(|filter| sysctl::get(filter).as_deref() == Some("1"))
}

/// A hardware address that a bridge made anew has again: neighbours remember it. Left to the kernel it would change with
/// the ports, too.
fn hardware_address(id: &str) -> [u8; 6] {
    let mut address = [0; 6];
    for (at, byte) in address.iter_mut().enumerate() {
        let digits = id.get(2 * at..2 * at + 2).unwrap_or_default();
        *byte = u8::from_str_radix(digits, 16).unwrap_or_default();
    }
    // Administered locally, and of one interface.
    address[0] = (address[0] & 0xfe) | 0x02;
    address
}
