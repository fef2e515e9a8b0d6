//! The last stages of any process: descriptors, directory, identity, capabilities, look-up (runtime notes, "order of
//! work"). What comes first holds what comes after: the directory is entered as root, capabilities are bounded while
//! there still is CAP_SETPCAP, and the user is changed before the look-up.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use corten_sys::credentials::{self, CapabilitySets};
use corten_sys::files::{self, S_IFCHR, S_IFDIR, S_IFIFO};
use corten_sys::openat2::{self, Resolve};
use corten_sys::schedule::{self, CpuSet};
use corten_sys::status::OwnStatus;
use corten_sys::syscall::HERE;
use corten_sys::{descriptors, prctl, rlimit};

use super::filter;
use super::report::{At, Fault, Operation, Stage};
use crate::plan::{ProcessPlan, StandardStreams};

/// The highest capability number that can ever exist: the sets have 64 bits.
const CAPABILITIES: u8 = 64;

/// Becomes what the plan says; the path to execute.
///
/// Without no_new_privs the kernel wants CAP_SYS_ADMIN for the filter, which the process may be about to lose: it comes
/// here then, and what follows is done under it. Else it comes last ([`filter::install_last`]).
pub(super) fn become_process<'p>(
    process: &'p ProcessPlan,
    own: &OwnStatus,
    socket: BorrowedFd<'_>,
) -> Result<&'p CStr, Fault> {
    streams(process).at(Stage::Streams)?;
    if let Some(mask) = process.umask {
        credentials::set_umask(mask);
    }
    if process.no_new_privileges {
        prctl::no_new_privileges().at(Stage::NoNewPrivileges)?;
    }
    descriptors::close_on_exec_from(3 + process.preserve_fds).at(Stage::Descriptors)?;
    let entered = enter_directory(&process.cwd);
    limits(process)?;
    schedule(process)?;
    bound(&process.capabilities, own).at(Stage::Capabilities)?;
    // Only a change from root to another user takes them.
    if process.uid != 0 {
        prctl::keep_capabilities(true).at(Stage::Capabilities)?;
    }
    if !process.no_new_privileges {
        filter::install(process, socket)?;
    }
    identity(process, own).at(Stage::Identity)?;
    directory(process, entered).at(Stage::Cwd)?;
    if process.uid != 0 {
        prctl::keep_capabilities(false).at(Stage::Capabilities)?;
    }
    capabilities(&process.capabilities, own).at(Stage::Capabilities)?;
    lookup(process)
}

/// Its own file, before it is closed to others of the same user (`forbid_dump`), and so to a user without privilege.
pub(super) fn oom_score(process: &ProcessPlan) -> io::Result<()> {
    let Some(score) = &process.oom_score_adj else { return Ok(()) };
    let file = files::open(HERE, c"/proc/self/oom_score_adj", files::O_WRONLY, 0)?;
    files::write(file.as_fd(), score.as_bytes())
}

/// While still root: afterwards not even the parent may, without CAP_SYS_RESOURCE, as on a host that is a container.
fn limits(process: &ProcessPlan) -> Result<(), Fault> {
    if process.limited_by_parent {
        return Ok(());
    }
    for (index, limit) in process.rlimits.iter().enumerate() {
        let set = rlimit::set(0, limit.number, limit.soft, limit.hard);
        set.at_index(Stage::Limits, Operation::It, index)?;
    }
    Ok(())
}

/// Binds this process to some CPUs.
pub(super) fn affine(set: Option<&CpuSet>) -> Result<(), Fault> {
    const AFFINITY: usize = 3;
    let Some(set) = set else { return Ok(()) };
    schedule::set_affinity(set).at_index(Stage::Schedule, Operation::It, AFFINITY)
}

/// Once it is in its cgroup. What nobody asked for is no reason to fail.
pub(super) fn affine_in_cgroup(process: &ProcessPlan) -> Result<(), Fault> {
    match affine(process.affinity.in_cgroup()) {
        Err(_) if process.affinity.last.is_none() => Ok(()),
        result => result,
    }
}

/// While still root, which some policies need.
fn schedule(process: &ProcessPlan) -> Result<(), Fault> {
    let at = |index| move |error: io::Error| Fault::new(Stage::Schedule, Operation::It, index, &error);
    if let Some(scheduler) = &process.scheduler {
        schedule::set_scheduler(scheduler).map_err(at(0))?;
    }
    if let Some((class, priority)) = process.io_priority {
        schedule::set_io_priority(class, priority).map_err(at(1))?;
    }
    if let Some(domain) = process.personality {
        schedule::set_personality(domain).map_err(at(2))?;
    }
    Ok(())
}

