//! Points in time as `--since` and `--until` take them, and how they are sent and shown.

use crate::flags::parse_duration;
use std::time::{SystemTime, UNIX_EPOCH};
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime, UtcOffset};

/// `seconds.nanoseconds` as the daemon reads a point in time; empty for none.
///
/// A duration counts back from now; a number is taken as seconds; anything else is a date, in local
/// time unless it says otherwise.
///
/// # Errors
/// What is none of these.
pub fn parse(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Ok(String::new());
    }
    if let Ok(ago) = parse_duration(text)
        && text != "0"
    {
        let now =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| i128::try_from(now.as_nanos()).unwrap_or(0));
        return Ok(nanoseconds(now - i128::from(ago)));
    }
    if text.contains(['-', ':', 'T', 'Z']) && !text.starts_with('-') {
        return date(text).map(|time| nanoseconds(time.unix_timestamp_nanos()));
    }
    let is_number =
        text.split('.').count() <= 2 && text.split('.').all(|part| part.bytes().all(|digit| digit.is_ascii_digit()));
    if is_number && text.starts_with(|first: char| first.is_ascii_digit()) {
        return Ok(text.to_owned());
    }
    Err(format!("failed to parse value as time or duration: {}", crate::flags::quote(text)))
}

fn nanoseconds(time: i128) -> String {
    format!("{}.{:09}", time.div_euclid(1_000_000_000), time.rem_euclid(1_000_000_000))
}

/// A date with or without time of day, fraction and zone.
fn date(text: &str) -> Result<OffsetDateTime, String> {
    if let Ok(time) = OffsetDateTime::parse(text, &Rfc3339) {
        return Ok(time);
    }
    let (text_without_zone, is_utc) = text.strip_suffix('Z').map_or((text, false), |text| (text, true));
    let full = match text_without_zone.len() {
        10 => format!("{text_without_zone}T00:00:00.0"),
        13 => format!("{text_without_zone}:00:00.0"),
        16 => format!("{text_without_zone}:00.0"),
        19 => format!("{text_without_zone}.0"),
        _ => text_without_zone.to_owned(),
    };
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond]");
    let local = PrimitiveDateTime::parse(&full, format)
        .map_err(|error| format!("parsing time {}: {error}", crate::flags::quote(text)))?;
    if is_utc {
        return Ok(local.assume_utc());
    }
    let offset = UtcOffset::local_offset_at(local.assume_utc()).unwrap_or(UtcOffset::UTC);
    Ok(local.assume_offset(offset))
}

/// RFC 3339 with nine digits of fraction, in local time.
pub fn with_nanoseconds(unix_nanoseconds: i64) -> String {
    let time =
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(unix_nanoseconds)).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let time = time.to_offset(UtcOffset::local_offset_at(time).unwrap_or(UtcOffset::UTC));
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:9]");
    let zone = if time.offset().is_utc() {
        "Z".to_owned()
    } else {
        let (hours, minutes, _) = time.offset().as_hms();
        format!("{}{:02}:{:02}", if hours < 0 || minutes < 0 { '-' } else { '+' }, hours.abs(), minutes.abs())
    };
    format!("{}{zone}", time.format(format).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::{parse, with_nanoseconds};

    #[test]
    fn points_in_time_are_read_as_docker_reads_them() {
        assert_eq!(parse(""), Ok(String::new()));
        assert_eq!(parse("1136073845"), Ok("1136073845".to_owned()));
        assert_eq!(parse("1136073845.000000001"), Ok("1136073845.000000001".to_owned()));
        assert_eq!(parse("2006-01-02T15:04:05Z"), Ok("1136214245.000000000".to_owned()));
        assert_eq!(parse("2006-01-02T15:04:05.5Z"), Ok("1136214245.500000000".to_owned()));
        assert!(parse("10m").is_ok_and(|text| text.len() == 20));
        assert!(parse("nonsense").is_err());
    }

    #[test]
    fn nanoseconds_keep_their_nine_digits() {
        assert!(with_nanoseconds(1_136_214_245_000_000_001).contains(":05.000000001"));
    }
}
