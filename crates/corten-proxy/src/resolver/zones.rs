//! The names that are known: of each network, and how a container sees its networks.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use corten_relay::names::{ContainerNames, Forward, HostNames, NetworkNames, Server};
use corten_types::Identifier;

/// A network's names, ready to be looked up.
#[derive(Debug, Default)]
pub struct Zone {
    /// Its own, in lower case.
    name: Vec<u8>,
    /// What its name is written like.
    spelled: String,
    hosts: HashMap<Vec<u8>, Addresses>,
    /// Whose an address is; who came last is asked first.
    names: HashMap<IpAddr, Vec<(Member, String)>>,
    members: HashMap<Identifier, (Member, HostNames)>,
    last: Member,
}

/// A container in a network, as long as its names are the same.
type Member = u64;

/// The addresses of a name.
#[derive(Debug, Default)]
pub struct Addresses {
    /// Of IPv4.
    pub four: Vec<Ipv4Addr>,
    /// Of IPv6.
    pub six: Vec<Ipv6Addr>,
    /// Whose name it is, and where each is: one of several may go.
    of: Vec<(Member, Vec<IpAddr>)>,
}

impl Zone {
    /// Of what the files say.
    pub fn new(network: NetworkNames) -> Zone {
        let mut zone = Zone { name: lower(&network.name), spelled: network.name, ..Zone::default() };
        network.hosts.into_iter().for_each(|host| zone.add(host));
        zone
    }

    /// Adds a container, in the place of what was known of it.
    fn add(&mut self, host: HostNames) {
        self.remove(&host.container);
        self.last += 1;
        let member = self.last;
        if let Some(first) = host.names.first() {
            for address in &host.addresses {
                self.names.entry(*address).or_default().push((member, first.clone()));
            }
        }
        for name in &host.names {
            let known = self.hosts.entry(lower(name)).or_default();
            known.of.push((member, host.addresses.clone()));
            known.gather();
        }
        self.members.insert(host.container.clone(), (member, host));
    }

    /// Forgets a container.
    fn remove(&mut self, container: &Identifier) {
        let Some((member, host)) = self.members.remove(container) else { return };
        for address in &host.addresses {
            if let Entry::Occupied(mut names) = self.names.entry(*address) {
                names.get_mut().retain(|(other, _)| *other != member);
                if names.get().is_empty() {
                    names.remove();
                }
            }
        }
        for name in &host.names {
            if let Entry::Occupied(mut known) = self.hosts.entry(lower(name)) {
                known.get_mut().of.retain(|(other, _)| *other != member);
                known.get_mut().gather();
                if known.get().of.is_empty() {
                    known.remove();
                }
            }
        }
    }
}

impl Addresses {
    /// Each address once.
    fn gather(&mut self) {
        self.four.clear();
        self.six.clear();
        for address in self.of.iter().flat_map(|(_, addresses)| addresses) {
            match *address {
                IpAddr::V4(four) if !self.four.contains(&four) => self.four.push(four),
                IpAddr::V6(six) if !self.six.contains(&six) => self.six.push(six),
                _ => {}
            }
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

    /// Puts the names of `container` in the place of what was known of it in `network`; `None` when it is not in it any
    /// more.
    pub fn set_host(&mut self, network: Identifier, container: &Identifier, names: Option<NetworkNames>) {
        match (self.0.entry(network), names) {
            (Entry::Occupied(mut zone), Some(names)) => {
                names.hosts.into_iter().for_each(|host| zone.get_mut().add(host))
            }
            (Entry::Occupied(mut zone), None) => zone.get_mut().remove(container),
            (Entry::Vacant(zone), Some(names)) => drop(zone.insert(Zone::new(names))),
            (Entry::Vacant(_), None) => {}
        }
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
            let (_, name) = zone.names.get(&address)?.last()?;
            Some(format!("{name}.{}", zone.spelled))
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
    use corten_relay::names::{Link, SeenNetwork};

    use super::*;

    fn id(text: &str) -> Identifier {
        text.parse().expect("an id")
    }

    fn zone(name: &str, hosts: &[(&str, &[&str])]) -> Zone {
        let hosts = hosts.iter().enumerate().map(|(number, (names, addresses))| HostNames {
            container: id(&format!("c{number}")),
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

    #[test]
    fn containers_come_and_go_one_by_one() {
        let of = |name: &str, hosts: &[(&str, &[&str])]| {
            zone(name, hosts).members.into_values().map(|(_, host)| host).collect()
        };
        let names =
            |hosts: &[(&str, &[&str])]| NetworkNames { id: id("n"), name: "net".to_owned(), hosts: of("net", hosts) };
        let view = View::new(ContainerNames {
            id: id("c"),
            networks: vec![SeenNetwork { id: id("n"), links: Vec::new() }],
            forward: Forward::Nowhere,
            keeps_single_labels: false,
            servers: Vec::new(),
        });
        let mut zones = Zones::default();
        let container = |number: usize| id(&format!("c{number}"));
        let four = |zones: &Zones, name: &str| {
            let found = view.addresses(zones, name.as_bytes())?.four.iter().map(Ipv4Addr::to_string);
            Some(found.collect::<Vec<_>>().join(" "))
        };
        let reverse = |zones: &Zones| view.name(zones, "10.0.0.3".parse().expect("one"));
        zones.set_host(id("n"), &container(0), None);
        zones.set_host(id("n"), &container(0), Some(names(&[("one web", &["10.0.0.2"])])));
        let mut second = names(&[("two web", &["10.0.0.3"])]);
        second.hosts[0].container = container(1);
        zones.set_host(id("n"), &container(1), Some(second));
        assert_eq!(four(&zones, "web").as_deref(), Some("10.0.0.2 10.0.0.3"));
        // The first starts anew, where the second was a moment ago.
        zones.set_host(id("n"), &container(0), Some(names(&[("one web", &["10.0.0.3"])])));
        assert_eq!(four(&zones, "web").as_deref(), Some("10.0.0.3"));
        assert_eq!(reverse(&zones).as_deref(), Some("one.net"));
        zones.set_host(id("n"), &container(1), None);
        assert_eq!((four(&zones, "two"), four(&zones, "web.net").as_deref()), (None, Some("10.0.0.3")));
        zones.set_host(id("n"), &container(0), Some(names(&[("one", &[])])));
        assert_eq!((four(&zones, "one").as_deref(), four(&zones, "web"), reverse(&zones)), (Some(""), None, None));
        zones.set_host(id("n"), &container(0), None);
        assert_eq!(four(&zones, "one"), None);
    }
}
