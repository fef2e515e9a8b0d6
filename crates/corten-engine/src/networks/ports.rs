//! Published ports: what is asked for, which ports of the host that becomes, and who serves each.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::sync::Mutex;
use std::sync::PoisonError;

use corten_docker_api::containers::{ContainerConfig, HostConfig, PortBinding, PortMap};
use corten_network::plan::{GatewayMode, Protocol};
use corten_relay as relay;

use super::attachment::{Attachment, PublishedPort};
use super::flags::Flags;
use super::record::Record;
use crate::containers::record::Record as Container;
use crate::engine::Engine;
use crate::errors::{EngineError, Result};

/// Where ephemeral ports come from when the kernel does not say.
const EPHEMERAL: (u16, u16) = (49153, 65535);

/// A port that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    protocol: Protocol,
    container_port: u16,
    /// Of the host; `None` for all of its.
    address: Option<IpAddr>,
    /// First and last number that will do; `None` for an ephemeral one.
    range: Option<(u16, u16)>,
}

impl Wanted {
    /// The container's port.
    pub fn container_port(&self) -> u16 {
        self.container_port
    }

    /// Its protocol.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Whether a port of the host is one that was asked for.
    pub fn takes(&self, host: SocketAddr) -> bool {
        self.address.is_none_or(|address| address == host.ip())
            && self.range.is_none_or(|(first, last)| (first..=last).contains(&host.port()))
    }
}

/// A port of the host with its socket, for whoever holds it.
#[derive(Debug)]
pub struct Reserved {
    /// What it is.
    pub port: PublishedPort,
    /// The socket that keeps it from others.
    pub socket: Option<OwnedFd>,
}

/// Ephemeral ports are given one after the other, so that one which was just free is not given again at once.
#[derive(Debug, Default)]
pub struct Ephemeral(Mutex<u16>);

/// Reads a container's port as `80/tcp`.
///
/// # Errors
/// 400 for what is no port, 501 for SCTP.
pub fn container_port(text: &str) -> Result<(u16, Protocol)> {
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = match protocol.to_ascii_lowercase().as_str() {
        "tcp" | "" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "sctp" => return Err(EngineError::unimplemented(format!("port {text}: SCTP is not supported yet"))),
        other => return Err(EngineError::invalid(format!("invalid port specification: unknown protocol: {other}"))),
    };
    let number = number.parse().ok().filter(|number| *number != 0);
    let number = number.ok_or_else(|| EngineError::invalid(format!("invalid port specification: \"{text}\"")))?;
    Ok((number, protocol))
}

/// Everything that is asked for, in docker's order: ports of the host that somebody named come first, so that no
/// ephemeral one takes their number. A binding counts only for a port that is exposed, as in dockerd 20.10 and 28.
///
/// # Errors
/// 400 for what cannot be read, 501 for SCTP.
pub fn wanted(container: &Container) -> Result<Vec<Wanted>> {
    wanted_with(&container.config, &container.host_config)
}

fn wanted_with(config: &ContainerConfig, host: &HostConfig) -> Result<Vec<Wanted>> {
    let exposed = exposed(config);
    let mut all = wanted_of(host)?;
    all.retain(|wanted| exposed.contains(&(wanted.container_port, wanted.protocol)));
    if host.publish_all_ports {
        let bound: BTreeSet<_> = all.iter().map(|wanted| (wanted.container_port, wanted.protocol)).collect();
        let others = exposed.iter().filter(|port| !bound.contains(port));
        all.extend(others.map(|&(container_port, protocol)| Wanted {
            protocol,
            container_port,
            address: None,
            range: None,
        }));
    }
    let named = |wanted: &Wanted| wanted.range.map_or(0, |(first, _)| first);
    all.sort_by_key(|wanted| (Reverse(named(wanted)), Reverse(wanted.container_port), wanted.protocol));
    Ok(all)
}

