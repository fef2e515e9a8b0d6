//! The first process's system call filter, kept in the record: whoever enters later gets the same one, whatever became of
//! the bundle since. It stays text until then, which every other verb passes over.

use std::{borrow::Cow, fs, io};

use crate::plan::SeccompPlan;
use crate::state_dir::{Record, StateDir, StateError};

/// Where earlier runtimes kept it.
const NAME: &str = "filter.json";

/// The filter as the record holds it.
///
/// # Errors
/// [`StateError::Write`].
pub(crate) fn keep(directory: &StateDir, filter: &SeccompPlan) -> Result<String, StateError> {
    let fail = |error| StateError::Write { path: directory.file("state.json"), source: io::Error::from(error) };
    serde_json::to_string(filter).map_err(fail)
}

/// Reads it.
///
/// # Errors
/// [`StateError::Read`] also when there is none: a process never enters without it. [`StateError::Damaged`].
pub(crate) fn load(directory: &StateDir, record: &Record) -> Result<SeccompPlan, StateError> {
    let (path, json) = match &record.filter {
        Some(filter) => (directory.file("state.json"), Cow::Borrowed(filter.as_bytes())),
        None => {
            let path = directory.file(NAME);
            let json = fs::read(&path).map_err(|source| StateError::Read { path: path.clone(), source })?;
            (path, Cow::Owned(json))
        }
    };
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
        let mut record = Record::default();
        assert!(matches!(load(&directory, &record), Err(StateError::Read { .. })));
        let listener = Listener { path: "/run/a".into(), metadata: "m".to_owned() };
        let filter = SeccompPlan { program: vec![6, u64::MAX], flags: 4, listener: Some(listener) };
        record.filter = Some(keep(&directory, &filter).expect("is text"));
        directory.save(&record).expect("saves");
        let record = directory.load().expect("loads");
        assert_eq!(load(&directory, &record).expect("loads"), filter);
        // As earlier runtimes left it: in a file of its own, its words as numbers.
        let text = r#"{"program":[6,18446744073709551615],"flags":4,"listener":{"path":"/run/a","metadata":"m"}}"#;
        std::fs::write(directory.file(NAME), text).expect("writes");
        assert_eq!(load(&directory, &Record::default()).expect("loads"), filter);
        std::fs::write(directory.file(NAME), text.replace("[6,18446744073709551615]", r#""06""#)).expect("writes");
        assert!(matches!(load(&directory, &Record::default()), Err(StateError::Damaged { .. })));
    }
}
