//! What one shim holds: its containers, and what serves them all.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use corten_cgroups::{Cgroup, Host};
use tokio::sync::Notify;

use crate::{container::Container, error::TaskError, events::Events, exit_file::Exit, hub::Hub, reaper::Reaper};

/// Exits of deleted containers that are remembered, for a delete that is asked again because its answer
/// came too late. One shim holds one container, or the few of a pod.
const MAX_DELETED: usize = 64;

/// A shim.
pub struct Shim {
    /// The containerd namespace.
    pub namespace: String,
    /// Waits for children.
    pub reaper: Reaper,
    /// Tells the supervisor.
    pub events: Events,
    /// Moves output and input.
    pub hub: Hub,
    /// Told when the shim is to end.
    pub shutdown: Notify,
    containers: Mutex<Containers>,
    host: OnceLock<Host>,
}

#[derive(Default)]
struct Containers {
    live: BTreeMap<String, Arc<Container>>,
    claimed: BTreeSet<String>,
    deleted: BTreeMap<String, Exit>,
}

/// An id that is being created; given back when dropped.
pub struct Claim {
    shim: Arc<Shim>,
    id: String,
}

impl Claim {
    /// The container exists now.
    pub fn fulfil(self, container: Arc<Container>) {
        self.shim.lock().live.insert(self.id.clone(), container);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.shim.lock().claimed.remove(&self.id);
    }
}

impl Shim {
    /// A shim without containers.
    pub fn new(namespace: &str) -> Arc<Self> {
        Arc::new(Self {
            namespace: namespace.to_owned(),
            reaper: Reaper::default(),
            events: Events::new(namespace),
            hub: Hub::default(),
            shutdown: Notify::new(),
            containers: Mutex::default(),
            host: OnceLock::new(),
        })
    }

    /// Claims the id of a container to be created.
    ///
    /// # Errors
    /// [`TaskError::ContainerExists`], also while it is being created.
    pub fn claim(self: &Arc<Self>, id: &str) -> Result<Claim, TaskError> {
        let mut containers = self.lock();
        if containers.live.contains_key(id) || !containers.claimed.insert(id.to_owned()) {
            return Err(TaskError::ContainerExists(id.to_owned()));
        }
        containers.deleted.remove(id);
        Ok(Claim { shim: Arc::clone(self), id: id.to_owned() })
    }

    /// The container `id`.
    ///
    /// # Errors
    /// [`TaskError::NoContainer`].
    pub fn container(&self, id: &str) -> Result<Arc<Container>, TaskError> {
        self.lock().live.get(id).cloned().ok_or(TaskError::NoContainer)
    }

    /// Forgets a container, but for its exit.
    pub fn forget(&self, id: &str, exit: Exit) {
        let mut containers = self.lock();
        containers.live.remove(id);
        if containers.deleted.len() >= MAX_DELETED {
            containers.deleted.pop_first();
        }
        containers.deleted.insert(id.to_owned(), exit);
    }

    /// The exit of a container that was deleted.
    pub fn deleted(&self, id: &str) -> Option<Exit> {
        self.lock().deleted.get(id).copied()
    }

    /// Whether nothing is left to serve.
    pub fn is_empty(&self) -> bool {
        let containers = self.lock();
        containers.live.is_empty() && containers.claimed.is_empty()
    }

    /// The cgroup that the process `pid` is in; `None` when the machine does not tell.
    pub fn cgroup_of(&self, pid: u32) -> Option<Cgroup> {
        let host = match self.host.get() {
            Some(host) => host,
            None => {
                let host = Host::detect().unwrap_or_default();
                self.host.get_or_init(|| host)
            }
        };
        host.cgroup_of(pid).ok()
    }

    /// The maps stay whole when a holder panics: each critical section is a few operations on them.
    fn lock(&self) -> MutexGuard<'_, Containers> {
        self.containers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
