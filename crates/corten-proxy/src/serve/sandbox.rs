//! The network namespace of a container, as its engine has bound it: bound it outlives the container, and with it the
//! interface on the host's side.

use std::{
    ffi::CString,
    fs, io,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::Path,
};

use corten_sys::mount;
use corten_types::Identifier;

/// How many characters of a container's id its namespace is bound by.
const NAME_LENGTH: usize = 12;

/// A namespace that was bound when its container was handed over.
#[derive(Debug)]
pub struct Sandbox {
    path: CString,
    /// Which one it was: a container that runs again has another in the same place.
    namespace: (u64, u64),
}

impl Sandbox {
    /// The one of `container` among those bound in `directory`, if there is one.
    pub fn find(directory: &Path, container: &Identifier) -> Option<Sandbox> {
        let id = container.as_str();
        let path = directory.join(id.get(..NAME_LENGTH).unwrap_or(id));
        let path = CString::new(path.as_os_str().as_bytes()).ok()?;
        Some(Sandbox { namespace: bound(&path).ok()?, path })
    }

    /// Lets go of it, when it is still the same. The engine takes the file itself away, when it is back.
    pub fn let_go(self) {
        if bound(&self.path).is_ok_and(|now| now == self.namespace) {
            // A file that is no mount is nobody's namespace.
            let _ = mount::detach(&self.path);
        }
    }
}

fn bound(path: &CString) -> io::Result<(u64, u64)> {
    let metadata = fs::metadata(std::ffi::OsStr::from_bytes(path.as_bytes()))?;
    Ok((metadata.dev(), metadata.ino()))
}
