//! `events`: what a container uses and when it runs out of memory, one JSON object a line, as runc has it.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use corten_cgroups::{
    BlockCounter, CPUSET_FLAGS, Cgroup, CgroupError, Detail, OomWatch, Pressure, Stats, Usage, Waited,
};
use corten_runtime_api::arguments::Events;
use corten_sys::descriptors::wait_readable;
use corten_sys::pidfd::PidFd;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::container::Container;
use crate::state_dir::StateError;

/// Why events could not be shown.
#[derive(Debug, thiserror::Error)]
pub enum EventsError {
    /// The container could not be found.
    #[error(transparent)]
    State(#[from] StateError),
    /// Its cgroup could not be read.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// It has ended.
    #[error("container with id {0} is not running")]
    NotRunning(String),
    /// It was made by a user who may make no cgroup.
    #[error("container {0} has no cgroup: nothing counts what it uses")]
    NoCgroup(String),
    /// Nobody reads the events, or the kernel does not tell them.
    #[error("write events")]
    Write(#[source] io::Error),
}

/// Prints events until the container's first process ends; with `--stats` one of what is used.
///
/// # Errors
/// [`EventsError`].
pub fn events(root: &Path, arguments: &Events) -> Result<(), EventsError> {
    let container = Container::load(root, &arguments.id)?;
    let Some(init) = container.init() else { return Err(EventsError::NotRunning(arguments.id.clone())) };
    let cgroup = container.record.cgroup();
    if cgroup.directories().is_empty() {
        return Err(EventsError::NoCgroup(arguments.id.clone()));
    }
    if arguments.stats {
        return print("stats", &arguments.id, Some(used(&cgroup)?));
    }
    let oom = cgroup.watch_oom()?;
    follow(&arguments.id, &cgroup, &init, oom, arguments.interval)
}

fn follow(
    id: &str,
    cgroup: &Cgroup,
    init: &PidFd,
    mut oom: Option<OomWatch>,
    interval: Duration,
) -> Result<(), EventsError> {
    let mut due = Instant::now() + interval;
    loop {
        let left = due.saturating_duration_since(Instant::now()).as_nanos().div_ceil(1_000_000);
        let left = i32::try_from(left).unwrap_or(i32::MAX);
        let memory = oom.as_ref().map_or(init.as_fd(), AsFd::as_fd);
        let [ended, out_of_memory] = wait_readable([init.as_fd(), memory], Some(left)).map_err(EventsError::Write)?;
        // The watch first: memory may have run out for the process that has ended.
        if out_of_memory {
            match oom.as_mut().map(OomWatch::take) {
                Some(Ok(true)) => print("oom", id, None)?,
                Some(Err(_)) => oom = None, // the cgroup is gone
                _ => {}
            }
        }
        if ended {
            return Ok(());
        }
        if Instant::now() >= due {
            print("stats", id, Some(used(cgroup)?))?;
            due = Instant::now() + interval;
        }
    }
}

/// In runc's order, which scripts match by its beginning.
#[derive(Serialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Value>,
}

fn print(kind: &str, id: &str, data: Option<Value>) -> Result<(), EventsError> {
    let event = serde_json::to_string(&Event { kind, id, data });
    let event = event.map_err(|error| EventsError::Write(error.into()))?;
    let mut out = io::stdout().lock();
    writeln!(out, "{event}").and_then(|()| out.flush()).map_err(EventsError::Write)
}

fn used(cgroup: &Cgroup) -> Result<Value, CgroupError> {
    Ok(data(&cgroup.stats()?, &cgroup.detail(), cgroup.is_v2()))
}

/// The keys are runc's; those it leaves out when they are 0 are left out, too.
fn data(stats: &Stats, detail: &Detail, is_v2: bool) -> Value {
    let (cpu, memory) = (&stats.cpu, &stats.memory);
    let usage = without_zeros(
        json!({"total": cpu.total_ns, "percpu": cpu.per_cpu_ns, "percpu_kernel": detail.per_cpu_kernel_ns,
               "percpu_user": detail.per_cpu_user_ns, "kernel": cpu.kernel_ns, "user": cpu.user_ns}),
        &["kernel", "user"],
    );
    let throttling = json!({"periods": cpu.periods, "throttledPeriods": cpu.throttled_periods,
                            "throttledTime": cpu.throttled_ns});
    let of_memory = Usage {
        usage: memory.usage_bytes,
        max: memory.max_usage_bytes,
        limit: memory.limit_bytes,
        failures: memory.failures,
    };
    let raw: Map<String, Value> = memory.detail.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    let cache = memory.detail(if is_v2 { "file" } else { "cache" });
    let block: Map<String, Value> = detail
        .block
        .iter()
        .map(|(counter, entries)| {
            let entries = entries.iter().map(|entry| {
                let (major, minor) = entry.device;
                let entry = json!({"major": major, "minor": minor, "op": entry.operation, "value": entry.value});
                without_zeros(entry, &[])
            });
            (block_key(*counter).to_owned(), entries.collect())
        })
        .collect();
    let huge: Map<String, Value> = detail
        .huge_pages
        .iter()
        .map(|(size, usage)| {
            let entry = json!({"usage": usage.usage, "max": usage.max, "failcnt": usage.failures});
            (size.clone(), without_zeros(entry, &["failcnt"]))
        })
        .collect();
    let [cpu_psi, memory_psi, io_psi] = detail.pressure.map(|pressure| pressure.map(|pressure| psi(&pressure)));
    json!({
        "cpu": without_zeros(
            json!({"usage": usage, "throttling": without_zeros(throttling, &[]), "psi": cpu_psi}), &["usage"]),
        "cpuset": cpuset(detail),
        "memory": without_zeros(json!({
            "cache": cache, "usage": entry(of_memory), "swap": entry(detail.memory_and_swap),
            "kernel": entry(detail.kernel), "kernelTCP": entry(detail.kernel_tcp), "raw": raw, "psi": memory_psi}), &[]),
        "pids": without_zeros(json!({"current": stats.pids.current, "limit": stats.pids.limit}), &[]),
        "blkio": without_zeros(with(Value::Object(block), "psi", io_psi), &[]),
        "hugetlb": huge,
        "intel_rdt": {},
        "network_interfaces": null,
    })
}

fn entry(usage: Usage) -> Value {
    if usage == Usage::default() {
        return Value::Null;
    }
    let entry = json!({"limit": usage.limit, "usage": usage.usage, "max": usage.max, "failcnt": usage.failures});
    without_zeros(entry, &["limit", "failcnt"])
}

fn cpuset(detail: &Detail) -> Value {
    let set = detail.cpuset.clone().unwrap_or_default();
    let mut value = without_zeros(json!({"cpus": set.cpus, "mems": set.mems}), &[]);
    for (index, name) in CPUSET_FLAGS.into_iter().enumerate() {
        value[name] = json!(set.flags.get(index).copied().unwrap_or(0));
    }
    value
}

fn psi(pressure: &Pressure) -> Value {
    let waited = |waited: &Waited| {
        let [ten, sixty, three_hundred] = waited.average;
        json!({"avg10": ten, "avg60": sixty, "avg300": three_hundred, "total": waited.total_us})
    };
    json!({"some": waited(&pressure.some), "full": waited(&pressure.full)})
}

const fn block_key(counter: BlockCounter) -> &'static str {
    match counter {
        BlockCounter::ServiceBytes => "ioServiceBytesRecursive",
        BlockCounter::Serviced => "ioServicedRecursive",
        BlockCounter::Queued => "ioQueueRecursive",
        BlockCounter::ServiceTime => "ioServiceTimeRecursive",
        BlockCounter::WaitTime => "ioWaitTimeRecursive",
        BlockCounter::Merged => "ioMergedRecursive",
        BlockCounter::Time => "ioTimeRecursive",
        BlockCounter::Sectors => "sectorsRecursive",
    }
}

fn with(mut object: Value, key: &str, value: Option<Value>) -> Value {
    if let Some(value) = value {
        object[key] = value;
    }
    object
}

/// The object without members that say nothing, but for those in `kept`.
fn without_zeros(mut object: Value, kept: &[&str]) -> Value {
    if let Some(object) = object.as_object_mut() {
        object.retain(|name, value| {
            let says_nothing = match value {
                Value::Null => true,
                Value::Number(number) => number.as_f64() == Some(0.0),
                Value::String(text) => text.is_empty(),
                Value::Array(list) => list.is_empty(),
                Value::Object(members) => members.is_empty(),
                Value::Bool(_) => false,
            };
            !says_nothing || kept.contains(&name.as_str())
        });
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_zero_is_left_out_where_runc_leaves_it_out() {
        let found = data(&Stats::default(), &Detail::default(), false);
        assert_eq!(found["cpu"], json!({"usage": {"kernel": 0, "user": 0}}));
        assert_eq!((&found["memory"], &found["pids"], &found["blkio"]), (&json!({}), &json!({}), &json!({})));
        assert_eq!(found["cpuset"]["sched_load_balance"], 0);
        assert_eq!(found["network_interfaces"], Value::Null);
    }
}
