//! Why a task call is refused or failed, and the status that goes out.
//!
//! Texts are those of containerd's own shim where a client matches on them.

use std::{error::Error, io, path::PathBuf};

use corten_proto::google::rpc::Status;
use corten_types::{ErrorKind, error::chain};

/// What a task call ends with instead of an answer.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// The shim holds no container of that id.
    #[error("container not created")]
    NoContainer,
    /// The container has no exec of that id.
    #[error("process does not exist {0}")]
    NoProcess(String),
    /// The container exists.
    #[error("container {0}")]
    ContainerExists(String),
    /// The exec exists.
    #[error("id {0}")]
    ExecExists(String),
    /// Signalled after its end; dockerd and ctr take it as success.
    #[error("process already finished")]
    Finished,
    /// An exec that was not started yet.
    #[error("process not created")]
    NotStarted,
    /// The init process has ended, so nothing starts in the container any more.
    #[error("container {0} init process is not running")]
    InitGone(String),
    /// The state does not allow it.
    #[error("cannot {verb} a {state} {noun}")]
    State {
        /// What was asked for.
        verb: &'static str,
        /// The state.
        state: &'static str,
        /// `container` or `process`.
        noun: &'static str,
    },
    /// A request that is wrong in itself.
    #[error("{0}")]
    Invalid(String),
    /// What this shim does not do.
    #[error("{0}")]
    Unsupported(String),
    /// The runtime said no.
    #[error("OCI runtime {verb} failed: {message}")]
    Runtime {
        /// The runtime's command.
        verb: &'static str,
        /// The last error of its log.
        message: String,
    },
    /// A system call failed.
    #[error("{doing} {}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The statistics are gone with the cgroup.
    #[error("cgroup does not exist")]
    NoCgroup,
}

impl TaskError {
    /// An [`TaskError::Io`], for `map_err`.
    pub fn io(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { doing, path, source }
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NoContainer | Self::NoProcess(_) | Self::Finished | Self::NoCgroup => ErrorKind::NotFound,
            Self::ContainerExists(_) | Self::ExecExists(_) => ErrorKind::AlreadyExists,
            Self::NotStarted | Self::InitGone(_) | Self::State { .. } => ErrorKind::FailedPrecondition,
            Self::Invalid(_) => ErrorKind::InvalidArgument,
            Self::Unsupported(_) => ErrorKind::Unimplemented,
            Self::Runtime { .. } | Self::Io { .. } => ErrorKind::Unknown,
        }
    }
}

impl From<TaskError> for Status {
    fn from(error: TaskError) -> Self {
        let kind = error.kind();
        let text = chain(&error);
        let message = match kind {
            // containerd's client adds the phrase of a class it does not know itself.
            ErrorKind::Unknown => text,
            kind => format!("{text}: {}", kind.phrase()),
        };
        let errno =
            error.source().and_then(|source| source.downcast_ref::<io::Error>()).and_then(io::Error::raw_os_error);
        Self {
            code: kind.grpc_code(),
            message,
            corten_kind: kind.phrase().to_owned(),
            corten_errno: errno.unwrap_or(0),
            ..Self::default()
        }
    }
}
