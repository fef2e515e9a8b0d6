//! `list`: all containers below the root.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use corten_runtime_api::arguments::{List, ListFormat};
use corten_runtime_api::state::State;
use corten_runtime_api::texts::is_valid_id;

use crate::log::Log;
use crate::state;

/// Why containers could not be listed.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The root could not be read.
    #[error("read {}", path.display())]
    Read {
        /// The root.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A state could not be written as JSON.
    #[error("write the list")]
    Write(#[source] serde_json::Error),
}

/// What is printed. A root that does not exist has no containers; `is_default` says that nobody named it.
///
/// # Errors
/// [`ListError`].
pub fn list(root: &Path, is_default: bool, arguments: &List, log: &Log) -> Result<String, ListError> {
    let entries = match fs::read_dir(root) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound && is_default => return Ok(String::new()),
        Err(source) => return Err(ListError::Read { path: root.to_owned(), source }),
    };
    let mut states = Vec::new();
    for entry in entries.filter_map(Result::ok) {
        let id = entry.file_name().to_string_lossy().into_owned();
        if !is_valid_id(&id) || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        match state::state(root, &id) {
            Ok(state) => states.push(with_owner(state, &entry.path())),
            // One bad record does not hide the others.
            Err(error) => log.warn(&format!("load container {id}: {error}")),
        }
    }
    states.sort_by(|a, b| a.id.cmp(&b.id));
    print(&states, arguments)
}

fn with_owner(state: State, directory: &Path) -> State {
    let uid = fs::metadata(directory).map_or(0, |metadata| metadata.uid());
    // Only root's name is known without a user database, which can be anything behind NSS.
    let owner = if uid == 0 { "root".to_owned() } else { format!("#{uid}") };
    State { owner, ..state }
}

fn print(states: &[State], arguments: &List) -> Result<String, ListError> {
    if arguments.quiet {
        return Ok(states.iter().map(|state| format!("{}\n", state.id)).collect());
    }
    if arguments.format == ListFormat::Json {
        // Go prints an empty slice that was never made as null.
        return match states.is_empty() {
            true => Ok("null\n".to_owned()),
            false => serde_json::to_string(states).map(|text| text + "\n").map_err(ListError::Write),
        };
    }
    Ok(table(states))
}

/// Go's tabwriter with a minimal width of 12 and a padding of 3.
fn table(states: &[State]) -> String {
    const MINIMUM: usize = 12;
    const PADDING: usize = 3;
    let heading = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(str::to_owned);
    let row = |state: &State| {
        let pid = state.pid.to_string();
        [&state.id, &pid, &state.status, &state.bundle, &state.created, &state.owner].map(String::clone)
    };
    let rows: Vec<_> = std::iter::once(heading).chain(states.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<_> = (0..5).map(|column| (width(column) + PADDING).max(MINIMUM)).collect();
    let line = |row: &[String; 6]| {
        let cells = row[..5].iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        format!("{}{}\n", cells.collect::<String>(), row[5])
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_runcs() {
        let state = State {
            oci_version: "1.0.0".into(),
            id: "web".into(),
            pid: 42,
            status: "running".into(),
            bundle: "/bundles/web".into(),
            rootfs: "/bundles/web/rootfs".into(),
            created: "2026-01-01T00:00:00Z".into(),
            annotations: Default::default(),
            owner: "root".into(),
        };
        assert_eq!(
            table(&[state]),
            "ID          PID         STATUS      BUNDLE         CREATED                OWNER\n\
             web         42          running     /bundles/web   2026-01-01T00:00:00Z   root\n"
        );
    }
}
