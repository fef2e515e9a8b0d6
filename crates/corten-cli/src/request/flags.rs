//! The flags of run and create.
//!
//! One list, of which create lacks the three that are about being attached.

use super::{devices, environment, limits, mounts, networks};
use crate::flags::{Flag, parse_bool};

/// Flags of `run`.
pub const RUN_FLAGS: &[Flag] = &[
    Flag::list("add-host", "Add a line to /etc/hosts (host:ip)").check(networks::check_host),
    Flag::list("annotation", "Pass an annotation to the runtime").kind("map"),
    Flag::list("attach", "Attach to STDIN, STDOUT or STDERR").short('a').check(check_stream),
    Flag::int("blkio-weight", "Share of block device time, 10 to 1000 (0 leaves it to the host)")
        .check(limits::check_uint16)
        .kind("uint16"),
    Flag::list("blkio-weight-device", "Share of one block device's time (path:weight)").check(check_weight),
    Flag::list("cap-add", "Grant a Linux capability"),
    Flag::list("cap-drop", "Take a Linux capability away"),
    Flag::text("cgroup-parent", "Put the container's cgroup below this one"),
    Flag::text("cgroupns", "Cgroup namespace: host or private"),
    Flag::text("cidfile", "Write the container's id to this file, which must not exist"),
    Flag::int("cpu-count", "Number of processors (Windows only)").hidden(),
    Flag::int("cpu-percent", "Percentage of processor time (Windows only)").hidden(),
    Flag::int("cpu-period", "Length of a scheduler period in microseconds"),
    Flag::int("cpu-quota", "Processor time in a period in microseconds"),
    Flag::int("cpu-rt-period", "Length of a real-time period in microseconds"),
    Flag::int("cpu-rt-runtime", "Real-time processor time in a period in microseconds"),
    Flag::int("cpu-shares", "Weight for processor time").short('c'),
    Flag::text("cpus", "Number of processors, such as 1.5").kind("decimal").check(limits::check_cpus),
    Flag::text("cpuset-cpus", "Processors to run on (0-3, 0,1)"),
    Flag::text("cpuset-mems", "Memory nodes to use (0-3, 0,1)"),
    Flag::bool("detach", "Run in the background and print the id").short('d'),
    Flag::text("detach-keys", "Keys that detach from the container"),
    Flag::list("device", "Give a device of the host (source[:target[:rwm]])"),
    Flag::list("device-cgroup-rule", "Allow a class of devices (type major:minor rwm)").check(devices::check_rule),
    Flag::list("device-read-bps", "Limit bytes read from a device in a second (path:rate)").check(check_bps),
    Flag::list("device-read-iops", "Limit reads from a device in a second (path:rate)").check(check_iops),
    Flag::list("device-write-bps", "Limit bytes written to a device in a second (path:rate)").check(check_bps),
    Flag::list("device-write-iops", "Limit writes to a device in a second (path:rate)").check(check_iops),
    Flag::bool("disable-content-trust", "Skip the verification of signatures (false: not supported yet)")
        .default("true")
        .check(check_content_trust),
    Flag::list("dns", "Use this name server").check(networks::check_address),
    Flag::list("dns-option", "Add an option to resolv.conf").alias("dns-opt"),
    Flag::list("dns-search", "Search this domain for names").check(networks::check_domain),
    Flag::text("domainname", "Domain name inside"),
    Flag::text("entrypoint", "Run this instead of the image's entrypoint"),
    Flag::list("env", "Set a variable").short('e').check(environment::check_variable),
    Flag::list("env-file", "Read variables from a file"),
    Flag::list("expose", "Declare a port or a range of ports"),
    Flag::list("gpus", "Give GPUs ('all' for every one)").kind("gpu-request").check(devices::check_gpus),
    Flag::list("group-add", "Join another group"),
    Flag::text("health-cmd", "Run this to see whether the container is healthy"),
    Flag::duration("health-interval", "Time between two checks"),
    Flag::int("health-retries", "Failed checks in a row that make it unhealthy"),
    Flag::duration("health-start-interval", "Time between two checks while it starts"),
    Flag::duration("health-start-period", "Time to start, during which failed checks do not count"),
    Flag::duration("health-timeout", "Time a check may take"),
    Flag::text("hostname", "Host name inside").short('h'),
    Flag::bool("init", "Run an init that passes signals on and reaps children"),
    Flag::bool("interactive", "Keep standard input open").short('i'),
    Flag::bytes("io-maxbandwidth", "Limit bandwidth of the system drive (Windows only)").hidden(),
    Flag::int("io-maxiops", "Limit operations on the system drive (Windows only)").kind("uint").hidden(),
    Flag::text("ip", "IPv4 address, such as 172.30.100.104"),
    Flag::text("ip6", "IPv6 address, such as 2001:db8::33"),
    Flag::text("ipc", "IPC namespace: private, shareable, host, none or container:NAME"),
    Flag::text("isolation", "Isolation technology (Windows only)").hidden(),
    Flag::bytes("kernel-memory", "Limit kernel memory"),
    Flag::list("label", "Set a label").short('l').check(environment::check_label),
    Flag::list("label-file", "Read labels from a file"),
    Flag::list("link", "Link to another container").check(networks::check_link),
    Flag::list("link-local-ip", "Add a link-local address"),
    Flag::text("log-driver", "Where output is logged"),
    Flag::list("log-opt", "Set an option of the log driver"),
    Flag::text("mac-address", "MAC address, such as 92:d0:c6:0a:29:33"),
    Flag::bytes("memory", "Limit memory").short('m'),
    Flag::bytes("memory-reservation", "Memory that is kept under pressure"),
    Flag::bytes("memory-swap", "Limit memory and swap together (-1 for no limit)").check(limits::check_swap),
    Flag::int("memory-swappiness", "How readily memory is swapped out (0 to 100)").default("-1"),
    Flag::list("mount", "Mount a directory, a volume or a tmpfs").kind("mount").check(mounts::check_mount),
    Flag::text("name", "Name of the container"),
    Flag::list("network", "Join a network, or none, host, container:NAME")
        .kind("network")
        .alias("net")
        .check(networks::check_network),
    Flag::list("network-alias", "Answer to another name in the network").alias("net-alias"),
    Flag::bool("no-healthcheck", "Do without the image's health check"),
    Flag::bool("oom-kill-disable", "Do not kill when memory runs out"),
    Flag::int("oom-score-adj", "How readily the host kills it when memory runs out (-1000 to 1000)"),
    Flag::text("pid", "PID namespace: host or container:NAME"),
    Flag::int("pids-limit", "Limit the number of processes (-1 for no limit)"),
    Flag::text("platform", "Platform of the image, such as linux/arm64"),
    Flag::bool("privileged", "Grant every privilege"),
    Flag::list("publish", "Publish a port to the host ([ip:][host:]container[/protocol])").short('p'),
    Flag::bool("publish-all", "Publish every exposed port to a free one").short('P'),
    Flag::text("pull", "When to pull the image: always, missing or never").default("missing"),
    Flag::bool("quiet", "Do not show the pull").short('q'),
    Flag::bool("read-only", "Mount the root file system read-only"),
    Flag::text("restart", "When to restart: no, on-failure[:N], always, unless-stopped").default("no"),
    Flag::bool("rm", "Remove the container when it exits"),
    Flag::text("runtime", "Runtime to use"),
    Flag::list("security-opt", "Set a security option"),
    Flag::bytes("shm-size", "Size of /dev/shm"),
    Flag::bool("sig-proxy", "Pass signals on to the container").default("true"),
    Flag::text("stop-signal", "Signal that stops it"),
    Flag::int("stop-timeout", "Seconds it may take to stop before it is killed"),
    Flag::list("storage-opt", "Set an option of its root file system"),
    Flag::list("sysctl", "Set a kernel parameter of its namespaces").kind("map").check(environment::check_sysctl),
    Flag::list("tmpfs", "Mount a tmpfs (path[:options])"),
    Flag::bool("tty", "Give it a terminal").short('t'),
    Flag::list("ulimit", "Limit a resource (name=soft[:hard])").kind("ulimit").check(check_ulimit),
    Flag::text("user", "User to run as (name|uid[:group|gid])").short('u'),
    Flag::text("userns", "User namespace: host"),
    Flag::text("uts", "UTS namespace: host"),
    Flag::list("volume", "Mount a directory or a volume (source:target[:options])").short('v'),
    Flag::text("volume-driver", "Driver of its volumes"),
    Flag::list("volumes-from", "Mount the volumes of another container"),
    Flag::text("workdir", "Directory to run in").short('w'),
];

