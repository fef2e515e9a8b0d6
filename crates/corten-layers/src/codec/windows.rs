//! Memory of decoders that look far back: what streams ask for, and never more than one large window at a time.

use std::sync::{Condvar, Mutex, PoisonError};

/// Windows over this are opened one at a time in the whole process; every level of zstd but `--ultra`, and xz up to `-6`,
/// stays below.
pub(super) const ORDINARY: u64 = 8 << 20;

/// The one large window of this process.
static IS_TAKEN: Mutex<bool> = Mutex::new(false);
static WAS_FREED: Condvar = Condvar::new();

/// The right to open a large window.
pub(super) struct Turn;

impl Turn {
    /// Waits until nobody else has it. Whoever has it goes on without waiting for anybody who waits here.
    pub(super) fn take() -> Self {
        let is_taken = IS_TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        let mut is_taken = WAS_FREED.wait_while(is_taken, |is_taken| *is_taken).unwrap_or_else(PoisonError::into_inner);
        *is_taken = true;
        Self
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *IS_TAKEN.lock().unwrap_or_else(PoisonError::into_inner) = false;
        WAS_FREED.notify_one();
    }
}
