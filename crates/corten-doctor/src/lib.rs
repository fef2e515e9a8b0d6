//! Checks of the host: what a container needs of it, each with an id, a severity and a remedy.
//!
//! [`check`] runs every check and gives one [`Finding`] for each, good ones too; [`brief`] and [`json`]
//! print them. A check reads /proc and asks the kernel; it changes nothing and needs no privilege, so it can be run
//! before anything is installed. Each file holds the checks of one subject:
//! `kernel`, `cgroup`, `privileges`, `storage`, `programs`, `limits`.

mod cgroup;
mod finding;
mod host;
mod kernel;
mod limits;
mod print;
mod privileges;
mod programs;
mod storage;

pub use finding::{Finding, Severity};
pub use print::{brief, json};

use host::Host;
use std::path::Path;

/// Runs every check, for the data root that is used when nothing else is said.
#[must_use]
pub fn check() -> Vec<Finding> {
    check_for(Path::new("/var/lib/corten"))
}

/// Runs every check; what is stored will lie in `data_root`, which need not exist yet.
#[must_use]
pub fn check_for(data_root: &Path) -> Vec<Finding> {
    let host = Host::read();
    let mut findings = privileges::check(&host);
    findings.extend(kernel::check(&host));
    findings.extend(cgroup::check(&host));
    findings.extend(storage::check(&host, data_root));
    findings.extend(limits::check(&host));
    findings.extend(programs::check());
    findings
}

/// The worst severity among `findings`; [`Severity::Ok`] when there is none.
#[must_use]
pub fn worst(findings: &[Finding]) -> Severity {
    findings.iter().map(|finding| finding.severity).max().unwrap_or(Severity::Ok)
}
