//! `GET /containers/{id}/stats`.

use std::collections::BTreeMap;

use crate::json::{body, is_empty, is_zero};

body! {
    in "snake_case",
    /// One sample, with the one before it.
    pub struct Stats {
        /// `/name`.
        #[serde(skip_serializing_if = "is_zero")]
        pub name: String,
        /// The container.
        #[serde(skip_serializing_if = "is_zero")]
        pub id: String,
        /// When, RFC 3339.
        pub read: String,
        /// When the one before was taken; year 1 for none.
        pub preread: String,
        /// Processes.
        pub pids_stats: PidsStats,
        /// Block devices.
        pub blkio_stats: BlkioStats,
        /// Windows only.
        pub num_procs: u32,
        /// Windows only.
        pub storage_stats: crate::json::Empty,
        /// Processor.
        pub cpu_stats: CpuStats,
        /// Processor at the sample before.
        pub precpu_stats: CpuStats,
        /// Memory.
        pub memory_stats: MemoryStats,
        /// By interface.
        #[serde(skip_serializing_if = "is_empty")]
        pub networks: Option<BTreeMap<String, NetworkStats>>,
    }
}

body! {
    in "snake_case",
    /// Processes.
    pub struct PidsStats {
        /// Now.
        #[serde(skip_serializing_if = "is_zero")]
        pub current: u64,
        /// At most.
        #[serde(skip_serializing_if = "is_zero")]
        pub limit: u64,
    }
}

body! {
    in "snake_case",
    /// Block devices; on cgroup v2 only the first is filled.
    pub struct BlkioStats {
        /// Bytes by device and operation.
        pub io_service_bytes_recursive: Option<Vec<BlkioEntry>>,
        /// Operations by device and operation.
        pub io_serviced_recursive: Option<Vec<BlkioEntry>>,
        /// cgroup v1.
        pub io_queue_recursive: Option<Vec<BlkioEntry>>,
        /// cgroup v1.
        pub io_service_time_recursive: Option<Vec<BlkioEntry>>,
        /// cgroup v1.
        pub io_wait_time_recursive: Option<Vec<BlkioEntry>>,
        /// cgroup v1.
        pub io_merged_recursive: Option<Vec<BlkioEntry>>,
        /// cgroup v1.
        pub io_time_recursive: Option<Vec<BlkioEntry>>,
        /// cgroup v1.
        pub sectors_recursive: Option<Vec<BlkioEntry>>,
    }
}

body! {
    in "snake_case",
    /// One number of one device.
    pub struct BlkioEntry {
        /// Device number.
        pub major: u64,
        /// Device number.
        pub minor: u64,
        /// `read`, `write`, …
        pub op: String,
        /// The number.
        pub value: u64,
    }
}

body! {
    in "snake_case",
    /// Processor.
    pub struct CpuStats {
        /// The container's.
        pub cpu_usage: CpuUsage,
        /// The host's, nanoseconds.
        #[serde(skip_serializing_if = "is_zero")]
        pub system_cpu_usage: u64,
        /// Processors.
        #[serde(skip_serializing_if = "is_zero")]
        pub online_cpus: u32,
        /// How often the quota stopped it.
        pub throttling_data: Throttling,
    }
}

body! {
    in "snake_case",
    /// Nanoseconds of processor.
    pub struct CpuUsage {
        /// All.
        pub total_usage: u64,
        /// By processor; cgroup v1 only.
        #[serde(skip_serializing_if = "is_empty")]
        pub percpu_usage: Option<Vec<u64>>,
        /// In the kernel.
        pub usage_in_kernelmode: u64,
        /// Outside.
        pub usage_in_usermode: u64,
    }
}

body! {
    in "snake_case",
    /// How often the quota stopped it.
    pub struct Throttling {
        /// Periods.
        pub periods: u64,
        /// Periods in which it was stopped.
        pub throttled_periods: u64,
        /// Nanoseconds it was stopped.
        pub throttled_time: u64,
    }
}

body! {
    in "snake_case",
    /// Memory.
    pub struct MemoryStats {
        /// Bytes, page cache included.
        #[serde(skip_serializing_if = "is_zero")]
        pub usage: u64,
        /// The most it was; cgroup v1 only.
        #[serde(skip_serializing_if = "is_zero")]
        pub max_usage: u64,
        /// The kernel's own numbers.
        #[serde(skip_serializing_if = "is_empty")]
        pub stats: Option<BTreeMap<String, u64>>,
        /// How often the limit was reached.
        #[serde(skip_serializing_if = "is_zero")]
        pub failcnt: u64,
        /// The limit, or the host's memory.
        #[serde(skip_serializing_if = "is_zero")]
        pub limit: u64,
    }
}

body! {
    in "snake_case",
    /// One interface.
    pub struct NetworkStats {
        /// Received.
        pub rx_bytes: u64,
        /// Received.
        pub rx_packets: u64,
        /// Received badly.
        pub rx_errors: u64,
        /// Received and dropped.
        pub rx_dropped: u64,
        /// Sent.
        pub tx_bytes: u64,
        /// Sent.
        pub tx_packets: u64,
        /// Sent badly.
        pub tx_errors: u64,
        /// Dropped instead of sent.
        pub tx_dropped: u64,
    }
}
