//! The findings for people and for programs.

use std::fmt::Write;

use crate::{Finding, Severity};

/// One line for each finding and one for its remedy; the good ones in one line together.
#[must_use]
pub fn brief(findings: &[Finding]) -> String {
    let mut text = String::new();
    let good: Vec<&str> = findings.iter().filter(|one| one.severity == Severity::Ok).map(|one| one.id).collect();
    // Writing to a string cannot go wrong.
    if !good.is_empty() {
        let _ = writeln!(text, "ok       {}", good.join(" "));
    }
    for finding in findings.iter().filter(|one| one.severity > Severity::Ok) {
        let Finding { id, severity, title, detail, remedy } = finding;
        let _ = writeln!(text, "{:<8} {id}: {title}: {detail}", severity.as_str());
        if !remedy.is_empty() {
            let _ = writeln!(text, "         remedy: {remedy}");
        }
    }
    text
}

/// An array of objects with `id severity title detail remedy`.
#[must_use]
pub fn json(findings: &[Finding]) -> String {
    serde_json::to_string_pretty(findings).expect("strings can always be written as JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_printed_with_their_remedies() {
        let findings = [
            Finding::ok("a", "first", "fine"),
            Finding::bad("b", Severity::Error, "second", "broken", "mend it"),
            Finding::ok("c", "third", "fine"),
        ];
        assert_eq!(brief(&findings), "ok       a c\nerror    b: second: broken\n         remedy: mend it\n");
        assert!(json(&findings).contains(r#""severity": "error""#));
        assert_eq!(crate::worst(&findings), Severity::Error);
    }
}
