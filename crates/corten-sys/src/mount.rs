//! The mount API of Linux 5.2 and later: fsopen(2), open_tree(2), move_mount(2), mount_setattr(2); pivot_root(2).
//!
//! A mount is made detached, given its attributes, and attached to a target that is already open. No path is
//! looked up twice, so nothing can be exchanged between the check and the use (CVE-2021-30465).

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::{
    cvt, cvt_int,
    syscall::{check_fd, empty_path, raw},
};

/// Attributes of a mount, as mount_setattr(2) names them.
pub mod attr {
    /// Read-only.
    pub const RDONLY: u64 = 0x1;
    /// Set-user-ID and file capabilities are not honoured.
    pub const NOSUID: u64 = 0x2;
    /// Device nodes cannot be opened.
    pub const NODEV: u64 = 0x4;
    /// Nothing can be executed.
    pub const NOEXEC: u64 = 0x8;
    /// The bits of access time handling; always clear them all before setting one.
    pub const ATIME_MASK: u64 = 0x70;
    /// Access times are updated relative to the modification time (value 0 under [`ATIME_MASK`]).
    pub const RELATIME: u64 = 0x0;
    /// Access times are never updated.
    pub const NOATIME: u64 = 0x10;
    /// Access times are always updated.
    pub const STRICTATIME: u64 = 0x20;
    /// Access times of directories are not updated.
    pub const NODIRATIME: u64 = 0x80;
    /// Symbolic links are not followed (Linux 5.14).
    pub const NOSYMFOLLOW: u64 = 0x20_0000;
}

/// What mount(2) alone can be asked for.
pub mod flag {
    /// The filesystem counts the changes of each file.
    pub const COUNT_VERSIONS: libc::c_ulong = libc::MS_I_VERSION;
    /// What is mounted there is changed, and nothing is mounted.
    pub const REMOUNT: libc::c_ulong = libc::MS_REMOUNT;
}

/// How mount and unmount events travel between mounts of one peer group (mount_namespaces(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// Events travel both ways.
    Shared,
    /// Events come in only.
    Slave,
    /// No events.
    Private,
    /// No events, and the mount cannot be bound elsewhere.
    Unbindable,
}

impl Propagation {
    const fn bits(self) -> libc::c_ulong {
        match self {
            Self::Shared => libc::MS_SHARED,
            Self::Slave => libc::MS_SLAVE,
            Self::Private => libc::MS_PRIVATE,
            Self::Unbindable => libc::MS_UNBINDABLE,
        }
    }
}

/// Whether a call concerns one mount or also those below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// This mount alone.
    Single,
    /// This mount and every mount below it.
    Recursive,
}

const OPEN_TREE_CLONE: libc::c_uint = 1;
const AT_RECURSIVE: libc::c_int = 0x8000;
const MOVE_MOUNT_F_EMPTY_PATH: libc::c_uint = 0x4;
const MOVE_MOUNT_T_EMPTY_PATH: libc::c_uint = 0x40;
const FSOPEN_CLOEXEC: libc::c_uint = 1;
const FSMOUNT_CLOEXEC: libc::c_uint = 1;
const FSCONFIG_SET_FLAG: libc::c_uint = 0;
const FSCONFIG_SET_STRING: libc::c_uint = 1;
const FSCONFIG_CMD_CREATE: libc::c_uint = 6;

/// A new, detached mount of what `path` below `dir` shows; an empty `path` means `dir` itself.
///
/// # Errors
/// Those of open_tree(2): `ENOENT`, `EPERM` without CAP_SYS_ADMIN, `EINVAL` for an unbindable mount.
pub fn clone_tree(dir: BorrowedFd<'_>, path: &CStr, extent: Extent) -> io::Result<OwnedFd> {
    clone_tree_with(dir, path, extent, 0)
}

/// As [`clone_tree`]; a final symlink is shown itself.
///
/// # Errors
/// As [`clone_tree`].
pub fn clone_tree_nofollow(dir: BorrowedFd<'_>, path: &CStr, extent: Extent) -> io::Result<OwnedFd> {
    clone_tree_with(dir, path, extent, libc::AT_SYMLINK_NOFOLLOW)
}

