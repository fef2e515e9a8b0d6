//! The names that are known: of each network, and how a container sees its networks.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use corten_relay::names::{ContainerNames, Forward, NetworkNames, Server};
use corten_types::Identifier;

/// A network's names, ready to be looked up.
#[derive(Debug, Default)]
pub struct Zone {
    /// Its own, in lower case.
    name: Vec<u8>,
    /// What its name is written like.
    spelled: String,
    hosts: HashMap<Vec<u8>, Addresses>,
    names: HashMap<IpAddr, String>,
}

/// The addresses of a name.
#[derive(Debug, Default)]
pub struct Addresses {
    /// Of IPv4.
    pub four: Vec<Ipv4Addr>,
    /// Of IPv6.
    pub six: Vec<Ipv6Addr>,
}

impl Zone {
    /// Of what a file says.
    pub fn new(network: NetworkNames) -> Zone {
        let mut zone = Zone { name: lower(&network.name), spelled: network.name, ..Zone::default() };
        for host in network.hosts {
            if let Some(first) = host.names.first() {
                for address in &host.addresses {
                    zone.names.insert(*address, first.clone());
                }
            }
            for name in &host.names {
                let known = zone.hosts.entry(lower(name)).or_default();
                host.addresses.iter().for_each(|address| known.add(*address));
            }
        }
        zone
    }
}

impl Addresses {
    fn add(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(four) if !self.four.contains(&four) => self.four.push(four),
            IpAddr::V6(six) if !self.six.contains(&six) => self.six.push(six),
            _ => {}
        }
    }
}

/// Every network that a container sees.
#[derive(Debug, Default)]
pub struct Zones(HashMap<Identifier, Zone>);

impl Zones {
    /// Whether `network` is known.
    pub fn has(&self, network: &Identifier) -> bool {
        self.0.contains_key(network)
    }

    /// Puts `zone` in the place of what was known of `network`; `None` when there is no file any more.
    pub fn set(&mut self, network: Identifier, zone: Option<Zone>) {
        match zone {
            Some(zone) => self.0.insert(network, zone),
            None => self.0.remove(&network),
        };
    }

    /// Forgets all but those that `is_seen`.
    pub fn keep(&mut self, is_seen: impl Fn(&Identifier) -> bool) {
        self.0.retain(|network, _| is_seen(network));
    }
}

/// How a container sees its networks.
#[derive(Debug)]
pub struct View {
    networks: Vec<(Identifier, Links)>,
    /// Where other questions may go.
    pub forward: Forward,
    /// Whether unknown names of one label stay here.
    pub keeps_single_labels: bool,
    /// Whom they go to.
    pub servers: Vec<Server>,
}

impl View {
    /// Of what a file says.
    pub fn new(container: ContainerNames) -> View {
        let networks = container.networks.into_iter().map(|network| {
            let links = network.links.iter().map(|link| (lower(&link.alias), lower(&link.name))).collect();
            (network.id, links)
        });
        View {
            networks: networks.collect(),
            forward: container.forward,
            keeps_single_labels: container.keeps_single_labels,
            servers: container.servers,
        }
    }

    /// The networks it sees.
    pub fn networks(&self) -> impl Iterator<Item = &Identifier> {
        self.networks.iter().map(|(network, _)| network)
    }

    /// The addresses of `name`, which is in lower case.
    ///
    /// Names of containers and of networks may have dots, so `a.b.c` is asked for as a whole, then as `a.b` in the network
    /// `c`, then as `a` in the network `b.c`; each time links first: docker's order.
    pub fn addresses<'a>(&self, zones: &'a Zones, name: &[u8]) -> Option<&'a Addresses> {
        let dots = name.iter().enumerate().rev().filter(|(_, byte)| **byte == b'.');
        let parts = dots.map(|(dot, _)| (&name[..dot], Some(&name[dot + 1..])));
        std::iter::once((name, None)).chain(parts).find_map(|(name, network)| {
            self.ask(zones, name, network, Names::Links).or_else(|| self.ask(zones, name, network, Names::Others))
        })
    }

    fn ask<'a>(&self, zones: &'a Zones, name: &[u8], network: Option<&[u8]>, names: Names) -> Option<&'a Addresses> {
        self.networks.iter().find_map(|(id, links)| {
            let zone = zones.0.get(id).filter(|zone| network.is_none_or(|network| network == zone.name))?;
            let name = match (names, links.get(name)) {
                (Names::Links, Some(linked)) => linked.as_slice(),
                (Names::Others, None) => name,
                _ => return None,
            };
            zone.hosts.get(name)
        })
    }

    /// The name of `address`.
    pub fn name(&self, zones: &Zones, address: IpAddr) -> Option<String> {
        self.networks.iter().find_map(|(id, _)| {
            let zone = zones.0.get(id)?;
            Some(format!("{}.{}", zone.names.get(&address)?, zone.spelled))
        })
    }
}

