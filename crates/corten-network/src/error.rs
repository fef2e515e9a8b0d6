//! Why a network is not as it was wanted.

use std::io;

use corten_types::ErrorKind;

/// Why a network is not as it was wanted.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The kernel was built without something.
    #[error("{what} needs a kernel with {option}")]
    Lacking {
        /// What was wanted.
        what: String,
        /// The option of its configuration, `CONFIG_…`.
        option: &'static str,
    },
    /// The kernel refused a step.
    #[error("{object}: {step}: {source}")]
    Kernel {
        /// What it was about: `network web`, `endpoint 0123456789ab`.
        object: String,
        /// What was done to it: `make bridge br-0123456789ab`.
        step: String,
        /// Why not.
        source: io::Error,
    },
    /// Somebody else's object has the name.
    #[error("{object} exists and is not ours")]
    Foreign {
        /// The interface or table.
        object: String,
    },
    /// What was asked for can never be.
    #[error("{0}")]
    Invalid(String),
    /// It clashes with something that is there.
    #[error("{0}")]
    Conflict(String),
    /// A program that helps does not answer.
    #[error("{program} does not answer: {complaint}")]
    Silent {
        /// Its name.
        program: &'static str,
        /// What came instead.
        complaint: String,
    },
    /// A program that helps failed.
    #[error("{program}: {complaint}")]
    Program {
        /// Its name and arguments.
        program: String,
        /// What it wrote, or how it ended.
        complaint: String,
    },
}

impl NetworkError {
    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Lacking { .. } => ErrorKind::Unimplemented,
            Self::Foreign { .. } | Self::Conflict(_) => ErrorKind::Conflict,
            Self::Invalid(_) => ErrorKind::InvalidArgument,
            Self::Silent { .. } => ErrorKind::Unavailable,
            Self::Kernel { .. } | Self::Program { .. } => ErrorKind::Internal,
        }
    }

    /// Whether somebody does not answer, who may do so later.
    pub fn is_silence(&self) -> bool {
        matches!(self, Self::Silent { .. })
    }
}
