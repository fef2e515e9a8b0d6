//! The half of a container that belongs to this host: resources, mounts, isolation, policy.

use std::collections::BTreeMap;

use crate::json::{body, is_empty, is_zero};

/// Published ports by container port (`80/tcp`); Go may print `null` for a port without bindings.
pub type PortMap = BTreeMap<String, Option<Vec<PortBinding>>>;

body! {
    /// How a container runs on this host.
    pub struct HostConfig {
        /// `source:target[:options]`.
        pub binds: Option<Vec<String>>,
        /// Where the client wrote the id.
        #[serde(rename = "ContainerIDFile")]
        pub container_id_file: String,
        /// Where output goes.
        pub log_config: LogConfig,
        /// `none`, `host`, `bridge`, `default`, `container:…` or a network.
        pub network_mode: String,
        /// Published ports.
        pub port_bindings: Option<PortMap>,
        /// What happens when it ends.
        pub restart_policy: RestartPolicy,
        /// Whether it is removed when it ends.
        pub auto_remove: bool,
        /// Driver of volumes made on the way.
        pub volume_driver: String,
        /// Containers whose mounts it shares.
        pub volumes_from: Option<Vec<String>>,
        /// The terminal's first size: height, width.
        pub console_size: [u32; 2],
        /// Given to the runtime (1.43).
        #[serde(skip_serializing_if = "is_empty")]
        pub annotations: Option<BTreeMap<String, String>>,
        /// Capabilities added.
        pub cap_add: Option<Vec<String>>,
        /// Capabilities taken away.
        pub cap_drop: Option<Vec<String>>,
        /// `host` or `private`.
        pub cgroupns_mode: String,
        /// Name servers.
        pub dns: Option<Vec<String>>,
        /// Resolver options.
        pub dns_options: Option<Vec<String>>,
        /// Search domains.
        pub dns_search: Option<Vec<String>>,
        /// `name:address`.
        pub extra_hosts: Option<Vec<String>>,
        /// Groups added.
        pub group_add: Option<Vec<String>>,
        /// `private`, `shareable`, `none`, `host`, `container:…`.
        pub ipc_mode: String,
        /// `container:…`; unused on cgroup hosts.
        pub cgroup: String,
        /// Legacy links.
        pub links: Option<Vec<String>>,
        /// -1000 to 1000.
        pub oom_score_adj: i64,
        /// `host`, `container:…`.
        pub pid_mode: String,
        /// Whether it may do everything.
        pub privileged: bool,
        /// Whether every exposed port is published.
        pub publish_all_ports: bool,
        /// Whether the root filesystem is read-only.
        pub readonly_rootfs: bool,
        /// `no-new-privileges`, `seccomp=…`, …
        pub security_opt: Option<Vec<String>>,
        /// Storage driver options.
        #[serde(skip_serializing_if = "is_empty")]
        pub storage_opt: Option<BTreeMap<String, String>>,
        /// tmpfs mounts: target → options.
        #[serde(skip_serializing_if = "is_empty")]
        pub tmpfs: Option<BTreeMap<String, String>>,
        /// `host`.
        #[serde(rename = "UTSMode")]
        pub uts_mode: String,
        /// `host`.
        pub userns_mode: String,
        /// Bytes of /dev/shm.
        pub shm_size: i64,
        /// Kernel parameters.
        #[serde(skip_serializing_if = "is_empty")]
        pub sysctls: Option<BTreeMap<String, String>>,
        /// The OCI runtime's name.
        #[serde(skip_serializing_if = "is_zero")]
        pub runtime: String,
        /// Windows only.
        pub isolation: String,
        /// Relative weight of the processor.
        pub cpu_shares: i64,
        /// Bytes.
        pub memory: i64,
        /// Billionths of a processor.
        pub nano_cpus: i64,
        /// The cgroup above the container's.
        pub cgroup_parent: String,
        /// 10 to 1000.
        pub blkio_weight: u16,
        /// Weights by device.
        pub blkio_weight_device: Option<Vec<WeightDevice>>,
        /// Bytes per second read.
        pub blkio_device_read_bps: Option<Vec<ThrottleDevice>>,
        /// Bytes per second written.
        pub blkio_device_write_bps: Option<Vec<ThrottleDevice>>,
        /// Reads per second.
        #[serde(rename = "BlkioDeviceReadIOps")]
        pub blkio_device_read_iops: Option<Vec<ThrottleDevice>>,
        /// Writes per second.
        #[serde(rename = "BlkioDeviceWriteIOps")]
        pub blkio_device_write_iops: Option<Vec<ThrottleDevice>>,
        /// CFS period, microseconds.
        pub cpu_period: i64,
        /// CFS quota, microseconds.
        pub cpu_quota: i64,
        /// Real-time period, microseconds.
        pub cpu_realtime_period: i64,
        /// Real-time runtime, microseconds.
        pub cpu_realtime_runtime: i64,
        /// Processors, `0-2,4`.
        pub cpuset_cpus: String,
        /// Memory nodes.
        pub cpuset_mems: String,
        /// Host devices.
        pub devices: Option<Vec<Device>>,
        /// Rules added to the device cgroup.
        pub device_cgroup_rules: Option<Vec<String>>,
        /// Devices asked of drivers, such as GPUs.
        pub device_requests: Option<Vec<DeviceRequest>>,
        /// Bytes; gone since 1.42.
        #[serde(skip_serializing_if = "is_zero")]
        pub kernel_memory: i64,
        /// Bytes; gone since 1.52.
        #[serde(rename = "KernelMemoryTCP", skip_serializing_if = "is_zero")]
        pub kernel_memory_tcp: i64,
        /// Bytes, soft.
        pub memory_reservation: i64,
        /// Bytes of memory and swap together; -1 for no limit.
        pub memory_swap: i64,
        /// 0 to 100; -1 for the host's.
        pub memory_swappiness: Option<i64>,
        /// Whether the OOM killer is off (cgroup v1).
        pub oom_kill_disable: Option<bool>,
        /// Processes; 0 and -1 for no limit.
        pub pids_limit: Option<i64>,
        /// Process limits.
        pub ulimits: Option<Vec<Ulimit>>,
        /// Windows only.
        pub cpu_count: i64,
        /// Windows only.
        pub cpu_percent: i64,
        /// Windows only.
        #[serde(rename = "IOMaximumIOps")]
        pub io_maximum_iops: u64,
        /// Windows only.
        #[serde(rename = "IOMaximumBandwidth")]
        pub io_maximum_bandwidth: u64,
        /// Mounts in the long form.
        #[serde(skip_serializing_if = "is_empty")]
        pub mounts: Option<Vec<Mount>>,
        /// Paths that read empty; `null` for the defaults.
        pub masked_paths: Option<Vec<String>>,
        /// Paths that are read-only; `null` for the defaults.
        pub readonly_paths: Option<Vec<String>>,
        /// Whether an init runs before the command.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub init: Option<bool>,
    }
}

