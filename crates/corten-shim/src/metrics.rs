//! A container's statistics as containerd's messages have them: version 1 on machines with v1
//! controllers, version 2 on the others.

use corten_cgroups::{Memory, Stats};
use corten_proto::{
    any,
    io::containerd::cgroups::{v1, v2},
};
use prost_types::Any;

/// Packs `stats` as a v1 or v2 message.
pub fn pack(stats: &Stats, is_v2: bool) -> Any {
    if is_v2 { any::pack(&version_2(stats)) } else { any::pack(&version_1(stats)) }
}

fn version_1(stats: &Stats) -> v1::Metrics {
    let (cpu, memory) = (&stats.cpu, &stats.memory);
    let entry = |major: u64, minor: u64, op: &str, value: u64| v1::BlkIoEntry {
        op: op.to_owned(),
        device: String::new(),
        major,
        minor,
        value,
    };
    let bytes = stats.block_io.iter().flat_map(|device| {
        [
            entry(device.major, device.minor, "Read", device.read_bytes),
            entry(device.major, device.minor, "Write", device.write_bytes),
        ]
    });
    let operations = stats.block_io.iter().flat_map(|device| {
        [
            entry(device.major, device.minor, "Read", device.read_operations),
            entry(device.major, device.minor, "Write", device.write_operations),
        ]
    });
    v1::Metrics {
        pids: Some(v1::PidsStat { current: stats.pids.current, limit: stats.pids.limit }),
        cpu: Some(v1::CpuStat {
            usage: Some(v1::CpuUsage {
                total: cpu.total_ns,
                kernel: cpu.kernel_ns,
                user: cpu.user_ns,
                per_cpu: cpu.per_cpu_ns.clone(),
            }),
            throttling: Some(v1::Throttle {
                periods: cpu.periods,
                throttled_periods: cpu.throttled_periods,
                throttled_time: cpu.throttled_ns,
            }),
        }),
        memory: Some(memory_1(&stats.memory)),
        blkio: Some(v1::BlkIoStat {
            io_service_bytes_recursive: bytes.collect(),
            io_serviced_recursive: operations.collect(),
            ..v1::BlkIoStat::default()
        }),
        memory_oom_control: Some(v1::MemoryOomControl {
            oom_kill: memory.oom_kills,
            ..v1::MemoryOomControl::default()
        }),
        ..v1::Metrics::default()
    }
}

fn memory_1(memory: &Memory) -> v1::MemoryStat {
    let detail = |name: &str| memory.detail(name);
    v1::MemoryStat {
        cache: detail("cache"),
        rss: detail("rss"),
        rss_huge: detail("rss_huge"),
        mapped_file: detail("mapped_file"),
        dirty: detail("dirty"),
        writeback: detail("writeback"),
        pg_pg_in: detail("pgpgin"),
        pg_pg_out: detail("pgpgout"),
        pg_fault: detail("pgfault"),
        pg_maj_fault: detail("pgmajfault"),
        inactive_anon: detail("inactive_anon"),
        active_anon: detail("active_anon"),
        inactive_file: detail("inactive_file"),
        active_file: detail("active_file"),
        unevictable: detail("unevictable"),
        hierarchical_memory_limit: detail("hierarchical_memory_limit"),
        hierarchical_swap_limit: detail("hierarchical_memsw_limit"),
        total_cache: detail("total_cache"),
        total_rss: detail("total_rss"),
        total_rss_huge: detail("total_rss_huge"),
        total_mapped_file: detail("total_mapped_file"),
        total_dirty: detail("total_dirty"),
        total_writeback: detail("total_writeback"),
        total_pg_pg_in: detail("total_pgpgin"),
        total_pg_pg_out: detail("total_pgpgout"),
        total_pg_fault: detail("total_pgfault"),
        total_pg_maj_fault: detail("total_pgmajfault"),
        total_inactive_anon: detail("total_inactive_anon"),
        total_active_anon: detail("total_active_anon"),
        total_inactive_file: detail("total_inactive_file"),
        total_active_file: detail("total_active_file"),
        total_unevictable: detail("total_unevictable"),
        usage: Some(v1::MemoryEntry {
            limit: memory.limit_bytes,
            usage: memory.usage_bytes,
            max: memory.max_usage_bytes,
            failcnt: memory.failures,
        }),
        swap: Some(v1::MemoryEntry {
            limit: memory.swap_limit_bytes,
            usage: memory.swap_usage_bytes,
            ..v1::MemoryEntry::default()
        }),
        ..v1::MemoryStat::default()
    }
}