/// The ports that image and container expose; one that cannot be read is nobody's.
pub fn exposed(config: &ContainerConfig) -> BTreeSet<(u16, Protocol)> {
    let all = config.exposed_ports.iter().flatten();
    all.filter_map(|(text, _)| container_port(text).ok()).collect()
}

/// Every binding, whether its port is exposed or not: for a create, which refuses what cannot be read.
pub fn wanted_of(host_config: &HostConfig) -> Result<Vec<Wanted>> {
    let mut all = Vec::new();
    for (text, bindings) in host_config.port_bindings.iter().flatten() {
        let (container_port, protocol) = container_port(text)?;
        for binding in bindings.iter().flatten() {
            let (address, range) = (host_address(binding)?, host_range(&binding.host_port)?);
            all.push(Wanted { protocol, container_port, address, range });
        }
    }
    Ok(all)
}

fn host_address(binding: &PortBinding) -> Result<Option<IpAddr>> {
    let text = binding.host_ip.trim_start_matches('[').trim_end_matches(']');
    match text {
        "" => Ok(None),
        text => {
            text.parse().map(Some).map_err(|_| EngineError::invalid(format!("invalid IP address: {}", binding.host_ip)))
        }
    }
}

fn host_range(text: &str) -> Result<Option<(u16, u16)>> {
    let wrong = || EngineError::invalid(format!("invalid port specification: \"{text}\""));
    let number = |text: &str| text.parse::<u16>().map_err(|_| wrong());
    match text.split_once('-') {
        None if text.is_empty() => Ok(None),
        None => Ok(Some(number(text)?).filter(|number| *number != 0).map(|number| (number, number))),
        Some((first, last)) => match (number(first)?, number(last)?) {
            (first, last) if first <= last && first != 0 => Ok(Some((first, last))),
            _ => Err(wrong()),
        },
    }
}

/// Where the ports of a container lead: the places that are its ways out.
#[derive(Clone, Copy)]
pub struct Targets<'a> {
    /// For IPv4.
    pub v4: Option<(&'a Record, &'a Attachment)>,
    /// For IPv6.
    pub v6: Option<(&'a Record, &'a Attachment)>,
}

/// Reserves every port of the host, or none. Blocks, and is done where the engine's own network namespace is.
///
/// # Errors
/// 500 with docker's words for a port that is taken.
pub fn reserve(engine: &Engine, container: &str, wanted: &[Wanted], targets: &Targets<'_>) -> Result<Vec<Reserved>> {
    let host_has_v6 = host_has_v6();
    let mut all = Vec::new();
    for one in wanted {
        let candidates = candidates(&engine.config.networks, one, targets, host_has_v6)?;
        if candidates.is_empty() {
            continue;
        }
        all.extend(reserve_one(engine, container, one, &candidates)?);
    }
    Ok(all)
}

