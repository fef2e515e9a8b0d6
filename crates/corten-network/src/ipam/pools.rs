//! The pools that subnets are cut from where nobody names one.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

use super::IpamError;
use super::numbers::{address, bounds, number, overlap, range, version};
use crate::plan::HostRange;

/// docker's own pools, with the length of the subnets cut from each.
const DEFAULT: [(&str, u8); 7] = [
    ("172.17.0.0/16", 16),
    ("172.18.0.0/16", 16),
    ("172.19.0.0/16", 16),
    ("172.20.0.0/14", 16),
    ("172.24.0.0/14", 16),
    ("172.28.0.0/14", 16),
    ("192.168.0.0/16", 20),
];

/// The length of the IPv6 subnets of a host's own pool.
const LOCAL_SUBNET_LENGTH: u8 = 64;

/// The length of that pool (RFC 4193: 8 bits `fd`, 40 bits of the host's own).
const LOCAL_POOL_LENGTH: u8 = 48;

/// A range and the length of the subnets cut from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// The whole range.
    pub base: IpNet,
    /// The length of one subnet.
    pub length: u8,
}

impl Pool {
    /// Reads `base=10.0.0.0/8,size=24`, as `--default-address-pool` has it.
    ///
    /// # Errors
    /// What is wrong with it, in dockerd's words where it has some.
    pub fn parse(text: &str) -> Result<Self, IpamError> {
        let wrong = |reason: String| IpamError::Malformed(reason);
        let (mut base, mut size) = (None, None);
        for part in text.split(',') {
            let (key, value) = part
                .split_once('=')
                .ok_or_else(|| wrong(format!("invalid field '{part}' must be a key=value pair")))?;
            match key.trim().to_ascii_lowercase().as_str() {
                "base" => base = Some(value.trim()),
                "size" => size = Some(value.trim()),
                other => return Err(wrong(format!("unexpected key '{other}' in '{part}'"))),
            }
        }
        let (Some(base), Some(size)) = (base, size) else {
            return Err(wrong(format!("{text:?} needs base and size")));
        };
        let length = size.parse::<u8>().map_err(|_| wrong(format!("invalid size value: {size}")))?;
        let range = base.parse::<IpNet>().map_err(|_| wrong(format!("invalid base value: {base}")))?;
        Self::new(range, length)
    }

    /// A pool.
    ///
    /// # Errors
    /// When the range has bits beyond its length, or no subnet of that length fits.
    pub fn new(base: IpNet, length: u8) -> Result<Self, IpamError> {
        if base != base.trunc() {
            return Err(IpamError::Malformed(format!("network {base} is not in canonical form")));
        }
        if length < base.prefix_len() || length > base.max_prefix_len() {
            return Err(IpamError::Malformed(format!("network {base} cannot be cut into subnets of length {length}")));
        }
        Ok(Self { base, length })
    }
}

/// The pools of an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pools(Vec<Pool>);

impl Pools {
    /// `configured` in place of docker's own, for each family that it has pools of. `host` is what identifies the host:
    /// 40 bits of it make the IPv6 pool of RFC 4193.
    pub fn new(configured: &[Pool], host: [u8; 5]) -> Self {
        let mut pools = configured.to_vec();
        if !configured.iter().any(|pool| pool.base.addr().is_ipv4()) {
            let parse = |(base, length): (&str, u8)| base.parse().ok().map(|base| Pool { base, length });
            pools.extend(DEFAULT.into_iter().filter_map(parse));
        }
        if !configured.iter().any(|pool| pool.base.addr().is_ipv6()) {
            let [a, b, c, d, e] = host;
            let prefix = Ipv6Addr::new(
                u16::from_be_bytes([0xfd, a]),
                u16::from_be_bytes([b, c]),
                u16::from_be_bytes([d, e]),
                0,
                0,
                0,
                0,
                0,
            );
            let base = range(IpAddr::V6(prefix), LOCAL_POOL_LENGTH);
            pools.extend(base.map(|base| Pool { base, length: LOCAL_SUBNET_LENGTH }));
        }
        pools.sort_by_key(|pool| (pool.base.addr(), pool.base.prefix_len()));
        // One inside another would be used up by it.
        let mut kept: Vec<Pool> = Vec::new();
        for pool in pools {
            if !kept.iter().any(|wide| overlap(&wide.base, &pool.base)) {
                kept.push(pool);
            }
        }
        Self(kept)
    }

    /// The pools in their order.
    pub fn all(&self) -> &[Pool] {
        &self.0
    }

    /// The first subnet of the IP version `of` that no network and no part of the host has. `length` asks for another
    /// size than the pool's.
    ///
    /// # Errors
    /// When there is none; it is said which interfaces of the host keep subnets away.
    pub fn choose(
        &self,
        of: u8,
        length: Option<u8>,
        networks: &[IpNet],
        host: &[HostRange],
    ) -> Result<IpNet, IpamError> {
        let mut fitting =
            self.0.iter().filter(|pool| version(pool.base.addr()) == of).filter_map(|pool| match length {
                None => Some(*pool),
                Some(length) => Pool::new(pool.base, length).ok(),
            });
        let mut pool = fitting.next().ok_or(IpamError::NoSuchPool)?;
        loop {
            if let Some(subnet) = first_free(pool, networks, host) {
                return Ok(subnet);
            }
            match fitting.next() {
                Some(next) => pool = next,
                None => return Err(IpamError::NoSubnet(self.in_the_way(of, host))),
            }
        }
    }