/// Gives the streams to the user, so that /dev/stdout can be opened again; not the host's devices.
fn streams(process: &ProcessPlan) -> io::Result<()> {
    for stream in descriptors::STANDARD_STREAMS {
        let Ok(stat) = files::stat(stream, c"") else { continue };
        let is_pipe = stat.is(S_IFIFO);
        let is_null = stat.is(S_IFCHR) && stat.rdev == (1, 3);
        let is_ours = process.streams == StandardStreams::All || is_pipe || process.terminal;
        if stat.uid == process.uid || is_null || !is_ours {
            continue;
        }
        match files::change_owner(stream, process.uid, u32::MAX) {
            // A read-only file, one of a user namespace not mapped here, or a kind without an owner.
            Err(error) if matches!(error.raw_os_error(), Some(EINVAL | EPERM | EROFS)) => {}
            result => result?,
        }
    }
    Ok(())
}

const EPERM: i32 = 1;
const EINVAL: i32 = 22;
const EROFS: i32 = 30;

/// One call for each capability: the kernel knows no other way. What this process lacks need not be dropped.
fn bound(sets: &CapabilitySets, own: &OwnStatus) -> io::Result<()> {
    let dropped = own.bounding & !sets.bounding;
    for capability in (0..CAPABILITIES).filter(|capability| dropped >> capability & 1 == 1) {
        if !prctl::drop_bounding(capability)? {
            // The kernel knows no capability from here on.
            break;
        }
    }
    Ok(())
}

/// Who is the user and the group already need not become them.
fn identity(process: &ProcessPlan, own: &OwnStatus) -> io::Result<()> {
    match credentials::set_supplementary_groups(&process.groups) {
        // A user namespace of an unprivileged user denies it; there is nothing to drop when none are asked for.
        Err(error) if error.raw_os_error() == Some(EPERM) && process.groups.is_empty() => {}
        result => result?,
    }
    if own.group != Some(process.gid) {
        credentials::set_group(process.gid)?;
    }
    if own.user != Some(process.uid) {
        credentials::set_user(process.uid)?;
    }
    Ok(())
}

/// A directory only the user can enter is entered as the user. What was entered must lie in the container
/// (CVE-2024-21626).
fn directory(process: &ProcessPlan, entered: io::Result<()>) -> io::Result<()> {
    match entered {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => enter_directory(&process.cwd)?,
        result => result?,
    }
    if process.cwd.as_c_str() == ROOT {
        return Ok(());
    }
    if files::is_inside_root()? { Ok(()) } else { Err(io::Error::from(io::ErrorKind::PermissionDenied)) }
}

/// By its path, and not through a link of /proc: those lead to what this process has open, which may be a directory of
/// the host or one that a mask covers (CVE-2024-21626).
fn enter_directory(path: &CStr) -> io::Result<()> {
    if path == ROOT {
        // There is no link on the way, and it cannot lie outside of itself.
        return files::change_directory_to(ROOT);
    }
    let directory = openat2::open_c(HERE, path, files::O_PATH | files::O_DIRECTORY, Resolve::NO_MAGICLINKS)?;
    files::change_directory(directory.as_fd())?;
    descriptors::leave_to_exec(directory);
    Ok(())
}

const ROOT: &CStr = c"/";

fn capabilities(sets: &CapabilitySets, own: &OwnStatus) -> io::Result<()> {
    credentials::set_capabilities(sets)?;
    if own.ambient != 0 {
        prctl::clear_ambient()?;
    }
    for capability in (0..CAPABILITIES).filter(|capability| sets.ambient >> capability & 1 == 1) {
        prctl::raise_ambient(capability)?;
    }
    Ok(())
}

/// The first candidate that can be executed. As Go's look-up: a file without the right to execute is passed over in
/// PATH, and is the error when nothing better is found.
fn lookup(process: &ProcessPlan) -> Result<&CStr, Fault> {
    let program = &process.program;
    let mut problem = Fault::new(Stage::Lookup, Operation::Source, 0, &io::Error::from_raw_os_error(ENOENT));
    for (index, candidate) in program.candidates.iter().enumerate() {
        let stat = match files::stat_following(HERE, candidate) {
            Ok(stat) => stat,
            Err(error) => {
                if !program.is_searched {
                    problem = Fault::new(Stage::Lookup, Operation::Source, index, &error);
                }
                continue;
            }
        };
        let allowed = if stat.is(S_IFDIR) {
            Err(io::Error::from_raw_os_error(if program.is_searched { EACCES } else { EISDIR }))
        } else {
            files::may_execute(candidate)
        };
        match allowed {
            Ok(()) => return Ok(candidate),
            Err(error) => problem = Fault::new(Stage::Lookup, Operation::It, index, &error),
        }
    }
    Err(problem)
}

const ENOENT: i32 = 2;
const EACCES: i32 = 13;
const EISDIR: i32 = 21;
