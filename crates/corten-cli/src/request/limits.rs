//! Memory, processors, processes, block devices: what a container may use.

use crate::arguments::Matches;
use crate::flags::parse_int;
use corten_docker_api::containers::{HostConfig, ThrottleDevice, Ulimit, WeightDevice};
use corten_terminal::units::parse_binary_size;
use std::collections::BTreeMap;

/// Fills in the limits.
///
/// # Errors
/// A swappiness beyond 100; what a flag's own check has let through by mistake.
pub fn fill(host: &mut HostConfig, matches: &Matches) -> Result<(), String> {
    let swappiness = matches.int("memory-swappiness");
    if !(-1..=100).contains(&swappiness) {
        return Err(format!("invalid value: {swappiness}. Valid memory swappiness range is 0-100"));
    }
    host.memory = matches.bytes("memory");
    host.memory_reservation = matches.bytes("memory-reservation");
    host.memory_swap = matches.bytes("memory-swap");
    host.memory_swappiness = Some(swappiness);
    host.kernel_memory = matches.bytes("kernel-memory");
    host.oom_kill_disable = Some(matches.flag("oom-kill-disable"));
    host.nano_cpus = if matches.is_given("cpus") { parse_cpus(matches.text("cpus"))? } else { 0 };
    host.cpu_count = matches.int("cpu-count");
    host.cpu_percent = matches.int("cpu-percent");
    host.cpu_shares = matches.int("cpu-shares");
    host.cpu_period = matches.int("cpu-period");
    host.cpu_quota = matches.int("cpu-quota");
    host.cpu_realtime_period = matches.int("cpu-rt-period");
    host.cpu_realtime_runtime = matches.int("cpu-rt-runtime");
    matches.text("cpuset-cpus").clone_into(&mut host.cpuset_cpus);
    matches.text("cpuset-mems").clone_into(&mut host.cpuset_mems);
    host.pids_limit = Some(matches.int("pids-limit"));
    host.blkio_weight = u16::try_from(matches.int("blkio-weight")).unwrap_or(0);
    host.io_maximum_iops = u64::try_from(matches.int("io-maxiops")).unwrap_or(0);
    host.io_maximum_bandwidth = u64::try_from(matches.bytes("io-maxbandwidth")).unwrap_or(0);
    matches.text("cgroup-parent").clone_into(&mut host.cgroup_parent);
    host.blkio_weight_device = Some(all(matches, "blkio-weight-device", weight_device)?);
    host.blkio_device_read_bps = Some(all(matches, "device-read-bps", throttle_bytes)?);
    host.blkio_device_write_bps = Some(all(matches, "device-write-bps", throttle_bytes)?);
    host.blkio_device_read_iops = Some(all(matches, "device-read-iops", throttle_operations)?);
    host.blkio_device_write_iops = Some(all(matches, "device-write-iops", throttle_operations)?);
    // The last one of a name wins; docker sends them by name.
    let by_name: BTreeMap<String, Ulimit> =
        all(matches, "ulimit", ulimit)?.into_iter().map(|limit| (limit.name.clone(), limit)).collect();
    host.ulimits = Some(by_name.into_values().collect());
    Ok(())
}

fn all<T>(matches: &Matches, flag: &str, read: fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    matches.list(flag).iter().map(|text| read(text)).collect()
}

/// Processors in billionths: `1.5`, `1/2`, `5e-1`.
///
/// # Errors
/// docker's words.
pub fn parse_cpus(text: &str) -> Result<i64, String> {
    let wrong = || format!("failed to parse {text} as a rational number");
    let (numerator, denominator) = match text.split_once('/') {
        Some((above, below)) => {
            (above.parse::<i128>().map_err(|_| wrong())?, below.parse::<i128>().map_err(|_| wrong())?)
        }
        None => decimal(text).ok_or_else(wrong)?,
    };
    if denominator <= 0 {
        return Err(wrong());
    }
    let nano = numerator.checked_mul(1_000_000_000).ok_or_else(wrong)?;
    if nano % denominator != 0 {
        return Err("value is too precise".to_owned());
    }
    i64::try_from(nano / denominator).map_err(|_| wrong())
}

/// A decimal number as a fraction.
fn decimal(text: &str) -> Option<(i128, i128)> {
    let (number, exponent) = match text.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.trim_start_matches(['+', '-']).is_empty() && fraction.is_empty()
        || !fraction.bytes().all(|digit| digit.is_ascii_digit())
    {
        return None;
    }
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let scale = exponent - i32::try_from(fraction.len()).ok()?;
    let power = 10_i128.checked_pow(scale.unsigned_abs())?;
    if scale >= 0 { Some((digits.checked_mul(power)?, 1)) } else { Some((digits, power)) }
}

