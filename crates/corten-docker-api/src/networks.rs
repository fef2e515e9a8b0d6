//! `/networks`.

use std::collections::BTreeMap;

use crate::containers::Endpoint;
use crate::json::{body, is_empty, is_zero};

body! {
    /// One network, in lists and inspected.
    pub struct Network {
        /// Its name.
        pub name: String,
        /// 64 hexadecimal digits.
        pub id: String,
        /// When it was made, RFC 3339.
        pub created: String,
        /// `local`.
        pub scope: String,
        /// `bridge`, `host`, `null`.
        pub driver: String,
        /// Whether containers get IPv4 addresses (1.47).
        #[serde(rename = "EnableIPv4")]
        pub enable_ipv4: bool,
        /// Whether containers get IPv6 addresses.
        #[serde(rename = "EnableIPv6")]
        pub enable_ipv6: bool,
        /// Its address pools.
        #[serde(rename = "IPAM")]
        pub ipam: Ipam,
        /// Whether it has no way out.
        pub internal: bool,
        /// Whether containers outside swarm services may join.
        pub attachable: bool,
        /// Whether it is swarm's routing mesh.
        pub ingress: bool,
        /// The network its configuration is taken from.
        pub config_from: ConfigReference,
        /// Whether it is only a configuration for others.
        pub config_only: bool,
        /// The running containers in it, by id.
        pub containers: Option<BTreeMap<String, NetworkEndpoint>>,
        /// The driver's options.
        pub options: Option<BTreeMap<String, String>>,
        /// The user's labels.
        pub labels: Option<BTreeMap<String, String>>,
    }
}

body! {
    /// Address pools of a network.
    pub struct Ipam {
        /// `default`.
        pub driver: String,
        /// The pool driver's options.
        pub options: Option<BTreeMap<String, String>>,
        /// The pools.
        pub config: Option<Vec<IpamPool>>,
    }
}

body! {
    /// One address pool.
    pub struct IpamPool {
        /// The subnet, CIDR.
        #[serde(skip_serializing_if = "is_zero")]
        pub subnet: String,
        /// The part of it that addresses are taken from, CIDR.
        #[serde(rename = "IPRange", skip_serializing_if = "is_zero")]
        pub ip_range: String,
        /// The bridge's own address.
        #[serde(skip_serializing_if = "is_zero")]
        pub gateway: String,
        /// Addresses in use by others.
        #[serde(rename = "AuxiliaryAddresses", skip_serializing_if = "is_empty")]
        pub auxiliary_addresses: Option<BTreeMap<String, String>>,
    }
}

body! {
    /// The network a configuration is taken from.
    pub struct ConfigReference {
        /// Its name; empty for none.
        pub network: String,
    }
}

body! {
    /// One container in a network.
    pub struct NetworkEndpoint {
        /// The container's name.
        pub name: String,
        /// The endpoint's id.
        #[serde(rename = "EndpointID")]
        pub endpoint_id: String,
        /// Its hardware address.
        pub mac_address: String,
        /// CIDR.
        #[serde(rename = "IPv4Address")]
        pub ipv4_address: String,
        /// CIDR.
        #[serde(rename = "IPv6Address")]
        pub ipv6_address: String,
    }
}

body! {
    /// The body of a create.
    pub struct NetworkCreate {
        /// Its name.
        pub name: String,
        /// Whether a name in use is refused; it always is.
        pub check_duplicate: bool,
        /// `bridge` where nothing is said.
        pub driver: String,
        /// `local`, or `swarm`.
        pub scope: String,
        /// Whether containers get IPv4 addresses (1.47).
        #[serde(rename = "EnableIPv4")]
        pub enable_ipv4: Option<bool>,
        /// Whether containers get IPv6 addresses.
        #[serde(rename = "EnableIPv6")]
        pub enable_ipv6: Option<bool>,
        /// Its address pools.
        #[serde(rename = "IPAM")]
        pub ipam: Option<Ipam>,
        /// Whether it has no way out.
        pub internal: bool,
        /// Whether containers outside swarm services may join.
        pub attachable: bool,
        /// Whether it is swarm's routing mesh.
        pub ingress: bool,
        /// Whether it is only a configuration for others.
        pub config_only: bool,
        /// The network its configuration is taken from.
        pub config_from: Option<ConfigReference>,
        /// The driver's options.
        pub options: Option<BTreeMap<String, String>>,
        /// The user's labels.
        pub labels: Option<BTreeMap<String, String>>,
    }
}

body! {
    /// The answer to a create.
    pub struct NetworkCreated {
        /// 64 hexadecimal digits.
        pub id: String,
        /// What the caller should know.
        pub warning: String,
    }
}

body! {
    /// The body of a connect.
    pub struct NetworkConnect {
        /// The container's id or name.
        pub container: String,
        /// Its place in the network.
        pub endpoint_config: Option<Endpoint>,
    }
}

body! {
    /// The body of a disconnect.
    pub struct NetworkDisconnect {
        /// The container's id or name.
        pub container: String,
        /// Whether a container that is gone is disconnected, too.
        pub force: bool,
    }
}

body! {
    /// The answer to a prune.
    pub struct NetworksPruned {
        /// The names of those that are gone.
        pub networks_deleted: Option<Vec<String>>,
    }
}

body! {
    /// Something in the kernel that is not as it should be; no call of docker's.
    pub struct NetworkDifference {
        /// What it is about.
        pub object: String,
        /// A sentence.
        pub what: String,
    }
}
