//! The runtime's options: out of a request, onto disk for `delete`, and into a runtime to call.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use corten_proto::{any, containerd::runc::v1::Options};
use corten_runtime_api::{
    Runtime,
    arguments::{Global, LogFormat},
};
use corten_sys::atomic_file::{self, Durability};
use prost_types::Any;
use serde::{Deserialize, Serialize};

use crate::error::TaskError;

/// Where runc keeps its state for containerd, per namespace.
const RUNTIME_ROOT: &str = "/run/containerd/runc";
/// Our runtime, looked for beside this program and in PATH.
const OUR_RUNTIME: &str = "corten-runtime";
/// The runtime when ours is not there.
const OTHER_RUNTIME: &str = "runc";

/// Takes the options out of a create request.
///
/// # Errors
/// [`TaskError::Invalid`] when they are broken, or of another type.
pub fn from_request(options: Option<&Any>) -> Result<Options, TaskError> {
    let Some(options) = options.filter(|options| !options.type_url.is_empty()) else {
        return Ok(Options::default());
    };
    match any::unpack::<Options>(options) {
        Ok(Some(unpacked)) => check(unpacked),
        Ok(None) => Err(TaskError::Invalid(format!("options of type {} are not for this shim", options.type_url))),
        Err(error) => Err(TaskError::Invalid(format!("decode the options: {error}"))),
    }
}

/// Refuses by name what this shim does not do.
fn check(options: Options) -> Result<Options, TaskError> {
    let unsupported = [
        ("criu_image_path", options.criu_image_path.is_empty()),
        ("criu_work_path", options.criu_work_path.is_empty()),
        ("task_api_address", options.task_api_address.is_empty()),
    ];
    match unsupported.into_iter().find(|(_, is_unset)| !is_unset) {
        Some((name, _)) => Err(TaskError::Unsupported(format!("options.{name}: not supported yet"))),
        None => Ok(options),
    }
}

/// The runtime that `options` name, for containers of `namespace` with their bundle at `bundle`.
pub fn runtime(options: &Options, namespace: &str, bundle: &Path) -> Runtime {
    let binary = if options.binary_name.is_empty() { default_runtime() } else { options.binary_name.clone().into() };
    let root = if options.root.is_empty() { RUNTIME_ROOT } else { &options.root };
    let global = Global {
        log: Some(bundle.join("log.json")),
        log_format: LogFormat::Json,
        root: Some(Path::new(root).join(namespace)),
        systemd_cgroup: options.systemd_cgroup,
        ..Global::default()
    };
    Runtime { binary, global }
}

fn default_runtime() -> PathBuf {
    let beside =
        std::env::current_exe().ok().and_then(|program| program.parent().map(|parent| parent.join(OUR_RUNTIME)));
    if let Some(beside) = beside.filter(|path| path.is_file()) {
        return beside;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path).map(|directory| directory.join(OUR_RUNTIME)).find(|path| path.is_file());
    in_path.unwrap_or_else(|| OTHER_RUNTIME.into())
}

/// What `options.json` holds, in the words of containerd's shim.
#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct Wire {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    no_pivot_root: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    no_new_keyring: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    shim_cgroup: String,
    #[serde(skip_serializing_if = "is_zero")]
    io_uid: u32,
    #[serde(skip_serializing_if = "is_zero")]
    io_gid: u32,
    #[serde(skip_serializing_if = "String::is_empty")]
    binary_name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    root: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    systemd_cgroup: bool,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Leaves the options and the runtime's name in the bundle, where `delete` finds them.
///
/// # Errors
/// Those of writing.
pub fn save(bundle: &Path, options: &Options, runtime: &Runtime) -> io::Result<()> {
    let wire = Wire {
        no_pivot_root: options.no_pivot_root,
        no_new_keyring: options.no_new_keyring,
        shim_cgroup: options.shim_cgroup.clone(),
        io_uid: options.io_uid,
        io_gid: options.io_gid,
        binary_name: options.binary_name.clone(),
        root: options.root.clone(),
        systemd_cgroup: options.systemd_cgroup,
    };
    let json = serde_json::to_vec(&wire).map_err(io::Error::other)?;
    atomic_file::replace(&bundle.join("options.json"), &json, Durability::Process)?;
    let binary = runtime.binary.as_os_str().as_encoded_bytes();
    atomic_file::replace(&bundle.join("runtime"), binary, Durability::Process)
}

/// Reads the options left in the bundle; those of a container that was never created are the default.
///
/// # Errors
/// Those of reading.
pub fn load(bundle: &Path) -> io::Result<Options> {
    let read = |name: &str| match fs::read_to_string(bundle.join(name)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    };
    let wire: Wire = match read("options.json")? {
        Some(json) => serde_json::from_str(&json).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?,
        None => Wire::default(),
    };
    Ok(Options {
        no_pivot_root: wire.no_pivot_root,
        no_new_keyring: wire.no_new_keyring,
        shim_cgroup: wire.shim_cgroup,
        io_uid: wire.io_uid,
        io_gid: wire.io_gid,
        binary_name: read("runtime")?.map_or(wire.binary_name, |name| name.trim().to_owned()),
        root: wire.root,
        systemd_cgroup: wire.systemd_cgroup,
        ..Options::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_loaded() {
        let bundle = tempfile::tempdir().unwrap();
        let options = Options { binary_name: "/x/runc".into(), root: "/r".into(), io_uid: 5, ..Options::default() };
        save(bundle.path(), &options, &runtime(&options, "ns", bundle.path())).unwrap();
        let json = fs::read_to_string(bundle.path().join("options.json")).unwrap();
        assert_eq!(json, r#"{"io_uid":5,"binary_name":"/x/runc","root":"/r"}"#);
        assert_eq!(load(bundle.path()).unwrap(), options);
    }

    #[test]
    fn a_bundle_without_options_has_the_default() {
        let bundle = tempfile::tempdir().unwrap();
        assert_eq!(load(bundle.path()).unwrap(), Options::default());
    }

    #[test]
    fn what_is_not_done_is_refused_by_name() {
        let options = Options { criu_work_path: "/w".into(), ..Options::default() };
        let error = from_request(Some(&any::pack(&options))).unwrap_err();
        assert_eq!(error.to_string(), "options.criu_work_path: not supported yet");
        let foreign = Any { type_url: "runtimeoptions.v1.Options".into(), value: Vec::new() };
        let error = from_request(Some(&foreign)).unwrap_err();
        assert_eq!(error.to_string(), "options of type runtimeoptions.v1.Options are not for this shim");
    }
}