/// Check of `--cpus`.
pub fn check_cpus(text: &str) -> Result<(), String> {
    parse_cpus(text).map(drop)
}

/// Check of `--memory-swap`: -1 means without a limit.
pub fn check_swap(text: &str) -> Result<(), String> {
    if text == "-1" {
        return Ok(());
    }
    parse_binary_size(text).map(drop).map_err(|error| error.to_string())
}

/// Check of a number that fits 16 bits.
pub fn check_uint16(text: &str) -> Result<(), String> {
    let wrong = |reason| format!("strconv.ParseUint: parsing {}: {reason}", crate::flags::quote(text));
    match parse_int(text) {
        Ok(0..=65535) => Ok(()),
        Ok(65536..) => Err(wrong("value out of range")),
        _ => Err(wrong("invalid syntax")),
    }
}

const DEVICE_PREFIX: &str = "/dev/";

fn device_and_rest(text: &str) -> Result<(&str, &str), String> {
    match text.split_once(':') {
        Some((device, _)) if !device.is_empty() && !device.starts_with(DEVICE_PREFIX) => {
            Err(format!("bad format for device path: {text}"))
        }
        Some((device, rest)) if !device.is_empty() => Ok((device, rest)),
        _ => Err(format!("bad format: {text}")),
    }
}

/// Reads `--blkio-weight-device`.
pub fn weight_device(text: &str) -> Result<WeightDevice, String> {
    let (path, weight) = device_and_rest(text)?;
    match weight.parse::<u16>() {
        Ok(weight @ (0 | 10..=1000)) => Ok(WeightDevice { path: path.to_owned(), weight }),
        _ => Err(format!("invalid weight for device: {text}")),
    }
}

/// Reads `--device-read-bps` and `--device-write-bps`.
pub fn throttle_bytes(text: &str) -> Result<ThrottleDevice, String> {
    let (path, rate) = device_and_rest(text)?;
    let rate = parse_binary_size(rate).ok().and_then(|rate| u64::try_from(rate).ok()).ok_or_else(|| {
        format!("invalid rate for device: {text}. The correct format is <device-path>:<number>[<unit>]. Number must be a positive integer. Unit is optional and can be kb, mb, or gb")
    })?;
    Ok(ThrottleDevice { path: path.to_owned(), rate })
}

/// Reads `--device-read-iops` and `--device-write-iops`.
pub fn throttle_operations(text: &str) -> Result<ThrottleDevice, String> {
    let (path, rate) = device_and_rest(text)?;
    let rate = rate.parse().map_err(|_| {
        format!("invalid rate for device: {text}. The correct format is <device-path>:<number>. Number must be a positive integer")
    })?;
    Ok(ThrottleDevice { path: path.to_owned(), rate })
}

/// Resources a limit can be put on (getrlimit(2)); the address space is left out, as in docker.
const ULIMITS: [&str; 15] = [
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// Reads `--ulimit`: `nofile=1024:2048`.
pub fn ulimit(text: &str) -> Result<Ulimit, String> {
    let (name, limits) = text.split_once('=').ok_or_else(|| format!("invalid ulimit argument: {text}"))?;
    if !ULIMITS.contains(&name) {
        return Err(format!("invalid ulimit type: {name}"));
    }
    let number = |text: &str| {
        text.parse::<i64>()
            .map_err(|_| format!("strconv.ParseInt: parsing {}: invalid syntax", crate::flags::quote(text)))
    };
    let parts: Vec<&str> = limits.split(':').collect();
    let (soft, hard) = match parts.as_slice() {
        [soft] => (number(soft)?, number(soft)?),
        [soft, hard] => {
            let hard = number(hard)?;
            (number(soft)?, hard)
        }
        _ => return Err(format!("too many limit value arguments - {limits}, can only have up to two, `soft[:hard]`")),
    };
    if hard != -1 && soft == -1 {
        return Err(format!(
            "ulimit soft limit must be less than or equal to hard limit: soft: -1 (unlimited), hard: {hard}"
        ));
    }
    if hard != -1 && soft > hard {
        return Err(format!("ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}"));
    }
    Ok(Ulimit { name: name.to_owned(), hard, soft })
}
