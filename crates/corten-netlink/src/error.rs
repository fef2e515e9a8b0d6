//! Why the kernel did not do what it was told.

use std::io;

/// Why the kernel did not do what it was told.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The socket itself failed.
    #[error("netlink: {step}")]
    Socket {
        /// What was done with it.
        step: &'static str,
        /// How it failed.
        source: io::Error,
    },
    /// The kernel refused a request.
    #[error("{request}{}", text.as_ref().map(|text| format!(": the kernel says {text:?}")).unwrap_or_default())]
    Refused {
        /// What was asked for.
        request: String,
        /// What the kernel says beyond the error's number (`NLMSGERR_ATTR_MSG`).
        text: Option<String>,
        /// The error's number.
        source: io::Error,
    },
    /// An answer is not as the protocol has it.
    #[error("{request}: the kernel's answer is malformed")]
    Malformed {
        /// What was asked for.
        request: String,
    },
    /// What was dumped changed again and again meanwhile.
    #[error("{request}: it changed {times} times while it was read")]
    Changing {
        /// What was asked for.
        request: String,
        /// How often it was begun.
        times: u32,
    },
    /// A request is larger than its format can say.
    #[error("{request}: too large for one message")]
    TooLarge {
        /// What was asked for.
        request: String,
    },
}

/// Numbers of errors (errno(3)) that callers tell apart.
mod number {
    pub(super) const ENOENT: i32 = 2;
    pub(super) const ESRCH: i32 = 3;
    pub(super) const EBUSY: i32 = 16;
    pub(super) const EEXIST: i32 = 17;
    pub(super) const ENODEV: i32 = 19;
    pub(super) const ERESTART: i32 = 85;
    pub(super) const EPROTONOSUPPORT: i32 = 93;
    pub(super) const EOPNOTSUPP: i32 = 95;
    pub(super) const EADDRNOTAVAIL: i32 = 99;
    pub(super) const ENOBUFS: i32 = 105;
}

impl Error {
    /// The number behind it, where there is one.
    #[must_use]
    pub fn number(&self) -> Option<i32> {
        match self {
            Self::Socket { source, .. } | Self::Refused { source, .. } => source.raw_os_error(),
            _ => None,
        }
    }

    /// Whether it says that there is no such thing.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self.number(), Some(number::ENOENT | number::ESRCH | number::ENODEV | number::EADDRNOTAVAIL))
    }

    /// Whether it says that the thing is there already.
    #[must_use]
    pub fn is_present(&self) -> bool {
        self.number() == Some(number::EEXIST)
    }

    /// Whether it says that the thing is there with another value (as maps do), or in use.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.number() == Some(number::EBUSY)
    }

    /// Whether it says that the kernel was built without it.
    #[must_use]
    pub fn is_lacking(&self) -> bool {
        matches!(self.number(), Some(number::EPROTONOSUPPORT | number::EOPNOTSUPP))
    }

    /// Whether the rules were changed by somebody else in between.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.number() == Some(number::ERESTART)
    }

    /// Whether events were lost.
    #[must_use]
    pub fn is_overrun(&self) -> bool {
        self.number() == Some(number::ENOBUFS)
    }

    /// What was done, and how it failed: for errors that name more.
    #[must_use]
    pub fn into_parts(self) -> (String, io::Error) {
        let step = self.to_string();
        match self {
            Self::Socket { source, .. } | Self::Refused { source, .. } => (step, source),
            Self::Malformed { .. } | Self::Changing { .. } | Self::TooLarge { .. } => {
                (step, io::Error::from(io::ErrorKind::InvalidData))
            }
        }
    }
}
