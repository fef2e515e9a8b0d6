//! Why a registry did not do what it was asked.

use std::time::Duration;

use corten_types::error::chain;
use corten_types::{Digest, ErrorKind, RegistryAnswer};
use hyper::StatusCode;
use serde::Deserialize;

/// Longest text of a registry that is passed on, in characters.
const MESSAGE_MAX: usize = 512;

/// An error of something below us that has no type of its own worth naming.
pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a registry did not do what it was asked; each names the host.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The settings, or a file they lead to, cannot be used.
    #[error("{what}: {why}")]
    Settings {
        /// The setting or file.
        what: String,
        /// Why.
        why: String,
    },
    /// The registry refused.
    #[error("{what} from {host}: {}", refusal(*status, code.as_deref(), message))]
    Status {
        /// Who answered.
        host: String,
        /// What was asked: `manifest latest`.
        what: String,
        /// The status.
        status: u16,
        /// The first error's code (distribution-spec, "Error Codes"): `MANIFEST_UNKNOWN`.
        code: Option<String>,
        /// The first error's text.
        message: String,
    },
    /// There is no connection to it.
    #[error("connect to {host}")]
    Connect {
        /// To whom.
        host: String,
        /// Why.
        source: Cause,
    },
    /// The connection broke.
    #[error("{what} from {host}")]
    Broken {
        /// With whom.
        host: String,
        /// What was under way.
        what: String,
        /// Why.
        source: Cause,
    },
    /// Nothing came, or next to nothing.
    #[error("{what} from {host}: no more than {bytes} bytes in {} s", waited.as_secs_f32())]
    Stalled {
        /// From whom.
        host: String,
        /// What was under way.
        what: String,
        /// What came.
        bytes: u64,
        /// In this time.
        waited: Duration,
    },
    /// It answered something that cannot be.
    #[error("{what} from {host}: {why}")]
    Protocol {
        /// Who.
        host: String,
        /// What was asked.
        what: String,
        /// What is wrong.
        why: String,
    },
    /// The bytes are not the ones that were asked for.
    #[error("{what} from {host} has digest {actual}, expected {expected} ({size} bytes)")]
    Digest {
        /// Who sent them.
        host: String,
        /// What was asked.
        what: String,
        /// What came.
        actual: String,
        /// What was asked for.
        expected: Digest,
        /// How much came.
        size: u64,
    },
    /// It is not as large as its descriptor says.
    #[error("{what} from {host} has {actual} bytes, its descriptor says {expected}")]
    Size {
        /// Who said so.
        host: String,
        /// What was asked.
        what: String,
        /// What it says.
        actual: u64,
        /// What it should be.
        expected: u64,
    },
    /// It is larger than anything of its sort may be.
    #[error("{what} from {host} has more than the {max} bytes that are read")]
    TooLarge {
        /// Who sent it.
        host: String,
        /// What was asked.
        what: String,
        /// The bound.
        max: u64,
    },
    /// An image in the format of before 2016; docker's text.
    #[error(
        "Docker Image Format v1 and Docker Image manifest version 2, schema 1 support has been removed. Suggest the \
         author of {name} to upgrade the image to the OCI Format or Docker Image manifest v2, schema 2. More \
         information at https://docs.docker.com/go/deprecated-image-specs/"
    )]
    SchemaOne {
        /// Which image.
        name: String,
    },
    /// Who asks could not be found out, or may not be told.
    #[error("credentials for {host}: {why}")]
    Credentials {
        /// For whom.
        host: String,
        /// Why.
        why: String,
    },
    /// No host is configured for this.
    #[error("no host of {domain} is configured to {operation}")]
    NoHost {
        /// The domain of the reference.
        domain: String,
        /// `pull`, `push`.
        operation: &'static str,
    },
}

