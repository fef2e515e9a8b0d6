//! cgroup v1's counters.

use std::collections::BTreeMap;

use corten_docker_api::containers::{
    BlkioEntry, BlkioStats, CpuStats, CpuUsage, MemoryStats, PidsStats, Stats, Throttling,
};
use corten_proto::io::containerd::cgroups::v1::{BlkIoEntry, BlkIoStat, CpuStat, MemoryStat, Metrics};

/// The statistics of a container in cgroup v1 hierarchies.
pub fn convert(metrics: &Metrics) -> Stats {
    Stats {
        pids_stats: metrics
            .pids
            .as_ref()
            .map(|pids| PidsStats { current: pids.current, limit: pids.limit })
            .unwrap_or_default(),
        blkio_stats: metrics.blkio.as_ref().map(blkio).unwrap_or_default(),
        cpu_stats: metrics.cpu.as_ref().map(cpu).unwrap_or_default(),
        memory_stats: metrics.memory.as_ref().map(memory).unwrap_or_default(),
        ..Stats::default()
    }
}

fn blkio(stat: &BlkIoStat) -> BlkioStats {
    // Docker shows `[]`, not `null`, for a list the kernel left empty.
    let entries = |list: &[BlkIoEntry]| {
        Some(
            list.iter()
                .map(|entry| BlkioEntry {
                    major: entry.major,
                    minor: entry.minor,
                    op: entry.op.clone(),
                    value: entry.value,
                })
                .collect(),
        )
    };
    BlkioStats {
        io_service_bytes_recursive: entries(&stat.io_service_bytes_recursive),
        io_serviced_recursive: entries(&stat.io_serviced_recursive),
        io_queue_recursive: entries(&stat.io_queued_recursive),
        io_service_time_recursive: entries(&stat.io_service_time_recursive),
        io_wait_time_recursive: entries(&stat.io_wait_time_recursive),
        io_merged_recursive: entries(&stat.io_merged_recursive),
        io_time_recursive: entries(&stat.io_time_recursive),
        sectors_recursive: entries(&stat.sectors_recursive),
    }
}

fn cpu(stat: &CpuStat) -> CpuStats {
    let usage = stat.usage.clone().unwrap_or_default();
    let throttling = stat.throttling.unwrap_or_default();
    CpuStats {
        cpu_usage: CpuUsage {
            total_usage: usage.total,
            percpu_usage: Some(usage.per_cpu),
            usage_in_kernelmode: usage.kernel,
            usage_in_usermode: usage.user,
        },
        throttling_data: Throttling {
            periods: throttling.periods,
            throttled_periods: throttling.throttled_periods,
            throttled_time: throttling.throttled_time,
        },
        ..CpuStats::default()
    }
}

fn memory(stat: &MemoryStat) -> MemoryStats {
    let counters = [
        ("cache", stat.cache),
        ("rss", stat.rss),
        ("rss_huge", stat.rss_huge),
        ("mapped_file", stat.mapped_file),
        ("dirty", stat.dirty),
        ("writeback", stat.writeback),
        ("pgpgin", stat.pg_pg_in),
        ("pgpgout", stat.pg_pg_out),
        ("pgfault", stat.pg_fault),
        ("pgmajfault", stat.pg_maj_fault),
        ("inactive_anon", stat.inactive_anon),
        ("active_anon", stat.active_anon),
        ("inactive_file", stat.inactive_file),
        ("active_file", stat.active_file),
        ("unevictable", stat.unevictable),
        ("hierarchical_memory_limit", stat.hierarchical_memory_limit),
        ("hierarchical_memsw_limit", stat.hierarchical_swap_limit),
        ("total_cache", stat.total_cache),
        ("total_rss", stat.total_rss),
        ("total_rss_huge", stat.total_rss_huge),
        ("total_mapped_file", stat.total_mapped_file),
        ("total_dirty", stat.total_dirty),
        ("total_writeback", stat.total_writeback),
        ("total_pgpgin", stat.total_pg_pg_in),
        ("total_pgpgout", stat.total_pg_pg_out),
        ("total_pgfault", stat.total_pg_fault),
        ("total_pgmajfault", stat.total_pg_maj_fault),
        ("total_inactive_anon", stat.total_inactive_anon),
        ("total_active_anon", stat.total_active_anon),
        ("total_inactive_file", stat.total_inactive_file),
        ("total_active_file", stat.total_active_file),
        ("total_unevictable", stat.total_unevictable),
    ];
    let usage = stat.usage.unwrap_or_default();
    MemoryStats {
        usage: usage.usage,
        max_usage: usage.max,
        stats: Some(counters.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<BTreeMap<_, _>>()),
        failcnt: usage.failcnt,
        limit: usage.limit,
    }
}

#[cfg(test)]
mod tests {
    use corten_proto::io::containerd::cgroups::v1::{CpuUsage, MemoryEntry, PidsStat, Throttle};

    use super::*;

    #[test]
    fn counters_arrive_under_dockers_names() {
        let stats = convert(&Metrics {
            pids: Some(PidsStat { current: 2, limit: 100 }),
            cpu: Some(CpuStat {
                usage: Some(CpuUsage { total: 30, kernel: 10, user: 20, per_cpu: vec![12, 18] }),
                throttling: Some(Throttle { periods: 4, throttled_periods: 1, throttled_time: 9 }),
            }),
            memory: Some(MemoryStat {
                total_inactive_file: 5,
                usage: Some(MemoryEntry { limit: 64, usage: 32, max: 48, failcnt: 3 }),
                ..Default::default()
            }),
            blkio: Some(BlkIoStat {
                io_service_bytes_recursive: vec![BlkIoEntry {
                    op: "Read".into(),
                    device: "/dev/vda".into(),
                    major: 254,
                    minor: 0,
                    value: 77,
                }],
                ..Default::default()
            }),
            ..Default::default()
        });
        assert_eq!(stats.cpu_stats.cpu_usage.percpu_usage, Some(vec![12, 18]));
        assert_eq!(stats.cpu_stats.throttling_data.throttled_time, 9);
        assert_eq!(stats.memory_stats.stats.as_ref().and_then(|stats| stats.get("total_inactive_file")), Some(&5));
        assert_eq!((stats.memory_stats.max_usage, stats.memory_stats.failcnt), (48, 3));
        assert_eq!((stats.pids_stats.current, stats.pids_stats.limit), (2, 100));
        assert_eq!(stats.blkio_stats.io_service_bytes_recursive.as_ref().map(Vec::len), Some(1));
        assert_eq!(stats.blkio_stats.sectors_recursive, Some(vec![]));
    }

    #[test]
    fn controllers_the_host_lacks_stay_empty() {
        let stats = convert(&Metrics::default());
        assert_eq!(stats.blkio_stats.io_service_bytes_recursive, None);
        assert_eq!(stats.memory_stats.stats, None);
    }
}
