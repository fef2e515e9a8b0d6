//! The place of a running container in a network, as its state keeps it: written down before the kernel is touched.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use corten_docker_api::containers::Endpoint;
use corten_network::plan::{self, DefaultRoute, DefaultRoutes, Protocol};
use ipnet::{Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

use super::record::Record;
use crate::errors::{EngineError, Result};

/// What of a container's networks is in the kernel.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Networking {
    /// Whether it has a network namespace that the engine has made.
    pub sandbox: bool,
    /// Its places in networks, by the network's name.
    pub attachments: BTreeMap<String, Attachment>,
    /// Its published ports.
    pub ports: Vec<PublishedPort>,
}

/// The place of a container in a network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attachment {
    /// The network's id.
    pub network: String,
    /// 64 hexadecimal digits.
    pub endpoint: String,
    /// What the interface is called in the container.
    pub interface: String,
    /// Its hardware address, `02:42:…`.
    pub mac: String,
    /// Its IPv4 address with the subnet's length.
    pub v4: Option<Ipv4Net>,
    /// Its IPv6 address with the subnet's length.
    pub v6: Option<Ipv6Net>,
    /// Further addresses.
    #[serde(default)]
    pub link_local: Vec<IpAddr>,
    /// The way out, for IPv4.
    pub gateway_v4: Option<Ipv4Addr>,
    /// The way out, for IPv6.
    pub gateway_v6: Option<Ipv6Addr>,
    /// Values below `/proc/sys`.
    #[serde(default)]
    pub sysctls: BTreeMap<String, String>,
    /// How often its addresses are announced.
    pub announcements: u8,
    /// Milliseconds between two of them.
    pub announcement_gap_ms: u16,
    /// Which network's gateway wins.
    #[serde(default)]
    pub gateway_priority: i64,
    /// Its names in the network.
    #[serde(default)]
    pub names: Vec<String>,
    /// Whether a connect is making it: one that is killed leaves a half of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unfinished: bool,
}

/// A published port of a running container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedPort {
    /// `tcp` or `udp`.
    pub protocol: String,
    /// The host's side.
    pub host: SocketAddr,
    /// The container's side.
    pub container: SocketAddr,
    /// The id of the network whose address it is.
    pub network: String,
    /// Whether rules of the kernel translate it.
    pub translated: bool,
    /// Whether they translate loopback paths, too.
    pub loopback: bool,
    /// Whether a relay serves it.
    pub relayed: bool,
    /// Whether it is bound on the host: not in a routed network.
    pub bound: bool,
}

impl PublishedPort {
    /// Its protocol.
    pub fn kind(&self) -> Protocol {
        if self.protocol == "udp" { Protocol::Udp } else { Protocol::Tcp }
    }

    /// What is to be in the kernel.
    pub fn plan(&self) -> Option<plan::Port> {
        self.translated.then(|| plan::Port {
            protocol: self.kind(),
            host: self.host,
            container: self.container,
            network: self.network.clone(),
            loopback: self.loopback,
        })
    }
}

impl Attachment {
    /// Its addresses.
    pub fn addresses(&self) -> Vec<IpAddr> {
        let v4 = self.v4.map(|net| IpAddr::V4(net.addr()));
        v4.into_iter().chain(self.v6.map(|net| IpAddr::V6(net.addr()))).collect()
    }

    /// What is to be in the kernel.
    ///
    /// # Errors
    /// For a state that somebody has changed.
    pub fn plan(&self, container: &str) -> Result<plan::Endpoint> {
        Ok(plan::Endpoint {
            id: self.endpoint.clone(),
            network: self.network.clone(),
            container: container.to_owned(),
            interface: self.interface.clone(),
            mac: mac(&self.mac)?,
            v4: self.v4,
            v6: self.v6,
            link_local: self.link_local.clone(),
            sysctls: self.sysctls.clone(),
        })
    }

