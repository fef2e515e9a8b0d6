//! What only mount(2) can do, in the child: changing what is mounted there already (`remount`), and a filesystem that
//! counts the changes of its files (`iversion`).

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use corten_sys::files;
use corten_sys::mount::{self, Extent, flag};
use corten_sys::openat2;

use super::mounts::{Octal, how, new_filesystem, refuse_proc};
use super::report::{At, Fault, Operation, Stage};
use crate::plan::{MountStep, Source};

const EPERM: i32 = 1;

/// Changes the mount at the target, a bind, or the filesystem and its mount; the mount.
pub(super) fn remount(root: BorrowedFd<'_>, step: &MountStep, index: usize) -> Result<OwnedFd, Fault> {
    let target = open(root, step).at_index(Stage::Mount, Operation::Target, index)?;
    if !step.may_cover_proc {
        refuse_proc(target.as_fd()).map_err(|error| {
            Fault::new(Stage::Mount, Operation::Target, index, &error).with_message(b"it lies inside a procfs")
        })?;
    }
    let changed = if step.is_bind { change_bind(&target, step) } else { change_filesystem(&target, step) };
    changed.at_index(Stage::Mount, Operation::Attributes, index)?;
    if !step.recursive.is_empty() {
        let changed = mount::set_attributes(target.as_fd(), step.recursive, Extent::Recursive);
        changed.at_index(Stage::Mount, Operation::Attributes, index)?;
    }
    Ok(target)
}

fn open(root: BorrowedFd<'_>, step: &MountStep) -> io::Result<OwnedFd> {
    let (flags, resolve) = how(step);
    openat2::open(root, &step.target, flags, 0, resolve)
}

/// As a bind of it would have: the named attributes and no others, but what is locked (mount_namespaces(7)).
fn change_bind(target: &OwnedFd, step: &MountStep) -> io::Result<()> {
    match mount::set_attributes(target.as_fd(), step.of_bind.change(), Extent::Single) {
        Err(error) if error.raw_os_error() == Some(EPERM) => {
            let change = step.of_bind.change_locked(files::mount_flags(target.as_fd())?).map_err(|_| error)?;
            mount::set_attributes(target.as_fd(), change, Extent::Single)
        }
        result => result,
    }
}

fn change_filesystem(target: &OwnedFd, step: &MountStep) -> io::Result<()> {
    let more = flag::REMOUNT | if step.counts_versions { flag::COUNT_VERSIONS } else { 0 };
    files::change_directory(target.as_fd())?;
    call(step, step.one_call.as_deref(), more)
}

/// Makes the filesystem and attaches it at the target; the new mount. What the kernel refuses is tried without, to hear
/// why.
pub(super) fn count_versions(
    root: BorrowedFd<'_>,
    step: &MountStep,
    target: &OwnedFd,
    existed: bool,
    index: usize,
) -> Result<OwnedFd, Fault> {
    let takes_mode = existed && matches!(step.source, Source::New { takes_mode: true, .. });
    let made = files::change_directory(target.as_fd()).and_then(|()| {
        if !takes_mode {
            return call(step, step.one_call.as_deref(), flag::COUNT_VERSIONS);
        }
        let mode = Octal::new(files::stat(target.as_fd(), c"")?.mode & 0o7777);
        let mut buffer = [0u8; DATA_BYTES];
        let options = step.one_call.as_deref().unwrap_or_default().to_bytes();
        let comma: &[u8] = if options.is_empty() { b"" } else { b"," };
        let text = join(&mut buffer, [options, comma, b"mode=", mode.as_c_str().to_bytes_with_nul()])?;
        call(step, Some(text), flag::COUNT_VERSIONS)
    });
    if let Err(error) = made {
        let _ = new_filesystem(step, target.as_fd(), existed, index)?; // never attached
        return Err(Fault::new(Stage::Mount, Operation::Option, index, &error).with_message(b"iversion"));
    }
    open(root, step).at_index(Stage::Mount, Operation::Target, index)
}

/// What mount(2) takes: a page.
const DATA_BYTES: usize = 4096;

fn join<'b>(buffer: &'b mut [u8; DATA_BYTES], parts: [&[u8]; 4]) -> io::Result<&'b CStr> {
    let invalid = || io::Error::from(io::ErrorKind::InvalidInput);
    let mut length = 0;
    for part in parts {
        buffer.get_mut(length..length + part.len()).ok_or_else(invalid)?.copy_from_slice(part);
        length += part.len();
    }
    CStr::from_bytes_with_nul(&buffer[..length]).map_err(|_| invalid())
}

/// At the current directory.
fn call(step: &MountStep, data: Option<&CStr>, more: u64) -> io::Result<()> {
    let Source::New { fstype, source, .. } = &step.source else {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    };
    let data = data.filter(|data| !data.is_empty());
    mount::mount_new(fstype, source.as_deref(), c".", step.attributes.set, data, more)
}
