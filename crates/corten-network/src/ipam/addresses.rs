//! Addresses in a subnet.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::numbers::{address, bounds, number, version};
use super::{IpamError, Subnet};

/// Addresses in use, each with who has it: `container web`, `the gateway`.
pub type Taken = BTreeMap<IpAddr, String>;

/// The lowest address of a subnet that nobody has; with an address range, of that.
///
/// # Errors
/// [`IpamError::NoAddress`], with `network` in it.
pub fn free_address(subnet: &Subnet, taken: &Taken, network: &str) -> Result<IpAddr, IpamError> {
    let used = |candidate: IpAddr| {
        taken.contains_key(&candidate)
            || subnet.gateway == Some(candidate)
            || subnet.reserved.values().any(|reserved| *reserved == candidate)
    };
    lowest(subnet, used)
        .ok_or_else(|| IpamError::NoAddress { version: version(subnet.subnet.addr()), network: network.to_owned() })
}

/// The address that a subnet's bridge has where nobody named one: the lowest.
///
/// # Errors
/// [`IpamError::NoAddress`] when the subnet is too small to have any.
pub fn gateway(subnet: &Subnet) -> Result<IpAddr, IpamError> {
    let reserved = |candidate: IpAddr| subnet.reserved.values().any(|reserved| *reserved == candidate);
    lowest(subnet, reserved).ok_or_else(|| IpamError::NoAddress {
        version: version(subnet.subnet.addr()),
        network: subnet.subnet.to_string(),
    })
}

/// An address that was asked for: it must be one of the subnet's and nobody's.
///
/// # Errors
/// [`IpamError::Outside`], [`IpamError::InUse`] with its holder.
pub fn static_address(subnets: &[Subnet], asked: IpAddr, taken: &Taken) -> Result<Subnet, IpamError> {
    let subnet = subnets
        .iter()
        .find(|subnet| subnet.subnet.contains(&asked))
        .ok_or_else(|| IpamError::Outside(asked.to_string()))?;
    let in_use = |holder: &str| IpamError::InUse { address: asked.to_string(), holder: holder.to_owned() };
    if let Some(holder) = taken.get(&asked) {
        return Err(in_use(holder));
    }
    if subnet.gateway == Some(asked) {
        return Err(in_use("the network's gateway"));
    }
    if let Some((name, _)) = subnet.reserved.iter().find(|(_, reserved)| **reserved == asked) {
        return Err(in_use(&format!("the auxiliary address {name}")));
    }
    if is_special(subnet, number(asked)) {
        return Err(in_use("the subnet itself"));
    }
    Ok(subnet.clone())
}

/// The lowest address that is neither special nor used. Those in use are stepped over one by one, so this takes as many
/// steps as there are users.
fn lowest(subnet: &Subnet, used: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
    let (first, last) = bounds(subnet.range.as_ref().unwrap_or(&subnet.subnet));
    let mut at = first;
    loop {
        let candidate = address(at, subnet.subnet.addr())?;
        if !is_special(subnet, at) && !used(candidate) {
            return Some(candidate);
        }
        at = at.checked_add(1).filter(|next| *next <= last)?;
    }
}

/// The network's own address, and in IPv4 the one of all its hosts; a subnet of two has neither (RFC 3021). The first
/// of an IPv6 subnet is its routers' (RFC 4291, 2.6.1).
fn is_special(subnet: &Subnet, at: u128) -> bool {
    let (first, last) = bounds(&subnet.subnet);
    match subnet.subnet.addr() {
        IpAddr::V4(_) => last - first > 1 && (at == first || at == last),
        IpAddr::V6(_) => at == first && first != last,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn subnet(text: &str) -> Subnet {
        let mut subnet =
            Subnet { subnet: text.parse().unwrap(), range: None, gateway: None, reserved: BTreeMap::new() };
        subnet.gateway = gateway(&subnet).ok();
        subnet
    }

    fn taken(addresses: &[&str]) -> Taken {
        addresses.iter().map(|address| (ip(address), "container web".to_owned())).collect()
    }

    #[test]
    fn the_lowest_free_address_is_given() {
        let check = |of: &str, used: &[&str], expected: &str| {
            assert_eq!(free_address(&subnet(of), &taken(used), "n"), Ok(ip(expected)), "{of}");
        };
        check("172.18.0.0/16", &[], "172.18.0.2");
        check("172.18.0.0/16", &["172.18.0.2", "172.18.0.4"], "172.18.0.3");
        check("10.0.0.0/30", &[], "10.0.0.2");
        check("10.0.0.0/31", &[], "10.0.0.1");
        check("fd00::/64", &["fd00::2"], "fd00::3");
        check("255.255.255.252/30", &[], "255.255.255.254");
    }

    #[test]
    fn a_full_subnet_says_so() {
        let error = free_address(&subnet("10.0.0.0/30"), &taken(&["10.0.0.2"]), "web (0123)").unwrap_err();
        assert_eq!(error.to_string(), "no available IPv4 addresses on this network's address pools: web (0123)");
        let last = free_address(&subnet("255.255.255.252/30"), &taken(&["255.255.255.254"]), "n");
        assert!(last.is_err());
        assert!(free_address(&subnet("10.0.0.0/32"), &taken(&[]), "n").is_err());
    }

    #[test]
    fn ranges_auxiliary_addresses_and_gateways_are_kept_out() {
        let mut wide = subnet("10.1.0.0/16");
        wide.range = Some("10.1.5.0/24".parse().unwrap());
        assert_eq!(free_address(&wide, &taken(&[]), "n"), Ok(ip("10.1.5.0")));
        wide.reserved = BTreeMap::from([("router".to_owned(), ip("10.1.5.0"))]);
        assert_eq!(free_address(&wide, &taken(&["10.1.5.1"]), "n"), Ok(ip("10.1.5.2")));
        assert_eq!(gateway(&wide), Ok(ip("10.1.5.1")));
    }

    #[test]
    fn a_static_address_is_nobodys_and_its_holder_is_named() {
        let mut own = subnet("10.1.0.0/24");
        own.reserved = BTreeMap::from([("router".to_owned(), ip("10.1.0.9"))]);
        let subnets = [own];
        let check =
            |asked: &str| static_address(&subnets, ip(asked), &taken(&["10.1.0.7"])).err().map(|e| e.to_string());
        assert_eq!(check("10.1.0.8"), None);
        assert_eq!(check("10.1.0.7").unwrap(), "Address already in use: 10.1.0.7 belongs to container web");
        assert_eq!(check("10.1.0.1").unwrap(), "Address already in use: 10.1.0.1 belongs to the network's gateway");
        assert!(check("10.1.0.9").unwrap().ends_with("belongs to the auxiliary address router"));
        assert!(check("10.1.0.255").unwrap().starts_with("Address already in use"));
        assert_eq!(
            check("10.2.0.1").unwrap(),
            "invalid address 10.2.0.1: It does not belong to any of this network's subnets"
        );
    }
}
