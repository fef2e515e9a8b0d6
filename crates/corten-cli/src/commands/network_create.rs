//! `network create`.

use crate::arguments::Matches;
use crate::cli::Cli;
use crate::failure::{Failure, Outcome};
use crate::flags::Flag;
use crate::tree::{Arity, Verb, verb};
use corten_docker_api::client::{Method, Payload};
use corten_docker_api::json;
use corten_docker_api::networks::{ConfigReference, Ipam, IpamPool, NetworkCreate, NetworkCreated};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The command.
pub const VERB: Verb = verb!(network_create, "[OPTIONS] NETWORK", "Make a network", Arity::Exactly(1), FLAGS);

const FLAGS: &[Flag] = &[
    Flag::bool("attachable", "Let containers outside services join"),
    Flag::list("aux-address", "An address in use by others (name=address)"),
    Flag::text("config-from", "The network whose configuration is taken"),
    Flag::bool("config-only", "Make only a configuration for other networks"),
    Flag::text("driver", "The driver").short('d').default("bridge"),
    Flag::list("gateway", "The address of the subnet's gateway"),
    Flag::bool("ingress", "Make swarm's routing mesh"),
    Flag::bool("internal", "Nothing goes in or out"),
    Flag::list("ip-range", "The part of the subnet that containers get addresses from"),
    Flag::text("ipam-driver", "The driver of address pools").default("default"),
    Flag::list("ipam-opt", "An option of that driver"),
    Flag::bool("ipv4", "Containers get IPv4 addresses").default("true"),
    Flag::bool("ipv6", "Containers get IPv6 addresses"),
    Flag::list("label", "A label (key=value)"),
    Flag::list("opt", "An option of the driver (key=value)").short('o'),
    Flag::text("scope", "The network's scope"),
    Flag::list("subnet", "A subnet, CIDR"),
];

/// Makes a network and prints its id.
pub async fn network_create(cli: &Cli, matches: &Matches) -> Outcome {
    let pools = pools(matches).map_err(Failure::new)?;
    let given = |name: &str| matches.is_given(name).then(|| matches.flag(name));
    let body = NetworkCreate {
        name: matches.arguments.first().cloned().unwrap_or_default(),
        // An older daemon would make a second one of that name.
        check_duplicate: true,
        driver: matches.text("driver").to_owned(),
        scope: matches.text("scope").to_owned(),
        enable_ipv4: given("ipv4"),
        enable_ipv6: given("ipv6"),
        ipam: Some(Ipam {
            driver: matches.text("ipam-driver").to_owned(),
            options: Some(pairs(matches.list("ipam-opt"))),
            config: Some(pools),
        }),
        internal: matches.flag("internal"),
        attachable: matches.flag("attachable"),
        ingress: matches.flag("ingress"),
        config_only: matches.flag("config-only"),
        config_from: Some(matches.text("config-from"))
            .filter(|name| !name.is_empty())
            .map(|network| ConfigReference { network: network.to_owned() }),
        options: Some(pairs(matches.list("opt"))),
        labels: Some(pairs(matches.list("label"))),
    };
    let body = json::encode(&body).map_err(|error| Failure::new(error.to_string()))?;
    let made: NetworkCreated =
        cli.client.send(Method::POST, "/networks/create", Payload::Json(body)).await?.json().await?;
    if !made.warning.is_empty() {
        cli.warn(&format!("WARNING: {}", made.warning));
    }
    cli.print_line(&made.id);
    Ok(())
}

/// `key=value` pairs; a bare key has no value.
pub(super) fn pairs(texts: &[String]) -> BTreeMap<String, String> {
    let pair = |text: &String| {
        text.split_once('=').map_or((text.clone(), String::new()), |(key, value)| (key.to_owned(), value.to_owned()))
    };
    texts.iter().map(pair).collect()
}

/// A range as far as it matters here: whether it contains an address.
#[derive(Clone, Copy)]
struct Range {
    address: IpAddr,
    length: u8,
}

impl Range {
    fn parse(text: &str) -> Option<Self> {
        let (address, length) = text.split_once('/')?;
        Some(Self { address: address.parse().ok()?, length: length.parse().ok()? })
    }

