//! `resume`: lets a paused container's processes go on.

use std::path::Path;

use corten_runtime_api::texts;

use crate::container::Container;
use crate::pause::PauseError;

/// Lets the processes of container `id` go on.
///
/// # Errors
/// [`PauseError`].
pub fn resume(root: &Path, id: &str) -> Result<(), PauseError> {
    let container = Container::load(root, id)?;
    let cgroup = container.record.cgroup();
    if !container.is_alive() || !cgroup.is_frozen()? {
        return Err(PauseError::Status(texts::NOT_PAUSED));
    }
    Ok(cgroup.thaw()?)
}
