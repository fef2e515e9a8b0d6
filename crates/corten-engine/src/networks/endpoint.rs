//! A container's place in a network: what of it is asked for and may be, and which addresses it gets.

use std::collections::BTreeMap;
use std::net::IpAddr;

use corten_docker_api::containers::{Endpoint, EndpointAddresses};
use corten_network::ipam::{self, Taken};
use corten_network::plan::GatewayMode;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::attachment::{Attachment, mac, mac_text};
use super::options::{ANNOUNCEMENT_GAP, ANNOUNCEMENTS, announcement_gap, announcements, interface_name};
use super::record::{Record, v4_of, v6_of};
use crate::containers::View;
use crate::containers::record::Record as Container;
use crate::engine::Engine;
use crate::errors::{EngineError, Result};

const SYSCTLS: &str = "com.docker.network.endpoint.sysctls";
const INTERFACE: &str = "com.docker.network.endpoint.ifname";

/// Most aliases of a container in a network.
const MAX_ALIASES: usize = 200;
/// Longest alias.
const ALIAS_BYTES: usize = 255;

/// Checks what is asked of a place in the network `name`, which need not exist yet.
///
/// # Errors
/// 400 with every mistake, in docker's words.
pub fn check(name: &str, network: Option<&Record>, endpoint: &Endpoint) -> Result<()> {
    let addresses = endpoint.ipam_config.clone().unwrap_or_default();
    let mut mistakes = Vec::new();
    let has_static = !addresses.ipv4_address.is_empty() || !addresses.ipv6_address.is_empty();
    if super::is_predefined(name) {
        if has_static {
            mistakes.push("user specified IP address is supported on user defined networks only".to_owned());
        }
        if endpoint.aliases.as_ref().is_some_and(|aliases| !aliases.is_empty()) {
            mistakes.push("network-scoped alias is supported only for containers in user defined networks".to_owned());
        }
    }
    check_addresses(&addresses, &mut mistakes);
    if let Some(network) = network.filter(|_| has_static) {
        check_in_range(&addresses, network, &mut mistakes);
    }
    if !endpoint.mac_address.is_empty()
        && let Err(error) = mac(&endpoint.mac_address)
    {
        mistakes.push(error.message());
    }
    for alias in endpoint.aliases.iter().flatten() {
        if alias.len() > ALIAS_BYTES || alias.contains(|character: char| character.is_control()) {
            mistakes.push(format!("invalid alias: it is longer than {ALIAS_BYTES} bytes, or has control characters"));
        }
    }
    if endpoint.aliases.as_ref().is_some_and(|aliases| aliases.len() > MAX_ALIASES) {
        mistakes.push(format!("more than {MAX_ALIASES} aliases"));
    }
    for link in endpoint.links.iter().flatten() {
        if split_link(link).is_none() {
            mistakes.push(format!("bad format for links: {link}"));
        }
    }
    options(endpoint, "eth0", &mut mistakes);
    match mistakes.as_slice() {
        [] => Ok(()),
        [mistake] => Err(EngineError::invalid(format!("invalid endpoint settings:\n{mistake}"))),
        several => Err(EngineError::invalid(format!("invalid endpoint settings:\n* {}", several.join("\n* ")))),
    }
}

fn check_addresses(addresses: &EndpointAddresses, mistakes: &mut Vec<String>) {
    let v4 = &addresses.ipv4_address;
    if !v4.is_empty() && v4.parse::<std::net::Ipv4Addr>().map_or(true, |address| address.is_unspecified()) {
        mistakes.push(format!("invalid IPv4 address: {v4}"));
    }
    let v6 = &addresses.ipv6_address;
    if !v6.is_empty() && v6.parse::<std::net::Ipv6Addr>().map_or(true, |address| address.is_unspecified()) {
        mistakes.push(format!("invalid IPv6 address: {v6}"));
    }
    for local in addresses.link_local_ips.iter().flatten() {
        if local.parse::<IpAddr>().map_or(true, |address| address.is_unspecified()) {
            mistakes.push(format!("invalid link-local IP address: {local}"));
        }
    }
}

fn check_in_range(addresses: &EndpointAddresses, network: &Record, mistakes: &mut Vec<String>) {
    for (text, v6) in [(&addresses.ipv4_address, false), (&addresses.ipv6_address, true)] {
        if text.is_empty() {
            continue;
        }
        let asked = network.ipam.config.iter().flatten();
        if !asked.clone().any(|pool| !pool.subnet.is_empty() && pool.subnet.contains(':') == v6) {
            mistakes.push(
                "user specified IP address is supported only when connecting to networks with user configured subnets"
                    .to_owned(),
            );
            continue;
        }
        let address = text.parse::<IpAddr>().ok();
        let is_in = |address: IpAddr| network.subnets.iter().any(|subnet| subnet.subnet.contains(&address));
        if !address.is_some_and(is_in) {
            mistakes.push(format!("no configured subnet or ip-range contain the IP address {text}"));
        }
    }
}

