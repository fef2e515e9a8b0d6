//! What is counted beyond [`crate::Stats`]: what `events` of a runtime prints and nobody else asks for.

use std::fs;
use std::path::Path;

use crate::place::Cgroup;
use crate::stats::{limit, number, numbers, pairs, text};

/// The rest of what is counted; what the machine does not count stays empty.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Detail {
    /// CPU time in the kernel, per CPU, in nanoseconds; v1 only.
    pub per_cpu_kernel_ns: Vec<u64>,
    /// CPU time in user space, per CPU, in nanoseconds; v1 only.
    pub per_cpu_user_ns: Vec<u64>,
    /// The set of CPUs and memory nodes; v1 only.
    pub cpuset: Option<Cpuset>,
    /// Memory of the kernel; v1 only.
    pub kernel: Usage,
    /// Memory of the kernel for sockets; v1 only.
    pub kernel_tcp: Usage,
    /// Memory and swap together.
    pub memory_and_swap: Usage,
    /// Huge pages by size, such as `2MB`.
    pub huge_pages: Vec<(String, Usage)>,
    /// Block devices, by what is counted.
    pub block: Vec<(BlockCounter, Vec<BlockEntry>)>,
    /// How long processes waited for CPU, memory, block devices; v2 only.
    pub pressure: [Option<Pressure>; 3],
}

/// Use of something with a limit, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// In use.
    pub usage: u64,
    /// The highest use.
    pub max: u64,
    /// The limit.
    pub limit: u64,
    /// How often the limit was reached.
    pub failures: u64,
}

/// A cpuset of v1: files and their numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cpuset {
    /// CPUs.
    pub cpus: Vec<u16>,
    /// Memory nodes.
    pub mems: Vec<u16>,
    /// The other files by name without `cpuset.`, in the order of [`CPUSET_FLAGS`].
    pub flags: Vec<i64>,
}

/// The files of a v1 cpuset beside its sets.
pub const CPUSET_FLAGS: [&str; 9] = [
    "cpu_exclusive",
    "mem_hardwall",
    "mem_exclusive",
    "memory_migrate",
    "memory_spread_page",
    "memory_spread_slab",
    "memory_pressure",
    "sched_load_balance",
    "sched_relax_domain_level",
];

/// What is counted of a block device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockCounter {
    /// Bytes.
    ServiceBytes,
    /// Operations.
    Serviced,
    /// Operations waiting.
    Queued,
    /// Nanoseconds of work.
    ServiceTime,
    /// Nanoseconds of waiting.
    WaitTime,
    /// Operations merged into others.
    Merged,
    /// Milliseconds of the device.
    Time,
    /// Sectors.
    Sectors,
}

/// The files of BFQ, and of throttling for the two that every kernel has.
const BLOCK_FILES: [(BlockCounter, &[&str]); 8] = [
    (
        BlockCounter::ServiceBytes,
        &["blkio.bfq.io_service_bytes_recursive", "blkio.throttle.io_service_bytes_recursive"],
    ),
    (BlockCounter::Serviced, &["blkio.bfq.io_serviced_recursive", "blkio.throttle.io_serviced_recursive"]),
    (BlockCounter::Queued, &["blkio.bfq.io_queued_recursive"]),
    (BlockCounter::ServiceTime, &["blkio.bfq.io_service_time_recursive"]),
    (BlockCounter::WaitTime, &["blkio.bfq.io_wait_time_recursive"]),
    (BlockCounter::Merged, &["blkio.bfq.io_merged_recursive"]),
    (BlockCounter::Time, &["blkio.bfq.time_recursive"]),
    (BlockCounter::Sectors, &["blkio.bfq.sectors_recursive"]),
];

/// One number of one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockEntry {
    /// The device.
    pub device: (u64, u64),
    /// `Read`, `Write`, `Discard`, `Total` …; empty where the kernel does not tell them apart.
    pub operation: String,
    /// The number.
    pub value: u64,
}

/// Time lost to waiting: by some, and by all processes at once.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Pressure {
    /// By some.
    pub some: Waited,
    /// By all.
    pub full: Waited,
}

