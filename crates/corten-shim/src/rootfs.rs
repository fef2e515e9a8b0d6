//! Mounting a container's root filesystem at `<bundle>/rootfs`, and taking it away again.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use corten_proto::containerd::types::Mount;
use corten_sys::mount_options;

use crate::error::TaskError;

/// Where the root filesystem of the container of `bundle` is mounted.
pub fn path(bundle: &Path) -> PathBuf {
    bundle.join("rootfs")
}

/// Mounts `mounts`, one on top of the other. Runs on a thread of its own: a mount may block.
///
/// # Errors
/// [`TaskError::Unsupported`] naming the option, [`TaskError::Io`]; what was mounted is unmounted.
pub async fn mount(mounts: &[Mount], target: &Path) -> Result<(), TaskError> {
    if mounts.is_empty() {
        return Ok(());
    }
    let prepared = mounts.iter().map(prepare).collect::<Result<Vec<_>, _>>()?;
    let target = target.to_owned();
    on_a_thread(move || {
        match fs::DirBuilder::new().mode(0o711).create(&target) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(TaskError::io("make the directory", &target)(error));
            }
            _ => {}
        }
        prepared.iter().try_for_each(|mount| mount.mount(&target)).map_err(|error| {
            // The mount's own error is the one that matters.
            let _ = mount_options::unmount_all(&target);
            TaskError::io("mount the root filesystem at", &target)(error)
        })
    })
    .await
}

fn prepare(mount: &Mount) -> Result<mount_options::Mount, TaskError> {
    if !mount.target.is_empty() && mount.target != "/" {
        return Err(TaskError::Unsupported(format!("rootfs mount with target {}: not supported yet", mount.target)));
    }
    let prepared = mount_options::Mount {
        fstype: mount.r#type.clone(),
        source: mount.source.clone(),
        options: mount.options.clone(),
    };
    match prepared.unsupported() {
        Some(what) => Err(TaskError::Unsupported(format!("rootfs mount with {}: not supported yet", what.0))),
        None => Ok(prepared),
    }
}

/// Unmounts everything at `target`. Nothing there is fine.
///
/// # Errors
/// [`TaskError::Io`].
pub async fn unmount(target: &Path) -> Result<(), TaskError> {
    let target = target.to_owned();
    // Dropping the last reference of a superblock syncs it, which takes seconds on a slow disk.
    on_a_thread(move || mount_options::unmount_all(&target).map_err(TaskError::io("unmount", &target))).await
}

async fn on_a_thread<F>(work: F) -> Result<(), TaskError>
where
    F: FnOnce() -> Result<(), TaskError> + Send + 'static,
{
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(TaskError::Invalid(error.to_string())))
}