fn version_2(stats: &Stats) -> v2::Metrics {
    let (cpu, memory) = (&stats.cpu, &stats.memory);
    let detail = |name: &str| memory.detail(name);
    let usage = stats.block_io.iter().map(|device| v2::IoEntry {
        major: device.major,
        minor: device.minor,
        rbytes: device.read_bytes,
        wbytes: device.write_bytes,
        rios: device.read_operations,
        wios: device.write_operations,
    });
    v2::Metrics {
        pids: Some(v2::PidsStat { current: stats.pids.current, limit: stats.pids.limit }),
        cpu: Some(v2::CpuStat {
            usage_usec: cpu.total_ns / 1000,
            user_usec: cpu.user_ns / 1000,
            system_usec: cpu.kernel_ns / 1000,
            nr_periods: cpu.periods,
            nr_throttled: cpu.throttled_periods,
            throttled_usec: cpu.throttled_ns / 1000,
            ..v2::CpuStat::default()
        }),
        memory: Some(v2::MemoryStat {
            anon: detail("anon"),
            file: detail("file"),
            kernel_stack: detail("kernel_stack"),
            slab: detail("slab"),
            sock: detail("sock"),
            shmem: detail("shmem"),
            file_mapped: detail("file_mapped"),
            file_dirty: detail("file_dirty"),
            file_writeback: detail("file_writeback"),
            anon_thp: detail("anon_thp"),
            inactive_anon: detail("inactive_anon"),
            active_anon: detail("active_anon"),
            inactive_file: detail("inactive_file"),
            active_file: detail("active_file"),
            unevictable: detail("unevictable"),
            slab_reclaimable: detail("slab_reclaimable"),
            slab_unreclaimable: detail("slab_unreclaimable"),
            pgfault: detail("pgfault"),
            pgmajfault: detail("pgmajfault"),
            pgrefill: detail("pgrefill"),
            pgscan: detail("pgscan"),
            pgsteal: detail("pgsteal"),
            pgactivate: detail("pgactivate"),
            pgdeactivate: detail("pgdeactivate"),
            pglazyfree: detail("pglazyfree"),
            pglazyfreed: detail("pglazyfreed"),
            thp_fault_alloc: detail("thp_fault_alloc"),
            thp_collapse_alloc: detail("thp_collapse_alloc"),
            workingset_refault_anon: detail("workingset_refault_anon"),
            workingset_refault_file: detail("workingset_refault_file"),
            workingset_activate_anon: detail("workingset_activate_anon"),
            workingset_activate_file: detail("workingset_activate_file"),
            workingset_nodereclaim: detail("workingset_nodereclaim"),
            usage: memory.usage_bytes,
            usage_limit: memory.limit_bytes,
            max_usage: memory.max_usage_bytes,
            swap_usage: memory.swap_usage_bytes,
            swap_limit: memory.swap_limit_bytes,
            ..v2::MemoryStat::default()
        }),
        io: Some(v2::IoStat { usage: usage.collect(), psi: None }),
        memory_events: Some(v2::MemoryEvents {
            max: memory.failures,
            oom_kill: memory.oom_kills,
            ..v2::MemoryEvents::default()
        }),
        ..v2::Metrics::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_arrives_in_either_version() {
        let mut stats = Stats::default();
        stats.cpu.total_ns = 5_000;
        stats.memory.detail.push(("rss".into(), 7));
        stats.memory.detail.push(("anon".into(), 8));
        let one: v1::Metrics = any::unpack(&pack(&stats, false)).unwrap().unwrap();
        assert_eq!((one.cpu.unwrap().usage.unwrap().total, one.memory.unwrap().rss), (5_000, 7));
        let two: v2::Metrics = any::unpack(&pack(&stats, true)).unwrap().unwrap();
        assert_eq!((two.cpu.unwrap().usage_usec, two.memory.unwrap().anon), (5, 8));
    }
}
