//! The socket on which a runtime sends the master end of a process's terminal.

use std::{
    fs::{self, File},
    io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::net::UnixListener,
    },
    path::{Path, PathBuf},
};

use corten_runtime_api::console;
use corten_sys::sockets;

use crate::error::TaskError;

/// Longest path of a socket that every runtime can connect to (unix(7)).
const MAX_ADDRESS_BYTES: usize = 107;

/// A listening console socket in the bundle; removed when dropped.
#[derive(Debug)]
pub struct Console {
    listener: UnixListener,
    path: PathBuf,
    directory: Option<File>,
}

impl Console {
    /// Listens in `bundle` for the terminal of the process `name`.
    ///
    /// # Errors
    /// [`TaskError::Io`].
    pub fn listen(bundle: &Path, name: &str) -> Result<Self, TaskError> {
        let path = bundle.join(format!("{name}.console"));
        let listen = || {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let listener = sockets::listen(&path)?;
            listener.set_nonblocking(true)?;
            let directory = if path.as_os_str().len() > MAX_ADDRESS_BYTES { Some(File::open(bundle)?) } else { None };
            Ok((listener, directory))
        };
        let (listener, directory) = listen().map_err(TaskError::io("listen for a terminal at", &path))?;
        Ok(Self { listener, path, directory })
    }

    /// The path to tell the runtime. A long one leads through our descriptor of the directory: runc
    /// connects to the words it is given.
    pub fn path(&self) -> PathBuf {
        match (&self.directory, self.path.file_name()) {
            (Some(directory), Some(name)) => {
                PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), directory.as_raw_fd())).join(name)
            }
            _ => self.path.clone(),
        }
    }

    /// Takes the terminal that the runtime, which has ended, has sent.
    ///
    /// # Errors
    /// [`TaskError::Io`] when it has sent none.
    pub fn receive(&self) -> Result<OwnedFd, TaskError> {
        console::receive(&self.listener)
            .map(|(_, master)| master)
            .map_err(TaskError::io("receive the terminal at", &self.path))
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        // Nobody looks for it any more; the bundle goes with the container.
        let _ = fs::remove_file(&self.path);
    }
}
