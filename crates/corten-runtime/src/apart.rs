//! For programs with threads: a verb carried out by a process of its own.
//!
//! The kernel keeps for each thread in which pid and time namespace its children are made, and lets only a process with
//! one thread enter a user namespace (setns(2)). A verb that enters namespaces would change the calling thread for good,
//! or fail; here it changes a copy of the process that ends with it, as the program does.

use std::error::Error;
use std::fs::File;
use std::io::{self, Read, Write};

use corten_sys::clone::{self, Cloned};
use corten_sys::descriptors::{exit_now, pipe};
use corten_sys::pidfd::PidFd;

/// Why a verb did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ApartError {
    /// What the verb's error says, with its causes.
    #[error("{0}")]
    Verb(String),
    /// The process for it could not be made, or its end not be heard of.
    #[error("a process for it: {0}")]
    Process(#[source] io::Error),
}

/// Carries `verb` out in a copy of this process that has one thread; what it returns, which is its exit status.
///
/// A container or process that is left running belongs to the nearest subreaper (prctl(2)), which may be this process.
///
/// ```no_run
/// # use corten_runtime::{apart::apart, exec::exec, log::Log};
/// # fn example(state_root: &std::path::Path, arguments: &corten_runtime_api::arguments::Exec) {
/// let status = apart(|| exec(state_root, arguments, &Log::default()));
/// # }
/// ```
///
/// # Errors
/// [`ApartError`].
pub fn apart<E: Error + 'static>(verb: impl FnOnce() -> Result<u8, E>) -> Result<u8, ApartError> {
    let (said, says) = pipe().map_err(ApartError::Process)?;
    let helper = match clone::copy_process().map_err(ApartError::Process)? {
        Cloned::Child => {
            drop(said);
            let status = verb().unwrap_or_else(|error| {
                let text = corten_types::error::chain(&error);
                let _ = File::from(says).write_all(text.as_bytes()); // nobody is left to tell
                u8::MAX
            });
            exit_now(i32::from(status));
        }
        Cloned::Parent { pidfd, .. } => PidFd::from_owned(pidfd),
    };
    drop(says);
    let mut text = String::new();
    File::from(said).read_to_string(&mut text).map_err(ApartError::Process)?;
    let status = helper.wait().map_err(ApartError::Process)?;
    if !text.is_empty() {
        return Err(ApartError::Verb(text));
    }
    Ok(u8::try_from(status.code()).unwrap_or(u8::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verb_changes_a_copy_of_the_process() {
        let own = std::process::id();
        let status = apart(|| Ok::<_, io::Error>(u8::from(std::process::id() != own) + 6));
        assert_eq!(status.expect("succeeds"), 7);
        let error = apart(|| Err::<u8, _>(io::Error::other("no such container"))).expect_err("fails");
        assert_eq!(error.to_string(), "no such container");
    }
}
