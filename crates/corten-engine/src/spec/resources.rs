//! Limits, as the runtime takes them.

use corten_docker_api::containers::HostConfig;
use oci_spec::runtime::{LinuxCpu, LinuxMemory, LinuxPids, LinuxResources};

/// The period that `NanoCpus` is counted in, microseconds; docker's.
const NANO_CPUS_PERIOD_US: u64 = 100_000;

/// The limits in `host`. Zero means none; what is unlimited is left out.
pub fn resources(host: &HostConfig, is_cgroup_v2: bool) -> LinuxResources {
    let mut resources = LinuxResources::default();
    resources.set_devices(None);
    resources.set_memory(Some(memory(host, is_cgroup_v2)));
    resources.set_cpu(Some(cpu(host)));
    if let Some(limit) = host.pids_limit.filter(|limit| *limit > 0) {
        let mut pids = LinuxPids::default();
        pids.set_limit(limit);
        resources.set_pids(Some(pids));
    }
    resources
}

fn memory(host: &HostConfig, is_cgroup_v2: bool) -> LinuxMemory {
    let nonzero = |value: i64| Some(value).filter(|value| *value != 0);
    let mut memory = LinuxMemory::default();
    memory.set_limit(nonzero(host.memory));
    memory.set_swap(nonzero(host.memory_swap));
    memory.set_reservation(nonzero(host.memory_reservation));
    if !is_cgroup_v2 {
        memory.set_swappiness(host.memory_swappiness.and_then(|value| u64::try_from(value).ok()));
        memory.set_disable_oom_killer(host.oom_kill_disable.filter(|disable| *disable));
    }
    memory
}

fn cpu(host: &HostConfig) -> LinuxCpu {
    let mut cpu = LinuxCpu::default();
    cpu.set_shares(u64::try_from(host.cpu_shares).ok().filter(|shares| *shares != 0));
    if host.nano_cpus > 0 {
        cpu.set_period(Some(NANO_CPUS_PERIOD_US));
        let quota = i128::from(host.nano_cpus) * i128::from(NANO_CPUS_PERIOD_US) / 1_000_000_000;
        cpu.set_quota(i64::try_from(quota).ok());
    } else {
        cpu.set_period(u64::try_from(host.cpu_period).ok().filter(|period| *period != 0));
        cpu.set_quota(Some(host.cpu_quota).filter(|quota| *quota != 0));
    }
    cpu.set_cpus(Some(host.cpuset_cpus.clone()).filter(|cpus| !cpus.is_empty()));
    cpu.set_mems(Some(host.cpuset_mems.clone()).filter(|mems| !mems.is_empty()));
    cpu
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nano_cpus_become_a_quota_and_zero_means_no_limit() {
        let host = HostConfig { nano_cpus: 1_500_000_000, memory: 64 << 20, memory_swap: -1, ..HostConfig::default() };
        let resources = resources(&host, false);
        let cpu = resources.cpu().clone().unwrap_or_default();
        assert_eq!((cpu.quota(), cpu.period(), cpu.shares()), (Some(150_000), Some(100_000), None));
        let memory = resources.memory().unwrap_or_default();
        assert_eq!((memory.limit(), memory.swap(), memory.reservation()), (Some(64 << 20), Some(-1), None));
        assert!(resources.pids().is_none());
    }
}
