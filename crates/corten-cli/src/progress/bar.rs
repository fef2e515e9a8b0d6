//! How far something is: a bar, numbers, the time left.

use corten_terminal::units::human_size;
use serde::Deserialize;
use std::time::{SystemTime, UNIX_EPOCH};

/// Narrowest terminal on which a bar is drawn, in cells; docker's bound.
const NARROWEST_FOR_BAR: usize = 111;

/// Narrowest terminal on which the time left is told.
const NARROWEST_FOR_TIME: usize = 51;

/// Cells of a full bar.
const FULL: usize = 50;

/// How far something is.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Detail {
    current: i64,
    total: i64,
    /// When it began, seconds since 1970.
    start: i64,
    hidecounts: bool,
    /// Empty for bytes.
    units: String,
}

impl Detail {
    /// The bar and numbers for a terminal of `width` cells; empty when nothing is known.
    pub(super) fn draw(&self, width: usize) -> String {
        if self.current <= 0 && self.total <= 0 {
            return String::new();
        }
        if self.total <= 0 {
            return self.count(self.current);
        }
        let filled = self.filled();
        let mut text = String::new();
        if width >= NARROWEST_FOR_BAR {
            text = format!("[{}>{}] ", "=".repeat(filled), " ".repeat(FULL - filled));
        }
        if !self.hidecounts {
            text.push_str(&self.counts());
        }
        if width >= NARROWEST_FOR_TIME && self.current > 0 && self.start > 0 && filled < FULL {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs());
            text.push_str(&self.time_left(i64::try_from(now).unwrap_or(i64::MAX)));
        }
        text
    }

    /// Cells of the bar that are filled.
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss)] // 0 to 100
    fn filled(&self) -> usize {
        let percent = (self.current as f64 / self.total as f64 * 100.0).clamp(0.0, 100.0);
        percent as usize / 2
    }

    fn count(&self, number: i64) -> String {
        #[allow(clippy::cast_precision_loss)] // four digits are shown
        if self.units.is_empty() {
            format!("{:>8}", human_size(number as f64))
        } else {
            format!("{number} {}", self.units)
        }
    }

    /// Done and total; done alone when it is beyond the total, which is wrong then.
    fn counts(&self) -> String {
        if self.current > self.total {
            return self.count(self.current);
        }
        #[allow(clippy::cast_precision_loss)] // four digits are shown
        if self.units.is_empty() {
            format!("{}/{}", self.count(self.current), human_size(self.total as f64))
        } else {
            format!("{}/{} {}", self.current, self.total, self.units)
        }
    }

    /// The time left when the rest goes as what was done since the beginning, as Go writes a duration.
    fn time_left(&self, now: i64) -> String {
        let done = i128::from(self.current.max(1));
        let seconds = i128::from(now - self.start) * i128::from(self.total - self.current) / done;
        let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        match (hours, minutes) {
            (0, 0) => format!(" {seconds}s"),
            (0, _) => format!(" {minutes}m{seconds}s"),
            _ => format!(" {hours}h{minutes}m{seconds}s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Detail;

    fn detail(current: i64, total: i64) -> Detail {
        Detail { current, total, ..Detail::default() }
    }

    #[test]
    fn bars_read_as_docker_draws_them() {
        let check = |detail: &Detail, width, expected: &str| assert_eq!(detail.draw(width), expected, "{detail:?}");
        check(&detail(0, 0), 200, "");
        check(&detail(1, 0), 200, "      1B");
        check(&detail(50, 100), 110, "     50B/100B");
        check(&detail(50, 100), 111, &format!("[{}>{}]      50B/100B", "=".repeat(25), " ".repeat(25)));
        check(&detail(150, 100), 60, "    150B");
        check(&detail(-1, 100), 60, "     -1B/100B");
        check(&Detail { units: "layers".into(), ..detail(1, 3) }, 60, "1/3 layers");
        check(&Detail { units: "layers".into(), ..detail(4, 0) }, 60, "4 layers");
        check(&Detail { hidecounts: true, ..detail(1, 3) }, 60, "");
    }

    #[test]
    fn the_time_left_is_that_of_the_rest() {
        let left = |current, now| Detail { start: 100, ..detail(current, 100) }.time_left(now);
        assert_eq!(left(50, 130), " 30s");
        assert_eq!(left(1, 101), " 1m39s");
        assert_eq!(left(1, 201), " 2h46m39s");
    }
}
