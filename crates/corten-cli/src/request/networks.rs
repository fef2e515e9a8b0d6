//! The networks a container joins.

use super::mounts::csv;
use crate::arguments::Matches;
use crate::flags::quote;
use corten_docker_api::containers::{Endpoint, EndpointAddresses};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Networks by name.
pub type Endpoints = BTreeMap<String, Option<Endpoint>>;

/// One `--network`.
#[derive(Debug, Default, Clone)]
struct Attachment {
    target: String,
    endpoint: Endpoint,
}

/// The mode the first network stands for.
///
/// # Errors
/// A long form without a name.
pub fn mode(matches: &Matches) -> Result<String, String> {
    matches.list("network").first().map_or_else(|| Ok("default".to_owned()), |text| Ok(attachment(text)?.target))
}

/// What the body says of each network.
///
/// # Errors
/// docker's words for what does not go together.
pub fn from_args(matches: &Matches) -> Result<Endpoints, String> {
    let given: Vec<Attachment> = match matches.list("network") {
        [] => vec![Attachment { target: "default".to_owned(), ..Attachment::default() }],
        list => list.iter().map(|text| attachment(text)).collect::<Result<_, _>>()?,
    };
    let count = matches.list("network").len();
    let (own, predefined): (Vec<_>, Vec<_>) = given.iter().partition(|network| is_user_defined(&network.target));
    let is_mixed = count > 0 && !own.is_empty() && !predefined.is_empty();
    let mut endpoints = Endpoints::new();
    for (index, mut network) in given.clone().into_iter().enumerate() {
        if index == 0 {
            apply_flags(&mut network, matches)?;
        }
        check(&network)?;
        if endpoints.contains_key(&network.target) {
            return Err(format!("network {} is specified multiple times", quote(&network.target)));
        }
        // One network without options needs no entry: the daemon makes it from the mode.
        if count == 1 && network.endpoint == Endpoint::default() {
            continue;
        }
        endpoints.insert(network.target, Some(network.endpoint));
    }
    if is_mixed {
        return Err(
            "conflicting options: cannot attach both user-defined and non-user-defined network-modes".to_owned()
        );
    }
    Ok(endpoints)
}

fn is_user_defined(mode: &str) -> bool {
    !matches!(mode, "default" | "bridge" | "host" | "none" | "") && !mode.starts_with("container:")
}

fn check(network: &Attachment) -> Result<(), String> {
    if network.target.trim().is_empty() {
        return Err("no name set for network".to_owned());
    }
    if !is_user_defined(&network.target) {
        if network.endpoint.aliases.is_some() {
            return Err("network-scoped aliases are only supported for user-defined networks".to_owned());
        }
        if network.endpoint.links.is_some() {
            return Err("links are only supported for user-defined networks".to_owned());
        }
    }
    let address = &network.endpoint.mac_address;
    if !address.is_empty() && !is_mac_address(address) {
        return Err(format!("{address} is not a valid mac address"));
    }
    Ok(())
}

/// The flags that say something of the first network.
fn apply_flags(network: &mut Attachment, matches: &Matches) -> Result<(), String> {
    let conflict =
        |flag: &str, what: &str| Err(format!("conflicting options: cannot specify both {flag} and per-network {what}"));
    let given = |name: &str| {
        let list = matches.list(name);
        (!list.is_empty()).then(|| list.to_vec())
    };
    let endpoint = &mut network.endpoint;
    if let Some(aliases) = given("network-alias") {
        if endpoint.aliases.is_some() {
            return conflict("--network-alias", "alias");
        }
        endpoint.aliases = Some(aliases);
    }
    if let Some(links) = given("link")
        && is_user_defined(&network.target)
    {
        endpoint.links = Some(links);
    }
    let (v4, v6) = (matches.text("ip"), matches.text("ip6"));
    let addresses = endpoint.ipam_config.clone().unwrap_or_default();
    if !v4.is_empty() && !addresses.ipv4_address.is_empty() {
        return conflict("--ip", "IPv4 address");
    }
    if !v6.is_empty() && !addresses.ipv6_address.is_empty() {
        return conflict("--ip6", "IPv6 address");
    }
    let link_local = given("link-local-ip");
    if link_local.is_some() && addresses.link_local_ips.is_some() {
        return conflict("--link-local-ip", "link-local IP addresses");
    }
    if !v4.is_empty() || !v6.is_empty() || link_local.is_some() {
        let or = |flag: &str, own: String| if flag.is_empty() { own } else { flag.to_owned() };
        endpoint.ipam_config = Some(EndpointAddresses {
            ipv4_address: or(v4, addresses.ipv4_address),
            ipv6_address: or(v6, addresses.ipv6_address),
            link_local_ips: link_local.or(addresses.link_local_ips),
        });
    }
    let mac = matches.text("mac-address");
    if !mac.is_empty() {
        if !endpoint.mac_address.is_empty() {
            return conflict("--mac-address", "MAC address");
        }
        mac.clone_into(&mut endpoint.mac_address);
    }
    Ok(())
}

