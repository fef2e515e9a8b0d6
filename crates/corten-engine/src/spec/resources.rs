//! Limits, as the runtime takes them.

use std::os::unix::fs::MetadataExt;

use corten_docker_api::containers::{HostConfig, ThrottleDevice};
use corten_types::error::errno_text;
use oci_spec::runtime::{
    LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxPids, LinuxResources, LinuxThrottleDevice, LinuxThrottleDeviceBuilder,
    LinuxWeightDeviceBuilder,
};

use super::devices::numbers;
use crate::errors::{EngineError, Result};

/// The period that `NanoCpus` is counted in, microseconds; docker's.
const NANO_CPUS_PERIOD_US: u64 = 100_000;

/// The limits in `host`. Zero means none; what is unlimited is left out.
///
/// # Errors
/// 500 for a block device that is not there.
pub fn resources(host: &HostConfig, is_cgroup_v2: bool) -> Result<LinuxResources> {
    let mut resources = LinuxResources::default();
    resources.set_devices(None);
    resources.set_memory(Some(memory(host, is_cgroup_v2)));
    resources.set_cpu(Some(cpu(host)));
    if let Some(limit) = host.pids_limit.filter(|limit| *limit > 0) {
        let mut pids = LinuxPids::default();
        pids.set_limit(limit);
        resources.set_pids(Some(pids));
    }
    resources.set_block_io(blocks(host)?);
    Ok(resources)
}

fn blocks(host: &HostConfig) -> Result<Option<LinuxBlockIo>> {
    let weights = host.blkio_weight_device.iter().flatten().map(|device| {
        let (major, minor) = device_number(&device.path)?;
        let built = LinuxWeightDeviceBuilder::default().major(major).minor(minor).weight(device.weight).build();
        built.map_err(|error| EngineError::internal("write a block device's weight").caused_by(error))
    });
    let weights: Vec<_> = weights.collect::<Result<_>>()?;
    let mut blocks = LinuxBlockIo::default();
    blocks.set_weight(Some(host.blkio_weight).filter(|weight| *weight != 0));
    blocks.set_weight_device(Some(weights).filter(|list| !list.is_empty()));
    blocks.set_throttle_read_bps_device(rates(&host.blkio_device_read_bps)?);
    blocks.set_throttle_write_bps_device(rates(&host.blkio_device_write_bps)?);
    blocks.set_throttle_read_iops_device(rates(&host.blkio_device_read_iops)?);
    blocks.set_throttle_write_iops_device(rates(&host.blkio_device_write_iops)?);
    Ok(Some(blocks).filter(|blocks| *blocks != LinuxBlockIo::default()))
}

fn rates(devices: &Option<Vec<ThrottleDevice>>) -> Result<Option<Vec<LinuxThrottleDevice>>> {
    let rates = devices.iter().flatten().map(|device| {
        let (major, minor) = device_number(&device.path)?;
        let built = LinuxThrottleDeviceBuilder::default().major(major).minor(minor).rate(device.rate).build();
        built.map_err(|error| EngineError::internal("write a block device's rate").caused_by(error))
    });
    Ok(Some(rates.collect::<Result<Vec<_>>>()?).filter(|list| !list.is_empty()))
}

/// The number of the device at `path` on the host.
fn device_number(path: &str) -> Result<(i64, i64)> {
    let metadata =
        std::fs::metadata(path).map_err(|error| EngineError::internal(format!("stat {path}: {}", errno_text(&error))));
    let (major, minor) = numbers(metadata?.rdev());
    Ok((i64::from(major), i64::from(minor)))
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
    cpu.set_realtime_period(u64::try_from(host.cpu_realtime_period).ok().filter(|period| *period != 0));
    cpu.set_realtime_runtime(Some(host.cpu_realtime_runtime).filter(|runtime| *runtime != 0));
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
        let resources = resources(&host, false).expect("no device is named");
        let cpu = resources.cpu().clone().unwrap_or_default();
        assert_eq!((cpu.quota(), cpu.period(), cpu.shares()), (Some(150_000), Some(100_000), None));
        let memory = resources.memory().unwrap_or_default();
        assert_eq!((memory.limit(), memory.swap(), memory.reservation()), (Some(64 << 20), Some(-1), None));
        assert!(resources.pids().is_none());
    }
}
