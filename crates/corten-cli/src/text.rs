//! Small texts that several listings share.

pub mod moment;
pub mod ports;
pub mod reference;

pub use ports::ports;

use corten_terminal::units::human_duration;
use std::time::{SystemTime, UNIX_EPOCH};
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};

/// Letters of a short id.
const SHORT_ID: usize = 12;

/// The first twelve digits of an id, without its algorithm.
pub fn short_id(id: &str) -> &str {
    let id = id.split_once(':').map_or(id, |(_, digits)| digits);
    id.get(..SHORT_ID).unwrap_or(id)
}

/// The time since `unix_seconds` in words.
pub fn since(unix_seconds: i64) -> String {
    let now =
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| i64::try_from(elapsed.as_secs()).unwrap_or(0));
    human_duration(now - unix_seconds)
}

/// `2006-01-02 15:04:05 -0700 MST` in local time, as Go prints a time.
pub fn timestamp(unix_seconds: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp(unix_seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let offset = UtcOffset::local_offset_at(time).unwrap_or(UtcOffset::UTC);
    let time = time.to_offset(offset);
    let format = format_description!(
        "[year]-[month]-[day] [hour]:[minute]:[second] [offset_hour sign:mandatory][offset_minute]"
    );
    let zone = if offset.is_utc() { "UTC".to_owned() } else { zone_name(offset) };
    format!("{} {zone}", time.format(format).unwrap_or_default())
}

/// `2006-01-02T15:04:05+07:00` in local time, `Z` for none.
pub fn rfc3339(unix_seconds: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp(unix_seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let offset = UtcOffset::local_offset_at(time).unwrap_or(UtcOffset::UTC);
    let format = &time::format_description::well_known::Rfc3339;
    time.to_offset(offset).format(format).unwrap_or_default()
}

/// Go prints a zone's abbreviation; without the zone's table its offset stands there, as Go itself does
/// for zones without a name.
fn zone_name(offset: UtcOffset) -> String {
    let (hours, minutes, _) = offset.as_hms();
    if minutes == 0 { format!("{hours:+03}") } else { format!("{hours:+03}{:02}", minutes.abs()) }
}
