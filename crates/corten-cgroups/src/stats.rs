//! What a container has used.

use std::fs;
use std::path::Path;

use crate::CgroupError;
use crate::place::Cgroup;

/// Everything that is counted; what the machine does not count stays zero.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// CPU time.
    pub cpu: Cpu,
    /// Memory.
    pub memory: Memory,
    /// Processes.
    pub pids: Pids,
    /// Block devices.
    pub block_io: Vec<BlockIo>,
}

/// CPU time in nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cpu {
    /// All of it.
    pub total_ns: u64,
    /// In the kernel.
    pub kernel_ns: u64,
    /// In user space.
    pub user_ns: u64,
    /// Per CPU; v1 only.
    pub per_cpu_ns: Vec<u64>,
    /// Periods in which the container ran.
    pub periods: u64,
    /// Periods in which it was held back.
    pub throttled_periods: u64,
    /// How long it was held back.
    pub throttled_ns: u64,
}

/// Memory in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    /// In use, with page cache.
    pub usage_bytes: u64,
    /// The highest use.
    pub max_usage_bytes: u64,
    /// The limit; `u64::MAX` when there is none.
    pub limit_bytes: u64,
    /// How often the limit was reached.
    pub failures: u64,
    /// Swap in use.
    pub swap_usage_bytes: u64,
    /// The limit of swap.
    pub swap_limit_bytes: u64,
    /// How often the kernel killed a process for memory.
    pub oom_kills: u64,
    /// Every line of memory.stat, in its order.
    pub detail: Vec<(String, u64)>,
}

impl Memory {
    /// One line of memory.stat.
    #[must_use]
    pub fn detail(&self, name: &str) -> u64 {
        self.detail.iter().find(|(known, _)| known == name).map_or(0, |(_, value)| *value)
    }
}

/// Processes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pids {
    /// How many there are.
    pub current: u64,
    /// How many there may be; 0 when there is no limit.
    pub limit: u64,
}

/// What was done on one block device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlockIo {
    /// The device's major number.
    pub major: u64,
    /// The device's minor number.
    pub minor: u64,
    /// Bytes read.
    pub read_bytes: u64,
    /// Bytes written.
    pub write_bytes: u64,
    /// Read operations.
    pub read_operations: u64,
    /// Write operations.
    pub write_operations: u64,
}

impl Cgroup {
    /// Reads everything that is counted.
    ///
    /// # Errors
    /// [`CgroupError::Read`] when the cgroup is gone.
    pub fn stats(&self) -> Result<Stats, CgroupError> {
        let main = self.main_directory().unwrap_or(Path::new("/"));
        let procs = main.join("cgroup.procs");
        fs::metadata(&procs).map_err(|source| CgroupError::Read { path: procs, source })?;
        Ok(if self.is_v2() { v2(main) } else { self.v1_stats() })
    }

    fn v1_stats(&self) -> Stats {
        let mut stats = Stats::default();
        if let Some(path) = self.v1("cpuacct") {
            stats.cpu.total_ns = number(path, "cpuacct.usage");
            stats.cpu.per_cpu_ns =
                text(path, "cpuacct.usage_percpu").split_whitespace().filter_map(|value| value.parse().ok()).collect();
            stats.cpu.user_ns = number(path, "cpuacct.usage_user");
            stats.cpu.kernel_ns = number(path, "cpuacct.usage_sys");
        }
        if let Some(path) = self.v1("cpu") {
            let throttling = pairs(&text(path, "cpu.stat"));
            stats.cpu.periods = value(&throttling, "nr_periods");
            stats.cpu.throttled_periods = value(&throttling, "nr_throttled");
            stats.cpu.throttled_ns = value(&throttling, "throttled_time");
        }
        if let Some(path) = self.v1("memory") {
            let memory = &mut stats.memory;
            memory.usage_bytes = number(path, "memory.usage_in_bytes");
            memory.max_usage_bytes = number(path, "memory.max_usage_in_bytes");
            memory.limit_bytes = number(path, "memory.limit_in_bytes");
            memory.failures = number(path, "memory.failcnt");
            memory.swap_usage_bytes = number(path, "memory.memsw.usage_in_bytes");
            memory.swap_limit_bytes = number(path, "memory.memsw.limit_in_bytes");
            memory.oom_kills = value(&pairs(&text(path, "memory.oom_control")), "oom_kill");
            memory.detail = pairs(&text(path, "memory.stat"));
        }
        if let Some(path) = self.v1("pids") {
            stats.pids = pids(path);
        }
        if let Some(path) = self.v1("blkio") {
            add_v1_io(&mut stats.block_io, &text(path, "blkio.throttle.io_service_bytes_recursive"), true);
            add_v1_io(&mut stats.block_io, &text(path, "blkio.throttle.io_serviced_recursive"), false);
        }
        stats
    }
}