/// Shares of time in percent over 10, 60 and 300 seconds, and microseconds in all.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Waited {
    /// The shares.
    pub average: [f64; 3],
    /// All of it in microseconds.
    pub total_us: u64,
}

impl Cgroup {
    /// Reads what [`Cgroup::stats`] leaves out.
    #[must_use]
    pub fn detail(&self) -> Detail {
        match self.unified().filter(|_| self.is_v2()) {
            Some(path) => v2(path),
            None => self.v1_detail(),
        }
    }

    fn v1_detail(&self) -> Detail {
        let mut detail = Detail::default();
        if let Some(path) = self.v1("cpuacct") {
            // One line per CPU below a heading: number, user, system.
            for line in text(path, "cpuacct.usage_all").lines().skip(1) {
                let mut words = line.split_whitespace().skip(1).filter_map(|word| word.parse::<u64>().ok());
                detail.per_cpu_user_ns.extend(words.next());
                detail.per_cpu_kernel_ns.extend(words.next());
            }
        }
        detail.cpuset = self.v1("cpuset").map(cpuset);
        if let Some(path) = self.v1("memory") {
            detail.memory_and_swap = usage(path, "memory.memsw");
            detail.kernel = usage(path, "memory.kmem");
            detail.kernel_tcp = usage(path, "memory.kmem.tcp");
        }
        if let Some(path) = self.v1("blkio") {
            for (counter, files) in BLOCK_FILES {
                let found = files.iter().map(|file| text(path, file)).find(|text| !text.is_empty());
                let entries: Vec<_> = found.iter().flat_map(|text| text.lines()).filter_map(block_entry).collect();
                detail.block.push((counter, entries));
            }
        }
        if let Some(path) = self.v1("hugetlb") {
            let size = |name: &str| {
                Some(name.strip_prefix("hugetlb.")?.strip_suffix(".usage_in_bytes")?.to_owned())
                    .filter(|size| !size.contains("rsvd"))
            };
            detail.huge_pages = sizes(path, size, |size| usage(path, &format!("hugetlb.{size}")));
        }
        detail
    }
}

fn v2(path: &Path) -> Detail {
    let memory = (number(path, "memory.current"), limit(path, "memory.max"));
    let swap = (number(path, "memory.swap.current"), limit(path, "memory.swap.max"));
    let mut bytes = Vec::new();
    let mut operations = Vec::new();
    for line in text(path, "io.stat").lines() {
        let Some((device, rest)) = line.split_once(' ') else { continue };
        let Some(device) = numbers(device) else { continue };
        for (name, value) in rest.split(' ').filter_map(|word| word.split_once('=')) {
            let (list, operation) = match name {
                "rbytes" => (&mut bytes, "Read"),
                "wbytes" => (&mut bytes, "Write"),
                "dbytes" => (&mut bytes, "Discard"),
                "rios" => (&mut operations, "Read"),
                "wios" => (&mut operations, "Write"),
                "dios" => (&mut operations, "Discard"),
                _ => continue,
            };
            list.push(BlockEntry { device, operation: operation.to_owned(), value: value.parse().unwrap_or(0) });
        }
    }
    let size = |name: &str| {
        let size = name.strip_prefix("hugetlb.")?.strip_suffix(".current")?;
        (!size.contains("rsvd")).then(|| size.to_owned())
    };
    Detail {
        memory_and_swap: Usage {
            usage: memory.0.saturating_add(swap.0),
            limit: memory.1.saturating_add(swap.1),
            ..Usage::default()
        },
        block: vec![(BlockCounter::ServiceBytes, bytes), (BlockCounter::Serviced, operations)],
        huge_pages: sizes(path, size, |size| Usage {
            usage: number(path, &format!("hugetlb.{size}.current")),
            failures: pairs(&text(path, &format!("hugetlb.{size}.events"))).first().map_or(0, |(_, value)| *value),
            ..Usage::default()
        }),
        pressure: ["cpu.pressure", "memory.pressure", "io.pressure"].map(|file| pressure(&text(path, file))),
        ..Detail::default()
    }
}

