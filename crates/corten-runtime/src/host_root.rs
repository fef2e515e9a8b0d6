//! The root of a container in the host's own mount namespace. It is attached in the container's directory, where nobody
//! else mounts anything, so that whoever removes the container knows what to take down, and never removes files through
//! a mount.

use std::ffi::CString;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use corten_sys::mount;

use crate::state_dir::{StateDir, StateError};

const NAME: &str = "rootfs";

/// Makes the directory that the root is attached at.
///
/// # Errors
/// [`StateError::Make`].
pub(crate) fn make(directory: &StateDir) -> Result<PathBuf, StateError> {
    let path = directory.file(NAME);
    let made = DirBuilder::new().mode(0o700).create(&path);
    made.map(|()| path.clone()).map_err(|source| StateError::Make { path, source })
}

/// Takes down what is mounted below the container's `directory`; most have nothing there.
///
/// # Errors
/// Those of rmdir(2): it stays, and so must the directory.
pub(crate) fn take_down(directory: &Path) -> io::Result<()> {
    let path = directory.join(NAME);
    match fs::remove_dir(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
            let name = CString::new(path.as_os_str().as_bytes())?;
            // One for each: a mount that was made twice covers itself.
            while mount::detach(&name).is_ok() {}
            fs::remove_dir(&path)
        }
        result => result,
    }
}
