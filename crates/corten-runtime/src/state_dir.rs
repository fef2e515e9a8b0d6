//! The directory of one container: made with mkdir, which is the claim on its id, and `state.json` in it.
//!
//! The record is written before any kernel object exists, so that `delete --force` finds everything after a kill at
//! any point. Its keys `init_process_pid`, `init_process_start`, `created`, `cgroup_paths`, `namespace_paths` and
//! `config` are those of runc, which others read.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use corten_cgroups::Cgroup;
use corten_runtime_api::texts;
use corten_sys::atomic_file::{self, Durability};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::host_root;
use crate::spec::Hooks;

/// The number of the record's format; a record of a newer one is refused.
const FORMAT: u32 = 1;

/// What is known about a container.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Record {
    /// The record's format.
    pub format: u32,
    /// The container's id.
    pub id: String,
    /// How far its making came.
    pub phase: Phase,
    /// The process that makes it, and its start.
    pub creator: (i32, u64),
    /// The first process's id in the host's namespace; 0 before there is one.
    pub init_process_pid: i32,
    /// Its start in clock ticks after boot.
    pub init_process_start: u64,
    /// When it was made.
    pub created: String,
    /// The directory per controller, `""` for the v2 hierarchy.
    pub cgroup_paths: BTreeMap<String, PathBuf>,
    /// Namespace files of the first process, by runc's names.
    pub namespace_paths: BTreeMap<String, String>,
    /// What runc's readers look for.
    pub config: RecordConfig,
    /// The specification's version.
    pub oci_version: String,
    /// The spec's annotations.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// The bundle's absolute path.
    pub bundle: PathBuf,
    /// Whether the container's process ids are its own.
    pub has_own_pids: bool,
    /// Whether it was made in a user namespace of its own.
    pub has_own_users: bool,
    /// Capabilities of the first process that matter to those who enter later: `CAP_SYS_ADMIN`.
    #[serde(default)]
    pub strong_capabilities: Vec<String>,
    /// The execution domain, which an exec has, too.
    #[serde(default)]
    pub personality: Option<u32>,
    /// The file mode creation mask it asks for, which an exec has that asks for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub umask: Option<u32>,
    /// Whether its processes run under a system call filter, which is kept then; `None` in a record of a runtime that did
    /// not keep it.
    #[serde(default)]
    pub is_filtered: Option<bool>,
    /// That filter as JSON ([`crate::kept_filter`]), once there is a process; a file of its own in a record of an earlier runtime.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// Hooks that run later.
    #[serde(default)]
    pub hooks: Hooks,
}

/// How far the making of a container came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Somebody is at it, or was killed at it.
    #[default]
    Creating,
    /// The first process is there.
    Created,
}

/// The part of runc's `config` that others read.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RecordConfig {
    /// The root filesystem's absolute path.
    pub rootfs: PathBuf,
    /// `bundle=…`.
    pub labels: Vec<String>,
}

