//! `process.scheduler`, `ioPriority`, `execCPUAffinity`, and `linux.personality`.

use corten_sys::schedule::{CpuSet, FLAGS, POLICIES, Scheduler};

use super::invalid;
use crate::spec::{CpuAffinity, IoPriority, Personality, Scheduler as SpecScheduler, SpecError};

/// On which CPUs an exec runs: until it is in the container's cgroup, and from then on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Affinity {
    /// Until then.
    pub initial: Option<CpuSet>,
    /// From then on.
    pub last: Option<CpuSet>,
}

impl Affinity {
    /// Where the process ends up once it is in the container's cgroup; `None` for where it is. Without a word in the
    /// specification not where the caller happens to be bound to, but on every CPU of the cgroup.
    #[must_use]
    pub const fn in_cgroup(&self) -> Option<&CpuSet> {
        match (&self.initial, &self.last) {
            (_, Some(last)) => Some(last),
            (Some(_), None) => None,
            (None, None) => Some(&CpuSet::ALL),
        }
    }
}

pub(super) fn scheduler(given: &SpecScheduler) -> Result<Scheduler, SpecError> {
    let key = |name: &str| format!("process.scheduler.{name}");
    let policy = POLICIES.iter().find(|(name, _)| *name == given.policy);
    let Some((name, policy)) = policy else {
        return Err(invalid(key("policy"), format!("{:?} is no policy of this kernel", given.policy)));
    };
    let is_realtime = matches!(*name, "SCHED_FIFO" | "SCHED_RR");
    if given.priority != 0 && !is_realtime {
        return Err(invalid(key("priority"), "has a meaning with SCHED_FIFO and SCHED_RR only"));
    }
    let has_times = given.runtime != 0 || given.deadline != 0 || given.period != 0;
    if has_times && *name != "SCHED_DEADLINE" {
        return Err(invalid(key("runtime"), "runtime, deadline and period have a meaning with SCHED_DEADLINE only"));
    }
    let mut flags = 0;
    for given in &given.flags {
        let flag = FLAGS.iter().find(|(name, _)| name == given);
        flags |= flag.ok_or_else(|| invalid(key("flags"), format!("{given:?} is not supported")))?.1;
    }
    let priority = u32::try_from(given.priority).map_err(|_| invalid(key("priority"), "is negative"))?;
    Ok(Scheduler {
        policy: *policy,
        flags,
        nice: given.nice,
        priority,
        runtime_ns: given.runtime,
        deadline_ns: given.deadline,
        period_ns: given.period,
    })
}

/// Class and priority.
pub(super) fn io_priority(given: &IoPriority) -> Result<(u16, u16), SpecError> {
    let class = match given.class.as_str() {
        "IOPRIO_CLASS_RT" => 1,
        "IOPRIO_CLASS_BE" => 2,
        "IOPRIO_CLASS_IDLE" => 3,
        other => return Err(invalid("process.ioPriority.class", format!("{other:?} is no class"))),
    };
    let priority = u16::try_from(given.priority).ok().filter(|priority| *priority <= 7);
    let priority = priority.ok_or_else(|| invalid("process.ioPriority.priority", "must be 0 to 7"))?;
    Ok((class, priority))
}

pub(super) fn affinity(given: &CpuAffinity) -> Result<Affinity, SpecError> {
    let set = |name: &str, list: &str| match list {
        "" => Ok(None),
        list => CpuSet::parse(list)
            .map(Some)
            .ok_or_else(|| invalid(format!("process.execCPUAffinity.{name}"), format!("{list:?} is no list of CPUs"))),
    };
    Ok(Affinity { initial: set("initial", &given.initial)?, last: set("final", &given.last)? })
}

/// The number of the execution domain.
pub(super) fn personality(given: &Personality) -> Result<u32, SpecError> {
    if let Some(flag) = given.flags.first() {
        return Err(invalid(
            "linux.personality.flags",
            format!("{flag:?} is not supported: the specification has none"),
        ));
    }
    match given.domain.as_str() {
        "LINUX" => Ok(0),
        "LINUX32" => Ok(8),
        other => Err(invalid("linux.personality.domain", format!("{other:?} is no domain: LINUX or LINUX32"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_word_every_cpu_of_the_cgroup_is_allowed() {
        let set = |list: &str| CpuSet::parse(list);
        for (initial, last, found) in [
            (None, None, Some(CpuSet::ALL)),
            (set("0"), None, None),
            (None, set("1"), set("1")),
            (set("0"), set("1"), set("1")),
        ] {
            assert_eq!(Affinity { initial, last }.in_cgroup(), found.as_ref());
        }
    }

    #[test]
    fn policies_take_their_own_fields_only() {
        let with = |json: &str| scheduler(&serde_json::from_str(json).expect(json)).map_err(|error| error.to_string());
        let found = with(r#"{"policy":"SCHED_BATCH","nice":5,"flags":["SCHED_FLAG_RESET_ON_FORK"]}"#).expect("plans");
        assert_eq!((found.policy, found.nice, found.flags), (3, 5, 1));
        for (json, problem) in [
            (r#"{"policy":"SCHED_ISO"}"#, "process.scheduler.policy: \"SCHED_ISO\" is no policy of this kernel"),
            (
                r#"{"policy":"SCHED_OTHER","priority":1}"#,
                "process.scheduler.priority: has a meaning with SCHED_FIFO and SCHED_RR only",
            ),
            (
                r#"{"policy":"SCHED_OTHER","flags":["SCHED_FLAG_UTIL_CLAMP_MIN"]}"#,
                "process.scheduler.flags: \"SCHED_FLAG_UTIL_CLAMP_MIN\" is not supported",
            ),
        ] {
            assert_eq!(with(json).expect_err(json), problem);
        }
    }
}
