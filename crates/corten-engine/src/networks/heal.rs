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
    let mut repairs: VecDeque<Instant> = VecDeque::new();
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
        let now = Instant::now();
        repairs.push_back(now);
        while repairs.front().is_some_and(|first| now.duration_since(*first) > CROWDED) {
            repairs.pop_front();
        }
        if repairs.len() > MOST {
            let seconds = BACK_OFF.as_secs();
            warn!("somebody takes networks down again and again: they are mended once in {seconds} s");
            pause(BACK_OFF);
            repairs.clear();
        }
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
