//! Reads all containers back.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use corten_types::error::chain;
use tracing::warn;

use super::save::UNFINISHED;
use super::{RECORD, STATE, containers_directory, set_aside, trash_directory};
use crate::containers::record::{FORMAT, Record, State};

/// A container as it was written down.
pub struct Loaded {
    /// What it is.
    pub record: Record,
    /// What it last did.
    pub state: State,
    /// Where its files are.
    pub directory: PathBuf,
}

/// Why a container cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BrokenError {
    /// Its record cannot be opened.
    #[error("read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its record is no record.
    #[error("understand {}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// A newer program has written it.
    #[error("{} has format {format}, and this program reads {FORMAT}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: u32,
    },
    /// It is the record of another container.
    #[error("{} is the record of {id}", path.display())]
    Misplaced {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        id: String,
    },
}

/// Reads every container's directory; sets aside what cannot be read.
///
/// # Errors
/// Only when the directory of all containers cannot be made or listed.
pub fn load(data_root: &Path) -> io::Result<Vec<Loaded>> {
    for directory in [containers_directory(data_root), trash_directory(data_root)] {
        DirBuilder::new().recursive(true).mode(0o710).create(directory)?;
    }
    let mut loaded = Vec::new();
    for entry in fs::read_dir(containers_directory(data_root))? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        let Some(name) = name.to_str() else { continue };
        if name.starts_with(UNFINISHED) {
            // Never acknowledged: its creator was killed before.
            if let Err(error) = fs::remove_dir_all(&path) {
                warn!(path = %path.display(), %error, "remove what an interrupted create left");
            }
            continue;
        }
        match read_one(&path, name) {
            Ok(container) => loaded.push(container),
            Err(error) => set_aside(data_root, "container", &path, name, &chain(&error)),
        }
    }
    Ok(loaded)
}

fn read_one(directory: &Path, id: &str) -> Result<Loaded, BrokenError> {
    let path = directory.join(RECORD);
    let bytes = fs::read(&path).map_err(|source| BrokenError::Read { path: path.clone(), source })?;
    let record: Record =
        serde_json::from_slice(&bytes).map_err(|source| BrokenError::Parse { path: path.clone(), source })?;
    if record.format > FORMAT {
        return Err(BrokenError::Format { path, format: record.format });
    }
    if record.id != id {
        return Err(BrokenError::Misplaced { path, id: record.id });
    }
    // The state is a hint. Without it the container counts as never started, and its task, if there
    // is one, tells otherwise.
    let state = fs::read(directory.join(STATE)).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    Ok(Loaded { record, state: state.unwrap_or_default(), directory: directory.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Moment;
    use crate::store::{broken_directory, save};

    fn record(id: &str) -> Record {
        Record {
            format: FORMAT,
            id: id.to_owned(),
            name: format!("name-{id}"),
            created: Moment::now(),
            image_id: "sha256:0".to_owned(),
            snapshotter: "overlayfs".to_owned(),
            runtime: "r".to_owned(),
            config: Default::default(),
            host_config: Default::default(),
            endpoints: Default::default(),
            left_mode: false,
        }
    }

    #[test]
    fn what_was_saved_is_loaded_and_broken_records_are_set_aside() {
        let root = tempfile::tempdir().unwrap();
        assert!(load(root.path()).unwrap().is_empty());
        save(root.path(), &record("good")).unwrap();
        let containers = containers_directory(root.path());
        for (name, content) in [("empty", ""), ("cut", "{\"format\":1,"), ("newer", "{\"format\":9}")] {
            fs::create_dir(containers.join(name)).unwrap();
            fs::write(containers.join(name).join(RECORD), content).unwrap();
        }
        fs::create_dir(containers.join("recordless")).unwrap();
        fs::create_dir(containers.join(format!("{UNFINISHED}x"))).unwrap();

        let loaded = load(root.path()).unwrap();

        assert_eq!(loaded.iter().map(|one| one.record.name.as_str()).collect::<Vec<_>>(), ["name-good"]);
        assert_eq!(fs::read_dir(containers).unwrap().count(), 1);
        assert_eq!(fs::read_dir(broken_directory(root.path())).unwrap().count(), 4);
    }

    #[test]
    fn a_save_that_fails_leaves_nothing() {
        let root = tempfile::tempdir().unwrap();
        load(root.path()).unwrap();
        save(root.path(), &record("one")).unwrap();
        fs::write(containers_directory(root.path()).join("two"), "in the way").unwrap();
        assert!(save(root.path(), &record("two")).is_err());
        let names: Vec<_> =
            fs::read_dir(containers_directory(root.path())).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(names.iter().all(|name| !name.to_str().unwrap().starts_with(UNFINISHED)));
    }
}