body! {
    /// Where output goes.
    pub struct LogConfig {
        /// The driver; empty for the engine's default.
        #[serde(rename = "Type")]
        pub kind: String,
        /// Its options.
        pub config: Option<BTreeMap<String, String>>,
    }
}

body! {
    /// What happens when a container ends.
    pub struct RestartPolicy {
        /// `no`, `always`, `unless-stopped`, `on-failure`; empty for `no`.
        pub name: String,
        /// How often `on-failure` tries; 0 for ever.
        pub maximum_retry_count: i64,
    }
}

body! {
    /// One host side of a published port.
    pub struct PortBinding {
        /// The host's address; empty for all.
        pub host_ip: String,
        /// The host's port; empty for a free one.
        pub host_port: String,
    }
}

body! {
    /// A weight for one device.
    pub struct WeightDevice {
        /// The device.
        pub path: String,
        /// 10 to 1000.
        pub weight: u16,
    }
}

body! {
    /// A rate for one device.
    pub struct ThrottleDevice {
        /// The device.
        pub path: String,
        /// Bytes or operations per second.
        pub rate: u64,
    }
}

body! {
    /// A host device in a container.
    pub struct Device {
        /// Its path here.
        pub path_on_host: String,
        /// Its path there.
        pub path_in_container: String,
        /// Letters of `rwm`.
        pub cgroup_permissions: String,
    }
}

