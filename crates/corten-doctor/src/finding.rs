//! What a check found.

use serde::Serialize;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// As it should be.
    Ok,
    /// Worth knowing; everything works.
    Note,
    /// Something will not work, or not as well.
    Warning,
    /// No container can be run.
    Error,
}

impl Severity {
    /// Its word, as JSON has it too.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Severity::Ok => "ok",
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }
}

/// The outcome of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Stable, for scripts: `cgroup-memory`.
    pub id: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What was looked at, in a few words.
    pub title: String,
    /// What was found, in one line.
    pub detail: String,
    /// What to do, in one line; empty when there is nothing to do.
    pub remedy: String,
}

impl Finding {
    /// All is well.
    pub(crate) fn ok(id: &'static str, title: &str, detail: impl Into<String>) -> Finding {
        Finding { id, severity: Severity::Ok, title: title.to_owned(), detail: detail.into(), remedy: String::new() }
    }

    /// Something is not, and `remedy` mends it.
    pub(crate) fn bad(
        id: &'static str,
        severity: Severity,
        title: &str,
        detail: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Finding {
        Finding { id, severity, title: title.to_owned(), detail: detail.into(), remedy: remedy.into() }
    }
}
