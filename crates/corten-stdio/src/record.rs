//! One line of a container's output as it stands in a log.

use std::{collections::BTreeMap, fmt};

use crate::Timestamp;

/// Which output a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stream {
    /// Standard output, and everything of a terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// The word in a json-file record.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }

    /// The stream of that word.
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "stdout" => Some(Self::Stdout),
            "stderr" => Some(Self::Stderr),
            _ => None,
        }
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Longest piece of a line in one record; longer lines come in several (docker's copier: 16 KiB).
pub const MAX_LINE_BYTES: usize = 16 * 1024;

/// A record of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Where it came from.
    pub stream: Stream,
    /// When it was read from the container.
    pub time: Timestamp,
    /// The text with its newline; without one it is a piece that the next record of the stream goes on.
    pub line: Vec<u8>,
    /// Labels and environment the log was configured to carry; `logs --details` shows them.
    pub attrs: BTreeMap<String, String>,
}
