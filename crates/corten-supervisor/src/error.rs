//! The error every service answers with.
//!
//! containerd's texts are a sentence about an object followed by the phrase of its class, and Go
//! clients strip that phrase before they print their own. So the class is a value here, and the
//! phrase is added in one place: [`Error::into_status`].

use std::fmt;

use corten_proto::google::rpc;
use corten_types::{RegistryAnswer, error::ErrorKind};
use prost::Message;
use tonic::{Code, Status};

/// What was asked of a service and why it was not done.
#[derive(Debug, Clone)]
pub struct Error {
    kind: ErrorKind,
    text: String,
    operation: &'static str,
    registry: Option<Box<RegistryAnswer>>,
}

/// The result of a service's operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `kind`; `text` names the object and the reason, without the phrase of the class.
    pub fn new(kind: ErrorKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into(), operation: "", registry: None }
    }

    /// The object does not exist.
    pub fn not_found(text: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, text)
    }

    /// An object of that name exists.
    pub fn already_exists(text: impl Into<String>) -> Self {
        Self::new(ErrorKind::AlreadyExists, text)
    }

    /// The request can never succeed as it stands.
    pub fn invalid(text: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidArgument, text)
    }

    /// The object's state does not allow it.
    pub fn precondition(text: impl Into<String>) -> Self {
        Self::new(ErrorKind::FailedPrecondition, text)
    }

    /// Not offered by this supervisor.
    pub fn unimplemented(text: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unimplemented, text)
    }

    /// A defect, or the kernel refused something that should have worked.
    pub fn internal(text: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, text)
    }

    /// The kernel's answer to `action`, which names the object.
    pub fn io(action: impl fmt::Display, source: &std::io::Error) -> Self {
        let kind = match source.kind() {
            std::io::ErrorKind::NotFound => ErrorKind::NotFound,
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => ErrorKind::ResourceExhausted,
            _ => ErrorKind::Internal,
        };
        Self::new(kind, format!("{action}: {source}"))
    }

    /// Puts what was being done before the text.
    #[must_use]
    pub fn within(mut self, what: impl fmt::Display) -> Self {
        self.text = format!("{what}: {}", self.text);
        self
    }

    /// Names the operation that failed, for our own clients.
    #[must_use]
    pub fn during(mut self, operation: &'static str) -> Self {
        self.operation = operation;
        self
    }

    /// Adds how a registry refused, for our own clients.
    #[must_use]
    pub fn answered(mut self, answer: Option<RegistryAnswer>) -> Self {
        self.registry = answer.map(Box::new);
        self
    }

    /// The class of the error.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The answer on the wire. Kind and operation travel in an extra field of `google.rpc.Status`,
    /// which Go clients skip.
    pub fn into_status(self) -> Status {
        let code = self.kind.grpc_code();
        let message = self.to_string();
        let registry = self.registry.map(|answer| rpc::CortenRegistryAnswer {
            host: answer.host,
            status: answer.status.into(),
            code: answer.code,
            text: answer.text,
        });
        let details = rpc::Status {
            corten_registry: registry.map(Box::new),
            code,
            message: message.clone(),
            corten_kind: format!("{:?}", self.kind),
            corten_operation: self.operation.to_owned(),
            ..rpc::Status::default()
        };
        Status::with_details(Code::from_i32(code), message, details.encode_to_vec().into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phrase = self.kind.phrase();
        match self.kind {
            // containerd gives these no class, so its clients expect no phrase.
            ErrorKind::Internal | ErrorKind::Unknown => formatter.write_str(&self.text),
            _ if self.text.ends_with(phrase) => formatter.write_str(&self.text),
            _ => write!(formatter, "{}: {phrase}", self.text),
        }
    }
}

impl std::error::Error for Error {}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        error.into_status()
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Self::internal(format!("metadata database: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_phrase_of_the_class_ends_the_text_once() {
        assert_eq!(Error::not_found("image \"x\"").to_string(), "image \"x\": not found");
        assert_eq!(Error::not_found("task x not found").to_string(), "task x not found");
        assert_eq!(Error::internal("disk on fire").to_string(), "disk on fire");
    }

    #[test]
    fn the_status_carries_code_text_and_kind() {
        let status = Error::already_exists("lease \"l\"").during("leases.create").into_status();
        assert_eq!(status.code(), Code::AlreadyExists);
        let details = rpc::Status::decode(status.details()).unwrap();
        assert_eq!(
            (details.corten_kind.as_str(), details.corten_operation.as_str()),
            ("AlreadyExists", "leases.create")
        );
    }
}
