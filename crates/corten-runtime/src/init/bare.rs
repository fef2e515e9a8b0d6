//! The host's procfs and sysfs mounts, which stay below the container's root when that is not pivoted: as long as one
//! can be seen whole, a user namespace made in the container may mount its own, without the masks of the container's.

use std::ffi::{CStr, CString};
use std::fs;
use std::io;
use std::os::fd::AsFd;

use corten_sys::mount;

/// Where they are mounted, the last first; read by the parent, since the child has no room for a list.
pub(super) fn list() -> io::Result<Vec<CString>> {
    let text = fs::read("/proc/self/mountinfo")?;
    let mut found: Vec<CString> = text.split(|byte| *byte == b'\n').filter_map(bare).collect();
    found.reverse();
    Ok(found)
}

/// The mount point of a line of mountinfo (proc_pid_mountinfo(5)) that is one.
fn bare(line: &[u8]) -> Option<CString> {
    let mut fields = line.split(|byte| *byte == b' ');
    let root = fields.nth(3)?;
    let target = fields.next()?;
    let kind = fields.skip_while(|field| *field != b"-").nth(1)?;
    let is_whole = root == b"/" && matches!(kind, b"proc" | b"sysfs");
    is_whole.then(|| CString::new(unescaped(target)).ok()).flatten()
}

/// Space, tab, newline and backslash stand as three octal digits.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let octal = after.get(..3).filter(|_| *first == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[3..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    bytes
}

/// Takes them off; one that a user namespace may not is covered, which hides it as well.
pub(super) fn take_off(paths: &[CString]) -> io::Result<()> {
    paths.iter().try_for_each(|path| mount::detach(path).or_else(|_| cover(path)))
}

fn cover(path: &CStr) -> io::Result<()> {
    let context = mount::fsopen(c"tmpfs")?;
    let tree = mount::create(context.as_fd(), 0)?;
    match mount::attach_at(tree.as_fd(), path) {
        // It lies under another mount, or is gone.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_mounts_of_both_kinds_are_found() {
        let found = |line: &str| bare(line.as_bytes()).map(|path| path.to_string_lossy().into_owned());
        for (line, path) in [
            ("22 23 0:5 / /proc rw,nosuid - proc proc rw", Some("/proc")),
            (r"24 23 0:6 / /a\040b/sys rw shared:3 master:1 - sysfs sysfs rw", Some("/a b/sys")),
            ("25 23 0:5 /sys /b/proc/sys ro - proc proc rw", None),
            ("26 23 0:7 / / rw - ext4 /dev/vda rw", None),
            ("", None),
        ] {
            assert_eq!(found(line).as_deref(), path, "{line}");
        }
    }
}
