//! What can go wrong.

use std::io;

/// Why a bus could not be reached, or what it said instead.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody listens.
    #[error("connect to the message bus at {address}")]
    Connect {
        /// Where it was looked for.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// An address of which no part can be used.
    #[error("no address of a message bus that can be reached: {0}")]
    Address(String),
    /// It does not let us in.
    #[error("the message bus does not let this process in: {0}")]
    Refused(String),
    /// The connection is of no use any more.
    #[error("speak to the message bus")]
    Io(#[source] io::Error),
    /// No answer in time.
    #[error("{0} was not answered in time")]
    TimedOut(String),
    /// A message that breaks the rules; the connection is of no use any more.
    #[error("a message of the bus breaks the rules: {0}")]
    Malformed(&'static str),
    /// The other side answers with an error.
    #[error("{name}: {text}")]
    Answer {
        /// Its name, with dots.
        name: String,
        /// Its sentence.
        text: String,
    },
}

impl Error {
    /// Whether there is no bus at all.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        use io::ErrorKind::{ConnectionRefused, NotFound};
        matches!(self, Self::Connect { source, .. } if matches!(source.kind(), NotFound | ConnectionRefused))
    }

    /// Whether the other side answers with an error whose sentence begins with `word`: firewalld has one name for all.
    #[must_use]
    pub fn says(&self, word: &str) -> bool {
        matches!(self, Self::Answer { text, .. } if text.starts_with(word))
    }

    /// Whether the other side does not know the method.
    #[must_use]
    pub fn is_unknown_method(&self) -> bool {
        matches!(self, Self::Answer { name, .. } if name == "org.freedesktop.DBus.Error.UnknownMethod")
    }
}
