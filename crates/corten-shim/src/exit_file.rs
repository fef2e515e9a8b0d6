//! The exit of a process on disk: written before the exit is announced, read by `delete` after the shim
//! has died.
//!
//! By rename and without sync: it lies on a tmpfs beside the bundle and matters until the next boot.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use corten_stdio::Timestamp;
use corten_sys::atomic_file::{self, Durability};
use corten_types::ExitStatus;
use serde::{Deserialize, Serialize};

/// The format this release writes.
const FORMAT: u32 = 1;

/// How and when a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// Its pid.
    pub pid: u32,
    /// Its status.
    pub status: ExitStatus,
    /// When it was reaped.
    pub at: Timestamp,
}

impl Exit {
    /// The time as the wire has it.
    pub fn at_proto(&self) -> prost_types::Timestamp {
        timestamp(self.at)
    }
}

/// A time as protobuf has it.
pub fn timestamp(time: Timestamp) -> prost_types::Timestamp {
    let nanos = time.unix_nanos();
    prost_types::Timestamp { seconds: nanos.div_euclid(1_000_000_000), nanos: nanos.rem_euclid(1_000_000_000) as i32 }
}

#[derive(Serialize, Deserialize)]
struct Wire {
    format: u32,
    pid: u32,
    exit_status: u32,
    exited_at: String,
}

/// Where the exit of `process` lies: `init`, or the id of an exec.
pub fn path(bundle: &Path, process: &str) -> PathBuf {
    bundle.join(format!("{process}.exit"))
}

/// Writes the file.
///
/// # Errors
/// Those of writing; nothing is left behind.
pub fn save(path: &Path, exit: &Exit) -> io::Result<()> {
    let wire = Wire { format: FORMAT, pid: exit.pid, exit_status: exit.status.code(), exited_at: exit.at.to_string() };
    atomic_file::replace(path, &serde_json::to_vec(&wire).map_err(io::Error::other)?, Durability::Process)
}

/// Reads the file; `None` when there is none.
///
/// # Errors
/// Those of reading; `InvalidData` when it is not of a known format.
pub fn load(path: &Path) -> io::Result<Option<Exit>> {
    let content = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let invalid = |reason: String| io::Error::new(io::ErrorKind::InvalidData, reason);
    let wire: Wire = serde_json::from_slice(&content).map_err(|error| invalid(error.to_string()))?;
    if wire.format == 0 || wire.format > FORMAT {
        return Err(invalid(format!("format {} is not known, only {FORMAT}", wire.format)));
    }
    let at = Timestamp::parse(&wire.exited_at).ok_or_else(|| invalid(format!("{:?} is no time", wire.exited_at)))?;
    Ok(Some(Exit { pid: wire.pid, status: ExitStatus::from_code(wire.exit_status), at }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The golden text of format 1: what a release writes, every later one reads.
    #[test]
    fn format_1_reads_and_writes_as_it_did() {
        let directory = tempfile::tempdir().unwrap();
        let path = path(directory.path(), "init");
        assert_eq!(load(&path).unwrap(), None);
        let exit = Exit { pid: 42, status: ExitStatus::from_code(137), at: Timestamp::from_unix_nanos(1_500_000_000) };
        save(&path, &exit).unwrap();
        let text = r#"{"format":1,"pid":42,"exit_status":137,"exited_at":"1970-01-01T00:00:01.5Z"}"#;
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        assert_eq!(load(&path).unwrap(), Some(exit));
    }

    #[test]
    fn what_is_no_exit_file_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = path(directory.path(), "init");
        for text in ["", "{}", r#"{"format":9,"pid":1,"exit_status":0,"exited_at":"1970-01-01T00:00:00Z"}"#] {
            fs::write(&path, text).unwrap();
            assert_eq!(load(&path).unwrap_err().kind(), io::ErrorKind::InvalidData, "{text}");
        }
    }
}
