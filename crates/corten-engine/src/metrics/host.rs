//! What the host has and has used: percentages are relative to it.

use std::fs;
use std::io;

/// The kernel shows user-space times in this unit on every architecture (proc(5), `/proc/stat`).
const TICKS_PER_SECOND: u64 = 100;

/// Processor time the host has spent since boot, and its processors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostCpu {
    /// Of all processors together, idle time included.
    pub total_ns: u64,
    /// Processors on line.
    pub online: u32,
}

/// The host's processor time now.
///
/// # Errors
/// When `/proc/stat` cannot be read or has no `cpu` line.
pub fn cpu() -> io::Result<HostCpu> {
    parse_stat(&fs::read_to_string("/proc/stat")?)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "/proc/stat has no cpu line"))
}

/// The host's memory in bytes; 0 when the kernel does not say.
pub fn memory_bytes() -> u64 {
    fs::read_to_string("/proc/meminfo").ok().and_then(|text| parse_meminfo(&text)).unwrap_or(0)
}

fn parse_stat(text: &str) -> Option<HostCpu> {
    let mut total_ticks = None;
    let mut online = 0;
    for line in text.lines() {
        let Some(rest) = line.strip_prefix("cpu") else { break };
        if rest.starts_with(' ') {
            // user nice system idle iowait irq softirq. Not steal: dockerd leaves it out, and its clients'
            // percentages stay comparable; guest time is counted in user already.
            total_ticks =
                Some(rest.split_ascii_whitespace().take(7).filter_map(|field| field.parse::<u64>().ok()).sum::<u64>());
        } else {
            online += 1;
        }
    }
    Some(HostCpu { total_ns: total_ticks? * (1_000_000_000 / TICKS_PER_SECOND), online })
}

fn parse_meminfo(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_states_but_steal_and_guest_time_are_summed() {
        let text = "cpu  1 2 3 4 5 6 7 8 100 100\ncpu0 1 1 1 1\ncpu1 1 1 1 1\nintr 5\ncpu9 not here\n";
        assert_eq!(parse_stat(text), Some(HostCpu { total_ns: 280_000_000, online: 2 }));
        assert_eq!(parse_stat("intr 1\n"), None);
    }

    #[test]
    fn memory_is_read_in_kibibytes() {
        assert_eq!(parse_meminfo("MemTotal:       1024 kB\nMemFree: 1 kB\n"), Some(1_048_576));
    }
}
