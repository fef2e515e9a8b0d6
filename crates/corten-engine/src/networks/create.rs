//! `docker network create`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use corten_docker_api::networks::{Ipam, NetworkCreate, NetworkCreated};
use corten_network::ipam::{self, Asked};
use corten_network::plan::{GatewayMode, HostRange, MacvlanMode, Network};
use corten_types::ErrorKind;
use ipnet::IpNet;

use super::options::{self, Options};
use super::record::{Bridge, FORMAT, Record, Subnet};
use super::{blocking, is_predefined, publish, store, with_kernel};
use crate::clock::Moment;
use crate::containers::create::random_id;
use crate::engine::Engine;
use crate::errors::{EngineError, Result};

/// Longest name of a network: what one label and more of DNS can say.
const NAME_BYTES: usize = 255;

/// Makes a network. It survives a power cut once this returns.
///
/// # Errors
/// 400 for what is wrong, 403 for what collides or belongs to the engine, 409 for a name in use, 501 for what is not
/// built yet or what the kernel lacks. Nothing is left behind.
pub async fn create(engine: &Arc<Engine>, body: NetworkCreate) -> Result<NetworkCreated> {
    check_name(&body.name)?;
    let driver = if body.driver.is_empty() { "bridge".to_owned() } else { body.driver.clone() };
    check_driver(&driver)?;
    refuse(&body)?;
    let _changes = engine.networks.index.changes.lock().await;
    if engine.networks.index.all().iter().any(|network| network.name == body.name) {
        return Err(EngineError::conflict(format!("network with name {} already exists", body.name)));
    }
    let ranges = with_kernel(engine, |kernel| kernel.host_ranges()).await?;
    let used: Vec<Arc<Record>> = engine.networks.index.all();
    let (record, mut warning) = design(engine, &driver, body, &used, &ranges)?;
    save(engine, record.clone()).await?;
    if let Err(error) = make(engine, record.plan()?).await {
        let (data_root, id) = (engine.config.data_root.clone(), record.id);
        let while_removing = |error| EngineError::internal("remove a network's record").caused_by(error);
        if let Err(left) = blocking(move || store::remove(&data_root, &id).map_err(while_removing)).await {
            tracing::warn!(error = left.message(), "undo a network");
        }
        return Err(error);
    }
    if record.bridge.is_some() && engine.networks.firewalld().is_late {
        warning = [warning.as_str(), "firewalld does not answer: it is told of the network when it does"].join("; ");
        warning = warning.trim_start_matches("; ").to_owned();
    }
    let id = record.id.clone();
    let record = engine.networks.index.put(record);
    publish(engine, &record, "create", None);
    Ok(NetworkCreated { id, warning })
}

async fn make(engine: &Arc<Engine>, plan: Option<Network>) -> Result<()> {
    match plan {
        Some(plan) => with_kernel(engine, move |kernel| kernel.make_network(&plan)).await,
        None => Ok(()),
    }
}

/// Writes a network down.
pub(super) async fn save(engine: &Arc<Engine>, record: Record) -> Result<()> {
    let data_root = engine.config.data_root.clone();
    let while_saving = |error| EngineError::internal("write the network down").caused_by(error);
    blocking(move || store::save(&data_root, &record).map_err(while_saving)).await
}

fn check_name(name: &str) -> Result<()> {
    if is_predefined(name) {
        let text = format!("operation is not permitted on predefined {name} network ");
        return Err(EngineError::new(ErrorKind::PermissionDenied, text));
    }
    match name {
        name if name.trim().is_empty() => Err(EngineError::invalid("invalid name: name is empty")),
        name if name.len() > NAME_BYTES => {
            Err(EngineError::invalid(format!("invalid name: it is longer than {NAME_BYTES} bytes")))
        }
        name if name.contains(char::is_control) => Err(EngineError::invalid("invalid name: it has control characters")),
        _ => Ok(()),
    }
}

