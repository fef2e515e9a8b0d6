//! What is to be: networks, the places of containers in them, published ports.
//!
//! These are plain values, made by the engine from its records and from nothing else. What an object is called in the
//! kernel follows from them: [`Network::bridge`], [`Endpoint::host_interface`], [`table`].

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// How many hexadecimal digits of the owner's id are part of a table's name.
const OWNER_DIGITS: usize = 8;

/// How many hexadecimal digits of an endpoint's id name its interface in the host, as docker's.
const ENDPOINT_DIGITS: usize = 7;

/// How many hexadecimal digits of a macvlan network's id name its own parent.
const PARENT_DIGITS: usize = 12;

/// The name of the tables of the engine whose data root has the id `owner`.
pub fn table(owner: &str) -> String {
    format!("corten-{}", beginning(owner, OWNER_DIGITS))
}

/// The parent of a macvlan network that names none: docker's name of it.
pub fn own_parent(network: &str) -> String {
    format!("dm-{}", beginning(network, PARENT_DIGITS))
}

/// The alias of an interface that belongs to `network` of the engine `owner`.
pub fn alias(owner: &str, network: &str) -> String {
    format!("corten:{owner}/{network}")
}

fn beginning(id: &str, digits: usize) -> &str {
    id.get(..digits).unwrap_or(id)
}

/// How an engine treats the host; what its flags say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The id of the data root, which marks everything in the kernel as this engine's.
    pub owner: String,
    /// Whether forwarding is switched on where it is off (`--ip-forward`).
    pub ip_forward: bool,
    /// Whether what is forwarded between foreign interfaces stays allowed where the engine switched forwarding on
    /// (`--ip-forward-no-drop`).
    pub ip_forward_no_drop: bool,
    /// Whether rules are made for IPv4 (`--iptables`).
    pub rules_v4: bool,
    /// Whether rules are made for IPv6 (`--ip6tables`).
    pub rules_v6: bool,
    /// Where the message bus is by which firewalld is reached; nowhere, when it is empty.
    pub system_bus: String,
    /// How long somebody waits for firewalld, which is told later then.
    pub bus_patience: Duration,
    /// What packets carry that reach containers all the same (`--bridge-accept-fwmark`).
    pub accept_mark: Option<Mark>,
}

/// A packet's mark: its bits in the mask are those of the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The bits.
    pub value: u32,
    /// Those that are looked at.
    pub mask: u32,
}

impl std::str::FromStr for Mark {
    type Err = String;

    /// `VALUE` or `VALUE/MASK`, each decimal, `0x…`, `0o…`, `0…` or `0b…`, as dockerd reads it.
    fn from_str(text: &str) -> Result<Self, String> {
        let (value, mask) = text.split_once('/').map_or((text, None), |(value, mask)| (value, Some(mask)));
        let value = number(value).ok_or_else(|| format!("invalid firewall mark {text:?}"))?;
        let mask = mask.map(|mask| number(mask).ok_or_else(|| format!("invalid firewall mask {text:?}")));
        Ok(Self { value, mask: mask.transpose()?.unwrap_or(u32::MAX) })
    }
}

impl std::fmt::Display for Mark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#x}/{:#x}", self.value, self.mask)
    }
}

/// A number as Go's `strconv.ParseUint` reads it with base 0, without underscores.
fn number(text: &str) -> Option<u32> {
    let lower = text.to_ascii_lowercase();
    let (digits, radix) = match lower.as_bytes() {
        [b'0', b'x', ..] => (&lower[2..], 16),
        [b'0', b'b', ..] => (&lower[2..], 2),
        [b'0', b'o', ..] => (&lower[2..], 8),
        [b'0', _, ..] => (&lower[1..], 8),
        _ => (lower.as_str(), 10),
    };
    if digits.starts_with('+') { None } else { u32::from_str_radix(digits, radix).ok() }
}

/// One network with objects in the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Its name, for messages.
    pub name: String,
    /// How its containers are connected.
    pub driver: Driver,
    /// Its IPv4 half.
    pub v4: Option<Family<Ipv4Net, Ipv4Addr>>,
    /// Its IPv6 half.
    pub v6: Option<Family<Ipv6Net, Ipv6Addr>>,
    /// The largest packet; the kernel's default where nobody says.
    pub mtu: Option<u32>,
    /// Whether nothing goes in or out.
    pub internal: bool,
}

