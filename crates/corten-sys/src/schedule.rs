//! How the kernel shares time with a process: sched_setattr(2), ioprio_set(2), sched_setaffinity(2); and which machine
//! it believes to run on: personality(2). Nothing here allocates.

use std::io;

use crate::{cvt, cvt_int};

/// What sched_setattr(2) takes, by its field names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scheduler {
    /// `SCHED_…`.
    pub policy: u32,
    /// `SCHED_FLAG_…`.
    pub flags: u64,
    /// -20 to 19, for the ordinary policies.
    pub nice: i32,
    /// 1 to 99, for the realtime policies.
    pub priority: u32,
    /// Nanoseconds in a period, for the deadline policy.
    pub runtime_ns: u64,
    /// Nanoseconds until the time must have been given.
    pub deadline_ns: u64,
    /// Nanoseconds of a period.
    pub period_ns: u64,
}

/// `struct sched_attr`, in its first size.
#[repr(C)]
struct Attributes {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
}

/// Names of policies in runtime-spec, and their numbers in `linux/sched.h`. SCHED_ISO was never built.
pub const POLICIES: [(&str, u32); 6] = [
    ("SCHED_OTHER", 0),
    ("SCHED_FIFO", 1),
    ("SCHED_RR", 2),
    ("SCHED_BATCH", 3),
    ("SCHED_IDLE", 5),
    ("SCHED_DEADLINE", 6),
];

/// Names of flags in runtime-spec, and their bits. Those of utilisation clamps need values that it has no field for.
pub const FLAGS: [(&str, u64); 5] = [
    ("SCHED_FLAG_RESET_ON_FORK", 0x01),
    ("SCHED_FLAG_RECLAIM", 0x02),
    ("SCHED_FLAG_DL_OVERRUN", 0x04),
    ("SCHED_FLAG_KEEP_POLICY", 0x08),
    ("SCHED_FLAG_KEEP_PARAMS", 0x10),
];

/// Sets the policy of the calling process.
///
/// # Errors
/// `EPERM` without CAP_SYS_NICE, `EINVAL`, `EBUSY` when a deadline cannot be kept.
pub fn set_scheduler(scheduler: &Scheduler) -> io::Result<()> {
    let attributes = Attributes {
        size: size_of::<Attributes>() as u32,
        policy: scheduler.policy,
        flags: scheduler.flags,
        nice: scheduler.nice,
        priority: scheduler.priority,
        runtime: scheduler.runtime_ns,
        deadline: scheduler.deadline_ns,
        period: scheduler.period_ns,
    };
    // SAFETY: the structure begins with its own size and is only read.
    cvt(unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) })?;
    Ok(())
}

/// Sets the class (1 realtime, 2 best effort, 3 idle) and priority of block device access of the calling process.
///
/// # Errors
/// `EPERM` for the realtime class without CAP_SYS_ADMIN, `EINVAL`.
pub fn set_io_priority(class: u16, priority: u16) -> io::Result<()> {
    const WHO_PROCESS: libc::c_int = 1;
    let value = libc::c_int::from(class) << 13 | libc::c_int::from(priority);
    // SAFETY: ioprio_set takes three integers.
    cvt(unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, 0, value) })?;
    Ok(())
}

/// Sets the execution domain.
///
/// # Errors
/// `EINVAL`.
pub fn set_personality(domain: u32) -> io::Result<()> {
    // SAFETY: personality takes an integer.
    cvt_int(unsafe { libc::personality(libc::c_ulong::from(domain)) })?;
    Ok(())
}

/// A set of CPUs, as many as the kernel's usual limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuSet([u64; 128]);

impl CpuSet {
    /// Every CPU that there may ever be: the kernel leaves out those it does not have, and while they are outside the
    /// process's cpuset, those.
    pub const ALL: Self = Self([u64::MAX; 128]);

    /// The set of a list such as `0-2,7`; `None` when it is not one, or empty.
    #[must_use]
    pub fn parse(list: &str) -> Option<Self> {
        let mut set = Self([0; 128]);
        for range in list.split(',') {
            let (first, last) = range.trim().split_once('-').unwrap_or((range.trim(), range.trim()));
            let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
            if first > last || last >= set.0.len() * 64 {
                return None;
            }
            (first..=last).for_each(|cpu| set.0[cpu / 64] |= 1 << (cpu % 64));
        }
        Some(set)
    }
}

/// Sets on which CPUs the calling process may run.
///
/// # Errors
/// `EINVAL` when none of them is there, or none is in the process's cpuset.
pub fn set_affinity(set: &CpuSet) -> io::Result<()> {
    // SAFETY: pointer and length describe the set, which is only read.
    cvt(unsafe { libc::syscall(libc::SYS_sched_setaffinity, 0, size_of_val(&set.0), set.0.as_ptr()) })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cpus_are_read() {
        let set = CpuSet::parse("0-2, 65").expect("a list");
        assert_eq!((set.0[0], set.0[1]), (7, 2));
        for list in ["", "a", "2-1", "0-9999", "1,"] {
            assert_eq!(CpuSet::parse(list), None, "{list:?}");
        }
    }
}
