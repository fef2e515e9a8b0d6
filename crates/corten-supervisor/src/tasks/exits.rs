//! Exits that were announced: each is announced once, whoever saw it first.
//!
//! A shim sends an exit again when it missed the acknowledgement; adoption announces the exits of
//! the time nobody listened, which the shim may still send itself.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Mutex, PoisonError},
};

use corten_proto::containerd::{events::TaskExit, types::Envelope};

use crate::{events::Bus, moment};

/// Exits remembered. A repetition comes within seconds, or at adoption, one per container.
const REMEMBERED: usize = 8192;

/// Container, process, pid and time: the same container may run again, and pids come around.
type Exit = (String, String, String, u32, i128);

/// The exits announced last.
#[derive(Debug, Default)]
pub struct Exits {
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    order: VecDeque<Exit>,
    set: HashSet<Exit>,
}

impl Exits {
    /// Sends `envelope`, which carries `exit`, unless that exit was announced before.
    pub fn publish_once(&self, bus: &Bus, envelope: &Envelope, exit: &TaskExit) {
        let key = (
            envelope.namespace.clone(),
            exit.container_id.clone(),
            exit.id.clone(),
            exit.pid,
            exit.exited_at.as_ref().map_or(0, moment::unix_nanos),
        );
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if !seen.set.insert(key.clone()) {
            return;
        }
        seen.order.push_back(key);
        if seen.order.len() > REMEMBERED
            && let Some(oldest) = seen.order.pop_front()
        {
            seen.set.remove(&oldest);
        }
        // Under the lock, so that nobody sees the second announcement dropped before the first is out.
        bus.send(envelope);
    }
}

#[cfg(test)]
mod tests {
    use tokio_stream::StreamExt;

    use super::*;
    use crate::filter::Filter;

    #[tokio::test]
    async fn an_exit_is_announced_once_and_another_run_of_the_container_again() {
        let (bus, exits) = (Bus::default(), Exits::default());
        let subscription = bus.subscribe(Filter::default());
        let announce = |seconds| {
            let exited_at = Some(prost_types::Timestamp { seconds, nanos: 0 });
            let exit = TaskExit { container_id: "c".into(), id: "c".into(), pid: 7, exit_status: 0, exited_at };
            exits.publish_once(&bus, &Envelope { namespace: "ns".into(), ..Envelope::default() }, &exit);
        };
        announce(1);
        announce(1);
        announce(2);
        drop(bus);
        assert_eq!(subscription.collect::<Vec<_>>().await.len(), 2);
    }
}
