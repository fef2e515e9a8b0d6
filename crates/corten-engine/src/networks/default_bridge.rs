//! The networks that every engine has. `bridge` follows the daemon's flags at each start; its subnet stays what it was
//! where they say nothing of it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use corten_docker_api::networks::{Ipam, IpamPool};
use corten_network::plan::HostRange;
use corten_network::{Kernel, NetworkError};
use ipnet::IpNet;

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
        let record = design(engine, flags, bridge, stored.as_deref(), &others, &ranges)?;
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

fn design(
    engine: &Engine,
    flags: &Flags,
    bridge: Bridge,
    stored: Option<&Record>,
    others: &[Arc<Record>],
    ranges: &[HostRange],
) -> Result<Record> {
    // What the bridge itself has is not in its way.
    let host: Vec<HostRange> = ranges.iter().filter(|used| used.interface != bridge.interface).cloned().collect();
    let mut config = vec![pool_v4(flags, &bridge, ranges)];
    if flags.ipv6 {
        config.push(pool_v6(flags));
    }
    let mut config: Vec<IpamPool> = config.into_iter().flatten().collect();
    for subnet in stored.map(|record| record.subnets.as_slice()).unwrap_or_default() {
        let is_v6 = subnet.subnet.addr().is_ipv6();
        let is_said = config.iter().any(|pool| pool.subnet.contains(':') == is_v6);
        if !is_said && (!is_v6 || flags.ipv6) && is_free(subnet, others, &host) {
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
fn pool_v4(flags: &Flags, bridge: &Bridge, ranges: &[HostRange]) -> Option<IpamPool> {
    let found = ranges.iter().find(|used| used.interface == bridge.interface && used.range.addr().is_ipv4());
    let adopted = found.filter(|_| bridge.adopted).map(|used| used.range);
    let own = flags.bip.map(IpNet::V4).or(adopted).or(flags.fixed_cidr.map(IpNet::V4))?;
    Some(IpamPool {
        subnet: own.trunc().to_string(),
        ip_range: text(flags.fixed_cidr.filter(|range| IpNet::V4(*range) != own.trunc())),
        gateway: if own == own.trunc() { String::new() } else { own.addr().to_string() },
        ..IpamPool::default()
    })
}

fn pool_v6(flags: &Flags) -> Option<IpamPool> {
    let own = flags.bip6.or(flags.fixed_cidr_v6)?;
    Some(IpamPool {
        subnet: own.trunc().to_string(),
        ip_range: text(flags.fixed_cidr_v6.filter(|range| *range != own.trunc())),
        gateway: if own == own.trunc() { String::new() } else { own.addr().to_string() },
        ..IpamPool::default()
    })
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
        let bridge = Bridge { interface: "docker0".to_owned(), adopted: false };
        let pool = pool_v4(&flags, &bridge, &[]).unwrap();
        assert_eq!((pool.subnet.as_str(), pool.gateway.as_str()), ("10.9.0.0/16", "10.9.0.5"));
        assert_eq!(pool.ip_range, "10.9.7.0/24");
        assert_eq!(pool_v4(&Flags::default(), &bridge, &[]), None);
        let adopted = Bridge { interface: "br0".to_owned(), adopted: true };
        let used = HostRange { range: "10.7.0.1/24".parse().unwrap(), interface: "br0".to_owned() };
        let pool = pool_v4(&Flags::default(), &adopted, &[used]).unwrap();
        assert_eq!((pool.subnet.as_str(), pool.gateway.as_str()), ("10.7.0.0/24", "10.7.0.1"));
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
