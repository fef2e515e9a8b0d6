//! `GET /containers/{id}/json`.

use std::collections::BTreeMap;

use super::{ContainerConfig, Endpoint, HostConfig, PortMap};
use crate::images::{Descriptor, GraphDriver};
use crate::json::{Empty, body, is_zero};

body! {
    /// Everything about one container.
    pub struct ContainerInspect {
        /// 64 hexadecimal digits.
        pub id: String,
        /// RFC 3339.
        pub created: String,
        /// The program.
        pub path: String,
        /// Its arguments; never `null`.
        pub args: Vec<String>,
        /// Whether it runs, and how it ended.
        pub state: ContainerState,
        /// The image's id.
        pub image: String,
        /// Its resolv.conf on the host; empty before the first start.
        pub resolv_conf_path: String,
        /// Its hostname file on the host.
        pub hostname_path: String,
        /// Its hosts file on the host.
        pub hosts_path: String,
        /// Its log on the host.
        pub log_path: String,
        /// `/name`.
        pub name: String,
        /// How often the policy has started it again.
        pub restart_count: i64,
        /// The storage driver.
        pub driver: String,
        /// `linux`.
        pub platform: String,
        /// SELinux.
        pub mount_label: String,
        /// SELinux.
        pub process_label: String,
        /// AppArmor.
        pub app_armor_profile: String,
        /// Its execs that live.
        #[serde(rename = "ExecIDs")]
        pub exec_ids: Option<Vec<String>>,
        /// How it runs on this host.
        pub host_config: HostConfig,
        /// Where its layers lie.
        pub graph_driver: GraphDriver,
        /// The image's manifest (1.48).
        #[serde(skip_serializing_if = "Option::is_none")]
        pub image_manifest_descriptor: Option<Descriptor>,
        /// Bytes it has written; with `size=1`.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub size_rw: Option<i64>,
        /// Bytes of its whole tree; with `size=1`.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub size_root_fs: Option<i64>,
        /// Its mounts; never `null`.
        pub mounts: Vec<MountPoint>,
        /// What to run.
        pub config: ContainerConfig,
        /// Its networks.
        pub network_settings: NetworkSettings,
    }
}

body! {
    /// Whether a container runs, and how it ended.
    pub struct ContainerState {
        /// `created running paused restarting removing exited dead`.
        pub status: String,
        /// Also while paused and restarting.
        pub running: bool,
        /// Whether it is frozen.
        pub paused: bool,
        /// Whether the policy is about to start it again.
        pub restarting: bool,
        /// Whether the kernel killed a process of it for memory since its start.
        #[serde(rename = "OOMKilled")]
        pub oom_killed: bool,
        /// Whether its removal failed half way.
        pub dead: bool,
        /// The first process on the host; 0 while it does not run.
        pub pid: i64,
        /// The last exit status, 128 + signal when killed.
        pub exit_code: i64,
        /// Why the last start failed.
        pub error: String,
        /// RFC 3339; year 1 for never.
        pub started_at: String,
        /// RFC 3339; year 1 for never.
        pub finished_at: String,
        /// What its health check says.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub health: Option<Health>,
    }
}

body! {
    /// What a health check says.
    pub struct Health {
        /// `starting`, `healthy`, `unhealthy`.
        pub status: String,
        /// Failures in a row.
        pub failing_streak: i64,
        /// The last five probes.
        pub log: Option<Vec<HealthResult>>,
    }
}

body! {
    /// One probe.
    pub struct HealthResult {
        /// RFC 3339.
        pub start: String,
        /// RFC 3339.
        pub end: String,
        /// 0 for healthy.
        pub exit_code: i64,
        /// The first 4096 bytes.
        pub output: String,
    }
}

body! {
    /// One mount as it is.
    pub struct MountPoint {
        /// `bind`, `volume`, `tmpfs`.
        #[serde(rename = "Type", skip_serializing_if = "is_zero")]
        pub kind: String,
        /// The volume's name.
        #[serde(skip_serializing_if = "is_zero")]
        pub name: String,
        /// Its path on the host.
        pub source: String,
        /// Its path in the container.
        pub destination: String,
        /// The volume's driver.
        #[serde(skip_serializing_if = "is_zero")]
        pub driver: String,
        /// The options as given.
        pub mode: String,
        /// Whether it can be written.
        #[serde(rename = "RW")]
        pub rw: bool,
        /// How mounts below spread.
        pub propagation: String,
    }
}

body! {
    /// A container's networks as they are. The fields before `networks` repeat the default
    /// network's for clients below 1.21.
    pub struct NetworkSettings {
        /// Unused.
        pub bridge: String,
        /// The network namespace's id.
        #[serde(rename = "SandboxID")]
        pub sandbox_id: String,
        /// The network namespace's path.
        pub sandbox_key: String,
        /// Published ports.
        pub ports: PortMap,
        /// Unused.
        pub hairpin_mode: bool,
        /// Unused.
        #[serde(rename = "LinkLocalIPv6Address")]
        pub link_local_ipv6_address: String,
        /// Unused.
        #[serde(rename = "LinkLocalIPv6PrefixLen")]
        pub link_local_ipv6_prefix_len: i64,
        /// Unused.
        #[serde(rename = "SecondaryIPAddresses")]
        pub secondary_ip_addresses: Option<Vec<Empty>>,
        /// Unused.
        #[serde(rename = "SecondaryIPv6Addresses")]
        pub secondary_ipv6_addresses: Option<Vec<Empty>>,
        /// The default network's endpoint.
        #[serde(rename = "EndpointID")]
        pub endpoint_id: String,
        /// The default network's gateway.
        pub gateway: String,
        /// The default network's IPv6 address.
        #[serde(rename = "GlobalIPv6Address")]
        pub global_ipv6_address: String,
        /// Its prefix length.
        #[serde(rename = "GlobalIPv6PrefixLen")]
        pub global_ipv6_prefix_len: i64,
        /// The default network's address.
        #[serde(rename = "IPAddress")]
        pub ip_address: String,
        /// Its prefix length.
        #[serde(rename = "IPPrefixLen")]
        pub ip_prefix_len: i64,
        /// The default network's IPv6 gateway.
        #[serde(rename = "IPv6Gateway")]
        pub ipv6_gateway: String,
        /// The default network's hardware address.
        pub mac_address: String,
        /// By network name.
        pub networks: Option<BTreeMap<String, Endpoint>>,
    }
}
