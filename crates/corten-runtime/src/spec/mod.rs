//! config.json as the runtime reads it (runtime-spec 1.3, config.md and config-linux.md).
//!
//! Unknown keys are accepted, as the specification asks. Known keys that are not built yet are read as
//! [`NotYet`] and refused by name ([`refuse`]), never ignored.

mod linux;
mod process;
mod refuse;

use std::collections::BTreeMap;
use std::ffi::CString;
use std::io;
use std::num::NonZeroU32;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use corten_sys::{files, syscall::HERE};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

pub use linux::{
    Access, BlockIo, Cpu, Device, DeviceRule, IdMapping, Linux, Memory, Namespace, Personality, Pids, Resources,
    TimeOffset,
};
pub use process::{Capabilities, ConsoleSize, CpuAffinity, IoPriority, Process, Rlimit, Scheduler, User};
pub use refuse::{Refused, refuse_process, refuse_resources};

/// The largest config.json that is read: docker's with seccomp is 60 KB.
const SPEC_MAX_BYTES: u64 = 16 << 20;

/// What most are smaller than, so that they are read at once.
const TYPICAL_BYTES: usize = 64 << 10;

/// A container's configuration.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Spec {
    /// The specification's version.
    pub oci_version: String,
    /// The first process.
    pub process: Option<Box<Process>>,
    /// The root filesystem.
    pub root: Option<Root>,
    /// The host name in a new UTS namespace.
    pub hostname: String,
    /// The domain name in a new UTS namespace.
    pub domainname: String,
    /// What is mounted, in order.
    #[serde(deserialize_with = "null_is_default")]
    pub mounts: Vec<Mount>,
    /// Programs to run at points of the container's life.
    #[serde(deserialize_with = "null_is_default")]
    pub hooks: Hooks,
    /// Free text for others.
    #[serde(deserialize_with = "null_is_default")]
    pub annotations: BTreeMap<String, String>,
    /// What is particular to Linux.
    #[serde(deserialize_with = "null_is_default")]
    pub linux: Box<Linux>,
    /// Of another platform.
    pub solaris: NotYet,
    /// Of another platform.
    pub windows: NotYet,
    /// Of another platform.
    pub vm: NotYet,
    /// Of another platform.
    pub zos: NotYet,
    /// Of another platform.
    pub freebsd: NotYet,
}

/// The root filesystem.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Root {
    /// Its directory, absolute or from the bundle.
    pub path: String,
    /// Whether it is read-only inside.
    pub readonly: bool,
}

/// One mount.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Mount {
    /// Where, inside the root filesystem.
    pub destination: String,
    /// The filesystem's name; empty or `bind` with the option bind.
    #[serde(rename = "type")]
    pub fstype: String,
    /// What, on the host.
    pub source: String,
    /// Options of the mount and of the filesystem.
    #[serde(deserialize_with = "null_is_default")]
    pub options: Vec<String>,
    /// Mapped user ids.
    #[serde(deserialize_with = "null_is_default")]
    pub uid_mappings: Vec<IdMapping>,
    /// Mapped group ids.
    #[serde(deserialize_with = "null_is_default")]
    pub gid_mappings: Vec<IdMapping>,
}

/// Programs to run at points of the container's life.
#[derive(Debug, Clone, Default, Deserialize, serde::Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Hooks {
    /// On the host, before the root is changed.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub prestart: Vec<Hook>,
    /// On the host, after `prestart`.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub create_runtime: Vec<Hook>,
    /// In the container's namespaces, before the root is changed.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub create_container: Vec<Hook>,
    /// In the container, after start was asked for.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub start_container: Vec<Hook>,
    /// On the host, after the process was started.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub poststart: Vec<Hook>,
    /// On the host, after the container was deleted.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub poststop: Vec<Hook>,
}

/// One program to run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(default)]
pub struct Hook {
    /// The program, absolute.
    pub path: String,
    /// Its arguments, the first being its name.
    #[serde(deserialize_with = "null_is_default")]
    pub args: Vec<String>,
    /// Its whole environment.
    #[serde(deserialize_with = "null_is_default")]
    pub env: Vec<String>,
    /// Seconds after which it is killed.
    pub timeout: Option<NonZeroU32>,
}

/// A key that is not built yet: only whether something was asked for is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NotYet {
    /// Whether the value is other than null, false, 0, "", [] and {}.
    pub is_given: bool,
}

impl<'de> Deserialize<'de> for NotYet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw: &RawValue = Deserialize::deserialize(deserializer)?;
        let compact: String = raw.get().split_whitespace().collect();
        Ok(Self { is_given: !matches!(compact.as_str(), "null" | "false" | "0" | "\"\"" | "[]" | "{}") })
    }
}

