//! What a container may use, and the files each limit is written to.
//!
//! [`plan`] is pure: limits → writes, per version. Some files hold values that depend on each other: on v1 memory may
//! never be above memory+swap, a period never so short that its quota is above the parent's share. What the kernel
//! refuses of such a group [`Cgroup::limit`] tries again once the others are written.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use corten_sys::{files, syscall::HERE};

use crate::CgroupError;
use crate::devices::{self, DeviceRule};
use crate::exceptions;
use crate::named::{self, Named};
use crate::place::Cgroup;

/// Limits; `None` leaves what is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// Memory in bytes; -1 for no limit.
    pub memory_bytes: Option<i64>,
    /// Memory and swap together in bytes; -1 for no limit.
    pub memory_and_swap_bytes: Option<i64>,
    /// Memory kept under pressure in bytes; -1 for none.
    pub memory_reservation_bytes: Option<i64>,
    /// How readily memory is swapped, 0 to 100; v1 only.
    pub swappiness: Option<u64>,
    /// Whether processes wait instead of being killed when memory is used up; v1 only.
    pub disable_oom_killer: Option<bool>,
    /// Weight against other containers, 2 to 262144.
    pub cpu_shares: Option<u64>,
    /// Time in a period in microseconds; -1 for no limit.
    pub cpu_quota_us: Option<i64>,
    /// Length of a period in microseconds.
    pub cpu_period_us: Option<u64>,
    /// Time saved up in microseconds.
    pub cpu_burst_us: Option<u64>,
    /// Realtime in a period in microseconds; v1 only.
    pub cpu_realtime_runtime_us: Option<i64>,
    /// Length of a realtime period in microseconds; v1 only.
    pub cpu_realtime_period_us: Option<u64>,
    /// 1 for the idle class.
    pub cpu_idle: Option<i64>,
    /// CPUs, such as `0-2,7`.
    pub cpuset_cpus: Option<String>,
    /// Memory nodes.
    pub cpuset_mems: Option<String>,
    /// Processes; -1 for no limit. 0 allows one, as with runc, whose other driver cannot say 0.
    pub pids: Option<i64>,
    /// Weight of block device access, 10 to 1000.
    pub blkio_weight: Option<u16>,
    /// Weight of the cgroup's own tasks against those below, 10 to 1000; v1 only.
    pub blkio_leaf_weight: Option<u16>,
    /// Memory of the kernel for sockets in bytes; -1 for no limit; v1 only.
    pub kernel_tcp_bytes: Option<i64>,
    /// Limits that name what they are for.
    pub named: Named,
    /// Rules about devices, later ones override earlier ones; `None` leaves what is.
    pub devices: Option<Vec<DeviceRule>>,
    /// v2 files and what is written to them.
    pub unified: BTreeMap<String, String>,
}

/// Conversions between the ranges of v1, which specifications use, and v2.
pub mod conversion {
    /// CPU shares (2 to 262144) as a v2 weight (1 to 10000): the curve through both ends and both defaults, 1024 and
    /// 100, that runc has since 1.3.2. The line it had before gave a container of 1024 shares a third of what a
    /// service beside it has.
    #[must_use]
    pub fn cpu_weight(shares: u64) -> u64 {
        match shares {
            0..=2 => 1,
            262_144.. => 10_000,
            _ => {
                let log = (shares as f64).log2();
                let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
                10f64.powf(exponent).ceil() as u64
            }
        }
    }

    /// A block device weight (10 to 1000) as a v2 weight (1 to 10000).
    #[must_use]
    pub const fn io_weight(weight: u16) -> u64 {
        let weight = if weight < 10 { 10 } else { weight };
        1 + (weight as u64 - 10) * 9999 / 990
    }
}

/// One write.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Write {
    /// The v1 controller; the v2 directory is meant where the plan is one for v2.
    controller: &'static str,
    file: String,
    value: String,
    /// The limit as the specification names it.
    limit: String,
    /// What a missing file means.
    missing: Missing,
}

impl Write {
    /// What its value depends on together with those of other files.
    fn group(&self) -> Option<&'static str> {
        let pairs = ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"];
        let groups = ["cpu.cfs_", "cpu.rt_", "cpu.max"];
        let named = groups.into_iter().find(|group| self.file.starts_with(group));
        named.or_else(|| pairs.contains(&self.file.as_str()).then_some("memory"))
    }
}

