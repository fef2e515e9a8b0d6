//! Which filter of system calls a container gets: its own, the daemon's, docker's default, or none.

use oci_spec::runtime::LinuxSeccomp;

use super::build::Host;
use super::seccomp::{custom, default_profile};
use super::security::{DefaultFilter, SecurityOptions, UNCONFINED};
use crate::errors::{EngineError, Result};

/// Which system calls it can make: none are kept from who is privileged, unless a profile says so.
pub(super) fn filter(
    host: &Host,
    is_privileged: bool,
    options: &SecurityOptions,
    capabilities: &[String],
) -> Result<Option<LinuxSeccomp>> {
    let machine = &host.machine;
    let builtin = || default_profile(machine, capabilities).map(Some);
    match options.seccomp.as_deref() {
        Some(UNCONFINED) => Ok(None),
        None if is_privileged => Ok(None),
        None | Some("builtin") if host.lacks_seccomp => Ok(None),
        Some(_) if host.lacks_seccomp => {
            Err(EngineError::internal("seccomp is not enabled in your kernel, cannot run a custom seccomp profile"))
        }
        Some("builtin") => builtin(),
        Some(json) => custom(json, machine, capabilities),
        None => match &host.default_filter {
            DefaultFilter::Builtin => builtin(),
            DefaultFilter::Unconfined => Ok(None),
            DefaultFilter::Profile { json, .. } => custom(json, machine, capabilities),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DENY_ALL: &str = r#"{"defaultAction":"SCMP_ACT_ERRNO"}"#;

    /// `none`, `builtin` or `own`, by what the filter does with what it does not name.
    fn chosen(host: &Host, is_privileged: bool, asked_for: Option<&str>) -> Result<&'static str> {
        let options = SecurityOptions { seccomp: asked_for.map(str::to_owned), ..SecurityOptions::default() };
        let filter = filter(host, is_privileged, &options, &[])?;
        Ok(match filter {
            None => "none",
            Some(filter) if filter.syscalls().as_ref().is_none_or(Vec::is_empty) => "own",
            Some(_) => "builtin",
        })
    }

    #[test]
    fn the_containers_word_counts_before_the_daemons() {
        let own = DefaultFilter::Profile { path: "/p".to_owned(), json: DENY_ALL.to_owned() };
        for (default, privileged, asked_for, expected) in [
            (DefaultFilter::Builtin, false, None, "builtin"),
            (DefaultFilter::Builtin, true, None, "none"),
            (DefaultFilter::Builtin, true, Some(DENY_ALL), "own"),
            (DefaultFilter::Unconfined, false, None, "none"),
            (DefaultFilter::Unconfined, false, Some("builtin"), "builtin"),
            (own.clone(), false, None, "own"),
            (own.clone(), false, Some("builtin"), "builtin"),
            (own.clone(), false, Some("unconfined"), "none"),
            (own, true, None, "none"),
        ] {
            let machine = crate::spec::Machine { arch: "amd64", kernel: (6, 1) };
            let host = Host { default_filter: default, machine, ..Host::default() };
            assert_eq!(chosen(&host, privileged, asked_for).unwrap(), expected, "{asked_for:?} {privileged}");
        }
    }

    #[test]
    fn a_kernel_without_filters_runs_without_and_refuses_who_asks_for_one() {
        let host = Host { lacks_seccomp: true, ..Host::default() };
        for asked_for in [None, Some("builtin"), Some("unconfined")] {
            assert_eq!(chosen(&host, false, asked_for).unwrap(), "none");
        }
        let error = chosen(&host, false, Some(DENY_ALL)).unwrap_err().to_string();
        assert_eq!(error, "seccomp is not enabled in your kernel, cannot run a custom seccomp profile");
    }
}
