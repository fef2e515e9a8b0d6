//! What kind of thing went wrong, and the default table from kind to each protocol's code.
//!
//! Every error enum of ours says its kind. An edge (gRPC, ttrpc, HTTP, a command line) maps the kind
//! by this table unless the original answers differently there, and then says so beside the override.

use std::error::Error;

/// The kinds of failure that cross a process boundary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The object does not exist.
    NotFound,
    /// An object of that name exists.
    AlreadyExists,
    /// The request can never succeed as it stands.
    InvalidArgument,
    /// The object is in a state that does not allow it.
    FailedPrecondition,
    /// The request clashes with another object or operation.
    Conflict,
    /// The other side cannot answer now; trying again may help.
    Unavailable,
    /// Not supported.
    Unimplemented,
    /// An offset or number lies outside what the object holds.
    OutOfRange,
    /// The caller may not do this.
    PermissionDenied,
    /// The caller did not say who it is.
    Unauthenticated,
    /// It took longer than allowed.
    DeadlineExceeded,
    /// The caller went away.
    Canceled,
    /// A named bound was reached.
    ResourceExhausted,
    /// The object already is as asked.
    NotModified,
    /// A defect or an unexpected answer of the kernel or another process.
    Internal,
    /// Nothing better is known.
    Unknown,
}

impl ErrorKind {
    /// Code of `google.rpc.Status`, also used by ttrpc.
    pub const fn grpc_code(self) -> i32 {
        match self {
            Self::Canceled => 1,
            // containerd answers Unknown for what has no class of its own; clients print it as it is.
            Self::Unknown | Self::Internal | Self::NotModified => 2,
            Self::InvalidArgument => 3,
            Self::DeadlineExceeded => 4,
            Self::NotFound => 5,
            Self::AlreadyExists => 6,
            Self::PermissionDenied => 7,
            Self::ResourceExhausted => 8,
            Self::FailedPrecondition | Self::Conflict => 9,
            Self::OutOfRange => 11,
            Self::Unimplemented => 12,
            Self::Unavailable => 14,
            Self::Unauthenticated => 16,
        }
    }

    /// The kind a peer meant by a `google.rpc.Status` code.
    pub const fn from_grpc_code(code: i32) -> Self {
        match code {
            1 => Self::Canceled,
            3 => Self::InvalidArgument,
            4 => Self::DeadlineExceeded,
            5 => Self::NotFound,
            6 => Self::AlreadyExists,
            7 => Self::PermissionDenied,
            8 => Self::ResourceExhausted,
            9 => Self::FailedPrecondition,
            11 => Self::OutOfRange,
            12 => Self::Unimplemented,
            13 => Self::Internal,
            14 => Self::Unavailable,
            16 => Self::Unauthenticated,
            _ => Self::Unknown,
        }
    }

    /// Status of the Engine API.
    pub const fn http_status(self) -> u16 {
        match self {
            Self::NotModified => 304,
            Self::InvalidArgument | Self::FailedPrecondition | Self::OutOfRange => 400,
            Self::Unauthenticated => 401,
            Self::PermissionDenied => 403,
            Self::NotFound => 404,
            Self::AlreadyExists | Self::Conflict => 409,
            Self::ResourceExhausted => 413,
            Self::Canceled => 499,
            Self::Unimplemented => 501,
            Self::Unavailable => 503,
            Self::DeadlineExceeded | Self::Internal | Self::Unknown => 500,
        }
    }

    /// The phrase containerd's Go clients look for at the end of a message, and strip.
    pub const fn phrase(self) -> &'static str {
        match self {
            Self::NotFound => "not found",
            Self::AlreadyExists => "already exists",
            Self::InvalidArgument => "invalid argument",
            Self::FailedPrecondition => "failed precondition",
            Self::Conflict => "conflict",
            Self::Unavailable => "unavailable",
            Self::Unimplemented => "not implemented",
            Self::OutOfRange => "out of range",
            Self::PermissionDenied => "permission denied",
            Self::Unauthenticated => "unauthenticated",
            Self::DeadlineExceeded => "deadline exceeded",
            Self::Canceled => "canceled",
            Self::ResourceExhausted => "resource exhausted",
            Self::NotModified => "not modified",
            Self::Internal => "internal",
            Self::Unknown => "unknown",
        }
    }
}

/// The kernel's words in the case Go writes them, without the number: clients match on them.
#[must_use]
pub fn errno_text(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

/// `error` and its causes on one line, joined with `: `: how every edge prints an error.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Some foreign errors repeat their source's text in their own.
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_survive_the_way_there_and_back() {
        for kind in [
            ErrorKind::NotFound,
            ErrorKind::AlreadyExists,
            ErrorKind::InvalidArgument,
            ErrorKind::FailedPrecondition,
            ErrorKind::Unavailable,
            ErrorKind::Unimplemented,
            ErrorKind::OutOfRange,
            ErrorKind::PermissionDenied,
            ErrorKind::Unauthenticated,
            ErrorKind::DeadlineExceeded,
            ErrorKind::Canceled,
            ErrorKind::ResourceExhausted,
            ErrorKind::Unknown,
        ] {
            assert_eq!(ErrorKind::from_grpc_code(kind.grpc_code()), kind);
        }
    }

    #[test]
    fn a_chain_is_one_line_without_repetition() {
        #[derive(Debug, thiserror::Error)]
        #[error("mount proc on /proc")]
        struct Mount(#[source] std::io::Error);
        let error = Mount(std::io::Error::from_raw_os_error(1));
        assert_eq!(chain(&error), "mount proc on /proc: Operation not permitted (os error 1)");
    }

    #[test]
    fn errors_are_in_gos_case() {
        assert_eq!(errno_text(&std::io::Error::from_raw_os_error(2)), "no such file or directory");
        assert_eq!(errno_text(&std::io::Error::from_raw_os_error(13)), "permission denied");
    }
}
