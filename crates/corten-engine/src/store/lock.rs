//! One engine per data root.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::errors::{EngineError, Result};

/// Takes the data root as long as the answer lives; the kernel gives it back when we die.
///
/// # Errors
/// When another engine has it.
pub fn lock(data_root: &Path) -> Result<File> {
    let path = data_root.join("engine.lock");
    let opened = OpenOptions::new().create(true).write(true).truncate(false).mode(0o600).open(&path);
    let file = opened.map_err(|error| EngineError::internal(format!("open {}", path.display())).caused_by(error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(EngineError::conflict(format!("the data root {} is in use by another engine", data_root.display())))
        }
        Err(TryLockError::Error(error)) => {
            Err(EngineError::internal(format!("lock {}", path.display())).caused_by(error))
        }
    }
}
