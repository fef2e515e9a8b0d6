//! The present as RFC 3339 text in UTC, without a time zone database.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Now with nanoseconds, as Go prints them: trailing zeros are left out.
#[must_use]
pub fn now_nanos() -> String {
    with_nanos(since_epoch())
}

/// Now in whole seconds.
#[must_use]
pub fn now_seconds() -> String {
    format!("{}Z", date_and_time(since_epoch().as_secs()))
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn with_nanos(time: Duration) -> String {
    let seconds = date_and_time(time.as_secs());
    match time.subsec_nanos() {
        0 => format!("{seconds}Z"),
        nanos => format!("{seconds}.{}Z", format!("{nanos:09}").trim_end_matches('0')),
    }
}

/// Days to a date by counting years from March, whose leap day is the last (Howard Hinnant, `civil_from_days`).
fn date_and_time(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_go_does() {
        for (seconds, nanos, text) in [
            (0, 0, "1970-01-01T00:00:00Z"),
            (951_782_400, 0, "2000-02-29T00:00:00Z"),
            (1_795_244_540, 120_000_000, "2026-11-21T07:02:20.12Z"),
            (4_102_444_799, 1, "2099-12-31T23:59:59.000000001Z"),
        ] {
            assert_eq!(with_nanos(Duration::new(seconds, nanos)), text);
        }
    }
}
