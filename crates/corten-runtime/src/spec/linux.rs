//! `linux`: namespaces, devices, cgroups, paths.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{NotYet, null_is_default};

/// What is particular to Linux.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Linux {
    /// New and joined namespaces.
    #[serde(deserialize_with = "null_is_default")]
    pub namespaces: Vec<Namespace>,
    /// User ids of a new user namespace.
    #[serde(deserialize_with = "null_is_default")]
    pub uid_mappings: Vec<IdMapping>,
    /// Group ids of a new user namespace.
    #[serde(deserialize_with = "null_is_default")]
    pub gid_mappings: Vec<IdMapping>,
    /// Offsets of a new time namespace by clock: `boottime`, `monotonic`.
    #[serde(deserialize_with = "null_is_default")]
    pub time_offsets: BTreeMap<String, TimeOffset>,
    /// Nodes to make in /dev.
    #[serde(deserialize_with = "null_is_default")]
    pub devices: Vec<Device>,
    /// Where the cgroup lies.
    #[serde(deserialize_with = "null_is_default")]
    pub cgroups_path: String,
    /// Its limits.
    #[serde(deserialize_with = "null_is_default")]
    pub resources: Box<Resources>,
    /// Propagation of the root mount.
    #[serde(deserialize_with = "null_is_default")]
    pub rootfs_propagation: String,
    /// Kernel parameters.
    #[serde(deserialize_with = "null_is_default")]
    pub sysctl: BTreeMap<String, String>,
    /// Paths that cannot be read.
    #[serde(deserialize_with = "null_is_default")]
    pub masked_paths: Vec<String>,
    /// Paths that cannot be written.
    #[serde(deserialize_with = "null_is_default")]
    pub readonly_paths: Vec<String>,
    /// System call filter, which is read when it is compiled ([`crate::plan::FilterPlan`]): a [`corten_seccomp::Profile`].
    pub seccomp: Option<Box<RawValue>>,
    /// SELinux: what files of new filesystems are labelled.
    pub mount_label: String,
    /// Cache and memory bandwidth.
    pub intel_rdt: NotYet,
    /// Execution domain.
    pub personality: Option<Personality>,
    /// NUMA.
    pub memory_policy: NotYet,
    /// Network devices moved in.
    pub net_devices: NotYet,
}

/// Execution domain (personality(2)).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Personality {
    /// `LINUX` or `LINUX32`.
    pub domain: String,
    /// None are defined.
    #[serde(deserialize_with = "null_is_default")]
    pub flags: Vec<String>,
}

/// A namespace.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Namespace {
    /// `pid`, `network`, `mount`, `ipc`, `uts`, `user`, `cgroup` or `time`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The namespace to join; a new one when empty.
    #[serde(deserialize_with = "null_is_default")]
    pub path: String,
}

/// A range of ids.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub struct IdMapping {
    /// The first id inside.
    #[serde(rename = "containerID")]
    pub container_id: u32,
    /// The first id outside.
    #[serde(rename = "hostID")]
    pub host_id: u32,
    /// How many.
    pub size: u32,
}

/// An offset of a clock.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub struct TimeOffset {
    /// Seconds.
    pub secs: i64,
    /// Nanoseconds.
    pub nanosecs: u32,
}

/// A node to make.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Device {
    /// `c`, `b`, `u` or `p`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Where.
    pub path: String,
    /// Major number.
    pub major: i64,
    /// Minor number.
    pub minor: i64,
    /// Permission bits.
    pub file_mode: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
}

/// Limits.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Resources {
    /// Which devices may be used.
    #[serde(deserialize_with = "null_is_default")]
    pub devices: Vec<DeviceRule>,
    /// Memory.
    #[serde(deserialize_with = "null_is_default")]
    pub memory: Memory,
    /// CPU time and sets.
    #[serde(deserialize_with = "null_is_default")]
    pub cpu: Cpu,
    /// Processes.
    #[serde(deserialize_with = "null_is_default")]
    pub pids: Pids,
    /// Block devices.
    #[serde(rename = "blockIO", deserialize_with = "null_is_default")]
    pub block_io: BlockIo,
    /// v2 files.
    #[serde(deserialize_with = "null_is_default")]
    pub unified: BTreeMap<String, String>,
    /// Huge pages.
    #[serde(deserialize_with = "null_is_default")]
    pub hugepage_limits: Vec<HugepageLimit>,
    /// Network classes and priorities.
    #[serde(deserialize_with = "null_is_default")]
    pub network: Network,
    /// RDMA.
    #[serde(deserialize_with = "null_is_default")]
    pub rdma: BTreeMap<String, Rdma>,
}