/// What one binding becomes, for each address of the host; the number is still to be chosen.
pub(super) fn candidates(
    flags: &Flags,
    one: &Wanted,
    targets: &Targets<'_>,
    host_has_v6: bool,
) -> Result<Vec<PublishedPort>> {
    let mut default = flags.ip;
    if let Some((network, _)) = targets.v4 {
        default = network.driver_options()?.host_binding.or(default);
    }
    // As a default, all addresses of IPv4 mean all addresses.
    let default = default.filter(|address| *address != IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let addresses = match one.address.or(default) {
        Some(address) => vec![address],
        None => {
            let v6 = host_has_v6.then_some(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
            [IpAddr::V4(Ipv4Addr::UNSPECIFIED)].into_iter().chain(v6).collect()
        }
    };
    let mut all = Vec::new();
    for address in addresses {
        all.extend(candidate(flags, one, address, targets)?);
    }
    Ok(all)
}

fn candidate(flags: &Flags, one: &Wanted, address: IpAddr, targets: &Targets<'_>) -> Result<Option<PublishedPort>> {
    let own_v4 = targets.v4.and_then(|(network, place)| Some((network, IpAddr::V4(place.v4?.addr()))));
    let own_v6 = targets.v6.and_then(|(network, place)| Some((network, IpAddr::V6(place.v6?.addr()))));
    let by_relay = flags.userland_proxy != Some(false);
    let (target, same_family) = match address {
        IpAddr::V4(_) => (own_v4, true),
        IpAddr::V6(_) => match own_v6 {
            Some(target) => (Some(target), true),
            // From IPv6 to a container of IPv4 alone there is no translation.
            None => (own_v4.filter(|_| by_relay), false),
        },
    };
    let Some((network, container)) = target else { return Ok(None) };
    let options = network.driver_options()?;
    let mode = if container.is_ipv4() { options.mode_v4 } else { options.mode_v6 };
    let port = |host: IpAddr| PublishedPort {
        protocol: one.protocol.name().to_owned(),
        host: SocketAddr::new(host, 0),
        container: SocketAddr::new(container, one.container_port),
        network: network.id.clone(),
        translated: same_family,
        loopback: false,
        relayed: false,
        bound: false,
    };
    if mode == GatewayMode::Routed {
        let unspecified = match address {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        return Ok(same_family.then(|| port(unspecified)));
    }
    let rules = if address.is_ipv4() { flags.iptables } else { flags.ip6tables };
    let translated = same_family && rules;
    let relayed = by_relay && (!translated || address.is_ipv6() || flags.userland_proxy == Some(true));
    if !translated && !relayed {
        return Ok(None);
    }
    Ok(Some(PublishedPort { translated, loopback: translated && !relayed, relayed, bound: true, ..port(address) }))
}

pub(super) fn reserve_one(
    engine: &Engine,
    container: &str,
    one: &Wanted,
    candidates: &[PublishedPort],
) -> Result<Vec<Reserved>> {
    if candidates.iter().all(|candidate| !candidate.bound) {
        return Ok(candidates.iter().cloned().map(|port| Reserved { port, socket: None }).collect());
    }
    let (first, last) = one.range.unwrap_or_else(ephemeral_range);
    let numbers: Vec<u16> = match one.range {
        Some(_) => (first..=last).collect(),
        None => engine.networks.ephemeral.order(first, last),
    };
    let mut refusal = None;
    for number in numbers {
        match reserve_number(one.protocol, candidates, number) {
            Ok(reserved) => {
                if one.range.is_none() {
                    engine.networks.ephemeral.given(number);
                }
                return Ok(reserved);
            }
            Err((address, error)) => {
                let is_taken = error.kind() == io::ErrorKind::AddrInUse;
                refusal = Some(refused(engine, container, one.protocol, address, &error));
                if !is_taken {
                    break;
                }
            }
        }
    }
    Err(refusal.unwrap_or_else(|| EngineError::internal("all ports are allocated")))
}

/// The same number for all addresses, or none.
fn reserve_number(
    protocol: Protocol,
    candidates: &[PublishedPort],
    number: u16,
) -> std::result::Result<Vec<Reserved>, (SocketAddr, io::Error)> {
    let mut all = Vec::new();
    for candidate in candidates {
        if !candidate.bound {
            all.push(Reserved { port: candidate.clone(), socket: None });
            continue;
        }
        let host = SocketAddr::new(candidate.host.ip(), number);
        let socket = relay::reserve(relay_port(protocol, host)).map_err(|error| (host, error))?;
        all.push(Reserved { port: PublishedPort { host, ..candidate.clone() }, socket: Some(socket) });
    }
    Ok(all)
}

/// The socket of one port whose number is known.
pub(super) fn reserve_port(engine: &Engine, container: &str, port: &PublishedPort) -> Result<OwnedFd> {
    let refused = |error| refused(engine, container, port.kind(), port.host, &error);
    relay::reserve(relay_port(port.kind(), port.host)).map_err(refused)
}

/// The port in the words of the hand-over.
pub fn relay_port(protocol: Protocol, host: SocketAddr) -> relay::Port {
    let protocol = match protocol {
        Protocol::Tcp => relay::Protocol::Tcp,
        Protocol::Udp => relay::Protocol::Udp,
    };
    relay::Port { protocol, host }
}

/// docker's words: one of our containers has it, or somebody else.
fn refused(engine: &Engine, own: &str, protocol: Protocol, host: SocketAddr, error: &io::Error) -> EngineError {
    let overlaps = |one: IpAddr, other: IpAddr| {
        one.is_ipv4() == other.is_ipv4() && (one == other || one.is_unspecified() || other.is_unspecified())
    };
    let is_ours = engine.containers.all().iter().any(|container| {
        let view = container.view();
        view.record.id != own
            && view.state.networking.ports.iter().any(|port| {
                port.kind() == protocol && port.host.port() == host.port() && overlaps(port.host.ip(), host.ip())
            })
    });
    match error.kind() {
        io::ErrorKind::AddrInUse if is_ours => {
            EngineError::internal(format!("Bind for {host} failed: port is already allocated"))
        }
        io::ErrorKind::AddrInUse => EngineError::internal(format!(
            "failed to bind host port {host}/{}: address already in use",
            protocol.name()
        )),
        io::ErrorKind::AddrNotAvailable => EngineError::internal(format!(
            "failed to bind host port {host}/{}: cannot assign requested address",
            protocol.name()
        )),
        _ => EngineError::internal(format!("failed to bind host port {host}/{}: {error}", protocol.name())),
    }
}

impl Ephemeral {
    /// Every number of the range once, from behind the one that was given last.
    fn order(&self, first: u16, last: u16) -> Vec<u16> {
        let at = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let next = if at >= first && at < last { at + 1 } else { first };
        (next..=last).chain(first..next).collect()
    }

    fn given(&self, number: u16) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = number;
    }
}

/// The range of the engine's network namespace (ip(7), `ip_local_port_range`).
fn ephemeral_range() -> (u16, u16) {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut numbers = text.split_ascii_whitespace().map(str::parse::<u16>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(first)), Some(Ok(last))) if 0 < first && first <= last => (first, last),
        _ => EPHEMERAL,
    }
}

