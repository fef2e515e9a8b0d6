//! `GET /info`.

use std::collections::BTreeMap;

use crate::json::{Empty, body, is_empty, is_zero};

body! {
    /// What the engine says of itself and its host.
    pub struct Info {
        /// The engine's id.
        #[serde(rename = "ID")]
        pub id: String,
        /// All containers.
        pub containers: i64,
        /// Those that run.
        pub containers_running: i64,
        /// Those that are paused.
        pub containers_paused: i64,
        /// Those that do neither.
        pub containers_stopped: i64,
        /// Images.
        pub images: i64,
        /// The storage driver.
        pub driver: String,
        /// What it says of itself, as pairs.
        pub driver_status: Option<Vec<[String; 2]>>,
        /// What it says of itself for orchestrators.
        #[serde(skip_serializing_if = "is_empty")]
        pub system_status: Option<Vec<[String; 2]>>,
        /// Drivers by kind.
        pub plugins: PluginsInfo,
        /// Whether memory can be limited.
        pub memory_limit: bool,
        /// Whether swap can be limited.
        pub swap_limit: bool,
        /// Whether CFS periods can be set.
        pub cpu_cfs_period: bool,
        /// Whether CFS quotas can be set.
        pub cpu_cfs_quota: bool,
        /// Whether CPU shares can be set.
        #[serde(rename = "CPUShares")]
        pub cpu_shares: bool,
        /// Whether CPU sets can be set.
        #[serde(rename = "CPUSet")]
        pub cpu_set: bool,
        /// Whether the number of processes can be limited.
        pub pids_limit: bool,
        /// Whether the host forwards IPv4.
        #[serde(rename = "IPv4Forwarding")]
        pub ipv4_forwarding: bool,
        /// Whether bridged packets pass iptables (below 1.50).
        pub bridge_nf_iptables: bool,
        /// Whether bridged packets pass ip6tables (below 1.50).
        pub bridge_nf_ip6tables: bool,
        /// Whether debugging is on.
        pub debug: bool,
        /// Open descriptors of the engine.
        #[serde(rename = "NFd")]
        pub n_fd: i64,
        /// Whether the OOM killer can be turned off.
        pub oom_kill_disable: bool,
        /// Tasks of the engine.
        #[serde(rename = "NGoroutines")]
        pub n_goroutines: i64,
        /// The host's time, RFC 3339.
        pub system_time: String,
        /// The default log driver.
        pub logging_driver: String,
        /// `cgroupfs` or `systemd`.
        pub cgroup_driver: String,
        /// `1` or `2`.
        #[serde(skip_serializing_if = "is_zero")]
        pub cgroup_version: String,
        /// Clients that listen to events.
        #[serde(rename = "NEventsListener")]
        pub n_events_listener: i64,
        /// `uname -r`.
        pub kernel_version: String,
        /// The distribution's name.
        pub operating_system: String,
        /// Its version.
        #[serde(rename = "OSVersion")]
        pub os_version: String,
        /// `linux`.
        #[serde(rename = "OSType")]
        pub os_type: String,
        /// `uname -m`.
        pub architecture: String,
        /// The default registry.
        pub index_server_address: String,
        /// How registries are reached.
        pub registry_config: Option<RegistryConfig>,
        /// Processors.
        #[serde(rename = "NCPU")]
        pub n_cpu: i64,
        /// Memory in bytes.
        pub mem_total: i64,
        /// Swarm's resources.
        pub generic_resources: Option<Vec<Empty>>,
        /// The data root.
        pub docker_root_dir: String,
        /// The engine's proxy.
        pub http_proxy: String,
        /// The engine's proxy for https.
        pub https_proxy: String,
        /// Hosts reached without a proxy.
        pub no_proxy: String,
        /// The host's name.
        pub name: String,
        /// The engine's labels.
        pub labels: Option<Vec<String>>,
        /// Whether experimental features are on.
        pub experimental_build: bool,
        /// The engine's version.
        pub server_version: String,
        /// OCI runtimes by name.
        pub runtimes: Option<BTreeMap<String, Runtime>>,
        /// The one used by default.
        pub default_runtime: String,
        /// Swarm's state.
        pub swarm: Swarm,
        /// Whether containers outlive the engine.
        pub live_restore_enabled: bool,
        /// Windows only.
        pub isolation: String,
        /// The init given to containers that ask for one.
        pub init_binary: String,
        /// containerd's, or the supervisor's, commit.
        pub containerd_commit: Commit,
        /// The runtime's commit.
        pub runc_commit: Commit,
        /// The init's commit.
        pub init_commit: Commit,
        /// Security options in force.
        pub security_options: Option<Vec<String>>,
        /// The product's licence.
        #[serde(skip_serializing_if = "is_zero")]
        pub product_license: String,
        /// Pools new networks take addresses from.
        #[serde(skip_serializing_if = "is_empty")]
        pub default_address_pools: Option<Vec<AddressPool>>,
        /// Directories of CDI specifications.
        #[serde(rename = "CDISpecDirs")]
        pub cdi_spec_dirs: Option<Vec<String>>,
        /// How rules of the packet filter are made (1.49).
        #[serde(skip_serializing_if = "Option::is_none")]
        pub firewall_backend: Option<FirewallInfo>,
        /// The containerd this engine stands on.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub containerd: Option<ContainerdInfo>,
        /// What an operator should look at.
        pub warnings: Option<Vec<String>>,
    }
}

