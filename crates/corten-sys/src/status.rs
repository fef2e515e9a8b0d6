//! What /proc/self/status says about this process: who it is, what it ignores, and what it may give away.

use std::os::fd::OwnedFd;

use crate::files;

/// Bits by number, the lowest first: signal 1, capability 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnStatus {
    /// Its user, when real, effective, saved and filesystem user are one.
    pub user: Option<u32>,
    /// Its group, likewise.
    pub group: Option<u32>,
    /// Signals that are ignored: an exec hands that on, and resets those that are caught.
    pub ignored_signals: u64,
    /// Capabilities that an execve can give.
    pub bounding: u64,
    /// Capabilities that can be made effective.
    pub permitted: u64,
    /// Capabilities that survive an ordinary execve.
    pub ambient: u64,
}

impl OwnStatus {
    /// Nothing is known: every signal may be ignored, and every capability may be there.
    pub const UNKNOWN: Self = Self {
        user: None,
        group: None,
        ignored_signals: u64::MAX,
        bounding: u64::MAX,
        permitted: u64::MAX,
        ambient: u64::MAX,
    };

    /// As it is after entering a user namespace, where every process has every capability at first, also what this one
    /// lacks (user_namespaces(7)), and ids are others.
    #[must_use]
    pub fn in_user_namespace(self) -> Self {
        Self { user: None, group: None, bounding: u64::MAX, permitted: u64::MAX, ambient: 0, ..self }
    }

    /// Reads the file, with three system calls; [`Self::UNKNOWN`] where there is none.
    #[must_use]
    pub fn read() -> Self {
        files::read_small(c"/proc/self/status").map_or(Self::UNKNOWN, |text| parse(&text))
    }

    /// As [`OwnStatus::read`]; the file stays open in `spent`, to be closed with others in one call.
    #[must_use]
    pub fn read_keeping(spent: &mut Vec<OwnedFd>) -> Self {
        files::read_small_keeping(c"/proc/self/status").map_or(Self::UNKNOWN, |(text, file)| {
            spent.push(file);
            parse(&text)
        })
    }
}

fn parse(text: &[u8]) -> OwnStatus {
    let line = |name: &[u8]| {
        let line = text.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(name));
        line.and_then(|line| std::str::from_utf8(line).ok())
    };
    let bits = |name| line(name).and_then(|text| u64::from_str_radix(text.trim(), 16).ok()).unwrap_or(u64::MAX);
    let id = |name| {
        let mut ids = line(name)?.split_whitespace();
        let first = ids.next()?;
        if ids.all(|other| other == first) { first.parse().ok() } else { None }
    };
    OwnStatus {
        user: id(b"Uid:"),
        group: id(b"Gid:"),
        ignored_signals: bits(b"SigIgn:"),
        bounding: bits(b"CapBnd:"),
        permitted: bits(b"CapPrm:"),
        ambient: bits(b"CapAmb:"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_read_by_name() {
        let text = b"Name:\ta\nUid:\t0\t0\t0\t0\nGid:\t5\t5\t0\t5\nSigIgn:\t0000000000001000\nCapPrm:\t00000000a80425fb\nCapBnd:\t1\nCapAmb:\t2\n";
        assert_eq!(
            parse(text),
            OwnStatus {
                user: Some(0),
                group: None,
                ignored_signals: 1 << 12,
                bounding: 1,
                permitted: 0xa804_25fb,
                ambient: 2
            }
        );
        assert_eq!(parse(b""), OwnStatus::UNKNOWN);
    }

    #[test]
    fn a_user_namespace_gives_every_capability_and_keeps_signals() {
        let own = OwnStatus { user: Some(0), ignored_signals: 4, ..OwnStatus::UNKNOWN }.in_user_namespace();
        assert_eq!(own, OwnStatus { ignored_signals: 4, ambient: 0, ..OwnStatus::UNKNOWN });
    }

    #[test]
    fn rust_ignores_broken_pipes() {
        assert_eq!(OwnStatus::read().ignored_signals >> 12 & 1, 1);
    }
}
