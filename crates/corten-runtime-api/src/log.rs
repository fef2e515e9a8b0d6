//! The log file `--log`: how a line is written, and how its reader finds the error.

use serde::Deserialize;

/// One line of a JSON log.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Line {
    /// `debug`, `info`, `warning` or `error`.
    #[serde(default)]
    pub level: String,
    /// What happened.
    #[serde(default)]
    pub msg: String,
    /// When, as RFC 3339.
    #[serde(default)]
    pub time: String,
}

/// The last error in a log, as containerd takes it: the `msg` of the last line of level `error`.
#[must_use]
pub fn last_error(log: &str) -> Option<String> {
    let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok());
    lines.rfind(|line| line.level == "error").map(|line| line.msg)
}

/// A JSON line with its newline; keys in the order of runc's.
#[must_use]
pub fn json_line(level: &str, msg: &str, time: &str) -> String {
    let msg = serde_json::Value::from(msg);
    format!("{{\"level\":\"{level}\",\"msg\":{msg},\"time\":\"{time}\"}}\n")
}

/// A text line with its newline.
#[must_use]
pub fn text_line(level: &str, msg: &str, time: &str) -> String {
    let msg = serde_json::Value::from(msg);
    format!("time=\"{time}\" level={level} msg={msg}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_error_is_the_one_that_counts() {
        let log = [
            json_line("error", "first", "2026-01-01T00:00:00Z"),
            "not json\n".to_owned(),
            json_line("error", "exec: \"x\": executable file not found in $PATH", "2026-01-01T00:00:00Z"),
            json_line("debug", "later", "2026-01-01T00:00:00Z"),
        ]
        .concat();
        assert_eq!(last_error(&log).as_deref(), Some("exec: \"x\": executable file not found in $PATH"));
        assert_eq!(last_error(""), None);
    }

    #[test]
    fn lines_are_runcs() {
        let time = "2026-11-21T07:02:20Z";
        assert_eq!(
            json_line("error", "a \"b\"", time),
            "{\"level\":\"error\",\"msg\":\"a \\\"b\\\"\",\"time\":\"2026-11-21T07:02:20Z\"}\n"
        );
        assert_eq!(text_line("error", "a", time), "time=\"2026-11-21T07:02:20Z\" level=error msg=\"a\"\n");
    }
}