body! {
    /// Drivers by kind.
    pub struct PluginsInfo {
        /// Volume drivers.
        pub volume: Option<Vec<String>>,
        /// Network drivers.
        pub network: Option<Vec<String>>,
        /// Authorization plugins.
        pub authorization: Option<Vec<String>>,
        /// Log drivers.
        pub log: Option<Vec<String>>,
    }
}

body! {
    /// How registries are reached.
    pub struct RegistryConfig {
        /// Never sent now; kept for clients below 1.49.
        #[serde(rename = "AllowNondistributableArtifactsCIDRs", skip_serializing_if = "Option::is_none")]
        pub allow_nondistributable_artifacts_cidrs: Option<Vec<String>>,
        /// Never sent now; kept for clients below 1.49.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub allow_nondistributable_artifacts_hostnames: Option<Vec<String>>,
        /// Networks whose registries may speak http.
        #[serde(rename = "InsecureRegistryCIDRs")]
        pub insecure_registry_cidrs: Option<Vec<String>>,
        /// Registries by name.
        pub index_configs: Option<BTreeMap<String, IndexConfig>>,
        /// Mirrors of the default registry.
        pub mirrors: Option<Vec<String>>,
    }
}

body! {
    /// One registry.
    pub struct IndexConfig {
        /// Its name.
        pub name: String,
        /// Its mirrors.
        pub mirrors: Option<Vec<String>>,
        /// Whether its certificate is checked.
        pub secure: bool,
        /// Whether it is Docker's own.
        pub official: bool,
    }
}

body! {
    in "camelCase",
    /// One OCI runtime.
    pub struct Runtime {
        /// Its program.
        #[serde(skip_serializing_if = "is_zero")]
        pub path: String,
        /// Arguments given to it first.
        #[serde(skip_serializing_if = "is_empty")]
        pub runtime_args: Option<Vec<String>>,
        /// A containerd runtime name.
        #[serde(skip_serializing_if = "is_zero")]
        pub runtime_type: String,
        /// What it says of itself.
        #[serde(skip_serializing_if = "is_empty")]
        pub status: Option<BTreeMap<String, String>>,
    }
}

body! {
    /// Swarm's state; all empty while the node is in none.
    pub struct Swarm {
        /// The node's id.
        #[serde(rename = "NodeID")]
        pub node_id: String,
        /// The node's address.
        pub node_addr: String,
        /// `inactive`.
        pub local_node_state: String,
        /// Whether the node is a manager.
        pub control_available: bool,
        /// Why it cannot take part.
        pub error: String,
        /// The managers.
        pub remote_managers: Option<Vec<Empty>>,
    }
}

body! {
    /// A program's commit.
    pub struct Commit {
        /// The commit.
        #[serde(rename = "ID")]
        pub id: String,
        /// The commit it should be (below 1.49).
        #[serde(skip_serializing_if = "is_zero")]
        pub expected: String,
    }
}

body! {
    /// A pool new networks take addresses from.
    pub struct AddressPool {
        /// The pool, CIDR.
        pub base: String,
        /// The prefix length of one network.
        pub size: i64,
    }
}

body! {
    /// How rules of the packet filter are made (1.49).
    pub struct FirewallInfo {
        /// `nftables`, with `+firewalld` where that is told of networks.
        pub driver: String,
        /// Labels and values.
        #[serde(skip_serializing_if = "is_empty")]
        pub info: Option<Vec<[String; 2]>>,
    }
}

body! {
    /// The containerd an engine stands on (1.46).
    pub struct ContainerdInfo {
        /// Its socket.
        #[serde(skip_serializing_if = "is_zero")]
        pub address: String,
        /// Its namespaces.
        pub namespaces: ContainerdNamespaces,
    }
}

body! {
    /// The namespaces an engine uses.
    pub struct ContainerdNamespaces {
        /// For containers.
        #[serde(skip_serializing_if = "is_zero")]
        pub containers: String,
        /// For plugins.
        #[serde(skip_serializing_if = "is_zero")]
        pub plugins: String,
    }
}
