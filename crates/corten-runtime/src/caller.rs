//! What the caller hands over beside the command line: sockets of systemd, and how much it tolerates.
//!
//! It is a value and not read where it is used, so that a program which links this crate decides for itself.

use std::env;
use std::path::PathBuf;

use corten_runtime_api::arguments::Global;
use corten_sys::{credentials, users};

use crate::log::Log;

/// What the caller hands over.
#[derive(Debug, Default)]
pub struct Caller {
    /// What it is told beside the result.
    pub log: Log,
    /// Where systemd waits for a service to be ready (sd_notify(3)); passed through to the container.
    pub notify_socket: Option<PathBuf>,
    /// How many descriptors after 2 are sockets of systemd's for the container (sd_listen_fds(3)).
    pub listen_fds: u32,
    /// Whether cgroups that may not be made are done without (`--rootless`); `None` when this process lacks
    /// privilege, which is asked only when one may not be made.
    pub rootless: Option<bool>,
}

impl Caller {
    /// As the command line and the environment say.
    #[must_use]
    pub fn from_environment(global: &Global, log: Log) -> Self {
        Self {
            log,
            notify_socket: env::var_os("NOTIFY_SOCKET").filter(|path| !path.is_empty()).map(PathBuf::from),
            listen_fds: listen_fds(env::var("LISTEN_PID").ok().as_deref(), env::var("LISTEN_FDS").ok().as_deref()),
            rootless: global.rootless,
        }
    }

    /// Whether cgroups that may not be made are done without.
    #[must_use]
    pub fn tolerates_missing_cgroups(&self) -> bool {
        self.rootless.unwrap_or_else(lacks_privilege)
    }
}

/// The descriptors are this process's only when systemd says so.
fn listen_fds(pid: Option<&str>, count: Option<&str>) -> u32 {
    let is_ours = pid.and_then(|pid| pid.parse().ok()).is_some_and(|pid: u32| pid == std::process::id());
    count.filter(|_| is_ours).and_then(|count| count.parse().ok()).unwrap_or(0)
}

/// Whether this process is not root, or root of a user namespace only: its cgroups may be those of somebody else.
fn lacks_privilege() -> bool {
    credentials::effective_user() != 0 || users::are_mapped()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_of_another_process_are_not_taken() {
        let own = std::process::id().to_string();
        for (pid, count, expected) in [
            (Some(own.as_str()), Some("2"), 2),
            (Some("1"), Some("2"), 0),
            (None, Some("2"), 0),
            (Some(own.as_str()), Some("x"), 0),
            (Some(own.as_str()), None, 0),
        ] {
            assert_eq!(listen_fds(pid, count), expected, "{pid:?} {count:?}");
        }
    }
}
