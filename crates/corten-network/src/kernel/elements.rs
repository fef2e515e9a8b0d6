//! What of a plan is in which set: pure, so that it can be compared with what is there.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use corten_netlink::nft::{Data, Element, Verdict, set::name_field};

use super::ruleset;
use crate::plan::{Bridge, Driver, Family, GatewayMode, Link, Network, Port, Protocol};

/// Elements by the name of their set.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Elements(pub BTreeMap<&'static str, Vec<Element>>);

impl Elements {
    fn add(&mut self, set: &'static str, key: Vec<u8>, data: Data) {
        let elements = self.0.entry(set).or_default();
        if !elements.iter().any(|element| element.key == key) {
            elements.push(Element { key, data });
        }
    }

    /// Adds those of another.
    pub fn extend(&mut self, other: Self) {
        for (set, elements) in other.0 {
            self.0.entry(set).or_default().extend(elements);
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.values().all(Vec::is_empty)
    }
}

/// The elements of a network in the table of packets.
pub fn of_network(network: &Network, with_v4: bool, with_v6: bool) -> Elements {
    let mut elements = Elements::default();
    let Driver::Bridge(bridge) = &network.driver else { return elements };
    let name = name_field(&bridge.interface).to_vec();
    elements.add(ruleset::BRIDGES.name, name.clone(), Data::None);
    elements.add(ruleset::SAME.name, [name.clone(), name.clone()].concat(), Data::None);
    if !bridge.icc {
        elements.add(ruleset::CLOSED.name, name.clone(), Data::None);
    }
    if network.internal {
        elements.add(ruleset::FROM.name, name.clone(), Data::Verdict(Verdict::Drop));
    }
    if let Some(v4) = network.v4.as_ref().filter(|_| with_v4) {
        family(&mut elements, 0, network, bridge, v4);
    }
    if let Some(v6) = network.v6.as_ref().filter(|_| with_v6) {
        family(&mut elements, 1, network, bridge, v6);
    }
    for trusted in &bridge.trusted_interfaces {
        let key = [name_field(trusted), name_field(&bridge.interface)].concat();
        elements.add(ruleset::TRUSTED.name, key, Data::None);
    }
    elements
}

fn family<Net, Address: Copy + Into<IpAddr>>(
    elements: &mut Elements,
    six: usize,
    network: &Network,
    bridge: &Bridge,
    family: &Family<Net, Address>,
) {
    let name = name_field(&bridge.interface).to_vec();
    let isolated = family.mode == GatewayMode::Isolated;
    if isolated {
        elements.add(ruleset::ISOLATED.name, name.clone(), Data::None);
    }
    let verdict = match family.mode {
        _ if network.internal || isolated => Verdict::Drop,
        GatewayMode::NatUnprotected => Verdict::Jump(ruleset::CHAIN_UNPROTECTED.into()),
        GatewayMode::Routed => Verdict::Jump(ruleset::CHAIN_ROUTED.into()),
        GatewayMode::Nat | GatewayMode::Isolated => Verdict::Jump(ruleset::CHAIN_NAT.into()),
    };
    elements.add(ruleset::TO[six].name, name.clone(), Data::Verdict(verdict));
    let translated = matches!(family.mode, GatewayMode::Nat | GatewayMode::NatUnprotected) && !network.internal;
    match family.leave_as {
        _ if !translated || !family.masquerade => {}
        Some(address) => elements.add(ruleset::LEAVE_AS[six].name, name, Data::Value(octets(address.into()))),
        None => elements.add(ruleset::MASQUERADE[six].name, name, Data::None),
    }
}

/// The elements of published ports; `routed` says of a network's id whether containers are reached directly.
pub fn of_ports<'a>(ports: impl IntoIterator<Item = &'a Port>, routed: impl Fn(&Port) -> bool) -> Elements {
    let mut elements = Elements::default();
    for port in ports {
        let six = usize::from(port.container.is_ipv6());
        let transport = field(&[number(port.protocol)]);
        let container = field(&port.container.port().to_be_bytes());
        let open = [octets(port.container.ip()), transport.clone(), container.clone()].concat();
        push(&mut elements, ruleset::OPEN[six].name, open, Data::None);
        if routed(port) {
            continue;
        }
        let to = Data::Value([octets(port.container.ip()), container].concat());
        publish(&mut elements, port.host, &transport, to, port.loopback);
    }
    elements
}

fn publish(elements: &mut Elements, host: SocketAddr, transport: &[u8], to: Data, loopback: bool) {
    let six = usize::from(host.is_ipv6());
    let port = field(&host.port().to_be_bytes());
    if host.ip().is_unspecified() {
        let key = [transport, &port].concat();
        if six == 0 && !loopback {
            push(elements, ruleset::RELAYED.name, key.clone(), Data::None);
        }
        push(elements, ruleset::ANY_PORTS[six].name, key, to);
    } else if loopback || !host.ip().is_loopback() {
        push(elements, ruleset::PORTS[six].name, [transport, &octets(host.ip()), &port].concat(), to);
    }
}

/// The elements of links, in either table.
pub fn of_links(links: &[Link]) -> Elements {
    let mut elements = Elements::default();
    for link in links {
        let transport = field(&[number(link.protocol)]);
        let port = field(&link.port.to_be_bytes());
        let key = [octets(link.from.into()), octets(link.to.into()), transport, port].concat();
        elements.add(ruleset::LINKED.name, key, Data::None);
    }
    elements
}

/// Without the look for doubles, which five thousand ports would notice; [`super::Kernel`] takes them out.
fn push(elements: &mut Elements, set: &'static str, key: Vec<u8>, data: Data) {
    elements.0.entry(set).or_default().push(Element { key, data });
}

/// The element of a port of a bridge whose containers do not reach each other.
pub fn of_closed_port(interface: &str) -> Element {
    Element { key: name_field(interface).to_vec(), data: Data::None }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// The number of a protocol.
pub const fn number(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
    }
}

/// A field of a key, padded to four bytes.
fn field(bytes: &[u8]) -> Vec<u8> {
    let mut field = bytes.to_vec();
    field.resize(bytes.len().next_multiple_of(4), 0);
    field
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(host: &str, loopback: bool) -> Port {
        Port {
            protocol: Protocol::Udp,
            host: host.parse().expect("an address"),
            container: "172.17.0.2:53".parse().expect("an address"),
            network: String::new(),
            loopback,
        }
    }

    #[test]
    fn a_port_is_in_the_sets_its_address_says() {
        let sets =
            |host, loopback| -> Vec<&str> { of_ports(&[port(host, loopback)], |_| false).0.into_keys().collect() };
        assert_eq!(sets("0.0.0.0:5353", true), ["any4", "open4"]);
        assert_eq!(sets("0.0.0.0:5353", false), ["any4", "open4", "relayed4"]);
        assert_eq!(sets("127.0.0.1:5353", true), ["open4", "ports4"]);
        assert_eq!(sets("127.0.0.1:5353", false), ["open4"]);
        let routed = of_ports(&[port("0.0.0.0:5353", true)], |_| true);
        assert_eq!(routed.0.keys().collect::<Vec<_>>(), [&"open4"]);
        let elements = of_ports(&[port("10.0.0.1:5353", true)], |_| false);
        assert_eq!(elements.0["ports4"][0].key, [17, 0, 0, 0, 10, 0, 0, 1, 0x14, 0xe9, 0, 0]);
        assert_eq!(elements.0["ports4"][0].data, Data::Value(vec![172, 17, 0, 2, 0, 53, 0, 0]));
    }
}
