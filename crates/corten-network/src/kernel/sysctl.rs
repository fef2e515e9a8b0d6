//! Values below `/proc/sys/net`, of the network namespace of the calling thread (proc(5)).

use std::fs;
use std::io;

use super::Result;
use crate::error::NetworkError;

/// Sets a value, named as a path below `/proc/sys`.
pub fn set(object: &str, path: &str, value: &str) -> Result<()> {
    let step = || format!("write {value:?} to /proc/sys/{path}");
    if !path.starts_with("net/") || path.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
        return Err(NetworkError::Invalid(format!("{object}: {path} is no setting of a network namespace")));
    }
    fs::write(format!("/proc/sys/{path}"), value).map_err(|source| NetworkError::Kernel {
        object: object.to_owned(),
        step: step(),
        source,
    })
}

/// As [`set`], where the kernel may have been built without it: then there is nothing to be set.
pub fn set_if_known(object: &str, path: &str, value: &str) -> Result<()> {
    match set(object, path, value) {
        Err(NetworkError::Kernel { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// A value, where there is one.
pub fn get(path: &str) -> Option<String> {
    fs::read_to_string(format!("/proc/sys/{path}")).ok().map(|value| value.trim_end().to_owned())
}
