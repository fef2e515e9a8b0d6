//! `process`: what is executed, as whom, with which limits.

use serde::{Deserialize, Serialize};

use super::{NotYet, null_is_default};

/// A process to execute.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Process {
    /// Whether it gets a terminal.
    pub terminal: bool,
    /// The terminal's size.
    pub console_size: Option<ConsoleSize>,
    /// Who it runs as.
    pub user: User,
    /// The program and its arguments.
    #[serde(deserialize_with = "null_is_default")]
    pub args: Vec<String>,
    /// `NAME=value`.
    #[serde(deserialize_with = "null_is_default")]
    pub env: Vec<String>,
    /// The current directory.
    pub cwd: String,
    /// The capability sets; none when not given.
    pub capabilities: Option<Capabilities>,
    /// Resource limits.
    #[serde(deserialize_with = "null_is_default")]
    pub rlimits: Vec<Rlimit>,
    /// Whether it can gain no privileges.
    pub no_new_privileges: bool,
    /// How readily it is killed for memory, -1000 to 1000.
    pub oom_score_adj: Option<i32>,
    /// AppArmor.
    #[serde(deserialize_with = "null_is_default")]
    pub apparmor_profile: String,
    /// SELinux.
    pub selinux_label: String,
    /// Scheduling policy.
    pub scheduler: Option<Scheduler>,
    /// Priority of block device access.
    pub io_priority: Option<IoPriority>,
    /// CPUs of an exec.
    #[serde(rename = "execCPUAffinity")]
    pub exec_cpu_affinity: Option<CpuAffinity>,
    /// The arguments as one text; of another platform.
    pub command_line: NotYet,
}

/// Scheduling policy (sched_setattr(2)).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Scheduler {
    /// `SCHED_…`.
    pub policy: String,
    /// -20 to 19.
    pub nice: i32,
    /// 1 to 99 for realtime policies.
    pub priority: i32,
    /// `SCHED_FLAG_…`.
    #[serde(deserialize_with = "null_is_default")]
    pub flags: Vec<String>,
    /// Nanoseconds in a period.
    pub runtime: u64,
    /// Nanoseconds until they must have been given.
    pub deadline: u64,
    /// Nanoseconds of a period.
    pub period: u64,
}

/// Priority of block device access (ioprio_set(2)).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct IoPriority {
    /// `IOPRIO_CLASS_…`.
    pub class: String,
    /// 0 to 7, 0 being the highest.
    pub priority: i32,
}

/// CPUs of an exec.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct CpuAffinity {
    /// Until it is in the container's cgroup.
    pub initial: String,
    /// From then on.
    #[serde(rename = "final")]
    pub last: String,
}

/// A terminal's size in characters.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub struct ConsoleSize {
    /// Rows.
    pub height: u16,
    /// Columns.
    pub width: u16,
}

/// Who a process runs as, inside the container's user namespace.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// File mode creation mask.
    pub umask: Option<u32>,
    /// A name instead of numbers; of another platform.
    pub username: NotYet,
    /// Supplementary groups.
    #[serde(deserialize_with = "null_is_default")]
    pub additional_gids: Vec<u32>,
}

/// Names of capabilities, `CAP_…`.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Capabilities {
    /// The limit of what an execve can give.
    #[serde(deserialize_with = "null_is_default")]
    pub bounding: Vec<String>,
    /// What counts in checks.
    #[serde(deserialize_with = "null_is_default")]
    pub effective: Vec<String>,
    /// What survives an execve with file capabilities.
    #[serde(deserialize_with = "null_is_default")]
    pub inheritable: Vec<String>,
    /// What effective may be raised to.
    #[serde(deserialize_with = "null_is_default")]
    pub permitted: Vec<String>,
    /// What survives an ordinary execve.
    #[serde(deserialize_with = "null_is_default")]
    pub ambient: Vec<String>,
}

/// One resource limit.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Rlimit {
    /// `RLIMIT_…`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What is enforced.
    pub soft: u64,
    /// What soft may be raised to.
    pub hard: u64,
}