    fn contains(self, other: IpAddr) -> bool {
        let bits = |address: IpAddr| match address {
            IpAddr::V4(address) => (u128::from(u32::from(address)) << 96, 32),
            IpAddr::V6(address) => (u128::from(address), 128),
        };
        let ((own, width), (other, other_width)) = (bits(self.address), bits(other));
        let mask = if self.length == 0 { 0 } else { u128::MAX << (128 - u32::from(self.length.min(128))) };
        width == other_width && own & mask == other & mask
    }
}

/// Each subnet with the range, the gateway and the addresses that are in it.
fn pools(matches: &Matches) -> Result<Vec<IpamPool>, String> {
    let commas = |name: &str| -> Vec<String> {
        matches.list(name).iter().flat_map(|text| text.split(',')).map(|text| text.trim().to_owned()).collect()
    };
    let (subnets, ranges, gateways) = (commas("subnet"), commas("ip-range"), commas("gateway"));
    if subnets.len() < ranges.len() || subnets.len() < gateways.len() {
        return Err("every ip-range or gateway must have a corresponding subnet".to_owned());
    }
    let mut pools: Vec<(Option<Range>, IpamPool)> = Vec::new();
    let is_alone = subnets.len() == 1;
    for subnet in subnets {
        let range = Range::parse(&subnet);
        // One alone is compared with no other; what is wrong with it the daemon says.
        if range.is_none() && !is_alone {
            return Err(format!("invalid subnet: invalid CIDR address: {subnet}"));
        }
        let overlaps = |one: Range, other: Range| other.contains(one.address) || one.contains(other.address);
        if range.is_some_and(|range| pools.iter().any(|(other, _)| other.is_some_and(|other| overlaps(range, other)))) {
            return Err("multiple overlapping subnet configuration is not supported".to_owned());
        }
        pools.push((range, IpamPool { subnet, ..IpamPool::default() }));
    }
    let has = |subnet: Option<Range>, address: IpAddr| subnet.is_some_and(|subnet| subnet.contains(address));
    for text in ranges {
        let range = Range::parse(&text).ok_or_else(|| format!("invalid CIDR address: {text}"))?;
        let pool = pools.iter_mut().find(|(subnet, _)| has(*subnet, range.address));
        let (_, pool) = pool.ok_or_else(|| format!("no matching subnet for range {text}"))?;
        if !pool.ip_range.is_empty() {
            return Err(format!(
                "cannot configure multiple ranges ({text}, {}) on the same subnet ({})",
                pool.ip_range, pool.subnet
            ));
        }
        pool.ip_range = text;
    }
    for text in gateways {
        let address = text.parse::<IpAddr>().ok();
        let pool = pools.iter_mut().find(|(subnet, _)| address.is_some_and(|address| has(*subnet, address)));
        let (_, pool) = pool.ok_or_else(|| format!("no matching subnet for gateway {text}"))?;
        if !pool.gateway.is_empty() {
            return Err(format!(
                "cannot configure multiple gateways ({text}, {}) for the same subnet ({})",
                pool.gateway, pool.subnet
            ));
        }
        pool.gateway = text;
    }
    for (name, text) in pairs(matches.list("aux-address")) {
        let address = text.parse::<IpAddr>().ok();
        let pool = pools.iter_mut().find(|(subnet, _)| address.is_some_and(|address| has(*subnet, address)));
        let (_, pool) = pool.ok_or_else(|| format!("no matching subnet for aux-address {text}"))?;
        pool.auxiliary_addresses.get_or_insert_default().insert(name, text);
    }
    Ok(pools.into_iter().map(|(_, pool)| pool).collect())
}

#[cfg(test)]
mod tests {
    use super::Range;

    #[test]
    fn ranges_contain_addresses_of_their_family() {
        let contains = |range: &str, address: &str| Range::parse(range).unwrap().contains(address.parse().unwrap());
        assert!(
            contains("10.0.0.0/8", "10.255.0.1") && contains("0.0.0.0/0", "1.2.3.4") && contains("fd00::/8", "fdff::1")
        );
        assert!(!contains("10.0.0.0/8", "11.0.0.1") && !contains("::/0", "1.2.3.4") && !contains("0.0.0.0/0", "::1"));
    }
}