impl Network {
    /// The name of its bridge; `None` where it has none.
    pub fn bridge(&self) -> Option<&str> {
        match &self.driver {
            Driver::Bridge(bridge) => Some(&bridge.interface),
            Driver::Macvlan(_) => None,
        }
    }

    /// The name of the parent that is made for it and goes with it; `None` where somebody named one.
    pub fn own_parent(&self) -> Option<&str> {
        match &self.driver {
            Driver::Macvlan(macvlan) if macvlan.parent == own_parent(&self.id) => Some(&macvlan.parent),
            _ => None,
        }
    }
}

/// How the containers of a network are connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Driver {
    /// By a bridge of the host.
    Bridge(Bridge),
    /// By an interface of the host, each with a hardware address of its own.
    Macvlan(Macvlan),
}

/// The bridge of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bridge {
    /// The interface's name: `br-` and 12 digits of the id, or as somebody asked.
    pub interface: String,
    /// Whether it was there before and is somebody else's (`--bridge NAME`, `com.docker.network.bridge.name` of a
    /// bridge that exists): its addresses stay, and it is never removed.
    pub adopted: bool,
    /// Whether its containers reach each other (`com.docker.network.bridge.enable_icc`).
    pub icc: bool,
    /// Interfaces from which containers may be reached by their own addresses
    /// (`com.docker.network.bridge.trusted_host_interfaces`).
    pub trusted_interfaces: Vec<String>,
}

/// A macvlan network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Macvlan {
    /// The host's interface; [`own_parent`] where nobody named one.
    pub parent: String,
    /// How its containers see each other.
    pub mode: MacvlanMode,
}

/// How interfaces on one parent see each other (ip-link(8)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MacvlanMode {
    /// Directly.
    #[default]
    Bridge,
    /// Not at all.
    Private,
    /// Through the switch the parent is connected to.
    Vepa,
    /// One interface has the parent to itself.
    Passthru,
}

/// The half of a network that is of one address family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Family<Net, Address> {
    /// The subnet of its addresses.
    pub subnet: Net,
    /// The bridge's own address, or the gateway on the wire for macvlan.
    pub gateway: Option<Address>,
    /// Whether the bridge carries the address `gateway`: not with `inhibit_ipv4`, nor where another gateway was named.
    pub on_bridge: bool,
    /// Where a container's default route goes when it is not `gateway` (`--aux-address DefaultGatewayIPv4=…`).
    pub default_route: Option<Address>,
    /// Whether containers leave with an address of the host (`enable_ip_masquerade`).
    pub masquerade: bool,
    /// The address they leave with (`com.docker.network.host_ipv4`); that of the way out where nobody says.
    pub leave_as: Option<Address>,
    /// How containers are reached from outside.
    pub mode: GatewayMode,
}

/// How containers are reached from outside (`com.docker.network.bridge.gateway_mode_ipv4`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GatewayMode {
    /// By published ports of the host alone.
    #[default]
    Nat,
    /// By published ports, and directly at any port.
    NatUnprotected,
    /// Directly, at published ports of their own.
    Routed,
    /// Not at all, nor by the host.
    Isolated,
}

/// The network namespace of a container.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sandbox {
    /// Where it is bound: `<exec-root>/netns/<12 digits of the container's id>`.
    pub path: PathBuf,
}

/// The place of a container in a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// 64 hexadecimal digits.
    pub id: String,
    /// The id of its network.
    pub network: String,
    /// The id of its container.
    pub container: String,
    /// What the interface is called in the container: `eth0`.
    pub interface: String,
    /// Its hardware address.
    pub mac: [u8; 6],
    /// Its IPv4 address with the subnet's length.
    pub v4: Option<Ipv4Net>,
    /// Its IPv6 address with the subnet's length. Without one IPv6 is switched off on the interface.
    pub v6: Option<Ipv6Net>,
    /// Further addresses (`--link-local-ip`).
    pub link_local: Vec<IpAddr>,
    /// Values below `/proc/sys`, `net/ipv4/conf/eth0/forwarding` → `1` (`com.docker.network.endpoint.sysctls`).
    pub sysctls: BTreeMap<String, String>,
}

