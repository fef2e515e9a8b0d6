//! Why a call over ttrpc did not answer, and the status codes both ends speak.

use std::{io, path::PathBuf, time::Duration};

use corten_proto::google::rpc::Status;
use corten_types::ErrorKind;

/// gRPC's status codes, which ttrpc shares. Named here because the wire is numbers.
pub mod code {
    /// The call was given up by its caller.
    pub const CANCELED: i32 = 1;
    /// No better code is known; Go's errors without a class.
    pub const UNKNOWN: i32 = 2;
    /// The request is wrong in itself.
    pub const INVALID_ARGUMENT: i32 = 3;
    /// The time of the call ran out.
    pub const DEADLINE_EXCEEDED: i32 = 4;
    /// The object does not exist.
    pub const NOT_FOUND: i32 = 5;
    /// The object exists.
    pub const ALREADY_EXISTS: i32 = 6;
    /// Not allowed.
    pub const PERMISSION_DENIED: i32 = 7;
    /// A bound was reached, or a message was too long.
    pub const RESOURCE_EXHAUSTED: i32 = 8;
    /// The object is not in a state that allows it.
    pub const FAILED_PRECONDITION: i32 = 9;
    /// Lost against another call.
    pub const ABORTED: i32 = 10;
    /// Past the end.
    pub const OUT_OF_RANGE: i32 = 11;
    /// No such service or method: containerd 2.x falls back from task v3 to v2 on this code only.
    pub const UNIMPLEMENTED: i32 = 12;
    /// An invariant does not hold.
    pub const INTERNAL: i32 = 13;
    /// Not there now; a retry may help.
    pub const UNAVAILABLE: i32 = 14;
}

/// A status of `code` with a text.
pub fn status(code: i32, message: impl Into<String>) -> Status {
    Status { code, message: message.into(), ..Status::default() }
}

/// Connecting to a shim or a supervisor.
#[derive(Debug, thiserror::Error)]
#[error("connect to {}", path.display())]
pub struct ConnectError {
    /// The socket.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

/// A call that brought no answer message.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The other side answered with a status, kept here as it came.
    #[error("{}", .0.message)]
    Status(Box<Status>),
    /// The connection ended before the answer came, or was never there.
    #[error("{method}: the connection is closed")]
    Closed {
        /// The method that was called.
        method: &'static str,
    },
    /// No answer within the time of the call.
    #[error("{method}: no answer within {timeout:?}")]
    DeadlineExceeded {
        /// The method that was called.
        method: &'static str,
        /// The time it was given.
        timeout: Duration,
    },
    /// The request does not fit a frame.
    #[error("{method}: a request of {bytes} bytes is longer than a ttrpc message may be (4 MiB)")]
    TooLong {
        /// The method that was called.
        method: &'static str,
        /// Length of the encoded request.
        bytes: usize,
    },
    /// The answer is no message of the expected type.
    #[error("{method}: decode the answer")]
    Decode {
        /// The method that was called.
        method: &'static str,
        /// What the decoder says.
        source: prost::DecodeError,
    },
}

impl CallError {
    /// The gRPC status code this error is told as.
    pub fn code(&self) -> i32 {
        match self {
            Self::Status(status) => status.code,
            Self::Closed { .. } => code::UNAVAILABLE,
            Self::DeadlineExceeded { .. } => code::DEADLINE_EXCEEDED,
            Self::TooLong { .. } => code::RESOURCE_EXHAUSTED,
            Self::Decode { .. } => code::INTERNAL,
        }
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::from_grpc_code(self.code())
    }

    /// Whether the other side said that the object does not exist.
    pub fn is_not_found(&self) -> bool {
        self.code() == code::NOT_FOUND
    }

    /// Whether the other side does not know the service or the method.
    pub fn is_unimplemented(&self) -> bool {
        self.code() == code::UNIMPLEMENTED
    }

    /// Whether the connection ended.
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Closed { .. })
    }

    /// The status to pass on: the one that came, or one made from this error.
    pub fn into_status(self) -> Status {
        match self {
            Self::Status(status) => *status,
            other => status(other.code(), other.to_string()),
        }
    }
}
