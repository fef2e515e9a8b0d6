//! The networks that every engine has. `bridge` follows the daemon's flags at each start; its subnet stays what it was
//! where they say nothing of it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use corten_docker_api::networks::{Ipam, IpamPool};
use corten_network::plan::HostRange;
use corten_network::{Kernel, NetworkError};
use ipnet::IpNet;
use tracing::warn;

use super::attachment::text;
use super::flags::{DEFAULT_BRIDGE, DefaultBridge, Flags};
use super::options::Options;
use super::record::{Bridge, FORMAT, Record, Subnet};
use super::{PREDEFINED, create, id_of, with_kernel};
use crate::clock::Moment;
use crate::engine::Engine;
use crate::errors::{EngineError, Result};

/// Names that are tried behind docker's own, where that is somebody else's.
const OTHER_NAMES: usize = 10;

/// What docker shows as the largest packet where nobody said any.
const SHOWN_MTU: u32 = 1500;

/// All three; `bridge` is shown, and nobody is in it, as long as it has none.
pub fn predefined(engine_id: &str, born: Moment) -> Vec<Record> {
    PREDEFINED.map(|(name, driver)| blank(engine_id, born, name, driver)).into()
}

/// Makes the default bridge, or says in the engine why there is none. Nothing of it is an error of the start.
pub async fn settle(engine: &Arc<Engine>) {
    let flags = &engine.config.networks;
    if flags.bridge == DefaultBridge::None {
        return;
    }
    let made = make(engine, flags).await;
    match made {
        Ok(record) => {
            engine.networks.index.put(record);
            engine.networks.set_no_bridge(None);
        }
        Err(error) => {
            let reason = error.message();
            tracing::warn!(error = reason, "no default bridge: containers that name no network have none");
            engine.networks.set_no_bridge(Some(reason));
        }
    }
}

async fn make(engine: &Arc<Engine>, flags: &Flags) -> Result<Record> {
    let id = id_of(&engine.id, "bridge");
    let stored = engine.networks.index.get(&id);
    let ranges = with_kernel(engine, Kernel::host_ranges).await?;
    let others: Vec<Arc<Record>> = engine.networks.index.all().into_iter().filter(|record| record.id != id).collect();
    for name in candidates(flags, stored.as_deref()) {
        let bridge = Bridge { adopted: matches!(flags.bridge, DefaultBridge::Adopted(_)), interface: name };
        if bridge.adopted && !create::interface_exists(&bridge.interface) {
            return Err(EngineError::invalid(format!("--bridge {}: there is no such interface", bridge.interface)));
        }
        let present = match bridge.adopted {
            true => addresses(engine, &bridge.interface).await?,
            false => Vec::new(),
        };
        let known = Known { stored: stored.as_deref(), others: &others, ranges: &ranges, present: &present };
        let record = design(engine, flags, bridge, &known)?;
        create::save(engine, record.clone()).await?;
        let Some(plan) = record.plan()? else { continue };
        let own = Arc::clone(engine);
        let made = super::blocking(move || match own.networks.kernel()?.make_network(&plan) {
            Err(NetworkError::Foreign { .. }) => Ok(false),
            made => Ok(made.map(|()| true)?),
        });
        if made.await? {
            return Ok(record);
        }
    }
    Err(EngineError::conflict("every name of a default bridge is somebody else's"))
}

/// The addresses of a bridge that somebody else has made, but for those the kernel gives it by itself.
async fn addresses(engine: &Arc<Engine>, interface: &str) -> Result<Vec<IpNet>> {
    let interface = interface.to_owned();
    let all = with_kernel(engine, move |kernel| kernel.addresses_of(&interface)).await?;
    let is_own = |net: &IpNet| !matches!(net.addr(), IpAddr::V6(address) if address.is_unicast_link_local());
    Ok(all.into_iter().filter(is_own).collect())
}

/// What the network's subnets follow from, beside the flags.
struct Known<'a> {
    /// What it was before.
    stored: Option<&'a Record>,
    /// The other networks.
    others: &'a [Arc<Record>],
    /// What the host uses.
    ranges: &'a [HostRange],
    /// The addresses of a bridge that somebody else has made.
    present: &'a [IpNet],
}

/// Names of the bridge in the order they are tried: the one it had, docker's, ours.
fn candidates(flags: &Flags, stored: Option<&Record>) -> Vec<String> {
    if let DefaultBridge::Adopted(name) = &flags.bridge {
        return vec![name.clone()];
    }
    let had = stored.and_then(|record| record.bridge.as_ref()).filter(|bridge| !bridge.adopted);
    let mut names: Vec<String> = had.map(|bridge| bridge.interface.clone()).into_iter().collect();
    let ours = (0..OTHER_NAMES).map(|number| format!("corten{number}"));
    names.extend([DEFAULT_BRIDGE.to_owned()].into_iter().chain(ours));
    names
}

