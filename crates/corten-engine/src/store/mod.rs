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

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use tracing::error;

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

/// Sets a directory aside whose record cannot be used, as `<data-root>/broken/<name>-<time>`: it costs what it holds,
/// never the start. `what` is `container` or `network`.
pub fn set_aside(data_root: &Path, what: &str, path: &Path, name: &str, reason: &str) {
    let broken = broken_directory(data_root);
    let place = broken.join(format!("{name}-{}", crate::clock::Moment::now().nanos()));
    let moved = DirBuilder::new().recursive(true).mode(0o700).create(&broken).and_then(|()| fs::rename(path, &place));
    match moved {
        Ok(()) => error!(name, reason, path = %place.display(), "{what} set aside: its record is broken"),
        Err(error) => {
            error!(name, reason, %error, "{what} left out: its record is broken and cannot be set aside");
        }
    }
}

/// Where unreadable directories are kept for whoever wants to look.
fn broken_directory(data_root: &Path) -> PathBuf {
    data_root.join("broken")
}
