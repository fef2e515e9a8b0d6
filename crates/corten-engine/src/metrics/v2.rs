//! cgroup v2's counters.

use corten_docker_api::containers::{
    BlkioEntry, BlkioStats, CpuStats, CpuUsage, MemoryStats, PidsStats, Stats, Throttling,
};
use corten_proto::io::containerd::cgroups::v2::{CpuStat, IoStat, MemoryStat, Metrics};

/// The statistics of a container in the unified hierarchy: no counter by processor, no highest
/// memory use, and block devices by bytes only.
pub fn convert(metrics: &Metrics) -> Stats {
    let mut stats = Stats {
        pids_stats: metrics
            .pids
            .as_ref()
            .map(|pids| PidsStats { current: pids.current, limit: pids.limit })
            .unwrap_or_default(),
        blkio_stats: metrics.io.as_ref().map(blkio).unwrap_or_default(),
        cpu_stats: metrics.cpu.as_ref().map(cpu).unwrap_or_default(),
        memory_stats: metrics.memory.as_ref().map(memory).unwrap_or_default(),
        ..Stats::default()
    };
    if let (Some(_), Some(events)) = (&metrics.memory, &metrics.memory_events) {
        stats.memory_stats.failcnt = events.oom;
    }
    stats
}

fn blkio(stat: &IoStat) -> BlkioStats {
    let entries: Vec<_> = stat
        .usage
        .iter()
        .flat_map(|device| {
            [("read", device.rbytes), ("write", device.wbytes)].map(|(op, value)| BlkioEntry {
                major: device.major,
                minor: device.minor,
                op: op.to_owned(),
                value,
            })
        })
        .collect();
    // Docker appends to a nil slice: a container without a device it touched shows `null`.
    BlkioStats { io_service_bytes_recursive: (!entries.is_empty()).then_some(entries), ..BlkioStats::default() }
}

fn cpu(stat: &CpuStat) -> CpuStats {
    CpuStats {
        cpu_usage: CpuUsage {
            total_usage: stat.usage_usec * 1000,
            percpu_usage: None,
            usage_in_kernelmode: stat.system_usec * 1000,
            usage_in_usermode: stat.user_usec * 1000,
        },
        throttling_data: Throttling {
            periods: stat.nr_periods,
            throttled_periods: stat.nr_throttled,
            throttled_time: stat.throttled_usec * 1000,
        },
        ..CpuStats::default()
    }
}

fn memory(stat: &MemoryStat) -> MemoryStats {
    let counters = [
        ("anon", stat.anon),
        ("file", stat.file),
        ("kernel_stack", stat.kernel_stack),
        ("slab", stat.slab),
        ("sock", stat.sock),
        ("shmem", stat.shmem),
        ("file_mapped", stat.file_mapped),
        ("file_dirty", stat.file_dirty),
        ("file_writeback", stat.file_writeback),
        ("anon_thp", stat.anon_thp),
        ("inactive_anon", stat.inactive_anon),
        ("active_anon", stat.active_anon),
        ("inactive_file", stat.inactive_file),
        ("active_file", stat.active_file),
        ("unevictable", stat.unevictable),
        ("slab_reclaimable", stat.slab_reclaimable),
        ("slab_unreclaimable", stat.slab_unreclaimable),
        ("pgfault", stat.pgfault),
        ("pgmajfault", stat.pgmajfault),
        ("workingset_refault", stat.workingset_refault),
        ("workingset_activate", stat.workingset_activate),
        ("workingset_nodereclaim", stat.workingset_nodereclaim),
        ("pgrefill", stat.pgrefill),
        ("pgscan", stat.pgscan),
        ("pgsteal", stat.pgsteal),
        ("pgactivate", stat.pgactivate),
        ("pgdeactivate", stat.pgdeactivate),
        ("pglazyfree", stat.pglazyfree),
        ("pglazyfreed", stat.pglazyfreed),
        ("thp_fault_alloc", stat.thp_fault_alloc),
        ("thp_collapse_alloc", stat.thp_collapse_alloc),
    ];
    MemoryStats {
        usage: stat.usage,
        stats: Some(counters.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        limit: stat.usage_limit,
        ..MemoryStats::default()
    }
}

#[cfg(test)]
mod tests {
    use corten_proto::io::containerd::cgroups::v2::{IoEntry, MemoryEvents};

    use super::*;

    #[test]
    fn microseconds_become_nanoseconds_and_devices_two_entries() {
        let stats = convert(&Metrics {
            cpu: Some(CpuStat { usage_usec: 3, user_usec: 2, system_usec: 1, throttled_usec: 4, ..Default::default() }),
            io: Some(IoStat {
                usage: vec![IoEntry { major: 8, minor: 1, rbytes: 10, wbytes: 20, ..Default::default() }],
                ..Default::default()
            }),
            memory: Some(MemoryStat { usage: 9, inactive_file: 5, ..Default::default() }),
            memory_events: Some(MemoryEvents { oom: 2, ..Default::default() }),
            ..Default::default()
        });
        assert_eq!(stats.cpu_stats.cpu_usage.total_usage, 3000);
        assert_eq!(stats.cpu_stats.cpu_usage.percpu_usage, None);
        assert_eq!(stats.cpu_stats.throttling_data.throttled_time, 4000);
        let ops: Vec<_> =
            stats.blkio_stats.io_service_bytes_recursive.iter().flatten().map(|e| (&*e.op, e.value)).collect();
        assert_eq!(ops, [("read", 10), ("write", 20)]);
        assert_eq!(stats.memory_stats.failcnt, 2);
        assert_eq!(stats.memory_stats.stats.as_ref().and_then(|stats| stats.get("inactive_file")), Some(&5));
    }
}