fn check_driver(driver: &str) -> Result<()> {
    let forbidden = |text: String| Err(EngineError::new(ErrorKind::PermissionDenied, text));
    match driver {
        "bridge" | "macvlan" => Ok(()),
        "host" | "null" => forbidden(format!("only one instance of \"{driver}\" network is allowed")),
        "overlay" => forbidden(
            "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and try again.".to_owned(),
        ),
        "ipvlan" => Err(EngineError::unimplemented("networks of the driver ipvlan: not supported yet")),
        other => Err(EngineError::not_found(format!("plugin \"{other}\" not found"))),
    }
}

/// What of a request is not built.
fn refuse(body: &NetworkCreate) -> Result<()> {
    let later = |what: &str, is_set: bool| match is_set {
        true => Err(EngineError::unimplemented(format!("{what}: not supported yet"))),
        false => Ok(()),
    };
    later("ConfigOnly", body.config_only)?;
    later("ConfigFrom", body.config_from.as_ref().is_some_and(|from| !from.network.is_empty()))?;
    let forbidden = |text: &str| Err(EngineError::new(ErrorKind::PermissionDenied, text));
    match body.scope.as_str() {
        "" | "local" if body.ingress => return forbidden("Ingress network can only be global scope network"),
        "" | "local" => {}
        "swarm" => return forbidden("cannot create a swarm scoped network when swarm is not active"),
        _ => later("Scope", true)?,
    }
    let ipam = body.ipam.clone().unwrap_or_default();
    match ipam.driver.as_str() {
        "" | "default" => {}
        "null" => later("IPAM.Driver \"null\"", true)?,
        other => return Err(EngineError::not_found(format!("plugin \"{other}\" not found"))),
    }
    later("IPAM.Options", ipam.options.is_some_and(|options| !options.is_empty()))
}

/// The network that was asked for, with its subnets; and what the caller should know of it.
fn design(
    engine: &Engine,
    driver: &str,
    body: NetworkCreate,
    used: &[Arc<Record>],
    host: &[HostRange],
) -> Result<(Record, String)> {
    let mut given = body.options.unwrap_or_default();
    for (key, value) in engine.config.networks.network_options.get(driver).into_iter().flatten() {
        given.entry(key.clone()).or_insert_with(|| value.clone());
    }
    let enable_ipv4 = family(&mut given, options::ENABLE_V4, body.enable_ipv4, true)?;
    let enable_ipv6 = family(&mut given, options::ENABLE_V6, body.enable_ipv6, false)?;
    if !enable_ipv4 && !enable_ipv6 {
        return Err(EngineError::invalid("IPv4 or IPv6 must be enabled"));
    }
    let options = Options::read(driver, &given)?;
    let internal = body.internal || options.internal;
    if options.mode_v4 == GatewayMode::Isolated && !internal {
        return Err(EngineError::invalid("gateway mode 'isolated' can only be used for an internal network"));
    }
    let mut ipam = body.ipam.unwrap_or_default();
    if ipam.driver.is_empty() {
        "default".clone_into(&mut ipam.driver);
    }
    let id = random_id()?;
    let (mut subnets, warning) = subnets(engine, driver, &ipam, (enable_ipv4, enable_ipv6), used, host)?;
    choose_gateways(&mut subnets, driver, internal, &options)?;
    check_taken(&subnets)?;
    let bridge = match driver {
        "bridge" => Some(bridge(&options, &id, used)?),
        _ => {
            check_parent(&options, used)?;
            None
        }
    };
    let record = Record {
        format: FORMAT,
        id,
        name: body.name,
        created: Moment::now(),
        driver: driver.to_owned(),
        enable_ipv4,
        enable_ipv6,
        internal: body.internal,
        attachable: body.attachable,
        ipam,
        options: given,
        labels: body.labels,
        subnets,
        bridge,
    };
    Ok((record, warning))
}

/// Whether a family is on: the field wins over the option, which would only look wrong then.
fn family(given: &mut BTreeMap<String, String>, key: &str, field: Option<bool>, default: bool) -> Result<bool> {
    match (field, given.get(key)) {
        (Some(field), _) => {
            given.remove(key);
            Ok(field)
        }
        (None, Some(value)) => options::boolean(key, value)
            .map_err(|_| EngineError::invalid(format!("driver-opt \"{key}\" is not a valid bool"))),
        (None, None) => Ok(default),
    }
}

