//! Takes a container's directory away: out of sight at once, off the disk afterwards.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use tracing::warn;

use super::{containers_directory, trash_directory};

/// Moves the container's directory to the trash, so that it is gone also after a power cut. The
/// caller deletes what this returns when it likes; [`sweep`] does at the next start.
///
/// # Errors
/// Those of rename(2) and fsync(2). A directory that is gone already is no error.
pub fn remove(data_root: &Path, id: &str) -> io::Result<PathBuf> {
    let containers = containers_directory(data_root);
    let place = trash_directory(data_root).join(id);
    match fs::rename(containers.join(id), &place) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        renamed => renamed?,
    }
    File::open(containers)?.sync_all()?;
    Ok(place)
}

/// Deletes what lies in the trash.
pub fn sweep(data_root: &Path) {
    let Ok(entries) = fs::read_dir(trash_directory(data_root)) else { return };
    for entry in entries.flatten() {
        if let Err(error) = fs::remove_dir_all(entry.path()) {
            warn!(path = %entry.path().display(), %error, "delete a removed container's files");
        }
    }
}
