//! Waiting: with a deadline, and naming what is waited for.

use std::{
    thread,
    time::{Duration, Instant},
};

/// The usual deadline: far beyond what any step takes, so that only a fault reaches it.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// How often a condition is looked at.
const INTERVAL: Duration = Duration::from_millis(5);

/// Waits until `condition` holds.
///
/// # Panics
/// With `what` in the message when it does not within `deadline`.
#[track_caller]
pub fn wait_for(what: &str, deadline: Duration, mut condition: impl FnMut() -> bool) {
    wait_for_some(what, deadline, || condition().then_some(()));
}

/// Waits until `look` finds something, and returns it.
///
/// # Panics
/// With `what` in the message when it finds nothing within `deadline`.
#[track_caller]
pub fn wait_for_some<T>(what: &str, deadline: Duration, look: impl FnMut() -> Option<T>) -> T {
    match poll(deadline, look) {
        Some(found) => found,
        None => panic!("waited {deadline:?} for {what}"),
    }
}

/// Whether `condition` holds within `deadline`, for a test that goes on when it does not.
#[must_use]
pub fn try_for(deadline: Duration, mut condition: impl FnMut() -> bool) -> bool {
    poll(deadline, || condition().then_some(())).is_some()
}

/// Looks until something is found or `deadline` is over.
#[expect(
    clippy::disallowed_methods,
    reason = "the only sleep of the harness: conditions are facts of other processes, which nobody announces"
)]
pub(crate) fn poll<T>(deadline: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + deadline;
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if Instant::now() >= end {
            return None;
        }
        thread::sleep(INTERVAL);
    }
}