    fn in_the_way(&self, of: u8, host: &[HostRange]) -> String {
        let mut ways: Vec<String> = Vec::new();
        for used in host.iter().filter(|used| version(used.range.addr()) == of) {
            let touches = self.0.iter().any(|pool| overlap(&pool.base, &used.range));
            let text = format!("{} of {}", used.range, used.interface);
            if touches && !ways.contains(&text) {
                ways.push(text);
            }
        }
        if ways.is_empty() { String::new() } else { format!(" (the host uses {})", ways.join(", ")) }
    }
}

/// Steps from one used range to behind it, so that a pool of millions of subnets takes no longer than its users.
fn first_free(pool: Pool, networks: &[IpNet], host: &[HostRange]) -> Option<IpNet> {
    let (mut at, last) = bounds(&pool.base);
    loop {
        let candidate = range(address(at, pool.base.addr())?, pool.length)?;
        let used = networks.iter().chain(host.iter().map(|used| &used.range));
        let behind = used.filter(|used| overlap(used, &candidate)).map(|used| bounds(used).1).max();
        let Some(behind) = behind else { return Some(candidate) };
        let end = behind.max(bounds(&candidate).1);
        at = end.checked_add(1).filter(|next| *next <= last)?;
        // A used range may end within a subnet: the next one begins at a multiple of its size.
        let size = bounds(&candidate).1 - number(candidate.network()) + 1;
        at = at.checked_add(size - 1)? / size * size;
        if at > last {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    fn host(range: &str) -> HostRange {
        HostRange { range: net(range), interface: "wg0".to_owned() }
    }

    fn docker() -> Pools {
        Pools::new(&[], [1, 2, 3, 4, 5])
    }

    #[test]
    fn there_are_31_networks_in_docker_s_pools_and_their_order_is_docker_s() {
        let mut networks = Vec::new();
        while let Ok(subnet) = docker().choose(4, None, &networks, &[]) {
            networks.push(subnet);
        }
        assert_eq!(networks.len(), 31);
        assert_eq!(networks[0], net("172.17.0.0/16"));
        assert_eq!(networks[14], net("172.31.0.0/16"));
        assert_eq!(networks[15], net("192.168.0.0/20"));
        assert_eq!(networks[30], net("192.168.240.0/20"));
    }

    #[test]
    fn what_the_host_uses_is_stepped_over_and_named_when_nothing_is_left() {
        let used = [host("172.16.0.0/12"), host("192.168.1.0/24")];
        assert_eq!(docker().choose(4, None, &[], &used).unwrap(), net("192.168.16.0/20"));
        let used = [host("172.16.0.0/12"), host("192.168.0.0/16"), host("10.0.0.0/8")];
        assert_eq!(
            docker().choose(4, None, &[], &used).unwrap_err().to_string(),
            "all predefined address pools have been fully subnetted (the host uses 172.16.0.0/12 of wg0, 192.168.0.0/16 of wg0)"
        );
    }

    #[test]
    fn a_gap_is_filled_and_a_used_end_is_stepped_over() {
        let pools = Pools::new(&[Pool::parse("base=10.0.0.0/16,size=24").unwrap()], [0; 5]);
        let used = ["10.0.0.0/24", "10.0.2.0/24"].map(net);
        assert_eq!(pools.choose(4, None, &used, &[]).unwrap(), net("10.0.1.0/24"));
        let used = ["10.0.0.0/30", "10.0.1.128/25", "10.0.2.0/23"].map(net);
        assert_eq!(pools.choose(4, None, &used, &[]).unwrap(), net("10.0.4.0/24"));
        assert_eq!(pools.choose(4, Some(28), &used, &[]).unwrap(), net("10.0.0.16/28"));
        assert_eq!(pools.choose(4, Some(8), &used, &[]).unwrap_err(), IpamError::NoSuchPool);
    }

    #[test]
    fn a_pool_at_the_end_of_all_addresses_comes_to_an_end() {
        let pools = Pools::new(&[Pool::parse("base=255.255.255.0/24,size=25").unwrap()], [0; 5]);
        let used = ["255.255.255.0/25", "255.255.255.128/25"].map(net);
        assert!(matches!(pools.choose(4, None, &used, &[]), Err(IpamError::NoSubnet(_))));
        let pools = Pools::new(&[Pool::parse("base=ff00::/8,size=9").unwrap()], [0; 5]);
        assert!(matches!(pools.choose(6, None, &[net("ff00::/8")], &[]), Err(IpamError::NoSubnet(_))));
    }

    #[test]
    fn ipv6_subnets_are_of_the_hosts_own_prefix() {
        let first = docker().choose(6, None, &[], &[]).unwrap();
        assert_eq!(first, net("fd01:203:405::/64"));
        assert_eq!(docker().choose(6, None, &[first], &[]).unwrap(), net("fd01:203:405:1::/64"));
    }

    #[test]
    fn configured_pools_replace_their_family_only() {
        let pools = Pools::new(&[Pool::parse("base=2001:db8::/56,size=64").unwrap()], [0; 5]);
        assert_eq!(pools.choose(6, None, &[], &[]).unwrap(), net("2001:db8::/64"));
        assert_eq!(pools.choose(4, None, &[], &[]).unwrap(), net("172.17.0.0/16"));
    }

    #[test]
    fn mistakes_in_a_pool_are_named() {
        for (text, part) in [
            ("10.0.0.0/8", "must be a key=value pair"),
            ("base=10.0.0.0/8", "needs base and size"),
            ("base=10.0.0.1/8,size=24", "not in canonical form"),
            ("base=10.0.0.0/8,size=4", "cannot be cut"),
            ("base=10.0.0.0/8,size=33", "cannot be cut"),
            ("base=x,size=33", "invalid base value: x"),
            ("base=10.0.0.0/8,size=300", "invalid size value: 300"),
            ("base=10.0.0.0/8,size=24,more=1", "unexpected key 'more'"),
        ] {
            let error = Pool::parse(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
