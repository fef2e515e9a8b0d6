//! The network namespaces of containers: made in a thread of its own, kept by a bind mount.

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::thread;

use corten_netlink::{Batch, Socket, link};
use corten_sys::clone::{self, Namespaces};
use corten_sys::{at, mount, syscall};

use super::{Result, refused};
use crate::error::NetworkError;
use crate::plan::Sandbox;

/// The file system of namespaces (`NSFS_MAGIC`).
const NAMESPACES: u64 = 0x6e73_6673;
const LOOPBACK_INDEX: u32 = 1;

/// Makes the sandbox, unless it is there.
pub fn make(sandbox: &Sandbox) -> Result<()> {
    if is_there(&sandbox.path) {
        return Ok(());
    }
    let failed = |step: &str| {
        let step = step.to_owned();
        let object = name(sandbox);
        move |source| NetworkError::Kernel { object, step, source }
    };
    if let Some(parent) = sandbox.path.parent() {
        fs::create_dir_all(parent).map_err(failed("make its directory"))?;
    }
    File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&sandbox.path)
        .map_err(failed("make the file it is bound to"))?;
    let made = in_thread(sandbox, || {
        clone::unshare(Namespaces::NETWORK).map_err(failed("make a network namespace"))?;
        let mut socket = Socket::route().map_err(refused(name(sandbox)))?;
        let mut batch = Batch::new();
        batch.set_link(LOOPBACK_INDEX, link::Settings { up: Some(true), ..link::Settings::default() });
        socket.run(batch).map_err(refused(name(sandbox)))?;
        bind(&sandbox.path).map_err(failed("bind the network namespace"))
    });
    if made.is_err() {
        let _ = fs::remove_file(&sandbox.path); // the first error is the one to tell
    }
    made
}

/// Unbinds the sandbox and removes its file.
pub fn remove(sandbox: &Sandbox) -> Result<()> {
    let path = text(&sandbox.path).map_err(|source| failed_to_remove(sandbox, source))?;
    loop {
        match mount::detach(&path) {
            Ok(()) => {} // another may lie below, of two makers that were killed
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => break,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(failed_to_remove(sandbox, error)),
        }
    }
    match fs::remove_file(&sandbox.path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed_to_remove(sandbox, error)),
        _ => Ok(()),
    }
}

fn failed_to_remove(sandbox: &Sandbox, source: io::Error) -> NetworkError {
    NetworkError::Kernel { object: name(sandbox), step: "unbind the network namespace".to_owned(), source }
}

/// Whether a namespace is bound there.
pub fn is_there(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| at::file_system(file.as_fd()).is_ok_and(|kind| kind == NAMESPACES))
}

/// A handle on the namespace.
pub fn open(sandbox: &Sandbox) -> Result<File> {
    let step = "open the network namespace".to_owned();
    let file = File::open(&sandbox.path).map_err(|source| NetworkError::Kernel {
        object: name(sandbox),
        step: step.clone(),
        source,
    })?;
    match at::file_system(file.as_fd()) {
        Ok(NAMESPACES) => Ok(file),
        Ok(_) => Err(NetworkError::Invalid(format!("{} holds no network namespace", name(sandbox)))),
        Err(source) => Err(NetworkError::Kernel { object: name(sandbox), step, source }),
    }
}

/// Does `work` in a thread that has entered the namespace, which nobody uses afterwards: a thread that fails to come back
/// must not work for others.
pub fn inside<T: Send>(sandbox: &Sandbox, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let namespace = open(sandbox)?;
    in_thread(sandbox, move || {
        clone::enter(namespace.as_fd(), Namespaces::NETWORK).map_err(|source| NetworkError::Kernel {
            object: name(sandbox),
            step: "enter the network namespace".to_owned(),
            source,
        })?;
        work()
    })
}

fn in_thread<T: Send>(sandbox: &Sandbox, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let failed = |source| NetworkError::Kernel { object: name(sandbox), step: "start a thread".to_owned(), source };
    thread::scope(|scope| {
        let started = thread::Builder::new().name("sandbox".to_owned()).spawn_scoped(scope, work).map_err(failed)?;
        started.join().unwrap_or_else(|panicked| std::panic::resume_unwind(panicked))
    })
}

fn bind(path: &Path) -> io::Result<()> {
    let tree = mount::clone_tree(syscall::HERE, c"/proc/thread-self/ns/net", mount::Extent::Single)?;
    mount::attach_at(tree.as_fd(), &text(path)?)
}

fn text(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))
}

/// For messages.
pub fn name(sandbox: &Sandbox) -> String {
    format!("sandbox {}", sandbox.path.display())
}