/// Whether the host speaks IPv6: docker's test.
pub(super) fn host_has_v6() -> bool {
    TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

/// The ports of a container as the API shows them: what is exposed, and where what is published is reached.
pub fn shown(container: &Container, ports: &[PublishedPort]) -> PortMap {
    let mut shown: BTreeMap<String, Option<Vec<PortBinding>>> = BTreeMap::new();
    for text in container.config.exposed_ports.iter().flatten().map(|(text, _)| text) {
        shown.insert(text.clone(), None);
    }
    for port in ports {
        let key = format!("{}/{}", port.container.port(), port.protocol);
        let host_port = if port.bound { port.host.port().to_string() } else { String::new() };
        let binding = PortBinding { host_ip: port.host.ip().to_string(), host_port };
        shown.entry(key).or_default().get_or_insert_default().push(binding);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding(ip: &str, port: &str) -> PortBinding {
        PortBinding { host_ip: ip.to_owned(), host_port: port.to_owned() }
    }

    fn host(port: &str, bindings: Vec<PortBinding>) -> HostConfig {
        HostConfig { port_bindings: Some(BTreeMap::from([(port.to_owned(), Some(bindings))])), ..HostConfig::default() }
    }

    #[test]
    fn bindings_are_read() {
        let all =
            wanted_of(&host("80/tcp", vec![binding("", ""), binding("127.0.0.1", "8080"), binding("::1", "1-9")]))
                .unwrap();
        assert_eq!(all.iter().map(|one| one.range).collect::<Vec<_>>(), [None, Some((8080, 8080)), Some((1, 9))]);
        assert_eq!(all[2].address, Some(IpAddr::V6(Ipv6Addr::LOCALHOST)));
        assert_eq!(wanted_of(&host("53/udp", vec![binding("", "0")])).unwrap()[0].range, None);
    }

    #[test]
    fn what_is_no_port_is_refused() {
        for (port, given, status) in [
            ("80/sctp", binding("", ""), 501),
            ("80/x", binding("", ""), 400),
            ("0/tcp", binding("", ""), 400),
            ("99999", binding("", ""), 400),
            ("80/tcp", binding("x", ""), 400),
            ("80/tcp", binding("", "9-1"), 400),
            ("80/tcp", binding("", "70000"), 400),
        ] {
            assert_eq!(wanted_of(&host(port, vec![given])).unwrap_err().kind().http_status(), status, "{port}");
        }
    }

    #[test]
    fn exposed_ports_are_published_in_docker_s_order() {
        let mut host = host("80/tcp", vec![binding("", "")]);
        let more = [("70/udp", binding("", "7000")), ("90", binding("", "9000")), ("91/tcp", binding("", "1"))];
        host.port_bindings.get_or_insert_default().extend(more.map(|(port, one)| (port.to_owned(), Some(vec![one]))));
        let exposed = ["70/udp", "80/tcp", "90/tcp", "100/tcp"].map(|port| (port.to_owned(), Default::default()));
        let config =
            ContainerConfig { exposed_ports: Some(exposed.into_iter().collect()), ..ContainerConfig::default() };
        let published = |all: bool| -> Vec<u16> {
            let host = HostConfig { publish_all_ports: all, ..host.clone() };
            wanted_with(&config, &host).unwrap().iter().map(Wanted::container_port).collect()
        };
        assert_eq!(published(false), [90, 70, 80]);
        assert_eq!(published(true), [90, 70, 100, 80]);
    }

    #[test]
    fn ephemeral_ports_go_round() {
        let ephemeral = Ephemeral::default();
        assert_eq!(ephemeral.order(10, 12), [10, 11, 12]);
        ephemeral.given(11);
        assert_eq!(ephemeral.order(10, 12), [12, 10, 11]);
        ephemeral.given(12);
        assert_eq!(ephemeral.order(10, 12), [10, 11, 12]);
    }

    #[test]
    fn a_relay_serves_what_translation_does_not_reach() {
        let place = Attachment {
            network: "n".into(),
            endpoint: "e".into(),
            interface: "eth0".into(),
            mac: String::new(),
            v4: "172.18.0.2/16".parse().ok(),
            v6: None,
            link_local: Vec::new(),
            gateway_v4: None,
            gateway_v6: None,
            sysctls: BTreeMap::new(),
            announcements: 3,
            announcement_gap_ms: 1000,
            gateway_priority: 0,
            names: Vec::new(),
            unfinished: false,
        };
        let network = super::super::default_bridge::blank("e", crate::clock::Moment::now(), "bridge", "bridge");
        let targets = Targets { v4: Some((&network, &place)), v6: None };
        let one = Wanted { protocol: Protocol::Tcp, container_port: 80, address: None, range: None };
        let served = |flags: &Flags| -> Vec<(bool, bool, bool)> {
            let all = candidates(flags, &one, &targets, true).unwrap();
            all.iter().map(|port| (port.translated, port.loopback, port.relayed)).collect()
        };
        let flags = Flags::default();
        assert_eq!(served(&flags), [(true, true, false), (false, false, true)]);
        let all_by_relay = Flags { userland_proxy: Some(true), ..Flags::default() };
        assert_eq!(served(&all_by_relay), [(true, false, true), (false, false, true)]);
        let without = Flags { userland_proxy: Some(false), ..Flags::default() };
        assert_eq!(served(&without), [(true, true, false)]);
        let no_rules = Flags { iptables: false, ..Flags::default() };
        assert_eq!(served(&no_rules), [(false, false, true), (false, false, true)]);
    }
}