fn v2(path: &Path) -> Stats {
    let mut stats = Stats::default();
    let cpu = pairs(&text(path, "cpu.stat"));
    let micro = |name: &str| value(&cpu, name).saturating_mul(1000);
    stats.cpu = Cpu {
        total_ns: micro("usage_usec"),
        kernel_ns: micro("system_usec"),
        user_ns: micro("user_usec"),
        per_cpu_ns: Vec::new(),
        periods: value(&cpu, "nr_periods"),
        throttled_periods: value(&cpu, "nr_throttled"),
        throttled_ns: micro("throttled_usec"),
    };
    let events = pairs(&text(path, "memory.events"));
    stats.memory = Memory {
        usage_bytes: number(path, "memory.current"),
        max_usage_bytes: number(path, "memory.peak"),
        limit_bytes: limit(path, "memory.max"),
        failures: value(&events, "max"),
        swap_usage_bytes: number(path, "memory.swap.current"),
        swap_limit_bytes: limit(path, "memory.swap.max"),
        oom_kills: value(&events, "oom_kill"),
        detail: pairs(&text(path, "memory.stat")),
    };
    stats.pids = pids(path);
    stats.block_io = text(path, "io.stat").lines().filter_map(v2_io).collect();
    stats
}

pub(crate) fn text(directory: &Path, file: &str) -> String {
    fs::read_to_string(directory.join(file)).unwrap_or_default()
}

pub(crate) fn number(directory: &Path, file: &str) -> u64 {
    text(directory, file).trim().parse().unwrap_or(0)
}

pub(crate) fn limit(directory: &Path, file: &str) -> u64 {
    match text(directory, file).trim() {
        "max" => u64::MAX,
        value => value.parse().unwrap_or(0),
    }
}

fn pids(path: &Path) -> Pids {
    Pids { current: number(path, "pids.current"), limit: number(path, "pids.max") }
}

pub(crate) fn pairs(text: &str) -> Vec<(String, u64)> {
    let pair = |line: &str| {
        let (name, value) = line.split_once(' ')?;
        Some((name.to_owned(), value.trim().parse().ok()?))
    };
    text.lines().filter_map(pair).collect()
}

fn value(pairs: &[(String, u64)], name: &str) -> u64 {
    pairs.iter().find(|(known, _)| known == name).map_or(0, |(_, value)| *value)
}

/// A line such as `254:0 Read 4096`.
fn add_v1_io(devices: &mut Vec<BlockIo>, text: &str, is_bytes: bool) {
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let (Some(device), Some(operation), Some(amount)) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        let Some((major, minor)) = numbers(device) else { continue };
        let amount = amount.parse().unwrap_or(0);
        let device = entry(devices, major, minor);
        match (operation, is_bytes) {
            ("Read", true) => device.read_bytes = amount,
            ("Write", true) => device.write_bytes = amount,
            ("Read", false) => device.read_operations = amount,
            ("Write", false) => device.write_operations = amount,
            _ => {}
        }
    }
}

fn entry(devices: &mut Vec<BlockIo>, major: u64, minor: u64) -> &mut BlockIo {
    let index = devices.iter().position(|device| device.major == major && device.minor == minor);
    let index = index.unwrap_or_else(|| {
        devices.push(BlockIo { major, minor, ..BlockIo::default() });
        devices.len() - 1
    });
    &mut devices[index]
}

/// A line such as `254:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0`.
fn v2_io(line: &str) -> Option<BlockIo> {
    let (device, rest) = line.split_once(' ')?;
    let (major, minor) = numbers(device)?;
    let field = |name: &str| {
        let found = rest.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        found.and_then(|value| value.parse().ok()).unwrap_or(0)
    };
    Some(BlockIo {
        major,
        minor,
        read_bytes: field("rbytes"),
        write_bytes: field("wbytes"),
        read_operations: field("rios"),
        write_operations: field("wios"),
    })
}

pub(crate) fn numbers(device: &str) -> Option<(u64, u64)> {
    let (major, minor) = device.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v1_block_io_is_joined_per_device() {
        let mut devices = Vec::new();
        add_v1_io(&mut devices, "254:0 Read 4096\n254:0 Write 512\n254:0 Sync 1\nTotal 4608\n", true);
        add_v1_io(&mut devices, "254:0 Read 2\n8:1 Write 1\n", false);
        let first = BlockIo {
            major: 254,
            minor: 0,
            read_bytes: 4096,
            write_bytes: 512,
            read_operations: 2,
            write_operations: 0,
        };
        assert_eq!(devices, [first, BlockIo { major: 8, minor: 1, write_operations: 1, ..BlockIo::default() }]);
    }

    #[test]
    fn v2_block_io_is_read() {
        let device = v2_io("8:16 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6").expect("a device");
        assert_eq!((device.major, device.minor, device.write_operations), (8, 16, 4));
        assert_eq!(v2_io("nonsense"), None);
    }
}
