//! The mounts of this mount namespace, as /proc/self/mountinfo lists them.

use std::{fs, path::PathBuf};

/// One line of mountinfo (proc(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Which part of the file system is mounted.
    pub root: String,
    /// Where.
    pub target: PathBuf,
    /// `overlay`, `tmpfs`, `nsfs`, …
    pub fstype: String,
    /// The device or the text given as one.
    pub source: String,
    /// The file system's own options: overlayfs lists its directories here.
    pub options: String,
}

/// Every mount, in the kernel's order.
///
/// # Panics
/// When /proc is not mounted.
#[must_use]
pub fn mounts() -> Vec<Mount> {
    let text = fs::read_to_string("/proc/self/mountinfo").expect("/proc is mounted");
    text.lines().filter_map(parse).collect()
}

fn parse(line: &str) -> Option<Mount> {
    let (left, right) = line.split_once(" - ")?;
    let mut left = left.split(' ').skip(3);
    let mut right = right.split(' ');
    Some(Mount {
        root: unescape(left.next()?),
        target: PathBuf::from(unescape(left.next()?)),
        fstype: right.next()?.to_owned(),
        source: unescape(right.next()?),
        options: unescape(right.next().unwrap_or("")),
    })
}

/// Undoes the kernel's `\040` for a space and its like.
fn unescape(field: &str) -> String {
    let mut plain = String::with_capacity(field.len());
    let mut rest = field;
    while let Some((before, after)) = rest.split_once('\\') {
        plain.push_str(before);
        let code = after.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code {
            Some(code) => {
                plain.push(char::from(code));
                rest = &after[3..];
            }
            None => {
                plain.push('\\');
                rest = after;
            }
        }
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_with_its_escapes_and_optional_fields() {
        let line = r"36 35 98:0 /a /mnt\0402 rw,noatime shared:1 master:2 - ext3 /dev/root rw,errors=continue";
        let expected = Mount {
            root: "/a".into(),
            target: "/mnt 2".into(),
            fstype: "ext3".into(),
            source: "/dev/root".into(),
            options: "rw,errors=continue".into(),
        };
        assert_eq!(parse(line), Some(expected));
    }

    #[test]
    fn this_machine_has_proc_mounted() {
        assert!(mounts().iter().any(|mount| mount.fstype == "proc"));
    }
}
