//! What a client asks of a log.

use corten_stdio::Timestamp;

use crate::errors::{EngineError, Result};
use crate::http::Query;

/// `GET /containers/{id}/logs`'s parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogsQuery {
    /// Standard output is wanted.
    pub stdout: bool,
    /// Standard error is wanted.
    pub stderr: bool,
    /// Nothing before.
    pub since: Option<Timestamp>,
    /// Nothing after.
    pub until: Option<Timestamp>,
    /// The last so many only.
    pub tail: Option<u64>,
    /// Goes on while the container runs.
    pub follow: bool,
    /// Each line begins with its time.
    pub timestamps: bool,
    /// Each line begins with what the log was configured to carry.
    pub details: bool,
}

impl LogsQuery {
    /// Reads the parameters.
    ///
    /// # Errors
    /// 400 when neither stream is asked for, or a time cannot be read. A bad `tail` is all, as in dockerd.
    pub fn decode(query: &Query) -> Result<Self> {
        let decoded = Self {
            stdout: query.flag("stdout"),
            stderr: query.flag("stderr"),
            since: time("since", query.get("since"))?,
            until: time("until", query.get("until"))?,
            tail: query.get("tail").parse().ok(),
            follow: query.flag("follow"),
            timestamps: query.flag("timestamps"),
            details: query.flag("details"),
        };
        if !decoded.stdout && !decoded.stderr {
            return Err(EngineError::invalid("must specify at least one of 'stdout' or 'stderr'"));
        }
        Ok(decoded)
    }
}

/// Digits of a fraction that are read at all: a full 64-bit number, as in dockerd.
const MAX_FRACTION_DIGITS: usize = 20;

/// Unix seconds with a fraction; nothing and zero are no bound.
fn time(name: &str, text: &str) -> Result<Option<Timestamp>> {
    if text.is_empty() || text == "0" {
        return Ok(None);
    }
    nanos(text)
        .map(|nanos| Some(Timestamp::from_unix_nanos(nanos)))
        .ok_or_else(|| EngineError::invalid(format!("invalid value for \"{name}\": invalid timestamp {text:?}")))
}

fn nanos(text: &str) -> Option<i64> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > MAX_FRACTION_DIGITS || !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let fraction: i64 = format!("{fraction:0<9}")[..9].parse().ok()?;
    seconds.parse::<i64>().ok()?.checked_mul(1_000_000_000)?.checked_add(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(text: &str) -> Result<LogsQuery> {
        LogsQuery::decode(&Query::decode(text))
    }

    #[test]
    fn parameters_are_read_as_clients_send_them() {
        let query = decode("stdout=1&stderr=true&since=5.5&until=0&tail=10&follow=1&timestamps=1").unwrap();
        assert!(query.stdout && query.stderr && query.follow && query.timestamps && !query.details);
        assert_eq!((query.since, query.until), (Some(Timestamp::from_unix_nanos(5_500_000_000)), None));
        assert_eq!(query.tail, Some(10));
    }

    #[test]
    fn a_tail_that_is_no_number_is_all() {
        for tail in ["all", "", "-1", "x"] {
            assert_eq!(decode(&format!("stdout=1&tail={tail}")).unwrap().tail, None, "{tail}");
        }
        assert_eq!(decode("stdout=1&tail=0").unwrap().tail, Some(0));
    }

    #[test]
    fn times_keep_their_nanoseconds() {
        for (text, expected) in [
            ("1", Some(1_000_000_000)),
            ("1.000000001", Some(1_000_000_001)),
            ("1.0000000019", Some(1_000_000_001)),
            ("-1.5", Some(-500_000_000)),
            ("1.x", None),
            ("yesterday", None),
            ("1.000000000000000000000", None),
            ("99999999999999", None),
        ] {
            assert_eq!(nanos(text), expected, "{text}");
        }
    }

    #[test]
    fn refusals_say_what_is_wrong() {
        assert_eq!(decode("").unwrap_err().message(), "must specify at least one of 'stdout' or 'stderr'");
        assert_eq!(
            decode("stdout=1&since=x").unwrap_err().message(),
            "invalid value for \"since\": invalid timestamp \"x\""
        );
    }
}