/// As [`clone_tree`], with `change` for the mounts that are copied: one call since Linux 6.15.
///
/// # Errors
/// Those of [`clone_tree`] and [`set_attributes`].
pub fn clone_tree_changed(dir: BorrowedFd<'_>, path: &CStr, extent: Extent, change: Change) -> io::Result<OwnedFd> {
    /// The same number on every architecture that was there before Linux 7.
    const SYS_OPEN_TREE_ATTR: libc::c_long = 467;
    let attributes = MountAttr::from(change);
    let size = size_of::<MountAttr>();
    let flags = clone_flags(path, extent, 0);
    // SAFETY: `path` is NUL-terminated; `attributes` has the layout of struct mount_attr, and its size is given. Both are
    // only read.
    let result =
        unsafe { libc::syscall(SYS_OPEN_TREE_ATTR, raw(dir), path.as_ptr(), flags, &raw const attributes, size) };
    // SAFETY: open_tree_attr returns a new descriptor.
    if let Ok(tree) = unsafe { check_fd(result) } {
        return Ok(tree);
    }
    // An older kernel, or a filter of system calls that does not know it; or an error, which the one or the other has.
    let tree = clone_tree(dir, path, extent)?;
    set_attributes(tree.as_fd(), change, extent)?;
    Ok(tree)
}

fn clone_flags(path: &CStr, extent: Extent, more: libc::c_int) -> libc::c_uint {
    let recursive = if extent == Extent::Recursive { AT_RECURSIVE } else { 0 };
    OPEN_TREE_CLONE | libc::O_CLOEXEC as libc::c_uint | (empty_path(path) | more | recursive) as libc::c_uint
}

fn clone_tree_with(dir: BorrowedFd<'_>, path: &CStr, extent: Extent, more: libc::c_int) -> io::Result<OwnedFd> {
    let flags = clone_flags(path, extent, more);
    // SAFETY: `path` is NUL-terminated and outlives the call, which only reads it.
    let result = unsafe { libc::syscall(libc::SYS_open_tree, raw(dir), path.as_ptr(), flags) };
    // SAFETY: open_tree returns a new descriptor.
    unsafe { check_fd(result) }
}

/// Opens a context for a new instance of a filesystem (fsopen(2)).
///
/// # Errors
/// `ENODEV` when the kernel has no such filesystem; `EPERM` without CAP_SYS_ADMIN.
pub fn fsopen(fstype: &CStr) -> io::Result<OwnedFd> {
    // SAFETY: `fstype` is NUL-terminated and only read.
    let result = unsafe { libc::syscall(libc::SYS_fsopen, fstype.as_ptr(), FSOPEN_CLOEXEC) };
    // SAFETY: fsopen returns a new descriptor.
    unsafe { check_fd(result) }
}

/// Sets an option that has no value.
///
/// # Errors
/// `EINVAL` when the filesystem does not know it; [`context_message`] says more.
pub fn set_flag(context: BorrowedFd<'_>, key: &CStr) -> io::Result<()> {
    let null = std::ptr::null::<libc::c_char>();
    // SAFETY: `key` is NUL-terminated and only read; a flag takes no value and aux 0.
    cvt(unsafe { libc::syscall(libc::SYS_fsconfig, raw(context), FSCONFIG_SET_FLAG, key.as_ptr(), null, 0) })?;
    Ok(())
}

/// Sets `key=value`. The kernel takes at most 255 bytes of value.
///
/// # Errors
/// `EINVAL` for an unknown key, a value it cannot read or one too long; [`context_message`] says more.
pub fn set_string(context: BorrowedFd<'_>, key: &CStr, value: &CStr) -> io::Result<()> {
    // SAFETY: both strings are NUL-terminated and only read.
    cvt(unsafe {
        libc::syscall(libc::SYS_fsconfig, raw(context), FSCONFIG_SET_STRING, key.as_ptr(), value.as_ptr(), 0)
    })?;
    Ok(())
}

/// Makes the superblock and a detached mount of it with the attributes `attrs` ([`attr`]).
///
/// # Errors
/// Those of the filesystem's own mount; [`context_message`] says more.
pub fn create(context: BorrowedFd<'_>, attrs: u64) -> io::Result<OwnedFd> {
    let null = std::ptr::null::<libc::c_char>();
    // SAFETY: the create command takes no key, no value and aux 0.
    cvt(unsafe { libc::syscall(libc::SYS_fsconfig, raw(context), FSCONFIG_CMD_CREATE, null, null, 0) })?;
    // SAFETY: fsmount takes three integers.
    let result = unsafe { libc::syscall(libc::SYS_fsmount, raw(context), FSMOUNT_CLOEXEC, attrs as libc::c_uint) };
    // SAFETY: fsmount returns a new descriptor.
    unsafe { check_fd(result) }
}

