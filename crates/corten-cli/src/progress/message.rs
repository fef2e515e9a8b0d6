//! One message of a stream of progress, and how it reads.

use super::bar::Detail;
use crate::failure::Failure;
use crate::text::moment;
use serde::{Deserialize, Deserializer};
use std::fmt::Write as _;

/// One object of the stream.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Message {
    /// Text as it comes.
    #[serde(deserialize_with = "or_default")]
    stream: String,
    /// What is being done.
    #[serde(deserialize_with = "or_default")]
    status: String,
    /// How far, in numbers.
    pub(super) progress_detail: Option<Detail>,
    /// How far, drawn by the daemon; for clients older than the numbers.
    #[serde(deserialize_with = "or_default")]
    pub(super) progress: String,
    /// What it is done to.
    #[serde(deserialize_with = "or_default")]
    pub(super) id: String,
    /// The image it concerns.
    #[serde(deserialize_with = "or_default")]
    from: String,
    /// Seconds since 1970.
    #[serde(deserialize_with = "or_default")]
    time: i64,
    /// Nanoseconds since 1970.
    #[serde(deserialize_with = "or_default")]
    time_nano: i64,
    /// Why it failed.
    error_detail: Option<Reason>,
    /// The same, for clients of long ago.
    #[serde(deserialize_with = "or_default")]
    error: String,
    /// A result for programs, not for people.
    pub(super) aux: Option<serde_json::Value>,
}

/// Why something failed.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Reason {
    message: String,
}

/// `null` for nothing, as Go reads it.
fn or_default<'de, T: Default + Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

impl Message {
    /// Writes the message: over the whole line it stands on when it says how far something is on a terminal.
    ///
    /// # Errors
    /// The failure it tells.
    pub(super) fn write(&self, text: &mut String, is_terminal: bool, width: usize) -> Result<(), Failure> {
        if let Some(reason) = &self.error_detail {
            return Err(Failure::new(reason.message.clone()));
        }
        if !self.error.is_empty() {
            return Err(Failure::new(self.error.clone()));
        }
        let bar = self.progress_detail.as_ref().map(|detail| detail.draw(width));
        let mut end = "";
        if is_terminal && self.stream.is_empty() && bar.is_some() {
            end = "\r";
            text.push_str("\x1b[2K\r");
        } else if bar.as_ref().is_some_and(|bar| !bar.is_empty()) {
            return Ok(());
        }
        if self.time_nano != 0 || self.time != 0 {
            let nanos = if self.time_nano == 0 { self.time.saturating_mul(1_000_000_000) } else { self.time_nano };
            text.push_str(&moment::with_nanoseconds(nanos));
            text.push(' ');
        }
        if !self.id.is_empty() {
            // Writing to a String cannot fail, here and below.
            let _ = write!(text, "{}: ", self.id);
        }
        if !self.from.is_empty() {
            let _ = write!(text, "(from {}) ", self.from);
        }
        let status = &self.status;
        let _ = match (&bar, is_terminal) {
            (Some(bar), true) => write!(text, "{status} {bar}{end}"),
            _ if !self.progress.is_empty() => write!(text, "{status} {}{end}", self.progress),
            _ if !self.stream.is_empty() => write!(text, "{}{end}", self.stream),
            _ => writeln!(text, "{status}{end}"),
        };
        Ok(())
    }
}
