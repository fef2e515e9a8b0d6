//! What an operation costs: time, processor and memory.

use std::{
    collections::BTreeSet,
    fs,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::memory::pss_mib;

/// Ticks of /proc/PID/stat in a second, on every architecture that Debian has.
const TICKS: u32 = 100;
/// How often memory is looked at.
const SAMPLE_EVERY: Duration = Duration::from_millis(20);

/// One turn: from start to end, and what the processes at work used of the processors.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost {
    pub time: Duration,
    pub cpu: Duration,
}

impl Cost {
    /// The turn that took less time.
    pub fn best(self, other: Cost) -> Cost {
        if other.time < self.time { other } else { self }
    }
}

/// Measures `work` with nothing in the page cache and nothing left to write: the commands it runs, and the daemons
/// `daemons` with what they start.
pub fn cold(daemons: &[u32], work: impl FnOnce()) -> Cost {
    drop_caches();
    let before = used(daemons);
    let started = Instant::now();
    work();
    let time = started.elapsed();
    Cost { time, cpu: used(daemons).saturating_sub(before) }
}

fn drop_caches() {
    let _ = Command::new("sync").status().expect("sync is there");
    fs::write("/proc/sys/vm/drop_caches", "3").expect("only root measures");
}

/// What these used, each with the children it has waited for, and the commands this program has waited for.
fn used(daemons: &[u32]) -> Duration {
    let own = ticks("self", 2..4);
    let theirs: u32 = daemons.iter().map(|pid| ticks(&pid.to_string(), 0..4)).sum();
    Duration::from_secs(1) * (own + theirs) / TICKS
}

/// Some of user, system, children's user and children's system time (proc(5), "stat", from the 14th).
fn ticks(pid: &str, which: std::ops::Range<usize>) -> u32 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process runs");
    let (_, after) = stat.rsplit_once(')').expect("the name stands in brackets");
    let times = after.split_whitespace().skip(11).take(4).map(|field| field.parse::<u32>().expect("it is a number"));
    times.skip(which.start).take(which.len()).sum()
}

/// The most that `daemons` and what they started had in memory together while `work` ran, PSS in MiB.
pub fn peak(daemons: &[u32], work: impl FnOnce()) -> f64 {
    drop_caches();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let sampler = scope.spawn(|| {
            let mut peak: f64 = 0.0;
            while !is_over.load(Ordering::Relaxed) {
                peak = peak.max(family(daemons).into_iter().map(pss_mib).sum());
                thread::park_timeout(SAMPLE_EVERY);
            }
            peak
        });
        work();
        is_over.store(true, Ordering::Relaxed);
        sampler.thread().unpark();
        sampler.join().expect("it only reads")
    })
}

/// Processes and what they started (proc_pid_children(5)); cortend starts its supervisor, which stands there once.
fn family(daemons: &[u32]) -> BTreeSet<u32> {
    let mut all: BTreeSet<u32> = daemons.iter().copied().collect();
    for pid in daemons {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        for list in tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok()) {
            all.extend(list.split_whitespace().filter_map(|id| id.parse::<u32>().ok()));
        }
    }
    all
}
