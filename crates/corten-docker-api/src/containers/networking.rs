//! The networks of a container, asked for and as they are.

use std::collections::BTreeMap;

use crate::json::{body, is_zero};

body! {
    /// The networks a new container joins.
    pub struct NetworkingConfig {
        /// By name; a `null` asks for nothing special.
        pub endpoints_config: Option<BTreeMap<String, Option<Endpoint>>>,
    }
}

body! {
    /// A container's place in one network.
    pub struct Endpoint {
        /// Addresses asked for.
        #[serde(rename = "IPAMConfig")]
        pub ipam_config: Option<EndpointAddresses>,
        /// Legacy links.
        pub links: Option<Vec<String>>,
        /// Other names in this network.
        pub aliases: Option<Vec<String>>,
        /// Its hardware address.
        pub mac_address: String,
        /// The driver's options.
        pub driver_opts: Option<BTreeMap<String, String>>,
        /// Which network's gateway wins (1.48).
        pub gw_priority: i64,
        /// The network's id.
        #[serde(rename = "NetworkID")]
        pub network_id: String,
        /// The endpoint's id; empty while the container does not run.
        #[serde(rename = "EndpointID")]
        pub endpoint_id: String,
        /// The way out.
        pub gateway: String,
        /// Its address.
        #[serde(rename = "IPAddress")]
        pub ip_address: String,
        /// The address's prefix length.
        #[serde(rename = "IPPrefixLen")]
        pub ip_prefix_len: i64,
        /// The way out for IPv6.
        #[serde(rename = "IPv6Gateway")]
        pub ipv6_gateway: String,
        /// Its IPv6 address.
        #[serde(rename = "GlobalIPv6Address")]
        pub global_ipv6_address: String,
        /// The IPv6 address's prefix length.
        #[serde(rename = "GlobalIPv6PrefixLen")]
        pub global_ipv6_prefix_len: i64,
        /// All its names in this network (1.44).
        #[serde(rename = "DNSNames")]
        pub dns_names: Option<Vec<String>>,
    }
}

body! {
    /// Addresses asked for.
    pub struct EndpointAddresses {
        /// IPv4.
        #[serde(rename = "IPv4Address", skip_serializing_if = "is_zero")]
        pub ipv4_address: String,
        /// IPv6.
        #[serde(rename = "IPv6Address", skip_serializing_if = "is_zero")]
        pub ipv6_address: String,
        /// Link-local.
        #[serde(rename = "LinkLocalIPs", skip_serializing_if = "Option::is_none")]
        pub link_local_ips: Option<Vec<String>>,
    }
}
