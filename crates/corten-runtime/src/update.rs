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
    /// The limit is below what is in use, and the caller asked not to set it then.
    #[error("memory limit {limit} is below the {usage} bytes in use")]
    BelowUsage {
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

fn check_usage(limits: &Limits, usage: u64) -> Result<(), UpdateError> {
    match limits.memory_bytes {
        Some(limit) if u64::try_from(limit).is_ok_and(|limit| limit < usage) => {
            Err(UpdateError::BelowUsage { limit, usage })
        }
        _ => Ok(()),
    }
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

/// `32M`, `1g`, `1024`, `-1`.
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
    digits.parse::<i64>().ok()?.checked_mul(1 << shift)
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
            ("-1", Some(-1)),
            ("x", None),
            ("9999999p", None),
        ] {
            assert_eq!(size(text), bytes, "{text}");
        }
    }

    #[test]
    fn a_flag_that_is_not_built_yet_is_refused_by_name() {
        let error = from_flags(&[("l3-cache-schema", "x".into())]).expect_err("refused").to_string();
        assert_eq!(error, "update --l3-cache-schema: not supported yet");
    }
}