/// What went wrong with a container's directory.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The id cannot be one.
    #[error("{}", texts::INVALID_ID)]
    InvalidId,
    /// Somebody has it.
    #[error("{}", texts::ID_IN_USE)]
    IdInUse,
    /// Nobody has it.
    #[error("{}", texts::DOES_NOT_EXIST)]
    NotFound,
    /// The directory could not be made.
    #[error("make state directory {}", path.display())]
    Make {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The record could not be written.
    #[error("write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The record could not be read.
    #[error("read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The record is not one.
    #[error("{} is damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// The record is of a later release.
    #[error("{} has format {format}, this runtime knows {FORMAT}", path.display())]
    TooNew {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: u32,
    },
    /// The directory could not be removed.
    #[error("remove {}", path.display())]
    Remove {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A record that is written and does not hold yet.
#[derive(Debug)]
pub struct Staged(atomic_file::Staged);

impl Staged {
    /// Makes it the one that holds.
    ///
    /// # Errors
    /// [`StateError::Write`].
    pub fn commit(&self, directory: &StateDir) -> Result<(), StateError> {
        self.0.commit().map_err(|source| StateError::Write { path: directory.file("state.json"), source })
    }
}

/// A container's directory. One that was claimed is removed when dropped, unless kept.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    is_claim: bool,
    writer: u32,
}

impl StateDir {
    /// Makes the directory of `id` below `root`.
    ///
    /// # Errors
    /// [`StateError::InvalidId`], [`StateError::IdInUse`], [`StateError::Make`].
    pub fn claim(root: &Path, id: &str) -> Result<Self, StateError> {
        let path = path_of(root, id)?;
        let make = || DirBuilder::new().mode(0o711).create(&path);
        let made = match make() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let parents = DirBuilder::new().recursive(true).mode(0o700).create(root);
                parents.and_then(|()| make())
            }
            result => result,
        };
        match made {
            Ok(()) => Ok(Self { path, is_claim: true, writer: std::process::id() }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(StateError::IdInUse),
            Err(source) => Err(StateError::Make { path, source }),
        }
    }

    /// The directory of a container that exists.
    ///
    /// # Errors
    /// [`StateError::InvalidId`], [`StateError::NotFound`].
    pub fn open(root: &Path, id: &str) -> Result<Self, StateError> {
        let path = path_of(root, id)?;
        let writer = std::process::id();
        if path.is_dir() { Ok(Self { path, is_claim: false, writer }) } else { Err(StateError::NotFound) }
    }

    /// The directory stays.
    #[must_use]
    pub fn kept(mut self) -> Self {
        self.is_claim = false;
        self
    }

    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The process that has it open.
    #[must_use]
    pub fn writer(&self) -> u32 {
        self.writer
    }

    /// A file in it.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The fifo a created process waits on.
    #[must_use]
    pub fn fifo(&self) -> PathBuf {
        self.file("exec.fifo")
    }

    /// Replaces the record.
    ///
    /// # Errors
    /// [`StateError::Write`].
    pub fn save(&self, record: &Record) -> Result<(), StateError> {
        self.write(record, |path, json| atomic_file::replace_as(self.writer, path, json, Durability::Process))
    }

    /// Writes the record beside the one that holds, to be put in its place later with one call.
    ///
    /// # Errors
    /// [`StateError::Write`].
    pub fn stage(&self, record: &Record) -> Result<Staged, StateError> {
        self.write(record, |path, json| atomic_file::Staged::write(self.writer, path, json)).map(Staged)
    }

    fn write<T>(&self, record: &Record, with: impl FnOnce(&Path, &[u8]) -> io::Result<T>) -> Result<T, StateError> {
        let path = self.file("state.json");
        let record = Record { format: FORMAT, ..record.clone() };
        let json = serde_json::to_vec(&record).map_err(io::Error::from);
        json.and_then(|json| with(&path, &json)).map_err(|source| StateError::Write { path, source })
    }

    /// Reads the record; [`StateError::NotFound`] when there is none.
    ///
    /// # Errors
    /// [`StateError::Read`], [`StateError::Damaged`], [`StateError::TooNew`].
    pub fn load(&self) -> Result<Record, StateError> {
        let record: Record = self.read()?;
        if record.format > FORMAT {
            return Err(StateError::TooNew { path: self.file("state.json"), format: record.format });
        }
        Ok(record)
    }

    /// Reads the record, or what is asked of it.
    fn read<T: DeserializeOwned>(&self) -> Result<T, StateError> {
        let path = self.file("state.json");
        let json = match fs::read(&path) {
            Ok(json) => json,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(StateError::NotFound),
            Err(source) => return Err(StateError::Read { path, source }),
        };
        serde_json::from_slice(&json).map_err(|source| StateError::Damaged { path, source })
    }

    /// Whether the record in it is still one of `record`'s process.
    ///
    /// # Errors
    /// As [`StateDir::load`]; none when there is no record.
    pub fn is_of(&self, record: &Record) -> Result<bool, StateError> {
        #[derive(Deserialize)]
        struct Init {
            init_process_pid: i32,
            init_process_start: u64,
        }
        let found: Init = match self.read() {
            Err(StateError::NotFound) => return Ok(false),
            found => found?,
        };
        Ok((found.init_process_pid, found.init_process_start) == (record.init_process_pid, record.init_process_start))
    }

    /// Removes the directory: renamed first, so that the id is free or taken and never half of both.
    ///
    /// # Errors
    /// [`StateError::Remove`].
    pub fn remove(mut self) -> Result<(), StateError> {
        self.is_claim = false;
        remove(&self.path)
    }
}