/// What a missing file means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// The limit cannot be set.
    Fails,
    /// The kernel was built without it, and nothing was asked that matters.
    PassedOver,
    /// The next write is for a kernel without this file; where it is, that one is left out.
    Next,
}

impl Cgroup {
    /// Writes the limits.
    ///
    /// # Errors
    /// [`CgroupError::Write`], [`CgroupError::NoController`], [`CgroupError::NotInVersion`],
    /// [`CgroupError::DeviceFilter`].
    pub fn limit(&self, limits: &Limits) -> Result<(), CgroupError> {
        self.limit_keeping(limits, &mut Vec::new())
    }

    /// As [`Cgroup::limit`]; the descriptors of the files are left in `spent`, to be closed with others in one call.
    ///
    /// # Errors
    /// As [`Cgroup::limit`].
    pub fn limit_keeping(&self, limits: &Limits, spent: &mut Vec<OwnedFd>) -> Result<(), CgroupError> {
        let writes = match self.kept_quota(limits) {
            Some(quota) => plan(&Limits { cpu_quota_us: Some(quota), ..limits.clone() }, self.is_v2())?,
            None => plan(limits, self.is_v2())?,
        };
        let mut is_done = false;
        for group in writes.chunk_by(|a, b| a.group().is_some() && a.group() == b.group()) {
            match group {
                _ if std::mem::take(&mut is_done) => {}
                [write] => is_done = self.write(write, spent)? && write.missing == Missing::Next,
                group => self.write_together(group, spent)?,
            }
        }
        if let Some(rules) = &limits.devices {
            self.limit_devices(rules, spent)?;
        }
        Ok(())
    }

    /// On v2 a new period is written together with the quota that holds.
    fn kept_quota(&self, limits: &Limits) -> Option<i64> {
        let is_period_alone = self.is_v2()
            && limits.cpu_period_us.is_some_and(|period| period != 0)
            && limits.cpu_quota_us.is_none_or(|quota| quota == 0);
        let path = self.unified().filter(|_| is_period_alone)?.join("cpu.max");
        std::fs::read_to_string(path).ok()?.split_whitespace().next()?.parse().ok()
    }

    /// Writes those that the kernel takes, then the others again, until it takes no more.
    fn write_together(&self, writes: &[Write], spent: &mut Vec<OwnedFd>) -> Result<(), CgroupError> {
        let mut left: Vec<&Write> = writes.iter().collect();
        loop {
            let mut refused = Vec::new();
            let mut first = None;
            for write in &left {
                match self.write(write, spent) {
                    Ok(_) => {}
                    Err(error @ CgroupError::Write { .. }) => {
                        refused.push(*write);
                        first.get_or_insert(error);
                    }
                    Err(error) => return Err(error),
                }
            }
            match first {
                None => return Ok(()),
                Some(error) if refused.len() == left.len() => return Err(error),
                Some(_) => left = refused,
            }
        }
    }

