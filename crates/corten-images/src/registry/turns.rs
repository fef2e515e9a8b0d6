//! How many blobs are on their way at once, whoever wants them: the numbers of `daemon.json` are the daemon's.

use std::sync::Arc;

use tokio::sync::{Mutex, watch};

/// What all transfers of a daemon share.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    /// From registries.
    pub downloads: Turns,
    /// To registries.
    pub uploads: Turns,
    /// At compressing layers for registries.
    pub compressions: Compressions,
}

/// Turns at compressing layers.
#[derive(Debug, Clone, Default)]
pub struct Compressions {
    /// Layers.
    pub(crate) layers: Turns,
    /// Blocks of them.
    pub(crate) blocks: Turns,
}

/// Turns at one kind of transfer, in the order they were asked for. The number of them may change from one to the next:
/// each keeps to its own.
#[derive(Debug, Clone, Default)]
pub struct Turns {
    underway: Arc<watch::Sender<usize>>,
    /// Whoever is first in the line.
    line: Arc<Mutex<()>>,
}

/// A transfer's turn, until it is dropped.
#[derive(Debug)]
pub struct Turn(Arc<watch::Sender<usize>>);

impl Turns {
    /// Waits until fewer than `max` others are on their way.
    pub async fn take(&self, max: usize) -> Turn {
        let _first = self.line.lock().await;
        // The sender is here, and nobody else adds to the number.
        let _ = self.underway.subscribe().wait_for(|count| *count < max).await;
        self.underway.send_modify(|count| *count += 1);
        Turn(self.underway.clone())
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
        let _held = turns.take(1).await;
        let _other = turns.take(2).await;
    }

    #[tokio::test]
    async fn turns_come_in_the_order_they_were_asked_for() {
        let turns = Turns::default();
        let came = std::sync::Mutex::new(Vec::new());
        let one = async |number| {
            let _turn = turns.take(1).await;
            came.lock().unwrap().push(number);
            tokio::task::yield_now().await;
        };
        let all = async || tokio::join!(one(0), one(1), one(2), one(3), one(4));
        all().await;
        assert_eq!(came.into_inner().unwrap(), [0, 1, 2, 3, 4]);
    }
}