/// Names of a container's own, and the names in the network that they stand for.
type Links = HashMap<Vec<u8>, Vec<u8>>;

#[derive(Clone, Copy)]
enum Names {
    Links,
    Others,
}

/// As names are compared in DNS.
fn lower(name: &str) -> Vec<u8> {
    name.bytes().map(|byte| byte.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use corten_relay::names::{HostNames, Link, SeenNetwork};

    use super::*;

    fn id(text: &str) -> Identifier {
        text.parse().expect("an id")
    }

    fn zone(name: &str, hosts: &[(&str, &[&str])]) -> Zone {
        let hosts = hosts.iter().map(|(names, addresses)| HostNames {
            container: id("c"),
            names: names.split(' ').map(str::to_owned).collect(),
            addresses: addresses.iter().map(|address| address.parse().expect("an address")).collect(),
        });
        Zone::new(NetworkNames { id: id("n"), name: name.to_owned(), hosts: hosts.collect() })
    }

    fn set_up() -> (Zones, View) {
        let mut zones = Zones::default();
        zones.set(id("1"), Some(zone("front", &[("Web www", &["10.1.0.2", "fd00::2"]), ("db", &["10.1.0.3"])])));
        let back: &[(&str, &[&str])] =
            &[("db postgres", &["10.2.0.3"]), ("a.b", &["10.2.0.4"]), ("www", &["10.2.0.5"])];
        zones.set(id("2"), Some(zone("back.end", back)));
        zones.set(id("3"), Some(zone("foreign", &[("secret", &["10.3.0.2"])])));
        let link = Link { alias: "Store".to_owned(), name: "Postgres".to_owned() };
        let view = View::new(ContainerNames {
            id: id("c"),
            networks: vec![
                SeenNetwork { id: id("1"), links: Vec::new() },
                SeenNetwork { id: id("2"), links: vec![link] },
            ],
            forward: Forward::Nowhere,
            keeps_single_labels: false,
            servers: Vec::new(),
        });
        (zones, view)
    }

    #[test]
    fn a_name_is_looked_for_as_docker_does() {
        let (zones, view) = set_up();
        let four = |name: &str| {
            let addresses = view.addresses(&zones, name.as_bytes())?;
            addresses.four.first().map(Ipv4Addr::to_string)
        };
        for (name, address) in [
            ("web", Some("10.1.0.2")),
            ("web.front", Some("10.1.0.2")),
            ("db", Some("10.1.0.3")),
            ("db.back.end", Some("10.2.0.3")),
            ("store", Some("10.2.0.3")),
            ("store.back.end", Some("10.2.0.3")),
            ("store.front", None),
            ("a.b", Some("10.2.0.4")),
            ("a.b.back.end", Some("10.2.0.4")),
            ("web.back.end", None),
            ("secret", None),
            ("secret.foreign", None),
            ("", None),
            (".", None),
        ] {
            assert_eq!(four(name).as_deref(), address, "{name}");
        }
        assert_eq!(view.addresses(&zones, b"db").expect("known").six.len(), 0);
        assert_eq!(view.name(&zones, "fd00::2".parse().expect("one")).as_deref(), Some("Web.front"));
        assert_eq!(view.name(&zones, "10.3.0.2".parse().expect("one")), None);
    }

    #[test]
    fn a_name_of_several_has_all_their_addresses_once() {
        let zone = zone("n", &[("a web", &["10.0.0.2"]), ("b web", &["10.0.0.3"]), ("c web", &["10.0.0.2"])]);
        assert_eq!(zone.hosts[b"web".as_slice()].four.len(), 2);
    }
}
