//! What the options of a bind make of its source's flags.
//!
//! As with runc: a bind without any option keeps them; with one it has the named flags and no others, but that access
//! times stay as they are unless an option names a way. In a user namespace flags of the source are locked
//! (mount_namespaces(7)): those that no option speaks of stay, and one that an option takes away is an error.

use corten_sys::mount::{Change, attr};

/// Flags by the numbers of statvfs(3), and one that it has none for.
mod flag {
    pub const RDONLY: u32 = 1;
    pub const NOSUID: u32 = 2;
    pub const NODEV: u32 = 4;
    pub const NOEXEC: u32 = 8;
    pub const NOATIME: u32 = 1024;
    pub const NODIRATIME: u32 = 2048;
    pub const RELATIME: u32 = 4096;
    pub const NOSYMFOLLOW: u32 = 8192;
    pub const STRICTATIME: u32 = 1 << 24;
}
use flag::{NOATIME, NODEV, NODIRATIME, NOEXEC, NOSUID, NOSYMFOLLOW, RDONLY, RELATIME, STRICTATIME};

/// The ways of access times.
const TIMES: u32 = NOATIME | NODIRATIME | RELATIME | STRICTATIME;
/// Flags that a user namespace cannot take from a mount beside those.
const LOCKABLE: u32 = RDONLY | NOSUID | NODEV | NOEXEC;

/// Options: name, flag, whether it is set or taken away.
const OPTIONS: [(&str, u32, bool); 18] = [
    ("ro", RDONLY, true),
    ("rw", RDONLY, false),
    ("nosuid", NOSUID, true),
    ("suid", NOSUID, false),
    ("nodev", NODEV, true),
    ("dev", NODEV, false),
    ("noexec", NOEXEC, true),
    ("exec", NOEXEC, false),
    ("nosymfollow", NOSYMFOLLOW, true),
    ("symfollow", NOSYMFOLLOW, false),
    ("noatime", NOATIME, true),
    ("atime", NOATIME, false),
    ("nodiratime", NODIRATIME, true),
    ("diratime", NODIRATIME, false),
    ("relatime", RELATIME, true),
    ("norelatime", RELATIME, false),
    ("strictatime", STRICTATIME, true),
    ("nostrictatime", STRICTATIME, false),
];

/// What the options of one bind say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BindFlags {
    set: u32,
    cleared: u32,
}

impl BindFlags {
    /// Takes an option; others are passed over.
    pub(super) fn take(&mut self, option: &str) {
        if let Some((_, flag, sets)) = OPTIONS.iter().find(|(name, ..)| *name == option) {
            let (to, from) =
                if *sets { (&mut self.set, &mut self.cleared) } else { (&mut self.cleared, &mut self.set) };
            *to |= flag;
            *from &= !flag;
        }
    }

    /// Whether an option said anything.
    #[must_use]
    pub const fn is_given(&self) -> bool {
        self.set | self.cleared != 0
    }

    /// The change of a mount whose flags are not locked.
    #[must_use]
    pub fn change(&self) -> Change {
        const BITS: [(u32, u64); 5] = [
            (RDONLY, attr::RDONLY),
            (NOSUID, attr::NOSUID),
            (NODEV, attr::NODEV),
            (NOEXEC, attr::NOEXEC),
            (NOSYMFOLLOW, attr::NOSYMFOLLOW),
        ];
        if !self.is_given() {
            return Change::default();
        }
        let mut change = Change::default();
        for (flag, bits) in BITS {
            *(if self.set & flag == 0 { &mut change.clear } else { &mut change.set }) |= bits;
        }
        if self.set & TIMES != 0 {
            change.clear |= attr::ATIME_MASK | attr::NODIRATIME;
            change.set |= match self.times() & (NOATIME | STRICTATIME) {
                NOATIME => attr::NOATIME,
                STRICTATIME => attr::STRICTATIME,
                _ => attr::RELATIME,
            };
            if self.set & NODIRATIME != 0 {
                change.set |= attr::NODIRATIME;
                change.clear &= !attr::NODIRATIME;
            }
        }
        change
    }

