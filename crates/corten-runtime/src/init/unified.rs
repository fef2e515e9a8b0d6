//! The v2 cgroup that a process is made in.

use std::io;
use std::os::fd::BorrowedFd;

use corten_sys::clone::{self, Cloned, Namespaces};

/// Its directory, when there is one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unified<'a> {
    pub directory: Option<BorrowedFd<'a>>,
    /// Whether it is all there is: no controllers of v1 beside it.
    pub is_alone: bool,
}

impl Unified<'_> {
    /// Clones a process in it.
    ///
    /// A user may be given a group that this process, outside of what was given, may not move anybody into. Beside v1,
    /// which has the limits, it is done without.
    pub(super) fn clone(self, new: Namespaces) -> io::Result<Cloned> {
        const EACCES: i32 = 13;
        match clone::clone(new, self.directory) {
            Err(error) if error.raw_os_error() == Some(EACCES) && self.directory.is_some() && !self.is_alone => {
                clone::clone(new, None)
            }
            cloned => cloned,
        }
    }
}