/// The subnets: those that were asked for, and one from the pools for each family that was not.
pub(super) fn subnets(
    engine: &Engine,
    driver: &str,
    ipam: &Ipam,
    (v4, v6): (bool, bool),
    used: &[Arc<Record>],
    host: &[HostRange],
) -> Result<(Vec<Subnet>, String)> {
    let asked: Vec<Asked> = ipam.config.iter().flatten().map(asked).collect();
    let mut taken: Vec<(IpNet, &str)> = used
        .iter()
        .flat_map(|record| record.subnets.iter().map(|subnet| (subnet.subnet, record.name.as_str())))
        .collect();
    let (mut chosen, mut warnings) = (Vec::new(), Vec::new());
    for subnet in ipam::check(&asked)?.into_iter().flatten() {
        let is_v6 = subnet.subnet.addr().is_ipv6();
        if (is_v6 && !v6) || (!is_v6 && !v4) {
            continue;
        }
        let mut subnet = subnet;
        if subnet.subnet.addr().is_unspecified() {
            let nets: Vec<IpNet> = taken.iter().map(|(net, _)| *net).collect();
            let length = Some(subnet.subnet.prefix_len()).filter(|length| *length > 0);
            subnet.subnet = engine.networks.pools.choose(if is_v6 { 6 } else { 4 }, length, &nets, host)?;
        } else {
            free(&subnet.subnet, &taken)?;
            warnings.extend(of_the_host(&subnet.subnet, host));
        }
        taken.push((subnet.subnet, "it itself"));
        chosen.push(subnet);
    }
    for (wanted, version) in [(v4, 4), (v6, 6)] {
        let of = |subnet: &&ipam::Subnet| subnet.subnet.addr().is_ipv6() == (version == 6);
        let count = chosen.iter().filter(of).count();
        if count > 1 && driver == "bridge" {
            let text = "bridge driver doesn't support multiple subnets";
            return Err(EngineError::new(ErrorKind::PermissionDenied, text));
        }
        if wanted && count == 0 {
            let nets: Vec<IpNet> = taken.iter().map(|(net, _)| *net).collect();
            let subnet = engine.networks.pools.choose(version, None, &nets, host)?;
            chosen.push(ipam::Subnet { subnet, range: None, gateway: None, reserved: BTreeMap::new() });
        }
    }
    Ok((chosen.into_iter().map(Subnet::from).collect(), warnings.join("; ")))
}

/// Gives each subnet a gateway where nobody named one: but not on a wire, whose gateway is somebody else's, nor where
/// nothing would have its address.
pub(super) fn choose_gateways(subnets: &mut [Subnet], driver: &str, internal: bool, options: &Options) -> Result<()> {
    for subnet in subnets.iter_mut().filter(|subnet| subnet.gateway.is_none()) {
        let has_none = match subnet.subnet {
            _ if driver == "macvlan" => true,
            IpNet::V4(_) => options.mode_v4 == GatewayMode::Isolated || (options.inhibit_v4 && internal),
            IpNet::V6(_) => options.mode_v6 == GatewayMode::Isolated,
        };
        if !has_none {
            subnet.gateway = Some(ipam::gateway(&ipam::Subnet::from(&*subnet))?);
        }
    }
    Ok(())
}

/// Refuses a gateway or an auxiliary address that is not there to be given, in docker's words and with its status.
fn check_taken(subnets: &[Subnet]) -> Result<()> {
    for subnet in subnets.iter().map(ipam::Subnet::from) {
        let whole = ipam::Subnet { gateway: None, reserved: BTreeMap::new(), ..subnet.clone() };
        let is_given =
            |address: IpAddr| ipam::static_address(std::slice::from_ref(&whole), address, &ipam::Taken::new()).is_err();
        if let Some(gateway) = subnet.gateway.filter(|gateway| is_given(*gateway)) {
            let text = format!("failed to allocate gateway ({gateway}): Address already in use");
            return Err(EngineError::internal(text));
        }
        for (name, address) in &subnet.reserved {
            // The default route's is another one's in a network that is wider than the subnet.
            if name.starts_with("DefaultGatewayIPv") {
                continue;
            }
            if subnet.gateway == Some(*address) || is_given(*address) {
                let text =
                    format!("failed to allocate secondary ip address ({name}:{address}): Address already in use");
                return Err(EngineError::internal(text));
            }
        }
    }
    Ok(())
}

