//! Networks heal themselves: what somebody else did to them is heard, and what is not as it should be is mended by the
//! function that a start uses, too.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::restore::desired;
use crate::engine::Engine;
use crate::errors::Result;

/// Events come in crowds; and somebody who takes things down is let finish.
const SETTLE: Duration = Duration::from_millis(100);

/// More repairs than that within [`CROWDED`] are a quarrel with somebody.
const MOST: usize = 5;

/// The time in which repairs are counted.
const CROWDED: Duration = Duration::from_secs(10);

/// The pause after a quarrel.
const BACK_OFF: Duration = Duration::from_secs(30);

/// How often it is looked whether the engine is still there.
const LOOK: Duration = Duration::from_secs(3600);

/// Watches for as long as the engine lives, in a thread of its own: it sleeps until something happens.
pub fn start(engine: &Arc<Engine>) {
    let engine = Arc::downgrade(engine);
    let started = std::thread::Builder::new().name("heal-networks".to_owned()).spawn(move || {
        if let Err(error) = watch(&engine) {
            warn!(
                error = error.message(),
                "networks are not watched: what others do to them stays until the next start"
            );
        }
    });
    if let Err(error) = started {
        warn!(%error, "networks are not watched");
    }
}

fn watch(engine: &Weak<Engine>) -> Result<()> {
    let Some(own) = engine.upgrade() else { return Ok(()) };
    let mut watch = own.networks.kernel()?.watch()?;
    drop(own);
    let mut repairs = Repairs::default();
    loop {
        let touched = watch.wait(Some(LOOK))?;
        let Some(engine) = engine.upgrade() else { return Ok(()) };
        if !touched {
            continue;
        }
        pause(SETTLE);
        // What came meanwhile is of the same damage.
        while watch.wait(Some(Duration::ZERO))? {}
        if !repair(&engine) {
            continue;
        }
        if repairs.are_a_quarrel(Instant::now()) {
            let seconds = BACK_OFF.as_secs();
            warn!("somebody takes networks down again and again: they are mended once in {seconds} s");
            pause(BACK_OFF);
        }
    }
}

/// When something was mended lately.
#[derive(Default)]
struct Repairs(VecDeque<Instant>);

impl Repairs {
    /// Counts one more; whether there were too many. They are counted anew then.
    fn are_a_quarrel(&mut self, now: Instant) -> bool {
        self.0.push_back(now);
        while self.0.front().is_some_and(|first| now.duration_since(*first) > CROWDED) {
            self.0.pop_front();
        }
        let too_many = self.0.len() > MOST;
        if too_many {
            self.0.clear();
        }
        too_many
    }
}

#[expect(clippy::disallowed_methods, reason = "nothing announces that somebody has finished")]
fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

/// Mends what is not as it should be; answers whether anything had been taken down.
fn repair(engine: &Engine) -> bool {
    // Whoever makes or removes a network or a place in one is not disturbed.
    let _changes = engine.networks.index.changes.blocking_lock();
    let _alone = engine.networks.work.blocking_write();
    let mended = desired(engine).and_then(|desired| Ok(engine.networks.kernel()?.repair(&desired)?));
    match mended {
        Ok(found) => {
            for difference in &found {
                info!(object = difference.object, what = difference.what, "mended");
            }
            if !found.is_empty() {
                info!(count = found.len(), "networks were mended");
            }
            found.iter().any(|difference| !difference.is_left_over)
        }
        Err(error) => {
            warn!(error = error.message(), "mend networks");
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_five_repairs_in_ten_seconds_are_a_quarrel() {
        let start = Instant::now();
        let at = |seconds: f64| start + Duration::from_secs_f64(seconds);
        let said = |times: &[f64]| -> Vec<bool> {
            let mut repairs = Repairs::default();
            times.iter().map(|time| repairs.are_a_quarrel(at(*time))).collect()
        };
        assert_eq!(said(&[0.0, 1.0, 2.0, 3.0, 4.0]), [false; 5]);
        assert_eq!(said(&[0.0, 0.1, 0.2, 0.3, 0.4, 10.0]), [false, false, false, false, false, true]);
        assert_eq!(said(&[0.0, 0.1, 0.2, 0.3, 0.4, 10.05, 10.06]), [false, false, false, false, false, false, true]);
        assert_eq!(said(&[0.0, 2.1, 4.2, 6.3, 8.4, 10.5, 12.6]), [false; 7]);
        // After the pause it is counted anew, so that there is one warning in thirty seconds at most.
        assert_eq!(said(&[0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 30.5]), [false, false, false, false, false, true, false]);
        assert!(BACK_OFF == Duration::from_secs(30) && SETTLE == Duration::from_millis(100));
    }
}
