//! cgroup v1, v2 and hybrid: create, limit, join, freeze, kill, count, delete; without systemd.
//!
//! [`Host`] says what the machine has, [`Host::place`] where a container's cgroups lie, and [`Cgroup`] holds those
//! directories. Processes are never moved by writing `cgroup.procs` on a hot path: the first such write after a rest
//! waits 6–16 ms for a grace period of the kernel. v2 takes the child in clone3, and on v1 a process with one thread
//! writes `0` to `tasks` itself ([`Cgroup::join_files`]).

mod at_once;
mod below;
mod create;
mod delete;
mod detail;
mod devices;
mod exceptions;
mod freeze;
mod host;
mod kill;
mod limits;
mod member;
mod named;
mod oom;
mod place;
mod processes;
mod stats;

pub use at_once::Opened;
pub use create::Created;
pub use detail::{BlockCounter, BlockEntry, CPUSET_FLAGS, Cpuset, Detail, Pressure, Usage, Waited};
pub use devices::{Access, DeviceKind, DeviceRule};
pub use host::{Hierarchy, Host, Unified, memberships, mount_of};
pub use limits::{Limits, conversion};
pub use named::{BlockLimit, BlockLimitKind, Named, RdmaLimit};
pub use oom::OomWatch;
pub use place::{Cgroup, Directory};
pub use stats::{BlockIo, Cpu, Memory, Pids, Stats};

use std::io;
use std::path::PathBuf;

impl CgroupError {
    /// Whether this process may not make the directory: `EACCES`, `EPERM` and `EROFS`, as runc has it.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        let (Self::Create { source, .. } | Self::Open { source, .. }) = self else { return false };
        matches!(source.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
    }
}

/// What went wrong with a cgroup.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// The machine's hierarchies could not be read.
    #[error("read the cgroup hierarchies from {}", path.display())]
    Detect {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A directory could not be made.
    #[error("make cgroup {}", path.display())]
    Create {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody else's processes are in it.
    #[error("container's cgroup is not empty: {count} process(es) found in {}", path.display())]
    NotEmpty {
        /// The directory.
        path: PathBuf,
        /// How many.
        count: usize,
    },
    /// A limit was not taken.
    #[error("write {value:?} to {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What was written.
        value: String,
        /// Why.
        source: io::Error,
    },
    /// A file could not be read.
    #[error("read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The directory or its `tasks` could not be opened.
    #[error("open {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A limit for a controller the machine does not have.
    #[error("{limit}: the {controller} controller is not available")]
    NoController {
        /// The limit as the specification names it.
        limit: String,
        /// The controller.
        controller: String,
    },
    /// A number of shares the kernel would change.
    #[error("the {bound} allowed cpu-shares is {allowed}")]
    CpuShares {
        /// `minimum` or `maximum`.
        bound: &'static str,
        /// What it is.
        allowed: u64,
    },
    /// A rule about devices that cgroup v1 would ignore.
    #[error("linux.resources.devices: cgroup v1 cannot make an exception {rule:?} within {wider:?}")]
    DeviceHole {
        /// The rule.
        rule: String,
        /// The one before that it would take a part of.
        wider: String,
    },
    /// A key of `unified` that is no name of a file.
    #[error("linux.resources.unified[{name}]: must be the name of a file")]
    UnifiedName {
        /// The key.
        name: String,
    },
    /// Everything in it is stopped, and what joins it would stop, too.
    #[error("container's cgroup unexpectedly frozen: {}", path.display())]
    Frozen {
        /// The directory.
        path: PathBuf,
    },
    /// A limit that does not exist in this cgroup version.
    #[error("{limit}: invalid configuration: not possible with cgroup v{version}")]
    NotInVersion {
        /// The limit as the specification names it.
        limit: &'static str,
        /// 1 or 2.
        version: u8,
    },
    /// The device program was refused.
    #[error("load the device filter of {}", path.display())]
    DeviceFilter {
        /// The cgroup.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Processes did not stop in time.
    #[error("freeze {}: processes still run after {seconds} s", path.display())]
    FreezeTimeout {
        /// The cgroup.
        path: PathBuf,
        /// How long it was tried.
        seconds: u64,
    },
    /// A cgroup below the container's that was asked for.
    #[error("invalid --cgroup argument {argument}: {problem}")]
    Below {
        /// What was asked for.
        argument: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The directory could not be removed.
    #[error("remove cgroup {}", path.display())]
    Delete {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}