/// Makes a new instance of a filesystem and attaches it at `path`, in one call (mount(2)); `path` is looked up from the
/// current directory. `attrs` are [`attr`], `more` is of [`flag`]; `data` holds the filesystem's options, with commas
/// between them.
///
/// # Errors
/// Those of mount(2), without a word about the reason: [`fsopen`] and [`context_message`] tell it.
pub fn mount_new(
    fstype: &CStr,
    source: Option<&CStr>,
    path: &CStr,
    attrs: u64,
    data: Option<&CStr>,
    more: libc::c_ulong,
) -> io::Result<()> {
    let flags = flags(attrs) | more;
    let [source, data] = [source, data].map(|text| text.map_or(std::ptr::null(), CStr::as_ptr));
    // SAFETY: the strings are NUL-terminated and only read; a NULL source or data is allowed.
    cvt_int(unsafe { libc::mount(source, path.as_ptr(), fstype.as_ptr(), flags, data.cast()) })?;
    Ok(())
}

/// The bits of mount(2) for those of mount_setattr(2); a new mount has relative access times without any.
fn flags(attrs: u64) -> libc::c_ulong {
    const PAIRS: [(u64, libc::c_ulong); 8] = [
        (attr::RDONLY, libc::MS_RDONLY),
        (attr::NOSUID, libc::MS_NOSUID),
        (attr::NODEV, libc::MS_NODEV),
        (attr::NOEXEC, libc::MS_NOEXEC),
        (attr::NOATIME, libc::MS_NOATIME),
        (attr::STRICTATIME, libc::MS_STRICTATIME),
        (attr::NODIRATIME, libc::MS_NODIRATIME),
        (attr::NOSYMFOLLOW, MS_NOSYMFOLLOW),
    ];
    PAIRS.iter().filter(|(bits, _)| attrs & bits != 0).fold(0, |flags, (_, flag)| flags | flag)
}

/// Linux 5.10.
const MS_NOSYMFOLLOW: libc::c_ulong = 256;

/// Takes the oldest message of a filesystem context, such as `e proc: Unknown parameter 'x'`; its length, 0 for none.
pub fn context_message(context: BorrowedFd<'_>, buffer: &mut [u8]) -> usize {
    // SAFETY: the pointer and the length describe `buffer`, which is writable for the call.
    let length = unsafe { libc::read(raw(context), buffer.as_mut_ptr().cast(), buffer.len()) };
    usize::try_from(length).unwrap_or(0)
}

/// Attaches the detached mount `from` on top of what `onto` refers to.
///
/// # Errors
/// Those of move_mount(2): `EINVAL` when one is a directory and the other is not, or `onto` is not in the caller's mount
/// namespace.
pub fn attach(from: BorrowedFd<'_>, onto: BorrowedFd<'_>) -> io::Result<()> {
    let flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
    // SAFETY: both paths are the empty literal; the descriptors are borrowed for the call.
    cvt(unsafe { libc::syscall(libc::SYS_move_mount, raw(from), c"".as_ptr(), raw(onto), c"".as_ptr(), flags) })?;
    Ok(())
}

/// Attaches the detached mount `from` on top of `path`, which is looked up in the caller's mount namespace.
///
/// # Errors
/// As [`attach`], and those of the look-up.
pub fn attach_at(from: BorrowedFd<'_>, path: &CStr) -> io::Result<()> {
    // SAFETY: `path` is NUL-terminated and only read.
    cvt(unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            raw(from),
            c"".as_ptr(),
            libc::AT_FDCWD,
            path.as_ptr(),
            MOVE_MOUNT_F_EMPTY_PATH,
        )
    })?;
    Ok(())
}

/// As [`attach`], onto `name` in the directory `onto`, whose final component is not followed when it is a symlink.
///
/// # Errors
/// Those of move_mount(2).
pub fn attach_in(from: BorrowedFd<'_>, onto: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
    // SAFETY: both paths are NUL-terminated and only read.
    cvt(unsafe {
        libc::syscall(libc::SYS_move_mount, raw(from), c"".as_ptr(), raw(onto), name.as_ptr(), MOVE_MOUNT_F_EMPTY_PATH)
    })?;
    Ok(())
}

/// What [`set_attributes`] changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Change {
    /// Attributes to set ([`attr`]).
    pub set: u64,
    /// Attributes to clear first ([`attr`]).
    pub clear: u64,
    /// The new propagation; `None` leaves it.
    pub propagation: Option<Propagation>,
}

impl Change {
    /// This change and then `later`, as one: what is set last holds.
    #[must_use]
    pub const fn then(self, later: Self) -> Self {
        Self {
            set: self.set & !later.clear | later.set,
            clear: self.clear & !later.set | later.clear,
            propagation: if later.propagation.is_some() { later.propagation } else { self.propagation },
        }
    }

    /// Whether nothing would change.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.set == 0 && self.clear == 0 && self.propagation.is_none()
    }
}

#[repr(C)]
struct MountAttr {
    attr_set: u64,
    attr_clr: u64,
    propagation: u64,
    userns_fd: u64,
}

