//! How a client leaves that was handed to the hub: by its detach keys, which is told to who listens.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use corten_stdio::attach;
use tokio::io::unix::AsyncFd;
use tracing::debug;

use crate::engine::Engine;
use crate::events::Kind;

/// The connection on which the hub tells how a client left; none of a client that cannot detach.
pub struct Farewell(Option<OwnedFd>);

/// What the client was attached to.
#[derive(Clone, Debug)]
pub enum Of {
    /// A container's init.
    Container,
    /// The exec of that id.
    Exec(String),
}

impl Farewell {
    pub(super) fn expected_from(hub: Option<OwnedFd>) -> Self {
        Self(hub)
    }

    /// Publishes the event when the client detaches. Nobody waits for it.
    pub fn announce(self, engine: &Arc<Engine>, container_id: &str, of: Of) {
        let Some(hub) = self.0 else { return };
        let (engine, id) = (Arc::downgrade(engine), container_id.to_owned());
        tokio::spawn(async move {
            match detached(hub).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => return debug!(id, %error, "how a client left is not known"),
            }
            let Some(engine) = engine.upgrade() else { return };
            let Some(container) = engine.containers.get(&id) else { return };
            let mut attributes = container.view().record.event_attributes();
            let action = match of {
                Of::Container => "detach",
                Of::Exec(exec_id) => {
                    attributes.insert("execID".to_owned(), exec_id);
                    "exec_detach"
                }
            };
            engine.events.publish(Kind::Container, action, &id, attributes);
        });
    }
}

// The safe constructor is deprecated for types whose descriptor may change; `OwnedFd`'s cannot.
#[allow(deprecated)]
async fn detached(hub: OwnedFd) -> io::Result<bool> {
    let hub = AsyncFd::new(hub)?;
    // A packet socket that has become readable holds a whole packet, or its end.
    let _readable = hub.readable().await?;
    attach::has_detached(hub.get_ref().as_fd())
}