fn usage(path: &Path, prefix: &str) -> Usage {
    let number = |name: &str| number(path, &format!("{prefix}.{name}"));
    Usage {
        usage: number("usage_in_bytes"),
        max: number("max_usage_in_bytes"),
        limit: number("limit_in_bytes"),
        failures: number("failcnt"),
    }
}

fn sizes(path: &Path, size: impl Fn(&str) -> Option<String>, read: impl Fn(&str) -> Usage) -> Vec<(String, Usage)> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let mut sizes: Vec<_> = entries.filter_map(|entry| size(entry.file_name().to_str()?)).collect();
    sizes.sort_unstable();
    sizes.into_iter().map(|size| (size.clone(), read(&size))).collect()
}

fn cpuset(path: &Path) -> Cpuset {
    let number = |name: &str| text(path, &format!("cpuset.{name}")).trim().parse().unwrap_or(0);
    Cpuset {
        cpus: set(&text(path, "cpuset.cpus")),
        mems: set(&text(path, "cpuset.mems")),
        flags: CPUSET_FLAGS.into_iter().map(number).collect(),
    }
}

/// `0-2,7` as numbers.
fn set(text: &str) -> Vec<u16> {
    let ranges = text.trim().split(',').filter_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(first.parse::<u16>().ok()?..=last.parse::<u16>().ok()?)
    });
    ranges.flatten().collect()
}

/// A line such as `254:0 Read 4096`, or `254:0 17`.
fn block_entry(line: &str) -> Option<BlockEntry> {
    let mut words = line.split_whitespace();
    let device = numbers(words.next()?)?;
    let second = words.next()?;
    let (operation, value) = match words.next() {
        Some(value) => (second, value),
        None => ("", second),
    };
    Some(BlockEntry { device, operation: operation.to_owned(), value: value.parse().ok()? })
}

fn pressure(text: &str) -> Option<Pressure> {
    let mut pressure = Pressure::default();
    for line in text.lines() {
        let (kind, rest) = line.split_once(' ')?;
        let waited = if kind == "some" { &mut pressure.some } else { &mut pressure.full };
        for (name, value) in rest.split(' ').filter_map(|word| word.split_once('=')) {
            match name {
                "avg10" => waited.average[0] = value.parse().ok()?,
                "avg60" => waited.average[1] = value.parse().ok()?,
                "avg300" => waited.average[2] = value.parse().ok()?,
                _ => waited.total_us = value.parse().ok()?,
            }
        }
    }
    (!text.is_empty()).then_some(pressure)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::Directory;

    #[test]
    fn sets_and_lines_are_read() {
        assert_eq!(set("0-2,7\n"), [0, 1, 2, 7]);
        assert_eq!(set("\n"), [0_u16; 0]);
        let entry = |device, operation: &str, value| Some(BlockEntry { device, operation: operation.into(), value });
        assert_eq!(block_entry("254:0 Read 4096"), entry((254, 0), "Read", 4096));
        assert_eq!(block_entry("8:16 17"), entry((8, 16), "", 17));
        assert_eq!(block_entry("Total 4608"), None);
        let found =
            pressure("some avg10=1.50 avg60=0.00 avg300=0.00 total=12\nfull avg10=0.25 avg60=0 avg300=0 total=3\n");
        let found = found.expect("two lines");
        assert_eq!((found.some.average[0], found.some.total_us, found.full.total_us), (1.5, 12, 3));
        assert_eq!(pressure(""), None);
    }

    #[test]
    fn huge_pages_are_found_by_their_files() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        for (name, value) in
            [("usage_in_bytes", "4096"), ("limit_in_bytes", "8192"), ("failcnt", "3"), ("rsvd.usage_in_bytes", "1")]
        {
            fs::write(directory.path().join(format!("hugetlb.2MB.{name}")), value).expect("writes");
        }
        let hugetlb = Directory { controllers: vec!["hugetlb".to_owned()], path: directory.path().to_owned() };
        let detail = Cgroup { directories: vec![hugetlb] }.detail();
        assert_eq!(detail.huge_pages, [("2MB".to_owned(), Usage { usage: 4096, max: 0, limit: 8192, failures: 3 })]);
    }
}
