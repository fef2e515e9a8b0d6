//! How long is waited, and how often is tried again.

use std::time::{Duration, SystemTime};

use hyper::HeaderMap;
use hyper::header::RETRY_AFTER;

/// Longest a registry's `Retry-After` is obeyed: who asks for more gets the next attempt after this.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

/// How long is waited for what.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For a connection, TLS included.
    pub connect: Duration,
    /// For the head of an answer.
    pub answer: Duration,
    /// A body that brings less than [`STALL_BYTES`] in this time is given up.
    pub stall: Duration,
    /// Before the second attempt; doubled before each further one.
    pub first_delay: Duration,
}

/// See [`Patience::stall`].
pub(super) const STALL_BYTES: u64 = 1024;

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(30),
            answer: Duration::from_secs(60),
            stall: Duration::from_secs(20),
            first_delay: Duration::from_millis(500),
        }
    }
}

impl Patience {
    /// What is waited before attempt `attempt`, which counts from 1: twice as long each time, and never the same for
    /// two that failed together.
    pub(super) fn delay(&self, attempt: usize) -> Duration {
        let doubled = self.first_delay.saturating_mul(1 << attempt.min(6).saturating_sub(1));
        let mut random = [0; 4];
        // Without random numbers all wait the same.
        let _ = getrandom::fill(&mut random);
        doubled + doubled.mul_f64(f64::from(u32::from_le_bytes(random)) / f64::from(u32::MAX) / 2.0)
    }
}

/// What `Retry-After` asks for: seconds, or a date.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let asked = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => http_date(text)?.duration_since(SystemTime::now()).unwrap_or_default(),
    };
    Some(asked.min(RETRY_AFTER_MAX))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, 5.6.7).
fn http_date(text: &str) -> Option<SystemTime> {
    let format = time::macros::format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    let date = time::PrimitiveDateTime::parse(text, &format).ok()?;
    Some(date.assume_utc().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, text.parse().unwrap());
        retry_after(&headers)
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_has_an_end() {
        assert_eq!(asked("2"), Some(Duration::from_secs(2)));
        assert_eq!(asked("86400"), Some(RETRY_AFTER_MAX));
        assert_eq!(asked("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        assert_eq!(asked("Fri, 31 Dec 2100 23:59:59 GMT"), Some(RETRY_AFTER_MAX));
        assert_eq!(asked("soon"), None);
    }

    #[test]
    fn delays_grow() {
        let patience = Patience::default();
        for (attempt, least) in [(1, 500), (2, 1000), (3, 2000), (60, 16_000)] {
            let delay = patience.delay(attempt).as_millis();
            assert!((least..=least * 3 / 2 + 1).contains(&delay), "{attempt}: {delay}");
        }
    }
}
