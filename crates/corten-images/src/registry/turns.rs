//! How many blobs are on their way at once, whoever wants them: the numbers of `daemon.json` are the daemon's.

use std::sync::Arc;

use tokio::sync::watch;

/// What all transfers of a daemon share.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    /// From registries.
    pub downloads: Turns,
    /// To registries.
    pub uploads: Turns,
}

/// Turns at one kind of transfer. The number of them may change from one to the next: each keeps to its own.
#[derive(Debug, Clone, Default)]
pub struct Turns(Arc<watch::Sender<usize>>);

/// A transfer's turn, until it is dropped.
#[derive(Debug)]
pub struct Turn(Arc<watch::Sender<usize>>);

impl Turns {
    /// Waits until fewer than `max` others are on their way.
    pub async fn take(&self, max: usize) -> Turn {
        let mut underway = self.0.subscribe();
        loop {
            let is_free = |count: &mut usize| {
                let is_free = *count < max;
                *count += usize::from(is_free);
                is_free
            };
            if self.0.send_if_modified(is_free) {
                return Turn(self.0.clone());
            }
            // The sender is here.
            let _ = underway.wait_for(|count| *count < max).await;
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn no_more_than_so_many_have_a_turn_and_each_gets_one() {
        let (turns, now, most) = (Turns::default(), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..40 {
            let (turns, now, most) = (turns.clone(), now.clone(), most.clone());
            tasks.spawn(async move {
                let _turn = turns.take(3).await;
                most.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                now.fetch_sub(1, Ordering::Relaxed);
            });
        }
        assert_eq!(tasks.join_all().await.len(), 40);
        assert_eq!(most.load(Ordering::Relaxed), 3);
        // One that waits for a larger number does not wait for those that may be fewer.
        let _held = turns.take(1).await;
        let _other = turns.take(2).await;
    }
}
