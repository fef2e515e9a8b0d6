//! `POST /containers/{id}/update`.

use super::RestartPolicy;
use crate::json::{body, is_zero};

body! {
    /// What `docker update` can change; 0 and empty leave a value as it is.
    ///
    /// The engine reads the body as a whole `HostConfig`, so that it sees what it must refuse.
    pub struct ContainerUpdate {
        /// Relative weight of the processor.
        #[serde(skip_serializing_if = "is_zero")]
        pub cpu_shares: i64,
        /// Bytes.
        #[serde(skip_serializing_if = "is_zero")]
        pub memory: i64,
        /// Billionths of a processor.
        #[serde(skip_serializing_if = "is_zero")]
        pub nano_cpus: i64,
        /// 10 to 1000.
        #[serde(skip_serializing_if = "is_zero")]
        pub blkio_weight: u16,
        /// CFS period, microseconds.
        #[serde(skip_serializing_if = "is_zero")]
        pub cpu_period: i64,
        /// CFS quota, microseconds.
        #[serde(skip_serializing_if = "is_zero")]
        pub cpu_quota: i64,
        /// Real-time period, microseconds.
        #[serde(skip_serializing_if = "is_zero")]
        pub cpu_realtime_period: i64,
        /// Real-time runtime, microseconds.
        #[serde(skip_serializing_if = "is_zero")]
        pub cpu_realtime_runtime: i64,
        /// Processors, `0-2,4`.
        #[serde(skip_serializing_if = "is_zero")]
        pub cpuset_cpus: String,
        /// Memory nodes.
        #[serde(skip_serializing_if = "is_zero")]
        pub cpuset_mems: String,
        /// Bytes, soft.
        #[serde(skip_serializing_if = "is_zero")]
        pub memory_reservation: i64,
        /// Bytes of memory and swap together; -1 for no limit.
        #[serde(skip_serializing_if = "is_zero")]
        pub memory_swap: i64,
        /// Processes; 0 and -1 for no limit.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub pids_limit: Option<i64>,
        /// What happens when it ends.
        pub restart_policy: RestartPolicy,
    }
}

body! {
    /// The answer to an update.
    pub struct ContainerUpdated {
        /// What was asked for and cannot be had.
        pub warnings: Option<Vec<String>>,
    }
}
