//! Moments as the Engine API prints them: RFC 3339 with nanoseconds, trailing zeros cut, UTC.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// What Go prints for a moment that never was.
pub const NEVER: &str = "0001-01-01T00:00:00Z";

/// Nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(i64);

impl Moment {
    /// The present.
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
    }

    /// From nanoseconds since 1970.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// From a protobuf timestamp.
    pub fn from_proto(stamp: &prost_types::Timestamp) -> Self {
        Self(stamp.seconds.saturating_mul(1_000_000_000).saturating_add(i64::from(stamp.nanos)))
    }

    /// Reads RFC 3339.
    pub fn parse(text: &str) -> Option<Self> {
        let parsed = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        i64::try_from(parsed.unix_timestamp_nanos()).ok().map(Self)
    }

    /// Nanoseconds since 1970.
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// Seconds since 1970.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000_000)
    }

    /// How long ago; nothing for a moment to come.
    pub fn elapsed(self) -> Duration {
        self.until(Self::now())
    }

    /// The time from here to `later`; nothing when it lies before.
    pub fn until(self, later: Self) -> Duration {
        Duration::from_nanos(u64::try_from(later.0.saturating_sub(self.0)).unwrap_or(0))
    }
}

impl From<SystemTime> for Moment {
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
    }
}

impl std::fmt::Display for Moment {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Ok(moment) = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0)) else {
            return formatter.write_str(NEVER);
        };
        write!(
            formatter,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
            moment.year(),
            u8::from(moment.month()),
            moment.day(),
            moment.hour(),
            moment.minute(),
            moment.second()
        )?;
        match moment.nanosecond() {
            0 => {}
            nanos => write!(formatter, ".{}", format!("{nanos:09}").trim_end_matches('0'))?,
        }
        formatter.write_str("Z")
    }
}

/// The moment's text, or [`NEVER`].
pub fn or_never(moment: Option<Moment>) -> String {
    moment.map_or_else(|| NEVER.to_owned(), |moment| moment.to_string())
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom(format!("{text} is not an RFC 3339 time")))
    }
}

/// A duration as `docker ps` says it: `Less than a second`, `About a minute`, `3 weeks`.
///
/// The steps are those of docker's go-units, which scripts and eyes are used to.
pub fn human_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let minutes = seconds / 60;
    // go-units rounds hours to the nearest, and counts the larger units from them.
    let hours = (duration.as_secs_f64() / 3600.0).round() as u64;
    match () {
        () if seconds < 1 => "Less than a second".to_owned(),
        () if seconds == 1 => "1 second".to_owned(),
        () if seconds < 60 => format!("{seconds} seconds"),
        () if minutes == 1 => "About a minute".to_owned(),
        () if minutes < 60 => format!("{minutes} minutes"),
        () if hours == 1 => "About an hour".to_owned(),
        () if hours < 48 => format!("{hours} hours"),
        () if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        () if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        () if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        () => format!("{} years", seconds / 3600 / 24 / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_at_the_end_are_cut_as_go_does() {
        for text in ["2026-11-21T08:55:14.37582245Z", "2026-11-21T08:55:14Z", "1970-01-01T00:00:00.000000001Z"] {
            assert_eq!(Moment::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(or_never(None), NEVER);
    }

    #[test]
    fn durations_read_as_docker_says_them() {
        for (seconds, text) in [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (150, "2 minutes"),
            (3600, "About an hour"),
            (2 * 3600 + 1700, "2 hours"),
            (3 * 24 * 3600, "3 days"),
            (21 * 24 * 3600, "3 weeks"),
            (100 * 24 * 3600, "3 months"),
            (800 * 24 * 3600, "2 years"),
        ] {
            assert_eq!(human_duration(Duration::from_secs(seconds)), text);
        }
    }
}
