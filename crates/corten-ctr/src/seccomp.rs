//! `--seccomp` and `--seccomp-profile`: which system calls the container may make.

use corten_seccomp::{Arch, docker_default};
use serde_json::Value;

use crate::session::{Failure, Session, sentence};

/// The filter that is asked for; `None` without `--seccomp`.
///
/// # Errors
/// ctr's sentences: a profile without the switch, a file that cannot be read or is no JSON.
pub fn filter(session: &Session, capabilities: &[String]) -> Result<Option<Value>, Failure> {
    let file = session.given("seccomp-profile").filter(|path| !path.is_empty());
    match (session.is_set("seccomp"), file) {
        (false, None) => Ok(None),
        (false, Some(_)) => Err(sentence("seccomp must be set to true, if using a custom seccomp-profile")),
        (true, Some(path)) => {
            let text = std::fs::read(path)
                .map_err(|error| sentence(format!("cannot load seccomp profile {path:?}: {error}")))?;
            let profile = serde_json::from_slice(&text);
            profile.map(Some).map_err(|error| sentence(format!("decoding seccomp profile failed {path:?}: {error}")))
        }
        (true, None) => {
            let arch = Arch::native().ok_or_else(|| sentence("--seccomp: no table of calls for this architecture"))?;
            let profile = docker_default(capabilities, arch, kernel());
            serde_json::to_value(profile).map(Some).map_err(|error| sentence(error.to_string()))
        }
    }
}

/// Major and minor number; a kernel whose version cannot be read has nothing of what is asked for by version.
fn kernel() -> (u32, u32) {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release.split(['.', '-']).map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}
