//! The directory of one exec: what the shim does with its output, and where it waits for clients.

use std::io;
use std::path::{Path, PathBuf};

use corten_docker_api::exec::ExecCreate;
use corten_stdio::{Driver, StdinMode, StdioFile, stdio_file};

use crate::containers::Container;

/// Where the execs of a container have their directories.
fn all(container: &Container) -> PathBuf {
    container.directory().join("execs")
}

/// The directory of the exec `id`; its socket is found by it after the engine was started again.
pub fn directory(container: &Container, id: &str) -> PathBuf {
    all(container).join(id)
}

/// Where its hub listens for clients.
pub fn socket(directory: &Path) -> PathBuf {
    directory.join("attach.sock")
}

/// Makes the directory and says what the shim does with the streams; returns the URI that names it.
///
/// # Errors
/// Those of writing.
pub fn make(directory: &Path, config: &ExecCreate) -> io::Result<String> {
    std::fs::create_dir_all(directory)?;
    let path = directory.join("stdio.json");
    let file = StdioFile {
        format: stdio_file::FORMAT,
        driver: Driver::None,
        log_path: PathBuf::new(),
        max_size_bytes: 0,
        max_files: 0,
        compress: false,
        attrs: Default::default(),
        // It ends with the client that started it.
        stdin: if config.attach_stdin { StdinMode::Once } else { StdinMode::Closed },
        terminal: config.tty,
        attach_socket: socket(directory),
    };
    file.save(&path)?;
    Ok(stdio_file::uri(&path))
}

/// Removes the directory; one that is not there is no error.
///
/// # Errors
/// Those of removing.
pub fn remove(directory: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes what execs of an earlier run have left, before the container runs again.
///
/// # Errors
/// Those of removing.
pub fn clear(container: &Container) -> io::Result<()> {
    remove(&all(container))
}