impl From<Change> for MountAttr {
    fn from(change: Change) -> Self {
        let propagation = change.propagation.map_or(0, Propagation::bits);
        Self { attr_set: change.set, attr_clr: change.clear, propagation, userns_fd: 0 }
    }
}

/// Changes the mount that `mount` is the root of (mount_setattr(2), Linux 5.12).
///
/// # Errors
/// `EINVAL` when `mount` is not the root of a mount; `EPERM` for attributes locked by a more privileged user namespace.
pub fn set_attributes(mount: BorrowedFd<'_>, change: Change, extent: Extent) -> io::Result<()> {
    set_attributes_at(mount, c"", change, extent)
}

/// As [`set_attributes`] for the mount at `path` below `dir`.
///
/// # Errors
/// As [`set_attributes`].
pub fn set_attributes_at(dir: BorrowedFd<'_>, path: &CStr, change: Change, extent: Extent) -> io::Result<()> {
    let mut flags = empty_path(path);
    if extent == Extent::Recursive {
        flags |= AT_RECURSIVE;
    }
    let attributes = MountAttr::from(change);
    // SAFETY: `attributes` has the layout of struct mount_attr, its size is given, and it is only read.
    cvt(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            raw(dir),
            path.as_ptr(),
            flags,
            &raw const attributes,
            size_of::<MountAttr>(),
        )
    })?;
    Ok(())
}

/// Shows owners by the mapping of the user namespace `users` (Linux 5.12, and a filesystem that can).
///
/// # Errors
/// `EINVAL` when the filesystem cannot, or the mount is mapped; `EPERM` for the initial namespace.
pub fn set_id_map(mount: BorrowedFd<'_>, users: BorrowedFd<'_>, extent: Extent) -> io::Result<()> {
    const ATTR_IDMAP: u64 = 0x0010_0000;
    let flags = libc::AT_EMPTY_PATH | if extent == Extent::Recursive { AT_RECURSIVE } else { 0 };
    let attributes = MountAttr { attr_set: ATTR_IDMAP, attr_clr: 0, propagation: 0, userns_fd: raw(users) as u64 };
    // SAFETY: `attributes` has the layout of struct mount_attr, its size is given, and it is only read.
    cvt(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            raw(mount),
            c"".as_ptr(),
            flags,
            &raw const attributes,
            size_of::<MountAttr>(),
        )
    })?;
    Ok(())
}

/// Sets the propagation of the mount at `path` (mount(2)); unlike mount_setattr it also works where `path` is a
/// root the caller was pivoted to.
///
/// # Errors
/// Those of mount(2).
pub fn set_propagation(path: &CStr, propagation: Propagation, extent: Extent) -> io::Result<()> {
    let recursive = if extent == Extent::Recursive { libc::MS_REC } else { 0 };
    let null = std::ptr::null();
    // SAFETY: `path` is NUL-terminated and only read; source, type and data are not used for a change of propagation.
    cvt_int(unsafe { libc::mount(null, path.as_ptr(), null, propagation.bits() | recursive, null.cast()) })?;
    Ok(())
}

/// Makes the mount that is the current directory the root; the old root is then mounted on top of it.
///
/// `pivot_root(".", ".")`, pivot_root(2): the caller unmounts `.` with [`detach`] next.
///
/// # Errors
/// `EINVAL` when the current directory is not a mount, or the root cannot be moved (an initramfs).
pub fn pivot_root_here() -> io::Result<()> {
    // SAFETY: both paths are the literal "." and only read.
    cvt(unsafe { libc::syscall(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()) })?;
    Ok(())
}

/// Unmounts lazily what is mounted on `path`, never following a final symlink.
///
/// # Errors
/// `EINVAL` when `path` is not a mount.
pub fn detach(path: &CStr) -> io::Result<()> {
    // SAFETY: `path` is NUL-terminated and only read.
    cvt_int(unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH | libc::UMOUNT_NOFOLLOW) })?;
    Ok(())
}

/// Moves the mount at the current directory on top of `/` (mount(2), MS_MOVE): the way without pivot_root.
///
/// # Errors
/// Those of mount(2).
pub fn move_here_to_root() -> io::Result<()> {
    let null = std::ptr::null();
    // SAFETY: the paths are literals; type and data are not used for a move.
    cvt_int(unsafe { libc::mount(c".".as_ptr(), c"/".as_ptr(), null, libc::MS_MOVE, null.cast()) })?;
    Ok(())
}

/// Makes the current directory the root directory (chroot(2)).
///
/// # Errors
/// `EPERM` without CAP_SYS_CHROOT.
pub fn chroot_here() -> io::Result<()> {
    // SAFETY: the path is a literal.
    cvt_int(unsafe { libc::chroot(c".".as_ptr()) })?;
    Ok(())
}
