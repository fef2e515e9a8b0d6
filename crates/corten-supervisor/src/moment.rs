//! Points in time as protobuf carries them.

use std::time::SystemTime;

use prost_types::Timestamp;

/// The present.
pub fn now() -> Timestamp {
    Timestamp::from(SystemTime::now())
}

/// Nanoseconds since 1970.
pub fn unix_nanos(at: &Timestamp) -> i128 {
    i128::from(at.seconds) * 1_000_000_000 + i128::from(at.nanos)
}