    /// The change of a mount whose flags are locked, and are `source` as statvfs(3) tells them; what cannot be taken
    /// away otherwise.
    ///
    /// # Errors
    /// The sentence.
    pub fn change_locked(&self, source: u32) -> Result<Change, &'static str> {
        if !self.is_given() {
            return Ok(Change::default());
        }
        let unnamed = if source & (NOATIME | RELATIME) == 0 { STRICTATIME } else { 0 };
        let source = source & (LOCKABLE | TIMES) | unnamed;
        let kept = source & LOCKABLE & !self.set;
        let changes_times = self.set & TIMES != 0 && self.times() != source & TIMES;
        if kept == 0 && !changes_times {
            return Ok(self.change());
        }
        if source & self.cleared != 0 {
            return Err("cannot clear locked flags");
        }
        if self.set & TIMES != 0 && self.set & TIMES != source & TIMES {
            return Err("cannot change locked atime flags");
        }
        Ok(Self { set: (self.set | kept) & !TIMES, cleared: self.cleared }.change())
    }

    /// The one way of access times that the kernel makes of the options (mount(2)).
    const fn times(&self) -> u32 {
        let way = if self.set & STRICTATIME != 0 {
            STRICTATIME
        } else if self.set & NOATIME != 0 {
            NOATIME
        } else {
            RELATIME
        };
        way | self.set & NODIRATIME
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(options: &str) -> BindFlags {
        let mut flags = BindFlags::default();
        options.split(',').for_each(|option| flags.take(option));
        flags
    }

    /// What a mount with the attributes `before` has after the change, as mount_setattr(2) does it.
    fn after(before: u64, change: Change) -> u64 {
        before & !change.clear | change.set
    }

    #[test]
    fn an_option_makes_the_named_flags_the_only_ones() {
        let all = attr::RDONLY | attr::NOSUID | attr::NODEV | attr::NOEXEC | attr::NOSYMFOLLOW | attr::NOATIME;
        for (options, left) in [
            ("bind,rbind", all),
            ("bind,dev", attr::NOATIME),
            ("rw,nosuid", attr::NOSUID | attr::NOATIME),
            ("ro", attr::RDONLY | attr::NOATIME),
            // Access times stay until an option names a way; taking one away names none.
            ("atime", attr::NOATIME),
            ("relatime", 0),
            ("nodiratime", attr::NODIRATIME),
            ("nodiratime,norelatime", attr::NODIRATIME),
            ("nodiratime,strictatime", attr::NODIRATIME | attr::STRICTATIME),
            ("ro,rw", attr::NOATIME),
        ] {
            assert_eq!(after(all, flags(options).change()), left, "{options}");
        }
        let directories = attr::NODIRATIME;
        assert_eq!(after(directories, flags("strictatime").change()), attr::STRICTATIME);
    }

    #[test]
    fn in_a_user_namespace_locked_flags_stay_or_are_an_error() {
        const CLEAR: Result<u64, &str> = Err("cannot clear locked flags");
        const TIME: Result<u64, &str> = Err("cannot change locked atime flags");
        for (source, before, options, left) in [
            (RDONLY | RELATIME, attr::RDONLY, "bind", Ok(attr::RDONLY)),
            (RDONLY | RELATIME, attr::RDONLY, "dev", Ok(attr::RDONLY)),
            (RDONLY | RELATIME, attr::RDONLY, "nosuid", Ok(attr::RDONLY | attr::NOSUID)),
            (RDONLY | RELATIME, attr::RDONLY, "rw,nosuid", CLEAR),
            (NODEV | NOSYMFOLLOW | RELATIME, attr::NODEV | attr::NOSYMFOLLOW, "rw", Ok(attr::NODEV)),
            (
                NOSUID | NOATIME,
                attr::NOSUID | attr::NOATIME,
                "ro,exec",
                Ok(attr::RDONLY | attr::NOSUID | attr::NOATIME),
            ),
            (NOATIME, attr::NOATIME, "atime", Ok(attr::NOATIME)),
            (NOATIME, attr::NOATIME, "relatime", TIME),
            (RELATIME, 0, "strictatime", TIME),
            (RELATIME, 0, "nodiratime", TIME),
            (RELATIME, 0, "relatime,ro", Ok(attr::RDONLY)),
            (0, attr::STRICTATIME, "nostrictatime", Ok(attr::STRICTATIME)),
            (0, attr::STRICTATIME, "noatime", TIME),
            (RELATIME | NODIRATIME, attr::NODIRATIME, "diratime", Ok(attr::NODIRATIME)),
        ] {
            let found = flags(options).change_locked(source).map(|change| after(before, change));
            assert_eq!(found, left, "{options} on {source}");
        }
    }
}