/// `container:alias`, or a name that is its own alias.
pub fn split_link(link: &str) -> Option<(&str, &str)> {
    let (name, alias) = link.split_once(':').unwrap_or((link, link));
    let (name, alias) = (name.trim_start_matches('/'), alias.rsplit('/').next().unwrap_or(alias));
    (!name.is_empty() && !alias.is_empty() && !alias.contains(':')).then_some((name, alias))
}

/// What the driver's options of a place say. Announcements are the network's to say in docker; here a place may, too.
#[derive(Clone, Debug, PartialEq, Eq)]
struct PlaceOptions {
    interface: Option<String>,
    sysctls: BTreeMap<String, String>,
    announcements: Option<u8>,
    announcement_gap_ms: Option<u16>,
}

fn options(endpoint: &Endpoint, interface: &str, mistakes: &mut Vec<String>) -> PlaceOptions {
    let mut read =
        PlaceOptions { interface: None, sysctls: BTreeMap::new(), announcements: None, announcement_gap_ms: None };
    let own = |key: &str| endpoint.driver_opts.as_ref().and_then(|options| options.get(key));
    if let Some(name) = own(INTERFACE) {
        match interface_name(INTERFACE, name) {
            Ok(()) => read.interface = Some(name.clone()),
            Err(mistake) => mistakes.push(mistake),
        }
    }
    let interface = read.interface.as_deref().unwrap_or(interface);
    for sysctl in own(SYSCTLS).map(|text| text.split(',')).into_iter().flatten() {
        match sysctl_path(sysctl, interface) {
            Some((path, value)) => drop(read.sysctls.insert(path, value)),
            None => mistakes.push(format!(
                "unrecognised network interface sysctl '{sysctl}'; represent 'net.X.Y.ethN.Z=V' as 'net.X.Y.IFNAME.Z=V', 'X' must be 'ipv4', 'ipv6' or 'mpls'"
            )),
        }
    }
    match own(ANNOUNCEMENTS).map(|text| announcements(text)).transpose() {
        Ok(number) => read.announcements = number,
        Err(mistake) => mistakes.push(mistake),
    }
    match own(ANNOUNCEMENT_GAP).map(|text| announcement_gap(text)).transpose() {
        Ok(number) => read.announcement_gap_ms = number,
        Err(mistake) => mistakes.push(mistake),
    }
    read
}

/// `net.ipv4.conf.IFNAME.forwarding=1` → `net/ipv4/conf/eth0/forwarding`, `1`.
fn sysctl_path(sysctl: &str, interface: &str) -> Option<(String, String)> {
    let (name, value) = sysctl.split_once('=')?;
    let parts: Vec<&str> = name.split('.').collect();
    let [net, family @ ("ipv4" | "ipv6" | "mpls"), table, "IFNAME" | "ifname", key] = parts.as_slice() else {
        return None;
    };
    let plain = |word: &str| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
    };
    (*net == "net" && plain(table) && plain(key))
        .then(|| (format!("net/{family}/{table}/{interface}/{key}"), value.to_owned()))
}

