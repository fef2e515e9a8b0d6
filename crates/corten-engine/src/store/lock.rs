//! One engine per data root.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use corten_sys::lock_file::{self, LockError};

use crate::errors::{EngineError, Result};

/// Time a dead engine's lock may take to become free: until the children it was starting have done
/// their exec, or have died.
const PATIENCE: Duration = Duration::from_secs(10);

/// Takes the data root as long as the answer lives; the kernel gives it back when we die.
///
/// # Errors
/// When another engine has it.
pub fn lock(data_root: &Path) -> Result<File> {
    let path = data_root.join("engine.lock");
    lock_file::hold(&path, PATIENCE).map_err(|error| match error {
        LockError::Held { .. } => {
            EngineError::conflict(format!("the data root {} is in use by another engine: {error}", data_root.display()))
        }
        LockError::File(error) => EngineError::internal(format!("lock {}", path.display())).caused_by(error),
    })
}
