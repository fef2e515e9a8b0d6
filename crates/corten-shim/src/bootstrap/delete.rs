//! `delete`: cleans up after a shim that died, and prints the exit of its container.
//!
//! A shim that dies takes its container with it. The exit it saw before it died is on disk; without one
//! the container is killed now. Called also when nothing is left: that succeeds.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use corten_proto::containerd::task::v2::DeleteResponse;
use corten_runtime_api::{arguments::Delete, pid_file};
use corten_shim_api::start::{Invocation, read_address};
use corten_stdio::Timestamp;
use corten_sys::{mount_options, sockets};
use corten_types::ExitStatus;
use prost::Message;

use super::{BootstrapError, failed, print};
use crate::{
    exit_file::{self, Exit},
    options, rootfs,
};

/// Cleans up and prints a `DeleteResponse`.
pub(super) fn delete(invocation: &Invocation) -> Result<(), BootstrapError> {
    let bundle = bundle(invocation)?;
    let path = exit_file::path(&bundle, "init");
    let exit = exit_file::load(&path).unwrap_or_else(|error| {
        eprintln!("corten-shim: read {}: {error}", path.display());
        None
    });
    remove_container(invocation, &bundle);
    let target = rootfs::path(&bundle);
    mount_options::unmount_all(&target).map_err(failed(format!("unmount {}", target.display())))?;
    remove_dead_socket(&bundle);
    let exit = exit.unwrap_or_else(|| Exit {
        pid: pid_file::read(&bundle.join("init.pid")).map_or(0, i32::unsigned_abs),
        status: ExitStatus::LOST,
        at: Timestamp::now(),
    });
    let answer = DeleteResponse { pid: exit.pid, exit_status: exit.status.code(), exited_at: Some(exit.at_proto()) };
    print(&answer.encode_to_vec())
}

/// The bundle told; else the sibling of the working directory that has the id's name.
fn bundle(invocation: &Invocation) -> Result<PathBuf, BootstrapError> {
    if let Some(bundle) = &invocation.bundle {
        return Ok(bundle.clone());
    }
    let here = env::current_dir().map_err(failed("find the bundle"))?;
    Ok(here.parent().unwrap_or(Path::new("/")).join(&invocation.id))
}

fn remove_container(invocation: &Invocation, bundle: &Path) {
    let options = match options::load(bundle) {
        Ok(options) => options,
        Err(error) => {
            // The default is the better guess than nothing.
            eprintln!("corten-shim: read the options in {}: {error}", bundle.display());
            corten_proto::containerd::runc::v1::Options::default()
        }
    };
    let runtime = options::runtime(&options, &invocation.namespace, bundle);
    let mut command = runtime.delete(Delete { id: invocation.id.clone(), force: true });
    command.stdin(Stdio::null()).stdout(Stdio::null());
    match command.status() {
        Ok(status) if status.success() => {}
        // The rest is cleaned up nevertheless; what is left is found by the caller's next try.
        Ok(status) => eprintln!("corten-shim: delete container {}: {status}", invocation.id),
        Err(error) => eprintln!("corten-shim: run {}: {error}", runtime.binary.display()),
    }
}

/// The socket of a dead shim; that of a group whose shim lives stays.
fn remove_dead_socket(bundle: &Path) {
    if let Ok(address) = read_address(bundle) {
        let path = address.path();
        if sockets::connect(&path).is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused) {
            // Gone already, or gone at the next boot.
            let _ = fs::remove_file(path);
        }
    }
}
