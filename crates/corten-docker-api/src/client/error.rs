//! What a call to the daemon can fail with, in the words docker's users and scripts know.

use std::io;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens there.
    #[error("Cannot connect to the Docker daemon at {host}. Is the docker daemon running?")]
    Connect {
        /// The address.
        host: String,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// The socket is there, but not for this user.
    #[error("permission denied while trying to connect to the Docker daemon socket at {host}")]
    Permission {
        /// The address.
        host: String,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// The daemon refused: its own words.
    #[error("Error response from daemon: {message}")]
    Daemon {
        /// HTTP status.
        status: u16,
        /// The `message` of the answer.
        message: String,
    },
    /// The connection was not handed over.
    #[error("unable to upgrade to tcp, received {status}")]
    NotUpgraded {
        /// HTTP status instead of 101.
        status: u16,
        /// The answer's text.
        message: String,
    },
    /// The connection broke, or what came was not HTTP.
    #[error("error during connect: {target}: {source}")]
    Exchange {
        /// Path and query.
        target: String,
        /// hyper's reason.
        #[source]
        source: hyper::Error,
    },
    /// The answer is not the JSON it should be.
    #[error("the daemon's answer to {target} is not understood: {source}")]
    Decode {
        /// Path, or what was read.
        target: String,
        /// serde's reason.
        #[source]
        source: serde_json::Error,
    },
    /// An answer larger than any honest one.
    #[error("the daemon's answer is longer than {limit} bytes")]
    TooLong {
        /// The bound.
        limit: usize,
    },
    /// Path or header cannot be sent.
    #[error("request {target} cannot be sent: {source}")]
    BadRequest {
        /// Path and query.
        target: String,
        /// hyper's reason.
        #[source]
        source: hyper::http::Error,
    },
}

impl ClientError {
    /// Whether nobody is there to answer any more: the daemon ended while it was asked, or has not come back.
    #[must_use]
    pub fn is_daemon_gone(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Exchange { .. } => true,
            // The connection ended in the middle of an answer.
            Self::Decode { source, .. } => source.is_eof(),
            _ => false,
        }
    }

    /// The HTTP status of a refusal.
    #[must_use]
    pub const fn status(&self) -> Option<u16> {
        match self {
            Self::Daemon { status, .. } | Self::NotUpgraded { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Whether the daemon says that the object does not exist.
    #[must_use]
    pub const fn is_not_found(&self) -> bool {
        matches!(self, Self::Daemon { status: 404, .. })
    }
}