impl Endpoint {
    /// The name of its interface in the host, where it has one.
    pub fn host_interface(&self) -> String {
        format!("veth{}", beginning(&self.id, ENDPOINT_DIGITS))
    }
}

/// Where the default routes of a sandbox lead.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DefaultRoutes {
    /// For IPv4.
    pub v4: Option<DefaultRoute<Ipv4Addr>>,
    /// For IPv6.
    pub v6: Option<DefaultRoute<Ipv6Addr>>,
}

/// One default route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefaultRoute<Address> {
    /// The interface in the sandbox.
    pub interface: String,
    /// The next hop; none where the network has no gateway.
    pub via: Option<Address>,
}

/// A transport protocol with ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// `tcp` or `udp`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// A published port. In a network that is routed, `host` says only whether it is published.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Port {
    /// The protocol.
    pub protocol: Protocol,
    /// The host's side; the unspecified address for all of the host's.
    pub host: SocketAddr,
    /// The container's side, of the same family: where families differ, a relay serves the port and no rule.
    pub container: SocketAddr,
    /// The id of the network whose address it is.
    pub network: String,
    /// Whether what the host sends to its own loopback addresses is translated too. Not where a relay serves that path
    /// (`--userland-proxy`).
    pub loopback: bool,
}

/// What a container may reach of another one where containers are kept from each other (`--link`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Link {
    /// The address of who reaches.
    pub from: Ipv4Addr,
    /// The address of who is reached.
    pub to: Ipv4Addr,
    /// The protocol.
    pub protocol: Protocol,
    /// The port of who is reached.
    pub port: u16,
}

/// All that is to be in the kernel of one engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Desired {
    /// Every network that has objects in the kernel.
    pub networks: Vec<Network>,
    /// Every place of a running container, with its sandbox and that one's default routes.
    pub endpoints: Vec<(Sandbox, Endpoint)>,
    /// The default routes of each sandbox.
    pub routes: Vec<(Sandbox, DefaultRoutes)>,
    /// Every published port of a running container.
    pub ports: Vec<Port>,
    /// What running containers reach of each other although their network keeps them apart.
    pub links: Vec<Link>,
}

/// Something that is not as it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What it is about: `network web`, `container 0123456789ab in network web`, `port 0.0.0.0:80/tcp`.
    pub object: String,
    /// A sentence: `bridge br-0123456789ab is missing`.
    pub what: String,
    /// Whether it is an interface too many and nothing that lacks: what a container that has just ended had is that for a
    /// moment.
    pub is_left_over: bool,
}

/// An address range the host uses, by a route or an address of its own: no network may have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostRange {
    /// The range.
    pub range: IpNet,
    /// The interface it belongs to.
    pub interface: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_read_as_numbers_with_a_mask() {
        let read = |text: &str| text.parse::<Mark>().map(|mark| (mark.value, mark.mask));
        assert_eq!(read("2/3"), Ok((2, 3)));
        assert_eq!(read("0x10"), Ok((16, u32::MAX)));
        assert_eq!(read("010/0XfF"), Ok((8, 255)));
        assert_eq!(read("0b11/0o7"), Ok((3, 7)));
        for wrong in ["", "x", "1/", "/1", "-1", "+1", "1/2/3", "4294967296", "0x"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn objects_are_named_after_ids() {
        let id = "0123456789abcdef".repeat(4);
        let endpoint = Endpoint {
            id: id.clone(),
            network: id.clone(),
            container: id.clone(),
            interface: "eth0".to_owned(),
            mac: [2, 0, 0, 0, 0, 1],
            v4: None,
            v6: None,
            link_local: Vec::new(),
            sysctls: BTreeMap::new(),
        };
        assert_eq!(endpoint.host_interface(), "veth0123456");
        assert_eq!(table(&id), "corten-01234567");
        assert_eq!(alias("ABCD", "ef01"), "corten:ABCD/ef01");
    }
}