body! {
    /// Devices asked of a driver.
    pub struct DeviceRequest {
        /// The driver.
        pub driver: String,
        /// How many; -1 for all.
        pub count: i64,
        /// Which ones.
        #[serde(rename = "DeviceIDs")]
        pub device_ids: Option<Vec<String>>,
        /// What they must be able to do: any of lists of all.
        pub capabilities: Option<Vec<Vec<String>>>,
        /// The driver's options.
        pub options: Option<BTreeMap<String, String>>,
    }
}

body! {
    /// A process limit.
    pub struct Ulimit {
        /// `nofile`, …
        pub name: String,
        /// The most it can be raised to.
        pub hard: i64,
        /// What it is.
        pub soft: i64,
    }
}

body! {
    /// A mount in the long form.
    pub struct Mount {
        /// `bind`, `volume`, `tmpfs`, `image`, `npipe`, `cluster`.
        #[serde(rename = "Type", skip_serializing_if = "is_zero")]
        pub kind: String,
        /// What is mounted.
        #[serde(skip_serializing_if = "is_zero")]
        pub source: String,
        /// Where.
        #[serde(skip_serializing_if = "is_zero")]
        pub target: String,
        /// Whether it is read-only.
        #[serde(skip_serializing_if = "is_zero")]
        pub read_only: bool,
        /// macOS only.
        #[serde(skip_serializing_if = "is_zero")]
        pub consistency: String,
        /// For binds.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub bind_options: Option<BindOptions>,
        /// For volumes.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub volume_options: Option<VolumeOptions>,
        /// For images (1.48).
        #[serde(skip_serializing_if = "Option::is_none")]
        pub image_options: Option<ImageOptions>,
        /// For tmpfs.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub tmpfs_options: Option<TmpfsOptions>,
        /// For cluster volumes; refused.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub cluster_options: Option<crate::json::Empty>,
    }
}

body! {
    /// How a directory is bound.
    pub struct BindOptions {
        /// `rprivate`, …
        #[serde(skip_serializing_if = "is_zero")]
        pub propagation: String,
        /// Whether mounts below stay behind.
        #[serde(skip_serializing_if = "is_zero")]
        pub non_recursive: bool,
        /// Whether a missing source is made (1.41).
        #[serde(skip_serializing_if = "is_zero")]
        pub create_mountpoint: bool,
        /// Whether only the top is read-only (1.44).
        #[serde(skip_serializing_if = "is_zero")]
        pub read_only_non_recursive: bool,
        /// Whether it fails when mounts below cannot be read-only (1.44).
        #[serde(skip_serializing_if = "is_zero")]
        pub read_only_force_recursive: bool,
    }
}

body! {
    /// How a volume is mounted.
    pub struct VolumeOptions {
        /// Whether an empty volume stays empty.
        #[serde(skip_serializing_if = "is_zero")]
        pub no_copy: bool,
        /// Labels of a volume made on the way.
        #[serde(skip_serializing_if = "is_empty")]
        pub labels: Option<BTreeMap<String, String>>,
        /// A directory in the volume (1.45).
        #[serde(skip_serializing_if = "is_zero")]
        pub subpath: String,
        /// Its driver.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub driver_config: Option<DriverConfig>,
    }
}

body! {
    /// A volume's driver.
    pub struct DriverConfig {
        /// Its name.
        #[serde(skip_serializing_if = "is_zero")]
        pub name: String,
        /// Its options.
        #[serde(skip_serializing_if = "is_empty")]
        pub options: Option<BTreeMap<String, String>>,
    }
}

body! {
    /// How an image is mounted.
    pub struct ImageOptions {
        /// A directory in the image.
        #[serde(skip_serializing_if = "is_zero")]
        pub subpath: String,
    }
}

body! {
    /// A tmpfs.
    pub struct TmpfsOptions {
        /// Bytes; 0 for no limit.
        #[serde(skip_serializing_if = "is_zero")]
        pub size_bytes: i64,
        /// Mode of its root; 0 for 1777.
        #[serde(skip_serializing_if = "is_zero")]
        pub mode: u32,
        /// Mount options, `[["noexec"],["uid","1"]]` (1.46).
        #[serde(skip_serializing_if = "is_empty")]
        pub options: Option<Vec<Vec<String>>>,
    }
}
