//! `linux.seccomp` → a filter the child only has to hand to the kernel.

use std::path::PathBuf;

use corten_seccomp::{Arch, Profile, compile};
use serde::{Deserialize, Serialize};

use super::invalid;
use crate::spec::SpecError;

/// A system call filter, ready to be installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeccompPlan {
    /// The program, a `struct sock_filter` in each word.
    pub program: Vec<u64>,
    /// Flags of seccomp(2).
    pub flags: u32,
    /// Who answers the calls that ask.
    pub listener: Option<Listener>,
}

/// Where the descriptor that answers calls is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// The socket of the agent.
    pub path: PathBuf,
    /// What it is told.
    pub metadata: String,
}

pub(crate) fn plan(profile: Option<&Profile>) -> Result<Option<SeccompPlan>, SpecError> {
    let Some(profile) = profile else { return Ok(None) };
    let native = Arch::native();
    let native = native.ok_or_else(|| invalid("linux.seccomp", "not supported yet on this architecture"))?;
    let filter = compile(profile, native).map_err(|error| invalid(error.key, error.problem))?;
    Ok(filter.map(|filter| SeccompPlan {
        program: filter.words(),
        flags: filter.flags,
        listener: filter.has_listener().then(|| Listener {
            path: PathBuf::from(&profile.listener_path),
            metadata: profile.listener_metadata.clone(),
        }),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(json: &str) -> Result<Option<SeccompPlan>, String> {
        let profile: Profile = serde_json::from_str(json).expect(json);
        plan(Some(&profile)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_profile_that_says_nothing_is_no_filter() {
        assert!(planned("{}").expect("plans").is_none());
        assert!(planned(r#"{"defaultAction":"SCMP_ACT_ALLOW"}"#).expect("plans").is_some());
    }

    #[test]
    fn calls_that_ask_need_somebody_who_answers() {
        let with = |more: &str| {
            planned(&format!(
                r#"{{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{{"names":["mkdir"],"action":"SCMP_ACT_NOTIFY"}}]{more}}}"#
            ))
        };
        let filter = with(r#","listenerPath":"/run/a","listenerMetadata":"m""#).expect("plans").expect("a filter");
        assert_eq!(filter.listener, Some(Listener { path: "/run/a".into(), metadata: "m".to_owned() }));
        assert_eq!(filter.flags, 4 | 8);
        let error = with("").expect_err("nobody");
        assert_eq!(error, "linux.seccomp.listenerPath: seccomp listenerPath is not set");
    }
}