impl RegistryError {
    /// What went wrong, for the edge.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Settings { .. } => ErrorKind::InvalidArgument,
            Self::Status { status, .. } => match status {
                400 | 406 | 422 => ErrorKind::InvalidArgument,
                401 => ErrorKind::Unauthenticated,
                403 => ErrorKind::PermissionDenied,
                404 | 410 => ErrorKind::NotFound,
                405 | 501 => ErrorKind::Unimplemented,
                409 => ErrorKind::Conflict,
                413 | 429 => ErrorKind::ResourceExhausted,
                416 => ErrorKind::OutOfRange,
                500..600 => ErrorKind::Unavailable,
                _ => ErrorKind::Unknown,
            },
            Self::Connect { .. } | Self::Broken { .. } => ErrorKind::Unavailable,
            Self::Stalled { .. } => ErrorKind::DeadlineExceeded,
            Self::Protocol { .. } | Self::Digest { .. } | Self::Size { .. } => ErrorKind::FailedPrecondition,
            Self::TooLarge { .. } => ErrorKind::ResourceExhausted,
            Self::SchemaOne { .. } => ErrorKind::InvalidArgument,
            Self::Credentials { .. } => ErrorKind::Unauthenticated,
            Self::NoHost { .. } => ErrorKind::NotFound,
        }
    }

    /// The host it is about.
    pub fn host(&self) -> Option<&str> {
        match self {
            Self::Status { host, .. }
            | Self::Connect { host, .. }
            | Self::Broken { host, .. }
            | Self::Stalled { host, .. }
            | Self::Protocol { host, .. }
            | Self::Digest { host, .. }
            | Self::Size { host, .. }
            | Self::TooLarge { host, .. }
            | Self::Credentials { host, .. } => Some(host),
            Self::Settings { .. } | Self::SchemaOne { .. } | Self::NoHost { .. } => None,
        }
    }

    /// The status it answered.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// The code it answered: `DENIED`, `MANIFEST_UNKNOWN`.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Status { code, .. } => code.as_deref(),
            _ => None,
        }
    }

    /// How it refused, for whoever asked us; none where it gave no answer.
    pub fn answer(&self) -> Option<RegistryAnswer> {
        Some(RegistryAnswer {
            host: self.host()?.to_owned(),
            status: self.status()?,
            code: self.code().unwrap_or_default().to_owned(),
            text: self.docker_text().unwrap_or_else(|| chain(self)),
        })
    }

    /// What docker prints of the registry's answer, word for word, also where it says the same twice:
    /// `denied: requested access to the resource is denied`.
    pub fn docker_text(&self) -> Option<String> {
        match self {
            Self::Status { code: Some(code), message, .. } => Some(phrase(code, message)),
            _ => None,
        }
    }
}

fn phrase(code: &str, message: &str) -> String {
    let code = code.to_ascii_lowercase().replace('_', " ");
    if message.is_empty() { code } else { format!("{code}: {message}") }
}

fn refusal(status: u16, code: Option<&str>, message: &str) -> String {
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("");
    let detail = match code {
        // Most registries say the code once more in words.
        Some(code) if phrase(code, "") == message.to_ascii_lowercase() => message.to_owned(),
        Some(code) => phrase(code, message),
        None => message.to_owned(),
    };
    let status = format!("{status} {reason}");
    if detail.is_empty() { status } else { format!("{status}: {detail}") }
}

#[derive(Deserialize)]
struct Errors {
    errors: Vec<One>,
}

#[derive(Deserialize)]
struct One {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: Option<String>,
}

/// Token servers answer so.
#[derive(Deserialize)]
struct Other {
    #[serde(default, alias = "details", alias = "error_description", alias = "message")]
    error: String,
}

/// Code and text of an error's body: JSON of the specification, what token servers write, or nothing usable.
pub(crate) fn read_errors(body: &[u8]) -> (Option<String>, String) {
    let clean = |text: &str| -> String {
        text.chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(MESSAGE_MAX)
            .collect::<String>()
            .trim()
            .to_owned()
    };
    if let Ok(Errors { errors }) = serde_json::from_slice(body)
        && let Some(first) = errors.into_iter().next()
    {
        let code = clean(&first.code);
        return ((!code.is_empty()).then_some(code), clean(&first.message.unwrap_or_default()));
    }
    let other = serde_json::from_slice::<Other>(body).map(|other| other.error).unwrap_or_default();
    (None, clean(&other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_names_host_status_and_code() {
        let (code, message) = read_errors(br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest\nunknown"}]}"#);
        let error =
            RegistryError::Status { host: "r.example".into(), what: "manifest 1".into(), status: 404, code, message };
        let text = "manifest 1 from r.example: 404 Not Found: manifest unknown";
        assert_eq!(error.to_string(), text);
        assert_eq!(error.docker_text().as_deref(), Some("manifest unknown: manifest unknown"));
        assert_eq!(read_errors(b"<html>"), (None, String::new()));
        assert_eq!(read_errors(br#"{"details":"incorrect username or password"}"#).1, "incorrect username or password");
    }
}
