//! What the kernel counts of a container, as Docker's statistics.
//!
//! The shim answers with containerd's cgroup messages; which version they are says which keys the
//! statistics have ([`v1`], [`v2`]). Clients tell the two apart by those keys, so neither borrows
//! from the other. [`host`] reads what the percentages are relative to, [`interfaces`] what went through the network.

pub mod host;
pub mod interfaces;
mod v1;
mod v2;

use corten_docker_api::containers::Stats;
use corten_proto::any;
use corten_proto::io::containerd::cgroups;
use prost_types::Any;

/// Why metrics could not be turned into statistics.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// The bytes are not the message their type says.
    #[error("decode metrics of type {type_url}")]
    Decode {
        /// The type that was announced.
        type_url: String,
        /// What the decoder found.
        source: prost::DecodeError,
    },
    /// Another type than cgroup v1's or v2's.
    #[error("metrics of unexpected type {type_url}")]
    UnknownType {
        /// The type that was announced.
        type_url: String,
    },
}

/// The statistics that `metrics` carries; limits above the host's memory are shown as the host's memory.
///
/// # Errors
/// [`MetricsError`] for a type other than cgroup v1's and v2's, or bytes that are not that type.
pub fn convert(metrics: &Any, host_memory_bytes: u64) -> Result<Stats, MetricsError> {
    let decode = |source| MetricsError::Decode { type_url: metrics.type_url.clone(), source };
    let mut stats = if let Some(found) = any::unpack::<cgroups::v1::Metrics>(metrics).map_err(decode)? {
        v1::convert(&found)
    } else if let Some(found) = any::unpack::<cgroups::v2::Metrics>(metrics).map_err(decode)? {
        v2::convert(&found)
    } else {
        return Err(MetricsError::UnknownType { type_url: metrics.type_url.clone() });
    };
    if host_memory_bytes > 0 {
        stats.memory_stats.limit = stats.memory_stats.limit.min(host_memory_bytes);
    }
    Ok(stats)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_limit_is_the_hosts_memory() {
        let metrics = cgroups::v2::Metrics {
            memory: Some(cgroups::v2::MemoryStat { usage: 7, usage_limit: u64::MAX, ..Default::default() }),
            ..Default::default()
        };
        let stats = convert(&any::pack(&metrics), 1 << 30).unwrap();
        assert_eq!((stats.memory_stats.usage, stats.memory_stats.limit), (7, 1 << 30));
    }

    #[test]
    fn another_type_is_named() {
        let other = Any { type_url: "a.B".into(), value: vec![] };
        assert_eq!(convert(&other, 0).unwrap_err().to_string(), "metrics of unexpected type a.B");
    }
}