/// The names of a container in a network that resolves names, docker's order: the first one names its addresses.
pub fn names(container: &Container, endpoint: &Endpoint) -> Vec<String> {
    let mut names = vec![container.name.clone()];
    names.extend(endpoint.aliases.iter().flatten().cloned());
    names.push(container.id.get(..12).unwrap_or(&container.id).to_owned());
    if !container.config.hostname.is_empty() {
        names.push(container.config.hostname.clone());
    }
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

/// Chooses everything about the place of a container in a network, and takes its addresses. `others` are its interfaces.
///
/// # Errors
/// 400 for what is asked and cannot be, 403 for an address in use, 503 when there is none left.
pub fn choose(
    engine: &Engine,
    view: &View,
    network: &Record,
    asked: &Endpoint,
    others: &[String],
) -> Result<Attachment> {
    let container = &view.record;
    check(&network.name, Some(network), asked)?;
    let driver = network.driver_options()?;
    let interface = interface(asked, &driver.interface_prefix, others)?;
    let mut mistakes = Vec::new();
    let options = options(asked, &interface, &mut mistakes);
    let reserved = reserved(engine, network, &container.id);
    let (v4, v6) = engine.networks.index.take(&network.id, &container.id, |taken| {
        let running = in_use(engine, taken);
        let v4 = address(network, false, asked, &running, &reserved)?;
        let v6 = address(network, true, asked, &running, &reserved)?;
        Ok(((v4, v6), [v4, v6].into_iter().flatten().map(|net| net.addr()).collect()))
    })?;
    let internal = network.is_internal();
    // Of several subnets each has its own.
    let way_out = |own: IpNet, default_route: &str| {
        let subnet = network.subnets.iter().find(|subnet| subnet.subnet.contains(&own.addr()))?;
        subnet.reserved.get(default_route).copied().or(subnet.gateway)
    };
    Ok(Attachment {
        network: network.id.clone(),
        endpoint: container.endpoint_id(&network.id),
        interface,
        mac: if asked.mac_address.is_empty() { random_mac()? } else { mac_text(mac(&asked.mac_address)?) },
        v4: v4.and_then(|net| match net {
            IpNet::V4(net) => Some(net),
            IpNet::V6(_) => None,
        }),
        v6: v6.and_then(|net| match net {
            IpNet::V6(net) => Some(net),
            IpNet::V4(_) => None,
        }),
        link_local: asked
            .ipam_config
            .iter()
            .flat_map(|addresses| addresses.link_local_ips.iter().flatten())
            .filter_map(|text| text.parse().ok())
            .collect(),
        gateway_v4: v4
            .filter(|_| !internal && driver.mode_v4 != GatewayMode::Isolated)
            .and_then(|own| v4_of(way_out(own, "DefaultGatewayIPv4"))),
        gateway_v6: v6.filter(|_| !internal).and_then(|own| v6_of(way_out(own, "DefaultGatewayIPv6"))),
        sysctls: options.sysctls,
        announcements: options.announcements.unwrap_or(driver.announcements),
        announcement_gap_ms: options.announcement_gap_ms.unwrap_or(driver.announcement_gap_ms),
        gateway_priority: asked.gw_priority,
        names: if network.resolves_names() { names(container, asked) } else { Vec::new() },
        unfinished: false,
    })
}

/// The interface asked for, or the prefix with the lowest number that is free.
fn interface(asked: &Endpoint, prefix: &str, others: &[String]) -> Result<String> {
    let named = asked.driver_opts.as_ref().and_then(|options| options.get(INTERFACE));
    if let Some(name) = named {
        if others.contains(name) || name == "lo" {
            return Err(EngineError::invalid(format!("interface name {name} is already in use in the container")));
        }
        return Ok(name.clone());
    }
    let free = (0..).map(|number| format!("{prefix}{number}")).find(|name| !others.contains(name));
    free.ok_or_else(|| EngineError::internal("no interface name is free"))
}

/// The addresses that other containers name for themselves, running or not: nobody else gets them by chance.
fn reserved(engine: &Engine, network: &Record, own: &str) -> Taken {
    let mut reserved = Taken::new();
    if !network.has_own_subnets() {
        return reserved;
    }
    for container in engine.containers.all() {
        let view = container.view();
        if view.record.id == own {
            continue;
        }
        let places = view.record.endpoints.iter().filter(|(name, endpoint)| {
            **name == network.name || endpoint.as_ref().is_some_and(|endpoint| endpoint.network_id == network.id)
        });
        for addresses in places.filter_map(|(_, endpoint)| endpoint.as_ref()?.ipam_config.as_ref()) {
            for text in [&addresses.ipv4_address, &addresses.ipv6_address] {
                if let Ok(address) = text.parse::<IpAddr>() {
                    reserved.insert(address, format!("container {}", view.record.name));
                }
            }
        }
    }
    reserved
}

fn in_use(engine: &Engine, taken: &BTreeMap<IpAddr, String>) -> Taken {
    let holder = |id: &String| match engine.containers.get(id) {
        Some(container) => format!("container {}", container.view().record.name),
        None => format!("container {id}"),
    };
    taken.iter().map(|(address, id)| (*address, holder(id))).collect()
}

fn address(network: &Record, v6: bool, asked: &Endpoint, running: &Taken, reserved: &Taken) -> Result<Option<IpNet>> {
    let subnets = network.subnets_of(v6);
    if subnets.is_empty() {
        return Ok(None);
    }
    let addresses = asked.ipam_config.clone().unwrap_or_default();
    let text = if v6 { addresses.ipv6_address } else { addresses.ipv4_address };
    let (subnet, chosen) = match text.parse::<IpAddr>() {
        // Whoever names an address may have one that another container names, too, as long as that does not run.
        Ok(wanted) => (ipam::static_address(&subnets, wanted, running)?, wanted),
        Err(_) => {
            let name = format!("{} ({})", network.name, network.id);
            let taken = reserved.clone().into_iter().chain(running.clone()).collect();
            free_address(&subnets, &taken, &name)?
        }
    };
    let length = subnet.subnet.prefix_len();
    let net = match chosen {
        IpAddr::V4(address) => Ipv4Net::new(address, length).map(IpNet::V4),
        IpAddr::V6(address) => Ipv6Net::new(address, length).map(IpNet::V6),
    };
    net.map(Some).map_err(|error| EngineError::internal("an address with its length").caused_by(error))
}

/// The lowest free address of the first subnet that has one.
fn free_address(subnets: &[ipam::Subnet], taken: &Taken, network: &str) -> Result<(ipam::Subnet, IpAddr)> {
    let mut full = None;
    for subnet in subnets {
        match ipam::free_address(subnet, taken, network) {
            Ok(address) => return Ok((subnet.clone(), address)),
            Err(error) => full = Some(error),
        }
    }
    Err(full.map_or_else(|| EngineError::internal(format!("network {network} has no subnet")), EngineError::from))
}

/// Random, locally administered, of one receiver.
fn random_mac() -> Result<String> {
    let mut address = [0; 6];
    getrandom::fill(&mut address).map_err(|error| EngineError::internal("draw a hardware address").caused_by(error))?;
    address[0] = address[0] & 0xfc | 0x02;
    Ok(mac_text(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_option(key: &str, value: &str) -> Endpoint {
        Endpoint { driver_opts: Some(BTreeMap::from([(key.to_owned(), value.to_owned())])), ..Endpoint::default() }
    }

    #[test]
    fn sysctls_are_of_the_own_interface_and_of_nothing_else() {
        let path = |text: &str| sysctl_path(text, "eth3");
        assert_eq!(
            path("net.ipv4.conf.IFNAME.forwarding=1"),
            Some(("net/ipv4/conf/eth3/forwarding".to_owned(), "1".to_owned()))
        );
        for wrong in [
            "net.ipv4.conf.eth0.forwarding=1",
            "kernel.ipv4.conf.IFNAME.x=1",
            "net.ipv4.conf.IFNAME=1",
            "net.ipv4...IFNAME.x=1",
            "net.ipv4.conf.IFNAME.../../x=1",
            "net.ipv9.conf.IFNAME.x=1",
            "x",
        ] {
            assert_eq!(path(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_asked_of_a_place_is_checked_with_docker_s_words() {
        let text = |name: &str, endpoint: &Endpoint| check(name, None, endpoint).unwrap_err().message();
        let addresses = EndpointAddresses { ipv4_address: "10.0.0.2".into(), ..EndpointAddresses::default() };
        let endpoint = Endpoint { ipam_config: Some(addresses), ..Endpoint::default() };
        assert!(check("web", None, &endpoint).is_ok());
        assert_eq!(
            text("bridge", &endpoint),
            "invalid endpoint settings:\nuser specified IP address is supported on user defined networks only"
        );
        let endpoint = Endpoint { aliases: Some(vec!["a".into()]), ..Endpoint::default() };
        assert!(
            text("bridge", &endpoint)
                .contains("network-scoped alias is supported only for containers in user defined networks")
        );
        assert!(text("web", &with_option(SYSCTLS, "net.x")).contains("unrecognised network interface sysctl 'net.x'"));
        assert!(text("web", &with_option(ANNOUNCEMENTS, "4")).contains("in the range 0 to 3"));
        assert!(text("web", &with_option(INTERFACE, "a/b")).contains("cannot have"));
        assert!(check("web", None, &with_option(SYSCTLS, "net.ipv6.conf.ifname.accept_ra=1")).is_ok());
    }

    #[test]
    fn links_have_a_name_and_an_alias() {
        assert_eq!(split_link("db"), Some(("db", "db")));
        assert_eq!(split_link("/db:/web/postgres"), Some(("db", "postgres")));
        assert_eq!(split_link("db:"), None);
        assert_eq!(split_link(":x"), None);
        assert_eq!(split_link("a:b:c"), None);
    }

    #[test]
    fn interfaces_are_numbered_from_the_lowest_that_is_free() {
        let others = ["eth0".to_owned(), "eth2".to_owned()];
        assert_eq!(interface(&Endpoint::default(), "eth", &others).unwrap(), "eth1");
        assert_eq!(interface(&with_option(INTERFACE, "wan"), "eth", &others).unwrap(), "wan");
        assert!(interface(&with_option(INTERFACE, "eth0"), "eth", &others).is_err());
    }
}
