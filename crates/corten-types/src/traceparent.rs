//! W3C trace context: one trace id through HTTP header, gRPC and ttrpc metadata, and environment.
//!
//! containerd and dockerd use the same key, so a mixed stack keeps one trace.

use std::{fmt, str::FromStr};

/// The key in HTTP headers and in gRPC and ttrpc metadata.
pub const KEY: &str = "traceparent";
/// The environment variable on the runtime's exec; removed before the container's environment is made.
pub const ENVIRONMENT: &str = "TRACEPARENT";

/// A well-formed `traceparent` of version 00: `00-<32 hex>-<16 hex>-<2 hex>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traceparent(String);

/// The text is not a version 00 traceparent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid traceparent {0:?}")]
pub struct TraceparentError(String);

impl Traceparent {
    /// The 32 hex digits that all spans of one request share.
    pub fn trace_id(&self) -> &str {
        &self.0[3..35]
    }

    /// The header's value.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Traceparent {
    type Err = TraceparentError;

    fn from_str(text: &str) -> Result<Self, TraceparentError> {
        let parts: Vec<&str> = text.split('-').collect();
        let hex = |part: &str, length| {
            part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
        };
        match parts.as_slice() {
            ["00", trace, parent, flags] if hex(trace, 32) && hex(parent, 16) && hex(flags, 2) => {
                Ok(Self(text.to_owned()))
            }
            _ => Err(TraceparentError(text.to_owned())),
        }
    }
}

impl fmt::Display for Traceparent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_version_00_is_read() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(text.parse::<Traceparent>().expect("well-formed").trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        for bad in ["", "00-x-y-z", &text.replace("00-", "01-"), &text.to_uppercase()] {
            assert!(bad.parse::<Traceparent>().is_err(), "{bad}");
        }
    }
}
