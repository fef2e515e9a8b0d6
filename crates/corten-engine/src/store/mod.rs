//! The engine's files: a directory per container under `<data-root>/containers`.
//!
//! Each directory is one container's whole state. A file that cannot be read costs that container,
//! never the start: it is set aside under `<data-root>/broken` and reported.

mod identity;
mod load;
mod lock;
mod remove;
mod save;

pub use identity::{Identity, identity};
pub use load::{Loaded, load};
pub use lock::lock;
pub use remove::{remove, sweep};
pub use save::{save, save_record, save_state};

use std::path::{Path, PathBuf};

/// The file of a container's record.
const RECORD: &str = "container.json";

/// The file of a container's state.
const STATE: &str = "state.json";

/// Where containers live.
pub fn containers_directory(data_root: &Path) -> PathBuf {
    data_root.join("containers")
}

/// Where removed directories wait for their deletion.
fn trash_directory(data_root: &Path) -> PathBuf {
    data_root.join("trash")
}

/// Whether the container's directory was set aside: what belongs to it is kept for its owner.
pub fn is_set_aside(data_root: &Path, id: &str) -> bool {
    let entries = std::fs::read_dir(broken_directory(data_root)).into_iter().flatten().flatten();
    let prefix = format!("{id}-");
    entries.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
}

/// Where unreadable directories are kept for whoever wants to look.
fn broken_directory(data_root: &Path) -> PathBuf {
    data_root.join("broken")
}