    /// As the API shows it, over what was asked for.
    pub fn shown(&self, asked: Endpoint) -> Endpoint {
        Endpoint {
            network_id: self.network.clone(),
            endpoint_id: self.endpoint.clone(),
            mac_address: self.mac.clone(),
            gateway: text(self.gateway_v4),
            ip_address: text(self.v4.map(|net| net.addr())),
            ip_prefix_len: self.v4.map_or(0, |net| i64::from(net.prefix_len())),
            ipv6_gateway: text(self.gateway_v6),
            global_ipv6_address: text(self.v6.map(|net| net.addr())),
            global_ipv6_prefix_len: self.v6.map_or(0, |net| i64::from(net.prefix_len())),
            dns_names: Some(self.names.clone()).filter(|names| !names.is_empty()),
            ..asked
        }
    }
}

/// An address's text; none for none.
pub fn text<T: ToString>(value: Option<T>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// Reads a hardware address.
///
/// # Errors
/// 400 in docker's words.
pub fn mac(text: &str) -> Result<[u8; 6]> {
    let wrong = || EngineError::invalid(format!("invalid MAC address: {text}: address {text}: invalid MAC address"));
    let mut address = [0; 6];
    let mut parts = text.split([':', '-']);
    for byte in &mut address {
        let part = parts.next().filter(|part| part.len() == 2).ok_or_else(wrong)?;
        *byte = u8::from_str_radix(part, 16).map_err(|_| wrong())?;
    }
    if parts.next().is_some() || address[0] & 1 == 1 {
        return Err(wrong());
    }
    Ok(address)
}

/// The text of a hardware address.
pub fn mac_text(address: [u8; 6]) -> String {
    address.map(|byte| format!("{byte:02x}")).join(":")
}

/// Where the default routes of a container lead: docker's order of preference, for each family.
pub fn default_routes<'a>(places: impl Iterator<Item = (&'a Record, &'a Attachment)> + Clone) -> DefaultRoutes {
    let v4 = way_out(places.clone(), Way::V4).map(|(_, place)| place);
    let v6 = way_out(places, Way::V6).map(|(_, place)| place);
    DefaultRoutes {
        v4: v4
            .and_then(|place| Some(DefaultRoute { interface: place.interface.clone(), via: Some(place.gateway_v4?) })),
        v6: v6
            .and_then(|place| Some(DefaultRoute { interface: place.interface.clone(), via: Some(place.gateway_v6?) })),
    }
}

/// A family whose way out is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// The place whose network is the way out: the higher priority, then not internal, then more families with a way, then
/// the network's name.
pub fn way_out<'a>(
    places: impl Iterator<Item = (&'a Record, &'a Attachment)>,
    way: Way,
) -> Option<(&'a Record, &'a Attachment)> {
    let rank = |(network, place): &(&Record, &Attachment)| {
        let families = [Way::V4, Way::V6].into_iter().filter(|way| leads_out(network, place, *way)).count();
        (
            std::cmp::Reverse(place.gateway_priority),
            network.is_internal(),
            std::cmp::Reverse(families),
            network.name.clone(),
        )
    };
    places.filter(|(network, place)| leads_out(network, place, way)).min_by_key(rank)
}

/// Whether a place has a way out. On a wire whose gateway nobody named it has one that the engine does not know, and no
/// other network's is taken in its place.
fn leads_out(network: &Record, place: &Attachment, way: Way) -> bool {
    let (gateway, address) = match way {
        Way::V4 => (place.gateway_v4.is_some(), place.v4.is_some()),
        Way::V6 => (place.gateway_v6.is_some(), place.v6.is_some()),
    };
    gateway || (network.driver == "macvlan" && address && !network.is_internal())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hardware_addresses_are_read_and_written() {
        assert_eq!(mac_text(mac("02:42:AC:11:00:02").unwrap()), "02:42:ac:11:00:02");
        assert_eq!(mac("02-42-ac-11-00-02").unwrap(), [2, 0x42, 0xac, 0x11, 0, 2]);
        for wrong in
            ["", "02:42:ac:11:00", "02:42:ac:11:00:02:03", "0:1:2:3:4:5", "01:00:00:00:00:00", "xx:42:ac:11:00:02"]
        {
            assert!(mac(wrong).is_err(), "{wrong}");
        }
    }
}
