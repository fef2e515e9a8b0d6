//! The first process's system call filter, kept beside the record: whoever enters later gets the same one, whatever
//! became of the bundle since.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;

use crate::plan::SeccompPlan;
use crate::state_dir::{StateDir, StateError};

const NAME: &str = "filter.json";

/// Writes the filter of a container that nobody can enter yet.
///
/// # Errors
/// [`StateError::Write`].
pub(crate) fn save(directory: &StateDir, filter: &SeccompPlan) -> Result<(), StateError> {
    let path = directory.file(NAME);
    let write = || -> io::Result<()> {
        let json = serde_json::to_vec(filter)?;
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?.write_all(&json)
    };
    write().map_err(|source| StateError::Write { path, source })
}

/// Reads it.
///
/// # Errors
/// [`StateError::Read`] also when there is none: a process never enters without it. [`StateError::Damaged`].
pub(crate) fn load(directory: &StateDir) -> Result<SeccompPlan, StateError> {
    let path = directory.file(NAME);
    let json = fs::read(&path).map_err(|source| StateError::Read { path: path.clone(), source })?;
    serde_json::from_slice(&json).map_err(|source| StateError::Damaged { path, source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Listener;

    #[test]
    fn what_is_kept_is_read_back_and_what_is_missing_is_an_error() {
        let root = tempfile::tempdir().expect("a temporary directory");
        let directory = StateDir::claim(root.path(), "web").expect("claims");
        assert!(matches!(load(&directory), Err(StateError::Read { .. })));
        let listener = Listener { path: "/run/a".into(), metadata: "m".to_owned() };
        let filter = SeccompPlan { program: vec![6, u64::MAX], flags: 4, listener: Some(listener) };
        save(&directory, &filter).expect("saves");
        assert_eq!(load(&directory).expect("loads"), filter);
        assert!(matches!(save(&directory, &filter), Err(StateError::Write { .. })), "it is written once");
    }
}