/// One rule about devices.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct DeviceRule {
    /// Allowed or denied.
    pub allow: bool,
    /// `a`, `c` or `b`; all when empty.
    #[serde(rename = "type", deserialize_with = "null_is_default")]
    pub kind: String,
    /// Major number; any when not given or -1.
    pub major: Option<i64>,
    /// Minor number; any when not given or -1.
    pub minor: Option<i64>,
    /// Letters of `rwm`; all when empty.
    #[serde(deserialize_with = "null_is_default")]
    pub access: Access,
}

/// Letters of `rwm`.
pub type Access = String;

/// Memory in bytes; -1 for no limit.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Memory {
    /// Memory.
    pub limit: Option<i64>,
    /// Memory kept under pressure.
    pub reservation: Option<i64>,
    /// Memory and swap together.
    pub swap: Option<i64>,
    /// How readily memory is swapped.
    pub swappiness: Option<u64>,
    /// Whether processes wait instead of being killed.
    #[serde(rename = "disableOOMKiller")]
    pub disable_oom_killer: Option<bool>,
    /// Kernel memory: gone from the kernel.
    pub kernel: Option<i64>,
    /// Kernel memory of sockets.
    #[serde(rename = "kernelTCP")]
    pub kernel_tcp: Option<i64>,
    /// Whether groups below count: since Linux 5.11 they always do.
    pub use_hierarchy: Option<bool>,
    /// Refuse a limit below the use.
    pub check_before_update: Option<bool>,
}

/// CPU time and sets.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Cpu {
    /// Weight.
    pub shares: Option<u64>,
    /// Microseconds in a period.
    pub quota: Option<i64>,
    /// Microseconds of a period.
    pub period: Option<u64>,
    /// Microseconds saved up.
    pub burst: Option<u64>,
    /// Realtime microseconds in a period.
    pub realtime_runtime: Option<i64>,
    /// Microseconds of a realtime period.
    pub realtime_period: Option<u64>,
    /// CPUs.
    #[serde(deserialize_with = "null_is_default")]
    pub cpus: String,
    /// Memory nodes.
    #[serde(deserialize_with = "null_is_default")]
    pub mems: String,
    /// 1 for the idle class.
    pub idle: Option<i64>,
}

/// Processes.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Pids {
    /// How many; 0 or -1 for no limit.
    pub limit: Option<i64>,
}

/// Block devices.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BlockIo {
    /// Weight, 10 to 1000.
    pub weight: Option<u16>,
    /// Weight of own tasks.
    pub leaf_weight: Option<u16>,
    /// Weight by device.
    #[serde(deserialize_with = "null_is_default")]
    pub weight_device: Vec<WeightDevice>,
    /// Bytes a second.
    #[serde(deserialize_with = "null_is_default")]
    pub throttle_read_bps_device: Vec<ThrottleDevice>,
    /// Bytes a second.
    #[serde(deserialize_with = "null_is_default")]
    pub throttle_write_bps_device: Vec<ThrottleDevice>,
    /// Operations a second.
    #[serde(rename = "throttleReadIOPSDevice", deserialize_with = "null_is_default")]
    pub throttle_read_iops_device: Vec<ThrottleDevice>,
    /// Operations a second.
    #[serde(rename = "throttleWriteIOPSDevice", deserialize_with = "null_is_default")]
    pub throttle_write_iops_device: Vec<ThrottleDevice>,
}

/// Weights of one block device.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WeightDevice {
    /// Major number.
    pub major: i64,
    /// Minor number.
    pub minor: i64,
    /// Weight, 10 to 1000.
    pub weight: Option<u16>,
    /// Weight of own tasks.
    pub leaf_weight: Option<u16>,
}

/// A rate of one block device.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ThrottleDevice {
    /// Major number.
    pub major: i64,
    /// Minor number.
    pub minor: i64,
    /// Bytes or operations a second.
    pub rate: u64,
}

/// A limit of huge pages.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HugepageLimit {
    /// Their size, such as `2MB`.
    pub page_size: String,
    /// Bytes.
    pub limit: u64,
}

/// Network classes and priorities.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Network {
    /// The class of packets.
    #[serde(rename = "classID")]
    pub class_id: Option<u32>,
    /// Priorities by interface.
    #[serde(deserialize_with = "null_is_default")]
    pub priorities: Vec<InterfacePriority>,
}

/// A priority of one interface.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct InterfacePriority {
    /// The interface.
    pub name: String,
    /// Its priority.
    pub priority: u32,
}

/// Limits of one RDMA device.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Rdma {
    /// Handles.
    pub hca_handles: Option<u32>,
    /// Objects.
    pub hca_objects: Option<u32>,
}
