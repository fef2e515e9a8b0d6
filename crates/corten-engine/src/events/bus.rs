//! The bus: a ring for what was, a channel for what comes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use corten_docker_api::events::{Actor, Event};
use tokio::sync::broadcast;

use crate::clock::Moment;

/// Events kept for listeners that ask for the past; dockerd's number.
const KEPT: usize = 256;

/// Events a live listener may fall behind.
const BACKLOG: usize = 4096;

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A container.
    Container,
    /// An image.
    Image,
    /// A network.
    Network,
    /// The engine.
    Daemon,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Image => "image",
            Self::Network => "network",
            Self::Daemon => "daemon",
        }
    }
}

/// Where events are published.
pub struct Bus {
    kept: Mutex<VecDeque<Arc<Event>>>,
    live: broadcast::Sender<Arc<Event>>,
}

impl Default for Bus {
    fn default() -> Self {
        Self { kept: Mutex::default(), live: broadcast::Sender::new(BACKLOG) }
    }
}

impl Bus {
    /// Tells everybody that `action` happened to `id`. Never waits.
    pub fn publish(&self, kind: Kind, action: &str, id: &str, attributes: BTreeMap<String, String>) {
        let now = Moment::now();
        let has_legacy_fields = matches!(kind, Kind::Container | Kind::Image);
        let legacy = |text: &str| if has_legacy_fields { text.to_owned() } else { String::new() };
        let from = match kind {
            Kind::Container => attributes.get("image").cloned().unwrap_or_default(),
            _ => String::new(),
        };
        let event = Arc::new(Event {
            status: legacy(action),
            id: legacy(id),
            from,
            kind: kind.as_str().to_owned(),
            action: action.to_owned(),
            actor: Actor { id: id.to_owned(), attributes: Some(attributes) },
            scope: "local".to_owned(),
            time: now.seconds(),
            time_nano: now.nanos(),
        });
        // Under the lock that subscribing takes, so that a listener sees each event exactly once.
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(Arc::clone(&event));
        // An error says that nobody listens.
        let _ = self.live.send(event);
    }

    /// What was, and what comes from now on.
    pub(super) fn subscribe(&self) -> (Vec<Arc<Event>>, broadcast::Receiver<Arc<Event>>) {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        (kept.iter().cloned().collect(), self.live.subscribe())
    }

    /// How many listen.
    pub fn listeners(&self) -> usize {
        self.live.receiver_count()
    }
}
