//! What somebody asks of a network's addresses, checked with dockerd's words.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::IpamError;
use super::numbers::{overlap, version};

/// One `--subnet` with what belongs to it, as it was sent. Empty texts ask for nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// The subnet, CIDR.
    pub subnet: String,
    /// The part of it that addresses are given from, CIDR.
    pub ip_range: String,
    /// The bridge's address.
    pub gateway: String,
    /// Addresses in use by others, by name.
    pub auxiliary: BTreeMap<String, String>,
}

/// A subnet of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subnet {
    /// The subnet.
    pub subnet: IpNet,
    /// The part of it that addresses are given from.
    pub range: Option<IpNet>,
    /// The way out, which no container gets.
    pub gateway: Option<IpAddr>,
    /// Addresses in use by others, by name.
    pub reserved: BTreeMap<String, IpAddr>,
}

/// Reads and checks what was asked for. One without a subnet stays `None`: it is cut from a pool; and so is one whose
/// address is unspecified (`0.0.0.0/24`), which asks for a length alone.
///
/// # Errors
/// [`IpamError::Config`] with every mistake.
pub fn check(asked: &[Asked]) -> Result<Vec<Option<Subnet>>, IpamError> {
    let mut mistakes = Vec::new();
    let mut subnets = Vec::new();
    for one in asked {
        subnets.push(check_one(one, &mut mistakes));
    }
    if mistakes.is_empty() { Ok(subnets) } else { Err(IpamError::Config(mistakes)) }
}

fn check_one(asked: &Asked, mistakes: &mut Vec<String>) -> Option<Subnet> {
    if asked.subnet.is_empty() {
        if !asked.ip_range.is_empty() || !asked.gateway.is_empty() || !asked.auxiliary.is_empty() {
            mistakes.push("invalid subnet : invalid CIDR block notation".to_owned());
        }
        return None;
    }
    let Ok(subnet) = asked.subnet.parse::<IpNet>() else {
        mistakes.push(format!("invalid subnet {}: invalid CIDR block notation", asked.subnet));
        return None;
    };
    if subnet != subnet.trunc() {
        mistakes.push(format!("invalid subnet {subnet}: it should be {}", subnet.trunc()));
    }
    let subnet = subnet.trunc();
    let range = ip_range(&asked.ip_range, &subnet, mistakes);
    let gateway = address("gateway", &asked.gateway, &asked.gateway, &subnet, mistakes);
    let mut reserved = BTreeMap::new();
    for (name, text) in &asked.auxiliary {
        reserved.extend(address("auxiliary address", name, text, &subnet, mistakes).map(|found| (name.clone(), found)));
    }
    Some(Subnet { subnet, range, gateway, reserved })
}

fn ip_range(text: &str, subnet: &IpNet, mistakes: &mut Vec<String>) -> Option<IpNet> {
    if text.is_empty() {
        return None;
    }
    let Ok(range) = text.parse::<IpNet>() else {
        mistakes.push(format!("invalid ip-range {text}: invalid CIDR block notation"));
        return None;
    };
    let before = mistakes.len();
    if version(range.addr()) != version(subnet.addr()) {
        let family = version(subnet.addr());
        mistakes.push(format!("invalid ip-range {range}: parent subnet is an IPv{family} block"));
        return None;
    }
    if range.prefix_len() < subnet.prefix_len() {
        mistakes.push(format!("invalid ip-range {range}: CIDR block is bigger than its parent subnet {subnet}"));
    }
    if range != range.trunc() {
        mistakes.push(format!("invalid ip-range {range}: it should be {}", range.trunc()));
    }
    if !overlap(&range, subnet) {
        mistakes.push(format!("invalid ip-range {range}: parent subnet {subnet} doesn't contain ip-range"));
    }
    (mistakes.len() == before).then_some(range)
}

fn address(what: &str, name: &str, text: &str, subnet: &IpNet, mistakes: &mut Vec<String>) -> Option<IpAddr> {
    if text.is_empty() {
        return None;
    }
    let Ok(address) = text.parse::<IpAddr>() else {
        mistakes.push(format!("invalid {what} {name}: invalid address"));
        return None;
    };
    if version(address) != version(subnet.addr()) {
        let family = version(subnet.addr());
        mistakes.push(format!("invalid {what} {name}: parent subnet is an IPv{family} block"));
        return None;
    }
    if !subnet.contains(&address) {
        mistakes.push(format!("invalid {what} {name}: parent subnet {subnet} doesn't contain this address"));
        return None;
    }
    Some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(subnet: &str, ip_range: &str, gateway: &str, auxiliary: &[(&str, &str)]) -> Asked {
        let pair = |(name, address): &(&str, &str)| ((*name).to_owned(), (*address).to_owned());
        Asked {
            subnet: subnet.to_owned(),
            ip_range: ip_range.to_owned(),
            gateway: gateway.to_owned(),
            auxiliary: auxiliary.iter().map(pair).collect(),
        }
    }

    #[test]
    fn what_fits_is_read() {
        let all = check(&[
            asked("10.0.0.0/16", "10.0.5.0/24", "10.0.0.254", &[("a", "10.0.5.3")]),
            asked("fd00::/64", "", "fd00::1", &[]),
            Asked::default(),
        ])
        .unwrap();
        let first = all[0].clone().unwrap();
        assert_eq!(first.subnet.to_string(), "10.0.0.0/16");
        assert_eq!(first.range.unwrap().to_string(), "10.0.5.0/24");
        assert_eq!(first.gateway.unwrap().to_string(), "10.0.0.254");
        assert_eq!(first.reserved["a"].to_string(), "10.0.5.3");
        assert!(all[1].is_some() && all[2].is_none());
    }

    #[test]
    fn every_mistake_is_named_with_docker_s_words() {
        for (one, expected) in [
            (asked("10.0.0.1/16", "", "", &[]), "invalid subnet 10.0.0.1/16: it should be 10.0.0.0/16"),
            (asked("x", "", "", &[]), "invalid subnet x: invalid CIDR block notation"),
            (
                asked("10.0.0.0/16", "10.0.0.0/8", "", &[]),
                "invalid ip-range 10.0.0.0/8: CIDR block is bigger than its parent subnet 10.0.0.0/16",
            ),
            (
                asked("10.0.0.0/16", "10.1.0.0/24", "", &[]),
                "invalid ip-range 10.1.0.0/24: parent subnet 10.0.0.0/16 doesn't contain ip-range",
            ),
            (asked("10.0.0.0/16", "fd00::/64", "", &[]), "invalid ip-range fd00::/64: parent subnet is an IPv4 block"),
            (
                asked("10.0.0.0/16", "", "10.1.0.1", &[]),
                "invalid gateway 10.1.0.1: parent subnet 10.0.0.0/16 doesn't contain this address",
            ),
            (
                asked("10.0.0.0/16", "", "", &[("a", "fd00::1")]),
                "invalid auxiliary address a: parent subnet is an IPv4 block",
            ),
        ] {
            let text = check(&[one]).unwrap_err().to_string();
            assert_eq!(text, format!("invalid network config:\n{expected}"));
        }
        let two = [asked("10.0.0.1/16", "", "10.1.0.1", &[])];
        assert_eq!(check(&two).unwrap_err().to_string().lines().count(), 3);
    }
}
