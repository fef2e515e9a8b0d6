//! How a command ends badly: a text for standard error and an exit status.

use corten_docker_api::client::ClientError;

/// Why a command failed. An empty message prints nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What standard error shows.
    pub message: String,
    /// The program's exit status.
    pub status: u8,
}

impl Failure {
    /// A failure of status 1.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), status: 1 }
    }

    /// A failure of another status.
    pub fn with_status(message: impl Into<String>, status: u8) -> Self {
        Self { message: message.into(), status }
    }

    /// Ends with a container's exit code and says nothing.
    pub const fn silent(status: u8) -> Self {
        Self { message: String::new(), status }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self::new(error.to_string())
    }
}

/// What commands return.
pub type Outcome = Result<(), Failure>;

/// One failure out of many, a line each; nothing when there was none.
pub fn join(messages: Vec<String>) -> Outcome {
    if messages.is_empty() { Ok(()) } else { Err(Failure::new(messages.join("\n"))) }
}