fn design(engine: &Engine, flags: &Flags, bridge: Bridge, known: &Known<'_>) -> Result<Record> {
    let Known { stored, others, ranges, present } = *known;
    // What the bridge itself has is not in its way.
    let host: Vec<HostRange> = ranges.iter().filter(|used| used.interface != bridge.interface).cloned().collect();
    let mut config: Vec<IpamPool> = pool_v4(flags, present).into_iter().collect();
    if flags.ipv6 {
        config.extend(pool_v6(flags, present)?);
    }
    for subnet in stored.map(|record| record.subnets.as_slice()).unwrap_or_default() {
        let is_v6 = subnet.subnet.addr().is_ipv6();
        let is_said = config.iter().any(|pool| pool.subnet.contains(':') == is_v6);
        if !is_said && !bridge.adopted && (!is_v6 || flags.ipv6) && is_free(subnet, others, &host) {
            config.push(IpamPool {
                subnet: subnet.subnet.to_string(),
                gateway: text(subnet.gateway),
                ..IpamPool::default()
            });
        }
    }
    let ipam = Ipam { driver: "default".to_owned(), options: None, config: Some(config) };
    let (mut subnets, _) = create::subnets(engine, "bridge", &ipam, (true, flags.ipv6), others, &host)?;
    create::choose_gateways(&mut subnets, "bridge", false, &Options::default())?;
    for subnet in &mut subnets {
        let gateway = match subnet.subnet {
            IpNet::V4(_) => flags.default_gateway.map(IpAddr::V4),
            IpNet::V6(_) => flags.default_gateway_v6.map(IpAddr::V6),
        };
        if let Some(gateway) = gateway {
            if !subnet.subnet.contains(&gateway) {
                return Err(EngineError::invalid(format!("default gateway {gateway} is not in {}", subnet.subnet)));
            }
            let name = if gateway.is_ipv4() { "DefaultGatewayIPv4" } else { "DefaultGatewayIPv6" };
            subnet.reserved.insert(name.to_owned(), gateway);
        }
    }
    let shown = subnets.iter().map(|subnet| IpamPool {
        subnet: subnet.subnet.to_string(),
        ip_range: text(subnet.range),
        gateway: text(subnet.gateway),
        auxiliary_addresses: Some(
            subnet.reserved.iter().map(|(name, address)| (name.clone(), address.to_string())).collect(),
        ),
    });
    Ok(Record {
        ipam: Ipam { config: Some(shown.collect()), ..ipam },
        enable_ipv6: flags.ipv6,
        options: options(flags, &bridge),
        subnets,
        driver: "bridge".to_owned(),
        bridge: Some(bridge),
        ..blank(&engine.id, engine.born, "bridge", "bridge")
    })
}

fn is_free(subnet: &Subnet, others: &[Arc<Record>], host: &[HostRange]) -> bool {
    let overlaps = |other: &IpNet| other.contains(&subnet.subnet) || subnet.subnet.contains(other);
    !others.iter().flat_map(|record| &record.subnets).any(|other| overlaps(&other.subnet))
        && !host.iter().any(|used| overlaps(&used.range))
}

/// What the flags say of its IPv4 subnet, or the addresses a bridge has that was there before.
fn pool_v4(flags: &Flags, present: &[IpNet]) -> Option<IpamPool> {
    let fixed = flags.fixed_cidr.map(IpNet::V4);
    let found = chosen(present, false, fixed);
    let mut range = fixed;
    if let (Some(own), Some(fixed)) = (found, fixed)
        && !found_in(own, &fixed)
    {
        // docker says so and goes on.
        warn!(fixed_cidr = %fixed, bridge = %own, "fixed-cidr is in no subnet of the bridge's addresses: it is not used");
        range = None;
    }
    Some(pool(flags.bip.map(IpNet::V4).or(found).or(fixed)?, range))
}

/// The same for IPv6.
///
/// # Errors
/// When the range is in no subnet of the bridge's addresses.
fn pool_v6(flags: &Flags, present: &[IpNet]) -> Result<Option<IpamPool>> {
    let fixed = flags.fixed_cidr_v6.map(IpNet::V6);
    let found = chosen(present, true, fixed);
    if let (Some(found), Some(fixed)) = (found, fixed)
        && !found_in(found, &fixed)
    {
        return Err(EngineError::invalid(format!(
            "fixed-cidr-v6={fixed} is outside any subnet implied by addresses on the user-managed default bridge"
        )));
    }
    Ok(flags.bip6.map(IpNet::V6).or(found).or(fixed).map(|own| pool(own, fixed)))
}

fn pool(own: IpNet, fixed: Option<IpNet>) -> IpamPool {
    IpamPool {
        subnet: own.trunc().to_string(),
        ip_range: text(fixed.filter(|range| *range != own.trunc())),
        gateway: if own == own.trunc() { String::new() } else { own.addr().to_string() },
        ..IpamPool::default()
    }
}

