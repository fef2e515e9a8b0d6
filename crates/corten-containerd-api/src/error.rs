//! What a containerd answers instead of a result.

use corten_proto::google::rpc;
use corten_types::{ErrorKind, RegistryAnswer};
use prost::Message;
use tonic::Status;

/// An answer that is no result, or no answer.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    kind: ErrorKind,
    message: String,
    operation: String,
    errno: i32,
    registry: Option<Box<RegistryAnswer>>,
}

impl ApiError {
    /// An error that did not come from the other side.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), operation: String::new(), errno: 0, registry: None }
    }

    /// The same, because a registry answered so.
    #[must_use]
    pub fn answered(self, registry: Option<RegistryAnswer>) -> Self {
        Self { registry: registry.map(Box::new), ..self }
    }

    /// Its class.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The text as answered, ending with containerd's phrase of the class where there is one.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The text without that phrase: what a sentence of our own can go on with.
    pub fn reason(&self) -> &str {
        let phrase = self.kind.phrase();
        self.message.strip_suffix(phrase).and_then(|text| text.strip_suffix(": ")).unwrap_or(&self.message)
    }

    /// The operation that failed, when the other side is ours and says so.
    pub fn operation(&self) -> &str {
        &self.operation
    }

    /// The kernel's error number behind it, when the other side is ours and says so; 0 otherwise.
    pub fn errno(&self) -> i32 {
        self.errno
    }

    /// How a registry refused, when that is the reason and whoever asked it is ours.
    pub fn registry(&self) -> Option<&RegistryAnswer> {
        self.registry.as_deref()
    }

    /// True when the object is not there.
    pub fn is_not_found(&self) -> bool {
        self.kind == ErrorKind::NotFound
    }

    /// True when the object is there already.
    pub fn is_already_exists(&self) -> bool {
        self.kind == ErrorKind::AlreadyExists
    }
}

/// Classes that have no code of their own and are told by the end of the text (containerd's errdefs).
fn kind_of(code: i32, message: &str) -> ErrorKind {
    let by_code = ErrorKind::from_grpc_code(code);
    if !matches!(by_code, ErrorKind::Unknown | ErrorKind::FailedPrecondition) {
        return by_code;
    }
    let ends = |kind: ErrorKind| message == kind.phrase() || message.ends_with(&format!(": {}", kind.phrase()));
    [ErrorKind::Conflict, ErrorKind::NotModified].into_iter().find(|kind| ends(*kind)).unwrap_or(by_code)
}

/// The names under which our own programs put the kind into the status' extra field.
const KINDS: [ErrorKind; 16] = [
    ErrorKind::NotFound,
    ErrorKind::AlreadyExists,
    ErrorKind::InvalidArgument,
    ErrorKind::FailedPrecondition,
    ErrorKind::Conflict,
    ErrorKind::Unavailable,
    ErrorKind::Unimplemented,
    ErrorKind::OutOfRange,
    ErrorKind::PermissionDenied,
    ErrorKind::Unauthenticated,
    ErrorKind::DeadlineExceeded,
    ErrorKind::Canceled,
    ErrorKind::ResourceExhausted,
    ErrorKind::NotModified,
    ErrorKind::Internal,
    ErrorKind::Unknown,
];

impl From<Status> for ApiError {
    fn from(status: Status) -> Self {
        let ours = rpc::Status::decode(status.details()).unwrap_or_default();
        let named = KINDS.into_iter().find(|kind| format!("{kind:?}") == ours.corten_kind);
        let mut message = status.message().to_owned();
        if message.is_empty() {
            message = format!("containerd answered {:?} without a text", status.code());
        }
        // One with a cause was made on our side, out of a connection that broke.
        let broke = std::error::Error::source(&status).map(|_| ErrorKind::Unavailable);
        let registry = ours.corten_registry.map(|answer| RegistryAnswer {
            host: answer.host,
            status: u16::try_from(answer.status).unwrap_or(0),
            code: answer.code,
            text: answer.text,
        });
        Self {
            registry: registry.map(Box::new),
            kind: named.or(broke).unwrap_or_else(|| kind_of(status.code() as i32, &message)),
            message,
            operation: ours.corten_operation,
            errno: ours.corten_errno,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic::Code;

    #[test]
    fn the_class_comes_from_the_code_and_from_the_end_of_the_text() {
        for (code, text, kind, reason) in [
            (Code::NotFound, "image \"x\": not found", ErrorKind::NotFound, "image \"x\""),
            (Code::Unknown, "container in use: conflict", ErrorKind::Conflict, "container in use"),
            (Code::Unknown, "exit status 1", ErrorKind::Unknown, "exit status 1"),
            (Code::FailedPrecondition, "namespace is required", ErrorKind::FailedPrecondition, "namespace is required"),
            (Code::Unavailable, "locked", ErrorKind::Unavailable, "locked"),
        ] {
            let error = ApiError::from(Status::new(code, text));
            assert_eq!((error.kind(), error.reason(), error.to_string().as_str()), (kind, reason, text));
        }
    }

    #[test]
    fn our_own_servers_name_the_kind() {
        let details = rpc::Status { corten_kind: "NotModified".into(), corten_errno: 5, ..Default::default() };
        let status = Status::with_details(Code::Unknown, "already so", details.encode_to_vec().into());
        let error = ApiError::from(status);
        assert_eq!((error.kind(), error.errno()), (ErrorKind::NotModified, 5));
    }
}
