//! What was asked, and what went out.

use std::time::Instant;

/// One request.
#[derive(Debug, Clone)]
pub struct Logged {
    /// `GET`.
    pub method: String,
    /// `/v2/name/blobs/sha256:…`.
    pub path: String,
    /// What stands behind the question mark.
    pub query: String,
    /// The header of that name.
    pub authorization: Option<String>,
    /// The header of that name.
    pub range: Option<String>,
    /// The header of that name.
    pub content_range: Option<String>,
    /// The header of that name.
    pub content_length: Option<u64>,
    /// The header of that name.
    pub accept: Option<String>,
    /// Any other header.
    pub headers: Vec<(String, String)>,
    /// When it came.
    pub at: Instant,
    /// What was answered; 0 while it is not.
    pub status: u16,
    /// Bytes of the answer's body that were handed to the connection.
    pub served: u64,
    /// Bytes of the request's body that were taken.
    pub taken: u64,
}

impl Logged {
    /// `GET /v2/`.
    #[must_use]
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// Requests in the order they came.
#[derive(Debug, Clone)]
pub struct Log(pub Vec<Logged>);

impl Log {
    /// Those whose path ends in `part`, a digest or a tag.
    #[must_use]
    pub fn of(&self, part: &str) -> Vec<&Logged> {
        self.0.iter().filter(|logged| logged.path.ends_with(part)).collect()
    }

    /// Those with `method` whose path ends in `part`.
    #[must_use]
    pub fn by(&self, method: &str, part: &str) -> Vec<&Logged> {
        self.0.iter().filter(|logged| logged.method == method && logged.path.ends_with(part)).collect()
    }

    /// Bytes served of what ends in `part`.
    #[must_use]
    pub fn served(&self, part: &str) -> u64 {
        self.of(part).iter().map(|logged| logged.served).sum()
    }

    /// Method, path and status of each, for a message.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.0.iter().map(|logged| format!("{} {}", logged.line(), logged.status)).collect()
    }
}
