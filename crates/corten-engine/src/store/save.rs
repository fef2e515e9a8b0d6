//! Writes a container down.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use corten_sys::atomic_file::{self, Durability};

use super::{RECORD, STATE, containers_directory};
use crate::containers::record::{Record, State};

/// Prefix of a directory that is being made; what a kill leaves behind is swept at the next start.
pub(super) const UNFINISHED: &str = ".new-";

/// Writes a new container's directory; it survives a power cut once this returns.
///
/// Two syncs: the file, then the directory that names the container's. The file's own name lies in a
/// directory made in the same journal transaction as the file, which the first sync commits (ext4,
/// xfs and btrfs alike).
///
/// # Errors
/// Those of mkdir(2), open(2), write(2), fsync(2), rename(2); nothing is left then.
pub fn save(data_root: &Path, record: &Record) -> io::Result<PathBuf> {
    let containers = containers_directory(data_root);
    let unfinished = containers.join(format!("{UNFINISHED}{}", record.id));
    let finished = containers.join(&record.id);
    let written = write_new(&unfinished, record)
        .and_then(|()| std::fs::rename(&unfinished, &finished))
        .and_then(|()| File::open(&containers)?.sync_all());
    if written.is_err() {
        // The first error is the one to tell; what cannot be removed now is swept at the next start.
        let _ = std::fs::remove_dir_all(&unfinished);
        let _ = std::fs::remove_dir_all(&finished);
    }
    written.map(|()| finished)
}

fn write_new(directory: &Path, record: &Record) -> io::Result<()> {
    DirBuilder::new().mode(0o710).create(directory)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(directory.join(RECORD))?;
    file.write_all(&serde_json::to_vec(record)?)?;
    file.sync_all()
}

/// Replaces the record of a container that exists.
///
/// # Errors
/// As [`save`]; the old record stays then.
pub fn save_record(directory: &Path, record: &Record, durability: Durability) -> io::Result<()> {
    atomic_file::replace(&directory.join(RECORD), &serde_json::to_vec(record)?, durability)
}

/// Replaces the state; a power cut may bring back an older one.
///
/// # Errors
/// As [`save`]; the old state stays then.
pub fn save_state(directory: &Path, state: &State) -> io::Result<()> {
    atomic_file::replace(&directory.join(STATE), &serde_json::to_vec(state)?, Durability::Process)
}
