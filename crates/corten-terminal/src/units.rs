//! Sizes and durations in words, as docker prints them (go-units).

/// A duration in words: `About a minute`, `3 hours`.
#[must_use]
pub fn human_duration(seconds: i64) -> String {
    let minutes = seconds / 60;
    // Hours are rounded to the nearest, all else is cut off.
    let hours = (seconds + 1800) / 3600;
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

const DECIMAL: [&str; 9] = ["B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"];
const BINARY: [&str; 9] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"];

fn scaled(mut size: f64, base: f64, units: &[&'static str; 9]) -> (f64, &'static str) {
    let mut unit = 0;
    while size >= base && unit < units.len() - 1 {
        size /= base;
        unit += 1;
    }
    (size, units[unit])
}

/// A size in powers of 1000 with four significant digits: `1.985MB`.
#[must_use]
pub fn human_size(bytes: f64) -> String {
    human_size_with_precision(bytes, 4)
}

/// A size in powers of 1000 with `digits` significant digits.
#[must_use]
pub fn human_size_with_precision(bytes: f64, digits: usize) -> String {
    let (size, unit) = scaled(bytes, 1000.0, &DECIMAL);
    format!("{}{unit}", significant(size, digits))
}

/// A size in powers of 1024 with four significant digits: `23.54GiB`.
#[must_use]
pub fn binary_size(bytes: f64) -> String {
    let (size, unit) = scaled(bytes, 1024.0, &BINARY);
    format!("{}{unit}", significant(size, 4))
}

/// C's `%.{digits}g`, which is what Go prints here.
#[must_use]
pub fn significant(value: f64, digits: usize) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let text = format!("{value:.*e}", digits.saturating_sub(1));
    let Some((mantissa, exponent)) = text.split_once('e') else { return text };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trim = |text: &str| {
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text.to_owned() }
    };
    if exponent < -4 || exponent >= i32::try_from(digits).unwrap_or(i32::MAX) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trim(mantissa), exponent.abs());
    }
    let decimals = usize::try_from(i32::try_from(digits).unwrap_or(i32::MAX) - 1 - exponent).unwrap_or(0);
    trim(&format!("{value:.decimals$}"))
}

/// A size that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// Not a number with an optional unit.
    #[error("invalid size: '{0}'")]
    Form(String),
    /// A unit nobody knows.
    #[error("invalid suffix: '{0}'")]
    Suffix(String),
}

/// Reads a size in powers of 1024: `64m`, `1.5 GiB`, `1024`.
///
/// # Errors
/// [`SizeError`] repeats what was given.
pub fn parse_binary_size(text: &str) -> Result<i64, SizeError> {
    let split =
        text.rfind(|letter: char| letter.is_ascii_digit() || letter == '.' || letter == ' ').map_or(0, |last| last + 1);
    if split == 0 {
        return Err(SizeError::Form(text.to_owned()));
    }
    let (number, suffix) = text.split_at(split);
    // One space may stand between number and unit.
    let number = number.strip_suffix(' ').unwrap_or(number);
    let value: f64 = number.parse().map_err(|_| SizeError::Form(text.to_owned()))?;
    if value < 0.0 || number.starts_with('+') {
        return Err(SizeError::Form(text.to_owned()));
    }
    let bad = || SizeError::Suffix(suffix.to_owned());
    let lower = suffix.to_ascii_lowercase();
    let mut letters = lower.chars();
    let power = match letters.next() {
        None => return Ok(truncate(value)),
        Some('b') if lower == "b" => 0,
        Some('k') => 1,
        Some('m') => 2,
        Some('g') => 3,
        Some('t') => 4,
        Some('p') => 5,
        _ => return Err(bad()),
    };
    if !matches!(letters.as_str(), "" | "b" | "ib") {
        return Err(bad());
    }
    Ok(truncate(value * 1024_f64.powi(power)))
}

#[allow(clippy::cast_possible_truncation)] // saturates, which is what a size beyond 2^63 deserves
const fn truncate(value: f64) -> i64 {
    value as i64
}

#[cfg(test)]
mod tests {
    use super::{SizeError, binary_size, human_duration, human_size_with_precision, parse_binary_size};

    #[test]
    fn durations_read_as_docker_says_them() {
        let check = |seconds, expected: &str| assert_eq!(human_duration(seconds), expected);
        check(0, "Less than a second");
        check(1, "1 second");
        check(59, "59 seconds");
        check(60, "About a minute");
        check(119, "About a minute");
        check(180, "3 minutes");
        check(3600, "About an hour");
        check(5400, "2 hours");
        check(48 * 3600, "2 days");
        check(14 * 86400, "2 weeks");
        check(60 * 86400, "2 months");
        check(800 * 86400, "2 years");
    }

    #[test]
    fn sizes_read_as_docker_says_them() {
        let check = |bytes: f64, expected: &str| assert_eq!(human_size_with_precision(bytes, 3), expected);
        check(0.0, "0B");
        check(999.0, "999B");
        check(1_980_000.0, "1.98MB");
        check(1_000_000_000.0, "1GB");
        check(124_600.0, "125kB");
        assert_eq!(binary_size(421_888.0), "412KiB");
        assert_eq!(binary_size(25_275_000_000.0), "23.54GiB");
    }

    #[test]
    fn sizes_are_read_in_powers_of_1024() {
        let check =
            |text: &str, expected: Result<i64, SizeError>| assert_eq!(parse_binary_size(text), expected, "{text}");
        check("64m", Ok(64 << 20));
        check("1.5g", Ok(3 << 29));
        check("1kB", Ok(1024));
        check("2 MiB", Ok(2 << 20));
        check("42", Ok(42));
        check("x", Err(SizeError::Form("x".into())));
        check("-1", Err(SizeError::Form("-1".into())));
        check("5q", Err(SizeError::Suffix("q".into())));
    }
}
