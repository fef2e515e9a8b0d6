//! What the specification has and this runtime does not yet: refused by name, so that nothing is silently weaker
//! than what was asked for.

use super::{Process, Resources, Spec};

/// A key that is not built yet.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: not supported yet")]
pub struct Refused {
    /// The key's path.
    pub key: String,
}

/// Refuses the first key that asks for something not built yet.
pub(super) fn refuse(spec: &Spec) -> Result<(), Refused> {
    let linux = &spec.linux;
    version(&spec.oci_version)?;
    first(&[
        ("solaris", spec.solaris.is_given),
        ("windows", spec.windows.is_given),
        ("vm", spec.vm.is_given),
        ("zos", spec.zos.is_given),
        ("freebsd", spec.freebsd.is_given),
        ("linux.intelRdt", linux.intel_rdt.is_given),
        ("linux.memoryPolicy", linux.memory_policy.is_given),
        ("linux.netDevices", linux.net_devices.is_given),
    ])?;
    refuse_resources(&linux.resources)?;
    spec.process.as_deref().map_or(Ok(()), refuse_process)
}

/// As above for limits, which update gets alone.
///
/// # Errors
/// [`Refused`].
pub fn refuse_resources(resources: &Resources) -> Result<(), Refused> {
    // As for every other limit 0 is Go's "not given", and -1 is no limit, which is what holds for these.
    let is_given = |limit: Option<i64>| limit.is_some_and(|limit| !matches!(limit, 0 | -1));
    first(&[
        ("linux.resources.memory.useHierarchy", resources.memory.use_hierarchy == Some(false)),
        ("linux.resources.memory.kernel", is_given(resources.memory.kernel)),
    ])
}

/// Every 1.x is understood: what a later one adds and asks for is not.
fn version(version: &str) -> Result<(), Refused> {
    match version.split('.').next() {
        Some("" | "1") => Ok(()),
        _ => Err(Refused { key: format!("ociVersion {version}") }),
    }
}

/// As above for a process, which exec gets alone.
///
/// # Errors
/// [`Refused`].
pub fn refuse_process(process: &Process) -> Result<(), Refused> {
    first(&[
        ("process.commandLine", process.command_line.is_given),
        ("process.user.username", process.user.username.is_given),
    ])
}

fn first(keys: &[(&str, bool)]) -> Result<(), Refused> {
    match keys.iter().find(|(_, is_given)| *is_given) {
        Some((key, _)) => Err(Refused { key: (*key).to_owned() }),
        None => Ok(()),
    }
}