    /// Writes; whether the file was there.
    fn write(&self, write: &Write, spent: &mut Vec<OwnedFd>) -> Result<bool, CgroupError> {
        let directory = if self.is_v2() { self.unified() } else { self.v1(write.controller) };
        let no_controller =
            || CgroupError::NoController { limit: write.limit.clone(), controller: write.controller.to_owned() };
        let path = directory.ok_or_else(no_controller)?.join(&write.file);
        match write_file(&path, &write.value) {
            Ok(file) => {
                spent.push(file);
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && write.missing != Missing::Fails => Ok(false),
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.is_v2() => Err(no_controller()),
            Err(source) => Err(CgroupError::Write { path, value: write.value.clone(), source }),
        }
    }

    fn limit_devices(&self, rules: &[DeviceRule], spent: &mut Vec<OwnedFd>) -> Result<(), CgroupError> {
        let no_controller = || CgroupError::NoController {
            limit: "linux.resources.devices".to_owned(),
            controller: "devices".to_owned(),
        };
        if self.is_v2() {
            let path = self.unified().ok_or_else(no_controller)?;
            return devices::attach_filter(path, rules)
                .map_err(|source| CgroupError::DeviceFilter { path: path.to_owned(), source });
        }
        let directory = self.v1("devices").ok_or_else(no_controller)?;
        if let Some((rule, wider)) = exceptions::ignored(rules) {
            return Err(CgroupError::DeviceHole { rule, wider });
        }
        let lines = devices::v1_lines(rules);
        // Lines of one file that follow each other are written to it while it is open.
        for same in lines.chunk_by(|(a, _), (b, _)| a == b) {
            let path = directory.join(same[0].0);
            let fail = |line: &str, source| CgroupError::Write { path: path.clone(), value: line.to_owned(), source };
            let file = open(&path).map_err(|source| fail(&same[0].1, source))?;
            for (_, line) in same {
                files::write(file.as_fd(), line.as_bytes()).map_err(|source| fail(line, source))?;
            }
            spent.push(file);
        }
        Ok(())
    }
}

fn write_file(path: &Path, value: &str) -> io::Result<OwnedFd> {
    let file = open(path)?;
    files::write(file.as_fd(), value.as_bytes())?;
    Ok(file)
}

fn open(path: &Path) -> io::Result<OwnedFd> {
    files::open(HERE, &CString::new(path.as_os_str().as_bytes())?, files::O_WRONLY, 0)
}

fn plan(limits: &Limits, is_v2: bool) -> Result<Vec<Write>, CgroupError> {
    if is_v2 { plan_v2(limits) } else { plan_v1(limits) }
}

/// Collects writes, each with the name of its limit.
#[derive(Default)]
pub(crate) struct Writes(Vec<Write>);

impl Writes {
    pub(crate) fn add(&mut self, controller: &'static str, file: &str, limit: &str, value: Option<impl ToString>) {
        self.add_with(controller, file, limit, value, Missing::Fails);
    }

