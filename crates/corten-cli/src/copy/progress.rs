//! How far a copy is, on a terminal; and what was copied.

use corten_terminal::units::human_size_with_precision;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Time between two figures.
const EVERY: Duration = Duration::from_millis(75);

/// The bytes that went by.
#[derive(Debug, Clone)]
pub struct Progress {
    total: Arc<AtomicU64>,
    header: &'static str,
    shows: bool,
    last: Instant,
}

impl Progress {
    /// Shows `header` and the bytes behind it when standard error is a terminal and `quiet` does not forbid it.
    pub fn new(header: &'static str, quiet: bool) -> Self {
        let shows = !quiet && io::stderr().is_terminal();
        let progress = Self { total: Arc::default(), header, shows, last: Instant::now() };
        progress.show();
        progress
    }

    /// Another `bytes` went by.
    pub fn add(&mut self, bytes: usize) {
        self.total.fetch_add(bytes as u64, Ordering::Relaxed);
        if self.shows && self.last.elapsed() >= EVERY {
            self.last = Instant::now();
            self.show();
        }
    }

    /// Takes the figures away; all bytes in words.
    pub fn finish(&self) -> String {
        if self.shows {
            // Nobody can be told that standard error is gone.
            let _ = io::stderr().write_all(b"\r\x1b[2K");
        }
        size(self.total.load(Ordering::Relaxed))
    }

    fn show(&self) {
        if self.shows {
            let _ = write!(io::stderr(), "\r\x1b[2K{}{}", self.header, size(self.total.load(Ordering::Relaxed)));
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
fn size(bytes: u64) -> String {
    human_size_with_precision(bytes as f64, 3)
}
