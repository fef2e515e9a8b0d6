//! `GET /containers/json`.

use std::collections::BTreeMap;

use super::{Endpoint, MountPoint};
use crate::images::Descriptor;
use crate::json::{body, is_empty, is_zero};

body! {
    /// One line of `docker ps`.
    pub struct ContainerSummary {
        /// 64 hexadecimal digits.
        pub id: String,
        /// `/name`.
        pub names: Option<Vec<String>>,
        /// The image as it was asked for, or its id when the name moved on.
        pub image: String,
        /// The image's id.
        #[serde(rename = "ImageID")]
        pub image_id: String,
        /// The image's manifest (1.48).
        #[serde(skip_serializing_if = "Option::is_none")]
        pub image_manifest_descriptor: Option<Descriptor>,
        /// The command line as one text.
        pub command: String,
        /// Seconds since 1970.
        pub created: i64,
        /// Exposed and published ports.
        pub ports: Vec<Port>,
        /// Bytes it has written; with `size=1`.
        #[serde(skip_serializing_if = "is_zero")]
        pub size_rw: i64,
        /// Bytes of its whole tree; with `size=1`.
        #[serde(skip_serializing_if = "is_zero")]
        pub size_root_fs: i64,
        /// The user's labels.
        pub labels: BTreeMap<String, String>,
        /// `running`, `exited`, …
        pub state: String,
        /// `Up 3 minutes`, `Exited (0) 2 hours ago`, …
        pub status: String,
        /// A small part of it.
        pub host_config: ListHostConfig,
        /// A small part of it.
        pub network_settings: Option<ListNetworkSettings>,
        /// Its mounts.
        pub mounts: Vec<MountPoint>,
    }
}

body! {
    /// The part of the host configuration that lists show.
    pub struct ListHostConfig {
        /// As in the host configuration.
        #[serde(skip_serializing_if = "is_zero")]
        pub network_mode: String,
        /// Given to the runtime (1.46).
        #[serde(skip_serializing_if = "is_empty")]
        pub annotations: Option<BTreeMap<String, String>>,
    }
}

body! {
    /// The part of the network settings that lists show.
    pub struct ListNetworkSettings {
        /// By network name.
        pub networks: BTreeMap<String, Endpoint>,
    }
}

body! {
    /// One port.
    pub struct Port {
        /// The host's address.
        #[serde(rename = "IP", skip_serializing_if = "is_zero")]
        pub ip: String,
        /// The container's port.
        pub private_port: u16,
        /// The host's port.
        #[serde(skip_serializing_if = "is_zero")]
        pub public_port: u16,
        /// `tcp`, `udp`, `sctp`.
        #[serde(rename = "Type")]
        pub kind: String,
    }
}