/// A name, or `name=n,alias=a,ip=…`.
fn attachment(text: &str) -> Result<Attachment, String> {
    let is_word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let is_long =
        text.split_once('=').is_some_and(|(before, after)| before.ends_with(is_word) && after.starts_with(is_word));
    if !is_long {
        return Ok(Attachment { target: text.to_owned(), ..Attachment::default() });
    }
    let mut network = Attachment::default();
    let endpoint = &mut network.endpoint;
    let mut addresses = EndpointAddresses::default();
    for field in csv(text)? {
        let lower = field.to_ascii_lowercase();
        let Some((key, value)) = lower.split_once('=').filter(|(key, _)| !key.is_empty()) else {
            return Err(format!("invalid field {field}"));
        };
        let value = value.trim();
        match key.trim() {
            "name" => value.clone_into(&mut network.target),
            "alias" => endpoint.aliases.get_or_insert_default().push(value.to_owned()),
            "ip" => value.clone_into(&mut addresses.ipv4_address),
            "ip6" => value.clone_into(&mut addresses.ipv6_address),
            "mac-address" => value.clone_into(&mut endpoint.mac_address),
            "link-local-ip" => addresses.link_local_ips.get_or_insert_default().push(value.to_owned()),
            "driver-opt" => {
                let Some((name, option)) = value.split_once('=').filter(|(name, _)| !name.is_empty()) else {
                    return Err("invalid key value pair format in driver options".to_owned());
                };
                endpoint.driver_opts.get_or_insert_default().insert(name.trim().to_owned(), option.trim().to_owned());
            }
            "gw-priority" => {
                endpoint.gw_priority =
                    value.parse().map_err(|_| format!("invalid gw-priority ({value}): invalid syntax"))?;
            }
            other => return Err(format!("invalid field key {other}")),
        }
    }
    if network.target.is_empty() {
        return Err("network name/id is not specified".to_owned());
    }
    if addresses != EndpointAddresses::default() {
        network.endpoint.ipam_config = Some(addresses);
    }
    Ok(network)
}

/// Check of `--network`.
pub fn check_network(text: &str) -> Result<(), String> {
    attachment(text).map(drop)
}

/// Six or eight bytes in hexadecimal, between colons or dashes; or three or four groups between dots.
pub fn is_mac_address(text: &str) -> bool {
    let text = text.trim();
    let is_hex =
        |group: &str, digits: usize| group.len() == digits && group.bytes().all(|digit| digit.is_ascii_hexdigit());
    [':', '-'].iter().any(|separator| {
        let groups: Vec<_> = text.split(*separator).collect();
        [6, 8, 20].contains(&groups.len()) && groups.iter().all(|group| is_hex(group, 2))
    }) || {
        let groups: Vec<_> = text.split('.').collect();
        [3, 4, 10].contains(&groups.len()) && groups.iter().all(|group| is_hex(group, 4))
    }
}

/// Check of `--dns`.
pub fn check_address(text: &str) -> Result<(), String> {
    text.trim().parse::<IpAddr>().map(drop).map_err(|_| format!("IP address is not correctly formatted: {text}"))
}

/// Check of `--dns-search`.
pub fn check_domain(text: &str) -> Result<(), String> {
    let domain = text.trim_matches(' ');
    let is_label = |label: &str| {
        let bytes = label.as_bytes();
        let is_inner = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-' || *byte == b'_';
        !bytes.is_empty() && bytes.iter().all(is_inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    let has_letter = domain.contains(|letter: char| letter.is_ascii_alphabetic());
    let is_domain = has_letter && domain.len() < 255 && domain.trim_end_matches('.').split('.').all(is_label);
    if domain == "." || is_domain { Ok(()) } else { Err(format!("{domain} is not a valid domain")) }
}

/// Check of `--add-host`.
pub fn check_host(text: &str) -> Result<(), String> {
    let Some((name, address)) = host_parts(text) else {
        return Err(format!("bad format for add-host: {}", quote(text)));
    };
    if name.is_empty() || name.contains(':') {
        return Err(format!("bad format for add-host: {}", quote(text)));
    }
    if address != "host-gateway" && address.parse::<IpAddr>().is_err() {
        return Err(format!("invalid IP address in add-host: {}", quote(address)));
    }
    Ok(())
}

fn host_parts(text: &str) -> Option<(&str, &str)> {
    let (name, address) = text.split_once('=').or_else(|| text.split_once(':'))?;
    let bare = address.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).filter(|inner| !inner.is_empty());
    Some((name, bare.unwrap_or(address)))
}

/// `--add-host` as the daemon reads it.
pub fn extra_host(text: &str) -> String {
    host_parts(text).map_or_else(|| text.to_owned(), |(name, address)| format!("{name}:{address}"))
}

/// Check of `--link`.
pub fn check_link(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("empty string specified for links".to_owned());
    }
    if text.split(':').count() > 2 {
        return Err(format!("bad format for links: {text}"));
    }
    Ok(())
}
