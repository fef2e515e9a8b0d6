//! `update`: changes the limits of a container that exists.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use corten_cgroups::{CgroupError, Limits};
use corten_runtime_api::arguments::Update;

use crate::container::{Container, Status};
use crate::plan;
use crate::spec::{Resources, Spec, SpecError, read_limited, refuse_resources};
use crate::state_dir::StateError;

/// Why limits could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// The container could not be found.
    #[error(transparent)]
    State(#[from] StateError),
    /// A limit was not taken.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// The limits cannot be read.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// Standard input cannot be read.
    #[error("read limits from standard input")]
    Input(#[source] io::Error),
    /// The limits are not JSON.
    #[error("limits in {}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// A value is no number or size.
    #[error("invalid value for {flag}: {value:?}")]
    Value {
        /// The flag without dashes.
        flag: &'static str,
        /// What was given.
        value: String,
    },
    /// A flag that is not built yet.
    #[error("update --{0}: not supported yet")]
    NotYet(&'static str),
    /// Rules about devices other than the container's.
    #[error("linux.resources.devices: cannot be changed by update")]
    Devices,
    /// The container has ended.
    #[error("{}", corten_runtime_api::texts::NOT_RUNNING)]
    Stopped,
    /// What is in use would not fit, and the caller asked not to set the limit then.
    #[error("rejecting {what} limit {limit} <= usage {usage}")]
    BelowUsage {
        /// Memory, or memory and swap.
        what: &'static str,
        /// The new limit.
        limit: i64,
        /// What is in use.
        usage: u64,
    },
}

/// Changes the limits.
///
/// # Errors
/// [`UpdateError`].
pub fn update(root: &Path, arguments: &Update) -> Result<(), UpdateError> {
    let container = Container::load(root, &arguments.id)?;
    if container.status()? == Status::Stopped {
        return Err(UpdateError::Stopped);
    }
    let cgroup = container.record.cgroup();
    let limits = match &arguments.resources {
        Some(path) => {
            let resources = read(path)?;
            refuse_resources(&resources).map_err(SpecError::from)?;
            same_devices(&resources, &container)?;
            let limits = plan::limits(&resources)?;
            if resources.memory.check_before_update == Some(true) {
                check_usage(&limits, cgroup.stats()?.memory.usage_bytes)?;
            }
            limits
        }
        None => from_flags(&arguments.limits)?,
    };
    // Devices are what they were: see same_devices.
    Ok(cgroup.limit(&Limits { devices: None, ..limits })?)
}

fn read(path: &Path) -> Result<Resources, UpdateError> {
    let json = if path == Path::new("-") {
        let mut json = Vec::new();
        io::stdin().take(1 << 20).read_to_end(&mut json).map_err(UpdateError::Input)?;
        json
    } else {
        read_limited(path, &path.display().to_string())?
    };
    serde_json::from_slice(&json).map_err(|source| UpdateError::Json { path: path.to_owned(), source })
}

/// Callers send the whole of a container's resources, so rules about devices come as they were; others are refused,
/// where runc passes them over.
fn same_devices(resources: &Resources, container: &Container) -> Result<(), UpdateError> {
    if resources.devices.is_empty() {
        return Ok(());
    }
    let spec = Spec::load(&container.record.bundle)?;
    if spec.linux.resources.devices == resources.devices { Ok(()) } else { Err(UpdateError::Devices) }
}

/// The sum first, as runc.
fn check_usage(limits: &Limits, usage: u64) -> Result<(), UpdateError> {
    for (what, limit) in [("memory+swap", limits.memory_and_swap_bytes), ("memory", limits.memory_bytes)] {
        if let Some(limit) = limit.filter(|limit| *limit > 0 && limit.unsigned_abs() <= usage) {
            return Err(UpdateError::BelowUsage { what, limit, usage });
        }
    }
    Ok(())
}

fn from_flags(flags: &[(&'static str, String)]) -> Result<Limits, UpdateError> {
    let mut limits = Limits::default();
    for (flag, value) in flags {
        let bad = || UpdateError::Value { flag, value: value.clone() };
        let size = || size(value).ok_or_else(bad).map(Some);
        match *flag {
            "memory" => limits.memory_bytes = size()?,
            "memory-swap" => limits.memory_and_swap_bytes = size()?,
            "memory-reservation" => limits.memory_reservation_bytes = size()?,
            "cpu-share" => limits.cpu_shares = Some(value.parse().map_err(|_| bad())?),
            "cpu-quota" => limits.cpu_quota_us = Some(value.parse().map_err(|_| bad())?),
            "cpu-period" => limits.cpu_period_us = Some(value.parse().map_err(|_| bad())?),
            "cpu-burst" => limits.cpu_burst_us = Some(value.parse().map_err(|_| bad())?),
            "cpu-rt-period" => limits.cpu_realtime_period_us = Some(value.parse().map_err(|_| bad())?),
            "cpu-rt-runtime" => limits.cpu_realtime_runtime_us = Some(value.parse().map_err(|_| bad())?),
            "cpu-idle" => limits.cpu_idle = Some(value.parse().map_err(|_| bad())?),
            "cpuset-cpus" => limits.cpuset_cpus = Some(value.clone()),
            "cpuset-mems" => limits.cpuset_mems = Some(value.clone()),
            "pids-limit" => limits.pids = Some(value.parse().map_err(|_| bad())?),
            "blkio-weight" => limits.blkio_weight = Some(value.parse().map_err(|_| bad())?),
            other => return Err(UpdateError::NotYet(other)),
        }
    }
    Ok(limits)
}

/// `32M`, `1g`, `1.5 GiB`, `1024`, `-1`.
fn size(text: &str) -> Option<i64> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let shift = match text[digits.len()..].to_ascii_lowercase().trim_end_matches('b').trim_end_matches('i') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        "p" => 50,
        _ => return None,
    };
    let (digits, unit) = (digits.trim_end(), 1_i64 << shift);
    if let Ok(whole) = digits.parse::<i64>() {
        return whole.checked_mul(unit);
    }
    let is_decimal = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let bytes = digits.parse::<f64>().ok().filter(|_| is_decimal)? * unit as f64;
    (bytes < i64::MAX as f64).then_some(bytes as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_suffixes() {
        for (text, bytes) in [
            ("32M", Some(32 << 20)),
            ("1g", Some(1 << 30)),
            ("2KiB", Some(2048)),
            ("1.5g", Some(3 << 29)),
            ("32 MB", Some(32 << 20)),
            ("1e3", None),
            ("9999999999999999999999", None),
            ("-1", Some(-1)),
            ("x", None),
            ("9999999p", None),
        ] {
            assert_eq!(size(text), bytes, "{text}");
        }
    }

    #[test]
    fn what_would_not_fit_is_rejected_the_sum_first() {
        let check = |memory, swap| {
            let limits = Limits { memory_bytes: memory, memory_and_swap_bytes: swap, ..Limits::default() };
            check_usage(&limits, 4096).map_err(|error| error.to_string())
        };
        assert_eq!(check(Some(1024), None), Err("rejecting memory limit 1024 <= usage 4096".to_owned()));
        assert_eq!(check(Some(1024), Some(2048)), Err("rejecting memory+swap limit 2048 <= usage 4096".to_owned()));
        for (memory, swap) in [(None, None), (Some(4097), Some(8192)), (Some(-1), Some(-1))] {
            assert_eq!(check(memory, swap), Ok(()));
        }
    }

    #[test]
    fn a_flag_that_is_not_built_yet_is_refused_by_name() {
        let error = from_flags(&[("l3-cache-schema", "x".into())]).expect_err("refused").to_string();
        assert_eq!(error, "update --l3-cache-schema: not supported yet");
    }
}
