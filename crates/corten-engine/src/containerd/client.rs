//! One connection for all calls; each call carries the namespace and has a deadline.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use corten_containerd_api::{Client, Presence};
use corten_images::registry::Limits;
use corten_types::ErrorKind;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tonic::Status;

use super::abilities::{Abilities, Ability};
use crate::errors::{EngineError, Result};

/// Time a change waits for a containerd that is being started again.
const LINK_PATIENCE: Duration = Duration::from_secs(20);

/// Time a step may take that starts or ends processes on a busy host.
const STEP_DEADLINE: Duration = Duration::from_secs(120);

/// The connection. It dereferences to the [`Client`] that makes the calls.
pub struct Containerd {
    address: PathBuf,
    client: Client,
    presence: Arc<Presence>,
    linked: watch::Sender<bool>,
    /// Of the containerd of the last link.
    abilities: RwLock<Abilities>,
    /// How many blobs are on their way to and from registries, where we are who moves them.
    pub(super) transfers: Limits,
    /// Whether there was a link ever.
    settled: watch::Sender<bool>,
    /// Until when the first link is waited for.
    settled_by: Instant,
    /// Told by who starts it, when it serves its socket.
    arrival: Arc<Notify>,
}

impl std::ops::Deref for Containerd {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Containerd {
    /// A connection to the socket at `address`, made at the first call and again whenever it broke.
    ///
    /// # Errors
    /// 400 when the namespace cannot be a header.
    pub fn new(address: &Path, namespace: &str) -> Result<Self> {
        let presence = Arc::new(Presence::default());
        let client = Client::connect_patiently(address, namespace, Arc::clone(&presence))
            .map_err(|error| EngineError::invalid(error.to_string()))?;
        Ok(Self {
            address: address.to_owned(),
            client,
            presence,
            linked: watch::Sender::new(false),
            abilities: RwLock::default(),
            transfers: Limits::default(),
            settled: watch::Sender::new(false),
            settled_by: Instant::now() + LINK_PATIENCE,
            arrival: Arc::default(),
        })
    }

    /// Its socket.
    pub fn address(&self) -> &Path {
        &self.address
    }

    /// The client that makes the calls.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Whether it is there, which calls wait for: the link keeps that up to date.
    pub(super) fn presence(&self) -> &Presence {
        &self.presence
    }

    /// What is told when it serves its socket, by who started it.
    pub fn arrival(&self) -> Arc<Notify> {
        Arc::clone(&self.arrival)
    }

    /// Whether events arrive and every task has been looked at since the last connection.
    pub fn is_linked(&self) -> bool {
        *self.linked.borrow()
    }

    /// Whether the containerd linked to has `ability`.
    pub fn has(&self, ability: Ability) -> bool {
        // Every change is one assignment.
        self.abilities.read().unwrap_or_else(PoisonError::into_inner).has(ability)
    }

    pub(super) fn set_abilities(&self, abilities: Abilities) {
        *self.abilities.write().unwrap_or_else(PoisonError::into_inner) = abilities;
    }

    pub(super) fn set_linked(&self, linked: bool) {
        self.linked.send_replace(linked);
        if linked {
            self.settled.send_replace(true);
        }
    }

    /// Waits until every container has been looked at for the first time since the engine came up: what
    /// its files say may be older than what has happened meanwhile. Twenty seconds after that, what is
    /// written down has to do.
    pub async fn settled(&self) {
        let mut settled = self.settled.subscribe();
        // The sender lives as long as we.
        let _ = tokio::time::timeout_at(self.settled_by, settled.wait_for(|settled| *settled)).await;
    }

    /// Waits for the link; a change must not start without it, as its events would be lost.
    ///
    /// # Errors
    /// 503 when there is none within twenty seconds.
    pub async fn linked(&self) -> Result<()> {
        let mut linked = self.linked.subscribe();
        let waited = tokio::time::timeout(LINK_PATIENCE, linked.wait_for(|linked| *linked)).await;
        match waited {
            Ok(Ok(_)) => Ok(()),
            _ => Err(EngineError::new(
                ErrorKind::Unavailable,
                format!("containerd at {} does not answer; try again", self.address.display()),
            )),
        }
    }

    /// Makes one call with a deadline; an error says which step it was.
    ///
    /// # Errors
    /// What containerd answers, or 503 naming the step that is stuck.
    pub async fn step<T>(
        &self,
        step: &str,
        call: impl Future<Output = std::result::Result<tonic::Response<T>, Status>>,
    ) -> Result<T> {
        match tokio::time::timeout(STEP_DEADLINE, call).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(EngineError::from(status).while_doing(step)),
            Err(_) => Err(EngineError::new(
                ErrorKind::Unavailable,
                format!("{step}: containerd has not answered for {} s", STEP_DEADLINE.as_secs()),
            )),
        }
    }
}
