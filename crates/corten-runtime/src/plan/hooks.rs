//! Hooks that the child runs itself, prepared so that it allocates nothing.

use std::ffi::CString;
use std::num::NonZeroU32;

use corten_sys::descriptors::StringList;

use super::process::environment;
use super::{c_string, invalid};
use crate::spec::{Hook, SpecError};

/// One program to run.
#[derive(Debug)]
pub struct ContainerHook {
    /// The program, absolute.
    pub path: CString,
    /// Its arguments.
    pub arguments: StringList,
    /// Its whole environment.
    pub environment: StringList,
    /// How long it may take in milliseconds.
    pub timeout_ms: Option<i32>,
}

/// Hooks of the list `kind`. One without an environment gets `inherited`: runc's startContainer hooks have that of the
/// container's process, and images rely on it.
pub(super) fn plan(kind: &str, hooks: &[Hook], inherited: &[String]) -> Result<Vec<ContainerHook>, SpecError> {
    hooks.iter().enumerate().map(|(index, hook)| one(&format!("hooks.{kind}[{index}]"), hook, inherited)).collect()
}

fn one(key: &str, hook: &Hook, inherited: &[String]) -> Result<ContainerHook, SpecError> {
    if !hook.path.starts_with('/') {
        return Err(invalid(key, format!("{:?} is not an absolute path", hook.path)));
    }
    let list = |texts: &[String]| texts.iter().map(|text| c_string(key, text.as_str())).collect::<Result<Vec<_>, _>>();
    let path = c_string(key, hook.path.as_str())?;
    let arguments = if hook.args.is_empty() { vec![path.clone()] } else { list(&hook.args)? };
    let timeout = hook.timeout.map(NonZeroU32::get);
    Ok(ContainerHook {
        path,
        arguments: StringList::new(arguments),
        environment: StringList::new(if hook.env.is_empty() { environment(inherited)? } else { list(&hook.env)? }),
        timeout_ms: timeout.map(|seconds| i32::try_from(seconds.saturating_mul(1000)).unwrap_or(i32::MAX)),
    })
}
