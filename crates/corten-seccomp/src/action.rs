//! What a filter does with a call (seccomp(2), "SECCOMP_RET_…").

use crate::profile::ProfileError;

/// A verdict as the kernel takes it: the action in the high half, its data in the low one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Action(pub u32);

/// The names the specification has, sorted.
pub const NAMES: [&str; 9] = [
    "SCMP_ACT_ALLOW",
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_KILL",
    "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_KILL_THREAD",
    "SCMP_ACT_LOG",
    "SCMP_ACT_NOTIFY",
    "SCMP_ACT_TRACE",
    "SCMP_ACT_TRAP",
];

/// The data of an ERRNO or TRACE that names none: EPERM.
const EPERM: u32 = 1;
const DATA: u32 = 0xffff;

impl Action {
    /// Ends the thread as if by SIGSYS.
    pub const KILL_THREAD: Self = Self(0);
    /// Ends the process.
    pub const KILL_PROCESS: Self = Self(0x8000_0000);
    /// Sends SIGSYS.
    pub const TRAP: Self = Self(0x0003_0000);
    /// Asks the listener.
    pub const NOTIFY: Self = Self(0x7fc0_0000);
    /// Lets the call through and logs it.
    pub const LOG: Self = Self(0x7ffc_0000);
    /// Lets the call through.
    pub const ALLOW: Self = Self(0x7fff_0000);
    /// The call is not known to this kernel, says the filter.
    pub const ENOSYS: Self = Self::errno(38);

    /// The call fails with `errno`.
    #[must_use]
    pub const fn errno(errno: u32) -> Self {
        Self(0x0005_0000 | errno & DATA)
    }

    /// The tracer decides, and is told `message`.
    #[must_use]
    pub const fn trace(message: u32) -> Self {
        Self(0x7ff0_0000 | message & DATA)
    }

    /// The action of that name; `key` is where it stands, for the error. Data of an action that has none means nothing:
    /// config-linux.md wants it refused, and runc, which profiles are written for, passes it over.
    ///
    /// # Errors
    /// [`ProfileError`]: no such action, or data that does not fit.
    pub fn named(key: &str, name: &str, errno: Option<u32>) -> Result<Self, ProfileError> {
        Ok(match name {
            "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Self::KILL_THREAD,
            "SCMP_ACT_KILL_PROCESS" => Self::KILL_PROCESS,
            "SCMP_ACT_TRAP" => Self::TRAP,
            "SCMP_ACT_NOTIFY" => Self::NOTIFY,
            "SCMP_ACT_LOG" => Self::LOG,
            "SCMP_ACT_ALLOW" => Self::ALLOW,
            "SCMP_ACT_ERRNO" => Self::errno(data(key, errno)?),
            "SCMP_ACT_TRACE" => Self::trace(data(key, errno)?),
            _ => return Err(ProfileError::new(key, format!("{name:?} is no action"))),
        })
    }

    /// Whether a call with this verdict reaches the kernel or somebody who may do it instead.
    #[must_use]
    pub const fn is_permissive(self) -> bool {
        matches!(self.0 & !DATA, 0x7fff_0000 | 0x7ffc_0000 | 0x7ff0_0000)
    }
}

fn data(key: &str, errno: Option<u32>) -> Result<u32, ProfileError> {
    match errno {
        None => Ok(EPERM),
        Some(errno) if errno <= DATA => Ok(errno),
        Some(errno) => Err(ProfileError::new(key, format!("errnoRet {errno} is larger than {DATA}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_its_verdict() {
        for (name, errno, verdict) in [
            ("SCMP_ACT_KILL", None, 0),
            ("SCMP_ACT_KILL_THREAD", None, 0),
            ("SCMP_ACT_KILL_PROCESS", None, 0x8000_0000),
            ("SCMP_ACT_TRAP", None, 0x0003_0000),
            ("SCMP_ACT_ERRNO", None, 0x0005_0001),
            ("SCMP_ACT_ERRNO", Some(38), 0x0005_0026),
            ("SCMP_ACT_TRACE", None, 0x7ff0_0001),
            ("SCMP_ACT_TRACE", Some(65535), 0x7ff0_ffff),
            ("SCMP_ACT_LOG", None, 0x7ffc_0000),
            ("SCMP_ACT_NOTIFY", None, 0x7fc0_0000),
            ("SCMP_ACT_ALLOW", None, 0x7fff_0000),
        ] {
            assert_eq!(Action::named("a", name, errno).expect(name), Action(verdict), "{name}");
            assert!(NAMES.contains(&name));
        }
        assert!(NAMES.is_sorted());
    }

    #[test]
    fn what_an_action_does_not_have_is_refused() {
        for (name, errno, problem) in [
            ("SCMP_ACT_WISH", None, "a: \"SCMP_ACT_WISH\" is no action"),
            ("SCMP_ACT_ERRNO", Some(65536), "a: errnoRet 65536 is larger than 65535"),
        ] {
            assert_eq!(Action::named("a", name, errno).expect_err(name).to_string(), problem);
        }
    }
}
