//! The engine's error: a kind that becomes the HTTP status, and the sentence the client prints.
//!
//! One type for all operations, against the habit elsewhere: here the sentence *is* the interface.
//! Docker's clients decide on its words (`No such container`, `is not running`, `is already in use`),
//! so each is written where the operation refuses, and tested there against what dockerd says.

use std::error::Error;
use std::fmt;

use corten_types::ErrorKind;
use corten_types::error::chain;

/// Why an operation was refused or failed.
#[derive(Debug)]
pub struct EngineError {
    kind: ErrorKind,
    text: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// What operations of the engine answer.
pub type Result<T> = std::result::Result<T, EngineError>;

impl EngineError {
    /// An error of that kind.
    pub fn new(kind: ErrorKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into(), source: None }
    }

    /// The object does not exist: 404.
    pub fn not_found(text: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, text)
    }

    /// The request can never succeed: 400.
    pub fn invalid(text: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidArgument, text)
    }

    /// The object's state does not allow it: 409.
    pub fn conflict(text: impl Into<String>) -> Self {
        Self::new(ErrorKind::Conflict, text)
    }

    /// The object already is as asked: 304.
    pub fn not_modified(text: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotModified, text)
    }

    /// Not built yet: 501.
    pub fn unimplemented(text: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unimplemented, text)
    }

    /// Something the caller cannot help: 500.
    pub fn internal(text: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, text)
    }

    /// The same with its cause, which is printed behind it.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What was being done when another operation of the engine failed; its kind stays.
    #[must_use]
    pub fn while_doing(self, text: impl Into<String>) -> Self {
        Self { kind: self.kind, text: text.into(), source: Some(Box::new(self)) }
    }

    /// Its kind.
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The whole sentence with its causes.
    pub fn message(&self) -> String {
        chain(self)
    }
}

impl fmt::Display for EngineError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl Error for EngineError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

/// An answer of containerd or the supervisor: its kind, and its own words. One with a cause was made on
/// our side, out of a connection that broke.
impl From<tonic::Status> for EngineError {
    fn from(status: tonic::Status) -> Self {
        let kind = match std::error::Error::source(&status) {
            None => ErrorKind::from_grpc_code(i32::from(status.code())),
            Some(_) => ErrorKind::Unavailable,
        };
        Self::new(kind, status.message())
    }
}

impl From<corten_docker_api::json::DecodeError> for EngineError {
    fn from(error: corten_docker_api::json::DecodeError) -> Self {
        Self::invalid(chain(&error))
    }
}

impl From<corten_docker_api::filters::FilterError> for EngineError {
    fn from(error: corten_docker_api::filters::FilterError) -> Self {
        Self::invalid(error.to_string())
    }
}