fn asked(pool: &corten_docker_api::networks::IpamPool) -> Asked {
    Asked {
        subnet: pool.subnet.clone(),
        ip_range: pool.ip_range.clone(),
        gateway: pool.gateway.clone(),
        auxiliary: pool.auxiliary_addresses.clone().unwrap_or_default(),
    }
}

fn overlap(one: &IpNet, other: &IpNet) -> bool {
    one.contains(other) || other.contains(one)
}

fn free(subnet: &IpNet, taken: &[(IpNet, &str)]) -> Result<()> {
    match taken.iter().find(|(other, _)| overlap(subnet, other)) {
        Some((range, network)) => {
            Err(ipam::IpamError::Overlap { network: (*network).to_owned(), range: range.to_string() }.into())
        }
        None => Ok(()),
    }
}

/// docker lets a named subnet hide a part of the host's network; here it is at least said.
fn of_the_host(subnet: &IpNet, host: &[HostRange]) -> Option<String> {
    let used = host.iter().find(|used| overlap(subnet, &used.range))?;
    Some(format!("subnet {subnet} overlaps with {} of the host's interface {}", used.range, used.interface))
}

/// The bridge of a new network. One that exists and has the name that was asked for is used and never removed.
fn bridge(options: &Options, id: &str, used: &[Arc<Record>]) -> Result<Bridge> {
    let Some(name) = &options.bridge else {
        return Ok(Bridge { interface: format!("br-{}", &id[..12]), adopted: false });
    };
    let same = used.iter().find(|record| record.bridge.as_ref().is_some_and(|bridge| bridge.interface == *name));
    if let Some(other) = same {
        let text = format!(
            "cannot create network {id} ({name}): conflicts with network {} ({name}): networks have same bridge name",
            other.id
        );
        return Err(EngineError::new(ErrorKind::PermissionDenied, text));
    }
    Ok(Bridge { interface: name.clone(), adopted: interface_exists(name) })
}

/// Whether the host has an interface of that name, in our own network namespace: `/sys` may show another one's.
pub(super) fn interface_exists(name: &str) -> bool {
    let devices = std::fs::read_to_string("/proc/self/net/dev").unwrap_or_default();
    devices.lines().any(|line| line.trim_start().split(':').next() == Some(name))
}

fn check_parent(options: &Options, used: &[Arc<Record>]) -> Result<()> {
    // One that names none has a parent of its own.
    let Some(parent) = &options.parent else { return Ok(()) };
    if parent == "lo" {
        return Err(EngineError::invalid("loopback interface is not a valid macvlan parent link"));
    }
    if !interface_exists(parent) {
        return Err(match parent.rsplit_once('.') {
            Some(_) => EngineError::unimplemented(format!(
                "macvlan's parent {parent}: making VLAN interfaces is not supported yet"
            )),
            None => EngineError::invalid(format!("-o parent interface was not found on the host: {parent}")),
        });
    }
    let shares = |record: &&Arc<Record>| {
        record.driver == "macvlan"
            && record.driver_options().is_ok_and(|options| options.parent.as_ref() == Some(parent))
    };
    // Others may share it, unless one has it to itself.
    let is_alone =
        |network: &Record| network.driver_options().is_ok_and(|options| options.macvlan_mode == MacvlanMode::Passthru);
    for other in used.iter().filter(shares) {
        let id = &other.id;
        if options.macvlan_mode == MacvlanMode::Passthru {
            return Err(EngineError::internal(format!(
                "cannot use mode passthru, macvlan network {id} is already using parent interface {parent}"
            )));
        }
        if is_alone(other) {
            return Err(EngineError::internal(format!(
                "macvlan network {id} is already using parent interface {parent} in mode passthru"
            )));
        }
    }
    Ok(())
}