/// Go writes `null` for an empty list, map or structure.
fn null_is_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// A config.json that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// There is none.
    #[error("JSON specification file {file} not found")]
    Missing {
        /// Its name.
        file: String,
    },
    /// It cannot be read.
    #[error("read {file}")]
    Read {
        /// Its name.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// It is larger than any real one.
    #[error("{file} is larger than {limit} bytes")]
    TooLarge {
        /// Its name.
        file: String,
        /// The limit.
        limit: u64,
    },
    /// It is not the JSON that the specification describes.
    #[error("{file}: {source}")]
    Parse {
        /// Its name.
        file: String,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A key has a value that cannot be.
    #[error("{key}: {problem}")]
    Invalid {
        /// The key.
        key: String,
        /// What is wrong.
        problem: String,
    },
    /// Something is asked for that is not built yet.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// A text that runc uses.
    #[error("{0}")]
    Text(&'static str),
}

/// Reads a file with a limit.
///
/// # Errors
/// [`SpecError::Missing`], [`SpecError::Read`], [`SpecError::TooLarge`].
pub fn read_limited(path: &Path, name: &str) -> Result<Vec<u8>, SpecError> {
    read_open(path, name).map(|(bytes, _)| bytes)
}

/// As [`read_limited`]; the file stays open.
///
/// # Errors
/// As [`read_limited`].
pub(crate) fn read_open(path: &Path, name: &str) -> Result<(Vec<u8>, OwnedFd), SpecError> {
    let file = open_named(path, name)?;
    Ok((read_until(&file, name, &mut |_| false)?, file))
}

fn open_named(path: &Path, name: &str) -> Result<OwnedFd, SpecError> {
    let file = || name.to_owned();
    open(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => SpecError::Missing { file: file() },
        _ => SpecError::Read { file: file(), source },
    })
}

/// Reads until the end, or until what was read `is_whole`, which is asked where it looks like the end.
fn read_until(opened: &OwnedFd, name: &str, is_whole: &mut dyn FnMut(&[u8]) -> bool) -> Result<Vec<u8>, SpecError> {
    let file = || name.to_owned();
    let mut bytes = vec![0; TYPICAL_BYTES];
    let mut length = 0;
    loop {
        let read = files::read(opened.as_fd(), &mut bytes[length..]);
        let read = read.map_err(|source| SpecError::Read { file: file(), source })?;
        length += read;
        // Only nothing is the end for sure: it may be a pipe.
        if read == 0 || length < bytes.len() && is_whole(&bytes[..length]) {
            break;
        }
        if length as u64 > SPEC_MAX_BYTES {
            return Err(SpecError::TooLarge { file: file(), limit: SPEC_MAX_BYTES });
        }
        if length == bytes.len() {
            bytes.resize(length * 2, 0);
        }
    }
    bytes.truncate(length);
    Ok(bytes)
}

/// One system call: musl's open(3), behind the standard library, makes two.
fn open(path: &Path) -> io::Result<OwnedFd> {
    files::open(HERE, &CString::new(path.as_os_str().as_bytes())?, files::O_RDONLY, 0)
}

impl Process {
    /// Reads the process of an exec from `file` (`--process`), and refuses what is not built yet.
    ///
    /// # Errors
    /// [`SpecError`].
    pub fn parse(bytes: &[u8], file: &str) -> Result<Self, SpecError> {
        let process: Self =
            serde_json::from_slice(bytes).map_err(|source| SpecError::Parse { file: file.to_owned(), source })?;
        refuse::refuse_process(&process)?;
        Ok(process)
    }
}

impl Spec {
    /// Reads `config.json` in the bundle, and refuses what is not built yet.
    ///
    /// # Errors
    /// [`SpecError`].
    pub fn load(bundle: &Path) -> Result<Self, SpecError> {
        Self::load_keeping(bundle, &mut Vec::new())
    }

    /// As [`Spec::load`]; the file stays open in `spent`, to be closed with others in one call.
    ///
    /// # Errors
    /// [`SpecError`].
    pub fn load_keeping(bundle: &Path, spent: &mut Vec<OwnedFd>) -> Result<Self, SpecError> {
        const NAME: &str = "config.json";
        let file = open_named(&bundle.join(NAME), NAME)?;
        let mut whole = None;
        // A text that can be read is the whole: what ends too early is no JSON.
        let bytes = read_until(&file, NAME, &mut |text| {
            whole = Self::read(text).ok();
            whole.is_some()
        })?;
        spent.push(file);
        whole.map_or_else(|| Self::parse(&bytes), Self::check)
    }

    /// As [`Spec::load`], from memory.
    ///
    /// # Errors
    /// [`SpecError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, SpecError> {
        let spec = Self::read(bytes);
        spec.map_err(|source| SpecError::Parse { file: "config.json".to_owned(), source })?.check()
    }

    /// Once in the program: it is the largest of its functions.
    #[inline(never)]
    fn read(text: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(text)
    }

    fn check(self) -> Result<Self, SpecError> {
        refuse::refuse(&self)?;
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_means_nothing_given() {
        let spec =
            br#"{"ociVersion":"1.0.0","mounts":null,"linux":{"seccomp":null,"maskedPaths":null,"resources":null},
                        "process":{"args":["a"],"cwd":"/","capabilities":null,"apparmorProfile":""}}"#;
        let spec = Spec::parse(spec).expect("parses");
        assert!(spec.mounts.is_empty() && spec.linux.masked_paths.is_empty());
    }

    #[test]
    fn what_is_not_built_yet_is_refused_by_name() {
        for (json, name) in [
            (r#"{"linux":{"intelRdt":{"closID":"a"}}}"#, "linux.intelRdt"),
            (r#"{"ociVersion":"2.0.0"}"#, "ociVersion 2.0.0"),
            (r#"{"windows":{"ignoreFlushesDuringBoot":true}}"#, "windows"),
            (r#"{"process":{"user":{"username":"a"}}}"#, "process.user.username"),
            (r#"{"linux":{"resources":{"memory":{"kernel":1024}}}}"#, "linux.resources.memory.kernel"),
            (r#"{"linux":{"resources":{"memory":{"kernel":-2}}}}"#, "linux.resources.memory.kernel"),
        ] {
            let error = Spec::parse(json.as_bytes()).expect_err(json).to_string();
            assert_eq!(error, format!("{name}: not supported yet"), "{json}");
        }
    }

    #[test]
    fn a_wrong_type_names_its_place() {
        let error = Spec::parse(br#"{"process":{"args":"sh"}}"#).expect_err("args is a list").to_string();
        assert!(error.starts_with("config.json: invalid type: string \"sh\", expected"), "{error}");
    }
}