    pub(crate) fn add_with(
        &mut self,
        controller: &'static str,
        file: &str,
        limit: &str,
        value: Option<impl ToString>,
        missing: Missing,
    ) {
        if let Some(value) = value {
            self.0.push(Write {
                controller,
                file: file.to_owned(),
                value: value.to_string(),
                limit: format!("linux.resources.{limit}"),
                missing,
            });
        }
    }
}

fn plan_v1(limits: &Limits) -> Result<Vec<Write>, CgroupError> {
    if !limits.unified.is_empty() {
        return Err(CgroupError::NotInVersion { limit: "linux.resources.unified", version: 1 });
    }
    let mut writes = Writes::default();
    writes.add("memory", "memory.limit_in_bytes", "memory.limit", limits.memory_bytes);
    // A kernel without swap accounting has no file; the memory limit then holds for both.
    let swap = limits.memory_and_swap_bytes.or(limits.memory_bytes.filter(|bytes| *bytes == -1));
    writes.add_with("memory", "memory.memsw.limit_in_bytes", "memory.swap", swap, Missing::PassedOver);
    writes.add("memory", "memory.soft_limit_in_bytes", "memory.reservation", limits.memory_reservation_bytes);
    writes.add("memory", "memory.swappiness", "memory.swappiness", limits.swappiness);
    let oom = limits.disable_oom_killer.map(u8::from).filter(|disable| *disable == 1);
    writes.add("memory", "memory.oom_control", "memory.disableOOMKiller", oom);
    check_shares(limits.cpu_shares)?;
    writes.add("cpu", "cpu.shares", "cpu.shares", limits.cpu_shares);
    writes.add("cpu", "cpu.cfs_period_us", "cpu.period", limits.cpu_period_us);
    writes.add("cpu", "cpu.cfs_quota_us", "cpu.quota", limits.cpu_quota_us);
    writes.add("cpu", "cpu.cfs_burst_us", "cpu.burst", limits.cpu_burst_us);
    writes.add("cpu", "cpu.rt_period_us", "cpu.realtimePeriod", limits.cpu_realtime_period_us);
    writes.add("cpu", "cpu.rt_runtime_us", "cpu.realtimeRuntime", limits.cpu_realtime_runtime_us);
    writes.add("cpu", "cpu.idle", "cpu.idle", limits.cpu_idle);
    writes.add("cpuset", "cpuset.cpus", "cpu.cpus", limits.cpuset_cpus.as_deref());
    writes.add("cpuset", "cpuset.mems", "cpu.mems", limits.cpuset_mems.as_deref());
    writes.add("pids", "pids.max", "pids.limit", limits.pids.map(pids_value));
    writes.add("memory", "memory.kmem.tcp.limit_in_bytes", "memory.kernelTCP", limits.kernel_tcp_bytes);
    writes.add("blkio", "blkio.leaf_weight", "blockIO.leafWeight", limits.blkio_leaf_weight);
    // The weight lies with the scheduler that honours it. Since Linux 5.0 that is BFQ, whose files are there once it has
    // been used.
    writes.add_with("blkio", "blkio.weight", "blockIO.weight", limits.blkio_weight, Missing::Next);
    writes.add("blkio", "blkio.bfq.weight", "blockIO.weight", limits.blkio_weight);
    named::add(&mut writes, &limits.named, false)?;
    Ok(writes.0)
}

/// The kernel takes any number of shares and makes it one it can work with (kernel/sched/core.c, `MIN_SHARES`): said in
/// runc's words, which it finds by reading back.
fn check_shares(shares: Option<u64>) -> Result<(), CgroupError> {
    const LOWEST: u64 = 2;
    const HIGHEST: u64 = 1 << 18;
    match shares {
        Some(shares) if shares < LOWEST => Err(CgroupError::CpuShares { bound: "minimum", allowed: LOWEST }),
        Some(shares) if shares > HIGHEST => Err(CgroupError::CpuShares { bound: "maximum", allowed: HIGHEST }),
        _ => Ok(()),
    }
}

fn plan_v2(limits: &Limits) -> Result<Vec<Write>, CgroupError> {
    let only_v1 = [
        ("linux.resources.memory.swappiness", limits.swappiness.is_some()),
        ("linux.resources.memory.disableOOMKiller", limits.disable_oom_killer == Some(true)),
        ("linux.resources.memory.kernelTCP", limits.kernel_tcp_bytes.is_some_and(|bytes| bytes > 0)),
        ("linux.resources.blockIO.leafWeight", limits.blkio_leaf_weight.is_some()),
        ("linux.resources.cpu.realtimeRuntime", limits.cpu_realtime_runtime_us.is_some_and(|us| us != 0)),
        ("linux.resources.cpu.realtimePeriod", limits.cpu_realtime_period_us.is_some_and(|us| us != 0)),
    ];
    if let Some((limit, _)) = only_v1.into_iter().find(|(_, given)| *given) {
        return Err(CgroupError::NotInVersion { limit, version: 2 });
    }
    let mut writes = Writes::default();
    writes.add("memory", "memory.max", "memory.limit", limits.memory_bytes.map(or_max));
    let sum = limits.memory_and_swap_bytes.or(limits.memory_bytes.filter(|bytes| *bytes == -1));
    let swap = sum.map(|sum| swap_v2(sum, limits.memory_bytes));
    writes.add_with("memory", "memory.swap.max", "memory.swap", swap, Missing::PassedOver);
    writes.add("memory", "memory.low", "memory.reservation", limits.memory_reservation_bytes.map(or_max));
    let shares = limits.cpu_shares.filter(|shares| *shares != 0).map(conversion::cpu_weight);
    writes.add("cpu", "cpu.weight", "cpu.shares", shares);
    writes.add("cpu", "cpu.max", "cpu.quota", cpu_max(limits));
    writes.add("cpu", "cpu.max.burst", "cpu.burst", limits.cpu_burst_us);
    writes.add("cpu", "cpu.idle", "cpu.idle", limits.cpu_idle);
    writes.add("cpuset", "cpuset.cpus", "cpu.cpus", limits.cpuset_cpus.as_deref());
    writes.add("cpuset", "cpuset.mems", "cpu.mems", limits.cpuset_mems.as_deref());
    writes.add("pids", "pids.max", "pids.limit", limits.pids.map(pids_value));
    // With the BFQ scheduler its own file, in v1's range; else the one of the cost model.
    writes.add_with("io", "io.bfq.weight", "blockIO.weight", limits.blkio_weight, Missing::Next);
    let weight = limits.blkio_weight.map(|weight| format!("default {}", conversion::io_weight(weight)));
    writes.add("io", "io.weight", "blockIO.weight", weight);
    named::add(&mut writes, &limits.named, true)?;
    for (file, value) in &limits.unified {
        if file.contains('/') || matches!(file.as_str(), "" | "." | "..") {
            return Err(CgroupError::UnifiedName { name: file.clone() });
        }
        // A file with an entry for each device takes one in a write.
        for line in value.trim_end_matches('\n').split('\n') {
            writes.add("unified", file, &format!("unified.{file}"), Some(line));
        }
    }
    Ok(writes.0)
}

fn or_max(value: i64) -> String {
    if value < 0 { "max".to_owned() } else { value.to_string() }
}

fn pids_value(limit: i64) -> String {
    if limit < 0 { "max".to_owned() } else { limit.max(1).to_string() }
}

/// v2 counts swap alone.
fn swap_v2(memory_and_swap: i64, memory: Option<i64>) -> String {
    match memory {
        _ if memory_and_swap < 0 => "max".to_owned(),
        Some(memory) if memory > 0 => (memory_and_swap - memory).max(0).to_string(),
        _ => memory_and_swap.to_string(),
    }
}

/// Both lie in one file, which keeps the period when only a quota is written; [`Cgroup::limit`] knows the quota that is
/// to be kept with a new period.
fn cpu_max(limits: &Limits) -> Option<String> {
    let quota = limits.cpu_quota_us.filter(|quota| *quota != 0);
    let period = limits.cpu_period_us.filter(|period| *period != 0);
    match (quota.map(or_max), period) {
        (None, None) => None,
        (Some(quota), None) => Some(quota),
        (quota, Some(period)) => Some(format!("{} {period}", quota.as_deref().unwrap_or("max"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(limits: Limits, v1: &[(&str, &str)], v2: &[(&str, &str)]) {
        for (is_v2, expected) in [(false, v1), (true, v2)] {
            let writes = plan(&limits, is_v2).expect("possible in both versions");
            let found: Vec<_> = writes.iter().map(|write| (write.file.as_str(), write.value.as_str())).collect();
            assert_eq!(found, expected, "v2: {is_v2}");
        }
    }

    #[test]
    fn memory() {
        check(
            Limits { memory_bytes: Some(32 << 20), memory_and_swap_bytes: Some(64 << 20), ..Limits::default() },
            &[("memory.limit_in_bytes", "33554432"), ("memory.memsw.limit_in_bytes", "67108864")],
            &[("memory.max", "33554432"), ("memory.swap.max", "33554432")],
        );
        check(
            Limits { memory_bytes: Some(-1), memory_and_swap_bytes: Some(-1), ..Limits::default() },
            &[("memory.limit_in_bytes", "-1"), ("memory.memsw.limit_in_bytes", "-1")],
            &[("memory.max", "max"), ("memory.swap.max", "max")],
        );
        // What is not limited alone is not limited together with swap.
        check(
            Limits { memory_bytes: Some(-1), ..Limits::default() },
            &[("memory.limit_in_bytes", "-1"), ("memory.memsw.limit_in_bytes", "-1")],
            &[("memory.max", "max"), ("memory.swap.max", "max")],
        );
    }

    #[test]
    fn cpu() {
        check(
            Limits { cpu_quota_us: Some(50_000), cpu_shares: Some(1024), ..Limits::default() },
            &[("cpu.shares", "1024"), ("cpu.cfs_quota_us", "50000")],
            &[("cpu.weight", "100"), ("cpu.max", "50000")],
        );
        check(
            Limits { cpu_quota_us: Some(-1), cpu_period_us: Some(20_000), ..Limits::default() },
            &[("cpu.cfs_period_us", "20000"), ("cpu.cfs_quota_us", "-1")],
            &[("cpu.max", "max 20000")],
        );
    }

    #[test]
    fn a_period_alone_keeps_the_quota_of_v2() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let file = directory.path().join("cpu.max");
        let cgroup = Cgroup::from_paths(&BTreeMap::from([(String::new(), directory.path().to_owned())]));
        for (before, after) in [("30000 100000\n", "30000 50000"), ("max 100000\n", "max 50000")] {
            std::fs::write(&file, before).expect("writes");
            cgroup.limit(&Limits { cpu_period_us: Some(50_000), ..Limits::default() }).expect("written");
            let written = std::fs::read_to_string(&file).expect("there");
            assert!(written.starts_with(after), "{written:?}");
        }
    }

    #[test]
    fn every_file_of_v1_is_written() {
        let limits = Limits {
            memory_and_swap_bytes: Some(1),
            memory_reservation_bytes: Some(2),
            swappiness: Some(3),
            disable_oom_killer: Some(true),
            cpu_burst_us: Some(4),
            cpu_realtime_runtime_us: Some(5),
            cpu_realtime_period_us: Some(6),
            cpu_idle: Some(1),
            blkio_leaf_weight: Some(7),
            blkio_weight: Some(8),
            kernel_tcp_bytes: Some(9),
            ..Limits::default()
        };
        let writes = plan(&limits, false).expect("v1 has them all");
        let found: Vec<_> = writes.iter().map(|write| (write.file.as_str(), write.value.as_str())).collect();
        for expected in [
            ("memory.memsw.limit_in_bytes", "1"),
            ("memory.soft_limit_in_bytes", "2"),
            ("memory.swappiness", "3"),
            ("memory.oom_control", "1"),
            ("cpu.cfs_burst_us", "4"),
            ("cpu.rt_runtime_us", "5"),
            ("cpu.rt_period_us", "6"),
            ("cpu.idle", "1"),
            ("blkio.leaf_weight", "7"),
            ("memory.kmem.tcp.limit_in_bytes", "9"),
            ("blkio.weight", "8"),
            ("blkio.bfq.weight", "8"),
        ] {
            assert!(found.contains(&expected), "{expected:?} in {found:?}");
        }
    }

    #[test]
    fn shares_that_v1_would_change_are_refused() {
        for (shares, said) in
            [(1, "the minimum allowed cpu-shares is 2"), (262_145, "the maximum allowed cpu-shares is 262144")]
        {
            let limits = Limits { cpu_shares: Some(shares), ..Limits::default() };
            assert_eq!(plan(&limits, false).expect_err("not taken").to_string(), said);
            let _ = plan(&limits, true).expect("v2 has weights, at whose ends they stand");
        }
        for shares in [2, 262_144] {
            let _ = plan(&Limits { cpu_shares: Some(shares), ..Limits::default() }, false).expect("taken");
        }
    }

    #[test]
    fn each_line_of_a_unified_value_is_a_write() {
        let unified = [("io.max", "8:0 riops=1\n8:16 wiops=2\n"), ("memory.high", "77"), ("cgroup.freeze", "")];
        let unified = unified.map(|(file, value)| (file.to_owned(), value.to_owned()));
        let limits = Limits { unified: BTreeMap::from(unified), ..Limits::default() };
        let writes = plan(&limits, true).expect("v2 has them");
        let found: Vec<_> = writes.iter().map(|write| (write.file.as_str(), write.value.as_str())).collect();
        let expected =
            [("cgroup.freeze", ""), ("io.max", "8:0 riops=1"), ("io.max", "8:16 wiops=2"), ("memory.high", "77")];
        assert_eq!(found, expected);
    }

    #[test]
    fn pids() {
        for (limit, expected) in [(100, "100"), (0, "1"), (-1, "max")] {
            let limits = Limits { pids: Some(limit), ..Limits::default() };
            check(limits, &[("pids.max", expected)], &[("pids.max", expected)]);
        }
    }

    #[test]
    fn weights_are_converted_at_both_ends_of_their_range() {
        for (shares, weight) in [
            (0, 1),
            (2, 1),
            (3, 2),
            (512, 59),
            (1024, 100),
            (2048, 174),
            (262_143, 10_000),
            (262_144, 10_000),
            (u64::MAX, 10_000),
        ] {
            assert_eq!(conversion::cpu_weight(shares), weight, "{shares}");
        }
        for (blkio, io) in [(10, 1), (500, 4950), (1000, 10_000)] {
            assert_eq!(conversion::io_weight(blkio), io, "{blkio}");
        }
    }

    #[test]
    fn a_limit_the_version_does_not_have_is_refused_by_name() {
        let swappiness = Limits { swappiness: Some(10), ..Limits::default() };
        let error = plan(&swappiness, true).expect_err("v2 has none").to_string();
        assert_eq!(error, "linux.resources.memory.swappiness: invalid configuration: not possible with cgroup v2");
        let unified = Limits { unified: BTreeMap::from([("a".to_owned(), "b".to_owned())]), ..Limits::default() };
        let error = plan(&unified, false).expect_err("v1 has none").to_string();
        assert_eq!(error, "linux.resources.unified: invalid configuration: not possible with cgroup v1");
    }
}
