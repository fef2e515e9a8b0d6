//! Times of log records: nanoseconds since 1970, printed as Go's `RFC3339Nano` in UTC.
//!
//! Written by hand because a busy log formats one a line: no allocation, no time zone.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// A point in time, in nanoseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

const NANOS: i64 = 1_000_000_000;
const DAY_SECONDS: i64 = 86_400;

impl Timestamp {
    /// From nanoseconds since 1970.
    pub const fn from_unix_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since 1970.
    pub const fn unix_nanos(self) -> i64 {
        self.0
    }

    /// The present.
    pub fn now() -> Self {
        SystemTime::now().into()
    }

    /// How far this lies in the future; zero when it is past.
    pub fn until_then(self) -> Duration {
        u64::try_from(self.0.saturating_sub(Self::now().0)).map_or(Duration::ZERO, Duration::from_nanos)
    }

    /// Reads `2006-01-02T15:04:05.999999999Z`, also with an offset of `+hh:mm` or `-hh:mm`.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let number = |from: usize, to: usize| -> Option<i64> {
            let digits = bytes.get(from..to)?;
            digits
                .iter()
                .try_fold(0i64, |value, digit| digit.is_ascii_digit().then(|| value * 10 + i64::from(digit - b'0')))
        };
        let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
        if separators.iter().any(|(at, separator)| bytes.get(*at) != Some(separator)) {
            return None;
        }
        let (month, day) = (number(5, 7)?, number(8, 10)?);
        let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
        if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let mut rest = &bytes[19..];
        let mut nanos = 0;
        if let Some(fraction) = rest.strip_prefix(b".") {
            let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if digits == 0 || digits > 9 {
                return None;
            }
            nanos = number(20, 20 + digits)? * 10i64.pow(9 - u32::try_from(digits).ok()?);
            rest = &fraction[digits..];
        }
        let offset = match rest {
            b"Z" => 0,
            [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
                let at = bytes.len() - 5;
                let seconds = number(at, at + 2)? * 3600 + number(at + 3, at + 5)? * 60;
                if *sign == b'+' { seconds } else { -seconds }
            }
            _ => return None,
        };
        let days = days_from_civil(number(0, 4)?, month, day);
        let seconds = days * DAY_SECONDS + hour * 3600 + minute * 60 + second - offset;
        seconds.checked_mul(NANOS)?.checked_add(nanos).map(Self)
    }

    /// Appends the RFC 3339 form to `buffer`.
    pub fn write_to(self, buffer: &mut Vec<u8>) {
        let (seconds, mut nanos) = (self.0.div_euclid(NANOS), self.0.rem_euclid(NANOS));
        let (days, second_of_day) = (seconds.div_euclid(DAY_SECONDS), seconds.rem_euclid(DAY_SECONDS));
        let (year, month, day) = civil_from_days(days);
        digits(buffer, year, 4);
        for (separator, value) in [
            (b'-', month),
            (b'-', day),
            (b'T', second_of_day / 3600),
            (b':', second_of_day / 60 % 60),
            (b':', second_of_day % 60),
        ] {
            buffer.push(separator);
            digits(buffer, value, 2);
        }
        if nanos > 0 {
            // Go's RFC3339Nano prints no trailing zeros.
            let mut width = 9;
            while nanos % 10 == 0 {
                nanos /= 10;
                width -= 1;
            }
            buffer.push(b'.');
            digits(buffer, nanos, width);
        }
        buffer.push(b'Z');
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut buffer = Vec::with_capacity(30);
        self.write_to(&mut buffer);
        formatter.write_str(&String::from_utf8_lossy(&buffer))
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
    }
}

fn digits(buffer: &mut Vec<u8>, value: i64, width: usize) {
    let mut text = [b'0'; 20];
    let mut rest = value.unsigned_abs();
    let mut at = text.len();
    while rest > 0 {
        at -= 1;
        text[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    buffer.extend_from_slice(&text[at.min(text.len() - width)..]);
}

/// Days since 1970 of a date in the proleptic Gregorian calendar; years of 400 repeat, and a year
/// that begins in March has its leap day last (Hinnant, "chrono-compatible low-level date algorithms").
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The inverse of [`days_from_civil`].
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day_of_year - (153 * from_march + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_print_as_go_prints_them() {
        let cases = [
            (0, "1970-01-01T00:00:00Z"),
            (1_000_000_000_000_000_001, "2001-09-09T01:46:40.000000001Z"),
            (1_709_210_096_500_000_000, "2024-02-29T12:34:56.5Z"),
            (4_102_444_799_999_999_999, "2099-12-31T23:59:59.999999999Z"),
            (-1_000_000_000, "1969-12-31T23:59:59Z"),
        ];
        for (nanos, text) in cases {
            assert_eq!(Timestamp::from_unix_nanos(nanos).to_string(), text);
            assert_eq!(Timestamp::parse(text), Some(Timestamp::from_unix_nanos(nanos)), "{text}");
        }
    }

    #[test]
    fn every_day_of_eight_centuries_survives_a_round_trip() {
        for days in -146_097..146_097 {
            let (year, month, day) = civil_from_days(days);
            assert_eq!(days_from_civil(year, month, day), days);
        }
    }

    #[test]
    fn an_offset_is_taken_off() {
        let utc = Timestamp::parse("2026-11-21T09:00:00Z");
        assert_eq!(Timestamp::parse("2026-11-21T10:30:00+01:30"), utc);
        assert_eq!(Timestamp::parse("2026-11-21T08:00:00-01:00"), utc);
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in ["", "2026", "2026-13-01T00:00:00Z", "2026-01-01T00:00:00", "2026-01-01T00:00:00.Z", "x"] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
    }
}