/// The address of a bridge that becomes its containers' gateway: the first; where a range is named, that whose subnet the
/// range is in, else the first within the range.
fn chosen(present: &[IpNet], v6: bool, fixed: Option<IpNet>) -> Option<IpNet> {
    let mut own = present.iter().filter(|net| net.addr().is_ipv6() == v6).copied();
    let first = own.clone().next()?;
    let Some(fixed) = fixed else { return Some(first) };
    let around = own.clone().find(|net| net.contains(&fixed.addr()));
    Some(around.or_else(|| own.find(|net| fixed.contains(&net.addr()))).unwrap_or(first))
}

/// Whether addresses of the range are addresses of the bridge's subnet.
fn found_in(own: IpNet, range: &IpNet) -> bool {
    own.contains(&range.addr()) && range.prefix_len() >= own.prefix_len()
}

/// The options that docker shows of it.
fn options(flags: &Flags, bridge: &Bridge) -> BTreeMap<String, String> {
    let host_binding = flags.ip.unwrap_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED));
    [
        ("com.docker.network.bridge.default_bridge", "true".to_owned()),
        ("com.docker.network.bridge.enable_icc", flags.icc.to_string()),
        ("com.docker.network.bridge.enable_ip_masquerade", flags.ip_masq.to_string()),
        ("com.docker.network.bridge.host_binding_ipv4", host_binding.to_string()),
        ("com.docker.network.bridge.name", bridge.interface.clone()),
        ("com.docker.network.driver.mtu", flags.mtu.unwrap_or(SHOWN_MTU).to_string()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

/// A predefined network without anything in the kernel.
pub(super) fn blank(engine_id: &str, born: Moment, name: &str, driver: &str) -> Record {
    Record {
        format: FORMAT,
        id: id_of(engine_id, name),
        name: name.to_owned(),
        created: born,
        driver: driver.to_owned(),
        enable_ipv4: true,
        enable_ipv6: false,
        internal: false,
        attachable: false,
        ipam: Ipam { driver: "default".to_owned(), options: None, config: Some(Vec::new()) },
        options: BTreeMap::new(),
        labels: Some(BTreeMap::new()),
        subnets: Vec::new(),
        bridge: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_say_what_the_default_network_is() {
        let flags =
            Flags { bip: "10.9.0.5/16".parse().ok(), fixed_cidr: "10.9.7.0/24".parse().ok(), ..Flags::default() };
        let pool = pool_v4(&flags, &[]).unwrap();
        assert_eq!((pool.subnet.as_str(), pool.gateway.as_str()), ("10.9.0.0/16", "10.9.0.5"));
        assert_eq!(pool.ip_range, "10.9.7.0/24");
        assert_eq!(pool_v4(&Flags::default(), &[]), None);
    }

    #[test]
    fn an_adopted_bridge_s_gateway_is_the_address_that_fits() {
        let present = ["10.7.0.9/24", "fd00:7::9/64", "10.8.0.9/24"].map(|net| net.parse().unwrap());
        let with = |fixed: &str| {
            let flags = Flags { fixed_cidr: fixed.parse().ok(), ..Flags::default() };
            let pool = pool_v4(&flags, &present).unwrap();
            (pool.subnet, pool.ip_range, pool.gateway)
        };
        let text = |subnet: &str, range: &str, gateway: &str| (subnet.to_owned(), range.to_owned(), gateway.to_owned());
        assert_eq!(with(""), text("10.7.0.0/24", "", "10.7.0.9"));
        assert_eq!(with("10.8.0.128/25"), text("10.8.0.0/24", "10.8.0.128/25", "10.8.0.9"));
        assert_eq!(with("10.9.0.0/24"), text("10.7.0.0/24", "", "10.7.0.9"), "a range nowhere is not used");
        let v6 = |fixed: &str| pool_v6(&Flags { fixed_cidr_v6: fixed.parse().ok(), ..Flags::default() }, &present);
        assert_eq!(v6("fd00:7::/80").unwrap().unwrap().gateway, "fd00:7::9");
        assert!(v6("fd00:8::/80").unwrap_err().message().contains("outside any subnet implied"));
    }

    #[test]
    fn the_name_it_had_is_tried_first() {
        let stored = Record {
            bridge: Some(Bridge { interface: "corten3".to_owned(), adopted: false }),
            ..blank("e", Moment::now(), "bridge", "bridge")
        };
        assert_eq!(candidates(&Flags::default(), Some(&stored))[..2], ["corten3", "docker0"]);
        let adopted = Flags { bridge: DefaultBridge::Adopted("br0".to_owned()), ..Flags::default() };
        assert_eq!(candidates(&adopted, Some(&stored)), ["br0"]);
    }
}
