//! What security modules are told about the process (proc(5), "attr"): an AppArmor profile, SELinux labels.
//!
//! All of it is written through one directory, opened in the host's procfs before anything is entered: the container's
//! own could be anything (CVE-2019-16884).

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use corten_sys::credentials;
use corten_sys::files;
use corten_sys::syscall::HERE;

use super::report::{At, Fault, Stage};
use crate::plan::ProcessPlan;

/// Opens the directory; `None` when nobody is to be told anything.
pub(super) fn attributes(process: &ProcessPlan) -> Result<Option<OwnedFd>, Fault> {
    const PROC_SUPER_MAGIC: i64 = 0x9fa0;
    if process.apparmor_profile.is_none() && process.selinux_label.is_none() {
        return Ok(None);
    }
    let open = || -> io::Result<OwnedFd> {
        let directory = files::open(HERE, c"/proc/self/attr", files::O_PATH | files::O_DIRECTORY, 0)?;
        if files::filesystem_type(directory.as_fd())? != PROC_SUPER_MAGIC {
            return Err(io::Error::from_raw_os_error(EINVAL));
        }
        Ok(directory)
    };
    open().map(Some).at(Stage::Confine)
}

const EINVAL: i32 = 22;

/// Names the profile and the label that the next exec enters.
pub(super) fn confine(process: &ProcessPlan, attributes: Option<&OwnedFd>) -> Result<(), Fault> {
    let Some(attributes) = attributes.map(AsFd::as_fd) else { return Ok(()) };
    if let Some(profile) = &process.apparmor_profile {
        // The directory of its own since Linux 5.8; before, and with one module only, the common file.
        let file = files::open(attributes, c"apparmor/exec", files::O_WRONLY, 0);
        let file = file.or_else(|_| files::open(attributes, c"exec", files::O_WRONLY, 0)).at(Stage::Confine)?;
        files::write(file.as_fd(), profile.as_bytes()).at(Stage::Confine)?;
    }
    if let Some(label) = &process.selinux_label {
        files::write_at(attributes, c"exec", label.to_bytes()).at(Stage::Label)?;
    }
    Ok(())
}

/// Joins a new session keyring of that name, which has the process's own label.
pub(super) fn join_keyring(
    name: Option<&CStr>,
    process: &ProcessPlan,
    attributes: Option<&OwnedFd>,
) -> Result<(), Fault> {
    let Some(name) = name else { return Ok(()) };
    let labelled = process.selinux_label.as_deref().zip(attributes.map(AsFd::as_fd));
    if let Some((label, attributes)) = labelled {
        label_keys(attributes, label.to_bytes())?;
    }
    match credentials::join_session_keyring(name) {
        // No key retention service in this kernel: there is nothing to share.
        Err(error) if error.kind() == io::ErrorKind::Unsupported => {}
        result => result.map(drop).at(Stage::Keyring)?,
    }
    labelled.map_or(Ok(()), |(_, attributes)| label_keys(attributes, b"\0"))
}

/// An empty label is the process's own again.
fn label_keys(attributes: BorrowedFd<'_>, label: &[u8]) -> Result<(), Fault> {
    files::write_at(attributes, c"keycreate", label).at(Stage::Label)
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;
    use std::fs;

    use super::*;
    use crate::plan::{Extra, exec_process};

    /// A kernel without SELinux has no such files: a directory stands in for them.
    #[test]
    fn a_label_is_written_for_the_next_exec_and_for_new_keys() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        for name in ["exec", "keycreate"] {
            fs::write(directory.path().join(name), "").expect("writes");
        }
        let attributes = OwnedFd::from(fs::File::open(directory.path()).expect("opens"));
        let label = CString::new("system_u:system_r:container_t:s0:c1,c2").expect("no NUL");
        let json = format!(r#"{{"args":["a"],"cwd":"/","selinuxLabel":{label:?}}}"#);
        let process = serde_json::from_str(&json).expect("a process");
        let process = exec_process(&process, &Extra::default(), None).expect("plans");
        confine(&process, Some(&attributes)).expect("labels");
        assert_eq!(fs::read(directory.path().join("exec")).expect("reads"), label.to_bytes());
        label_keys(attributes.as_fd(), label.to_bytes()).expect("labels");
        assert_eq!(fs::read(directory.path().join("keycreate")).expect("reads"), label.to_bytes());
        fs::remove_file(directory.path().join("exec")).expect("removes");
        let fault = confine(&process, Some(&attributes)).expect_err("there is no SELinux");
        assert_eq!(fault.stage, Stage::Label);
    }
}