impl Drop for StateDir {
    fn drop(&mut self) {
        if self.is_claim {
            let _ = remove(&self.path); // the error that led here is the one that is reported
        }
    }
}

pub(crate) fn path_of(root: &Path, id: &str) -> Result<PathBuf, StateError> {
    if texts::is_valid_id(id) { Ok(root.join(id)) } else { Err(StateError::InvalidId) }
}

fn remove(path: &Path) -> Result<(), StateError> {
    let fail = |source| StateError::Remove { path: path.to_owned(), source };
    host_root::take_down(path).map_err(fail)?;
    let doomed = doomed(path);
    match fs::rename(path, &doomed) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        // A removal that was killed left one behind.
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
            fs::remove_dir_all(&doomed).and_then(|()| fs::rename(path, &doomed)).map_err(fail)?;
        }
        result => result.map_err(fail)?,
    }
    remove_all(&doomed).map_err(fail)
}

/// Most hold the record alone, which takes two calls; whatever else there is, is found.
fn remove_all(directory: &Path) -> io::Result<()> {
    let _ = fs::remove_file(directory.join("state.json")); // as the next call tells
    match fs::remove_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => fs::remove_dir_all(directory),
        result => result,
    }
}

/// A name no id can have: an id may hold every letter of it but the tilde.
fn doomed(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}~deleted"))
}

/// Removes what a removal of `id` left that was killed after the id was given back.
///
/// # Errors
/// [`StateError::InvalidId`], [`StateError::Remove`].
pub fn sweep(root: &Path, id: &str) -> Result<(), StateError> {
    let path = doomed(&path_of(root, id)?);
    match fs::remove_dir_all(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StateError::Remove { path, source: error }),
        _ => Ok(()),
    }
}

impl Record {
    /// The container's cgroups.
    #[must_use]
    pub fn cgroup(&self) -> Cgroup {
        Cgroup::from_paths(&self.cgroup_paths)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_that_is_not_kept_leaves_nothing() {
        let root = tempfile::tempdir().expect("a temporary directory");
        drop(StateDir::claim(root.path(), "web").expect("claims"));
        assert_eq!(fs::read_dir(root.path()).expect("reads").count(), 0);
    }

    #[test]
    fn an_id_is_claimed_once() {
        let root = tempfile::tempdir().expect("a temporary directory");
        let claim = StateDir::claim(root.path(), "web").expect("claims");
        let again = StateDir::claim(root.path(), "web").expect_err("taken");
        assert_eq!(again.to_string(), "container with given ID already exists");
        claim.remove().expect("removes");
        assert_eq!(fs::read_dir(root.path()).expect("reads").count(), 0);
    }

    #[test]
    fn a_record_is_read_back_and_a_newer_one_refused() {
        let root = tempfile::tempdir().expect("a temporary directory");
        let directory = StateDir::claim(root.path(), "web").expect("claims");
        assert!(matches!(directory.load(), Err(StateError::NotFound)));
        let record = Record { id: "web".into(), init_process_pid: 7, ..Record::default() };
        directory.save(&record).expect("saves");
        assert_eq!(directory.load().expect("loads").init_process_pid, 7);
        fs::write(directory.file("state.json"), "{").expect("writes");
        assert!(matches!(directory.load(), Err(StateError::Damaged { .. })));
    }
}