/// Flags of `run` that `create` has not.
const ATTACHED_ONLY: [&str; 3] = ["detach", "detach-keys", "sig-proxy"];

/// Flags of `create`.
pub const CREATE_FLAGS: &[Flag] = &without_attached_only();

const fn without_attached_only() -> [Flag; RUN_FLAGS.len() - ATTACHED_ONLY.len()] {
    let mut flags = [RUN_FLAGS[0]; RUN_FLAGS.len() - ATTACHED_ONLY.len()];
    let (mut from, mut to) = (0, 0);
    while from < RUN_FLAGS.len() {
        if !is_attached_only(RUN_FLAGS[from].name) {
            flags[to] = RUN_FLAGS[from];
            to += 1;
        }
        from += 1;
    }
    flags
}

const fn is_attached_only(name: &str) -> bool {
    let mut index = 0;
    while index < ATTACHED_ONLY.len() {
        if equal(name.as_bytes(), ATTACHED_ONLY[index].as_bytes()) {
            return true;
        }
        index += 1;
    }
    false
}

/// `==` cannot be used in a constant yet.
const fn equal(left: &[u8], right: &[u8]) -> bool {
    if left.len() != right.len() {
        return false;
    }
    let mut index = 0;
    while index < left.len() {
        if left[index] != right[index] {
            return false;
        }
        index += 1;
    }
    true
}

fn check_stream(text: &str) -> Result<(), String> {
    if ["stdin", "stdout", "stderr"].contains(&text.to_ascii_lowercase().as_str()) {
        return Ok(());
    }
    Err("valid streams are STDIN, STDOUT and STDERR".to_owned())
}

fn check_weight(text: &str) -> Result<(), String> {
    limits::weight_device(text).map(drop)
}

fn check_bps(text: &str) -> Result<(), String> {
    limits::throttle_bytes(text).map(drop)
}

fn check_iops(text: &str) -> Result<(), String> {
    limits::throttle_operations(text).map(drop)
}

fn check_ulimit(text: &str) -> Result<(), String> {
    limits::ulimit(text).map(drop)
}

/// Signatures are never verified, so nobody may believe that they are.
fn check_content_trust(text: &str) -> Result<(), String> {
    match parse_bool(text) {
        Some(true) => Ok(()),
        Some(false) => Err("the verification of signatures is not supported yet".to_owned()),
        None => Err(format!("strconv.ParseBool: parsing {text:?}: invalid syntax")),
    }
}
