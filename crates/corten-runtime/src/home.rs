//! `HOME` of a process that names none: its user's directory in the container's own /etc/passwd.
//!
//! runc sets it, and images are built to expect it. The file is the container's: it is opened within the root, must
//! be a regular one, and is read up to a limit.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};

use corten_sys::files::{self, O_NOCTTY, O_NONBLOCK, O_RDONLY, S_IFREG};
use corten_sys::openat2::{self, InRootfs, Resolve};

use crate::spec::Process;

/// How much of /etc/passwd is looked at: an image can make it as large as it likes.
const PASSWD_MAX_BYTES: u64 = 1 << 20;

/// Adds `HOME` to the environment when it is not there, or empty; `/` for a user nobody knows.
pub(crate) fn complete(process: &mut Process, root: BorrowedFd<'_>) {
    // The last one counts; an empty one is as good as none.
    let given = process.env.iter().rev().find_map(|variable| variable.strip_prefix("HOME="));
    if given.is_some_and(|home| !home.is_empty()) {
        return;
    }
    process.env.retain(|variable| !variable.starts_with("HOME="));
    let home = passwd(root).and_then(|passwd| find(&passwd, process.user.uid)).unwrap_or_else(|| "/".to_owned());
    process.env.push(format!("HOME={home}"));
}

/// The file's text; `None` when there is none that can be trusted to be read.
fn passwd(root: BorrowedFd<'_>) -> Option<String> {
    let path = InRootfs::new("/etc/passwd").ok()?;
    let file = openat2::open(root, &path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, Resolve::IN_ROOT).ok()?;
    if !files::stat(file.as_fd(), c"").ok()?.is(S_IFREG) {
        return None;
    }
    let mut text = Vec::new();
    File::from(file).take(PASSWD_MAX_BYTES).read_to_end(&mut text).ok()?;
    Some(String::from_utf8_lossy(&text).into_owned())
}

/// The directory of the first line with that number (passwd(5)).
#[must_use]
pub fn find(passwd: &str, uid: u32) -> Option<String> {
    passwd.lines().find_map(|line| {
        let fields: Vec<_> = line.split(':').collect();
        let is_user = fields.get(2)?.parse() == Ok(uid);
        let home = *fields.get(5)?;
        (is_user && !home.is_empty() && !home.contains('\0')).then(|| home.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_number_only() {
        let passwd = "broken\n1000:x:7:7::/by-name:/bin/sh\nroot:x:0:0:root:/root:/bin/sh\nweb:x:1000:1000::/web:\n";
        for (uid, home) in [(0, Some("/root")), (1000, Some("/web")), (7, Some("/by-name")), (5, None)] {
            assert_eq!(find(passwd, uid).as_deref(), home, "{uid}");
        }
    }
}
