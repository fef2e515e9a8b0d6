//! The event bus: envelopes from services and shims go to every subscriber in publication order.
//!
//! There is no replay: who subscribes late has lost. An envelope is encoded once and its bytes are
//! shared. A subscriber that does not read is given [`WAITING`] envelopes of patience and then
//! disconnected, so that it learns of its loss; it never holds up who publishes.

pub mod command;
mod fields;
pub mod forward;
pub mod publish;
mod service;
mod subscribe;

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use corten_proto::containerd::types::Envelope;
use prost::{Message, Name};
use tokio::sync::mpsc;
use tonic::Status;

pub use self::subscribe::EventsServer;
use crate::{filter::Filter, moment};

/// Envelopes that wait for one subscriber: the events of some two thousand containers at once.
const WAITING: usize = 8192;

/// Everyone who listens.
#[derive(Debug, Default)]
pub struct Bus {
    subscribers: Mutex<Vec<Subscriber>>,
}

#[derive(Debug)]
struct Subscriber {
    filter: Filter,
    queue: mpsc::Sender<Bytes>,
    overrun: Arc<AtomicBool>,
}

/// One subscriber's encoded envelopes.
#[derive(Debug)]
pub struct Subscription {
    queue: mpsc::Receiver<Bytes>,
    overrun: Arc<AtomicBool>,
}

impl Bus {
    /// Publishes an event of this supervisor's own.
    pub fn publish<M: Message + Name>(&self, namespace: &str, topic: &str, event: &M) {
        self.send(&Envelope {
            timestamp: Some(moment::now()),
            namespace: namespace.to_owned(),
            topic: topic.to_owned(),
            event: Some(corten_proto::any::pack(event)),
        });
    }

    /// Hands `envelope` to every subscriber whose filter accepts it. Order is the order of calls.
    pub fn send(&self, envelope: &Envelope) {
        let mut encoded: Option<Bytes> = None;
        let fields = fields::Fielded::new(envelope);
        let mut subscribers = self.subscribers.lock().unwrap_or_else(PoisonError::into_inner);
        subscribers.retain(|subscriber| {
            if !subscriber.filter.accepts(&fields) {
                return !subscriber.queue.is_closed();
            }
            let bytes = encoded.get_or_insert_with(|| envelope.encode_to_vec().into()).clone();
            match subscriber.queue.try_send(bytes) {
                Ok(()) => true,
                Err(mpsc::error::TrySendError::Closed(_)) => false,
                Err(mpsc::error::TrySendError::Full(_)) => {
                    subscriber.overrun.store(true, Ordering::Release);
                    false
                }
            }
        });
    }

    /// Everything published from now on that `filter` accepts.
    pub fn subscribe(&self, filter: Filter) -> Subscription {
        let (sender, queue) = mpsc::channel(WAITING);
        let overrun = Arc::new(AtomicBool::new(false));
        let subscriber = Subscriber { filter, queue: sender, overrun: overrun.clone() };
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner).push(subscriber);
        Subscription { queue, overrun }
    }
}

impl tokio_stream::Stream for Subscription {
    type Item = Result<Bytes, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.queue.poll_recv(context).map(|next| match next {
            Some(bytes) => Some(Ok(bytes)),
            None if self.overrun.swap(false, Ordering::AcqRel) => Some(Err(Status::resource_exhausted(format!(
                "subscriber too slow: {WAITING} events waited: subscribe again and list what may have changed"
            )))),
            None => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use corten_proto::containerd::events::TaskStart;
    use tokio_stream::StreamExt;

    use super::*;

    fn start(n: u32) -> TaskStart {
        TaskStart { container_id: "c".into(), pid: n }
    }

    #[tokio::test]
    async fn subscribers_get_what_their_filter_accepts_in_order() {
        let bus = Bus::default();
        let mut all = bus.subscribe(Filter::default());
        let mut tasks =
            bus.subscribe(Filter::parse(&["namespace==moby,topic~=|^/tasks/|,event.container_id==c".into()]).unwrap());
        bus.publish("moby", "/tasks/start", &start(1));
        bus.publish("default", "/tasks/start", &start(2));
        bus.publish("moby", "/containers/create", &start(3));
        bus.publish("moby", "/tasks/start", &start(4));
        let pid = |bytes: Bytes| {
            let event = Envelope::decode(bytes).unwrap().event.unwrap();
            corten_proto::any::unpack::<TaskStart>(&event).unwrap().unwrap().pid
        };
        for expected in [1, 2, 3, 4] {
            assert_eq!(pid(all.next().await.unwrap().unwrap()), expected);
        }
        for expected in [1, 4] {
            assert_eq!(pid(tasks.next().await.unwrap().unwrap()), expected);
        }
    }

    #[tokio::test]
    async fn a_subscriber_that_does_not_read_is_told_and_disconnected() {
        let bus = Bus::default();
        let mut slow = bus.subscribe(Filter::default());
        for n in 0..=u32::try_from(WAITING).unwrap() {
            bus.publish("moby", "/tasks/start", &start(n));
        }
        for _ in 0..WAITING {
            assert!(slow.next().await.unwrap().is_ok());
        }
        assert_eq!(slow.next().await.unwrap().unwrap_err().code(), tonic::Code::ResourceExhausted);
        assert!(slow.next().await.is_none());
    }
}
