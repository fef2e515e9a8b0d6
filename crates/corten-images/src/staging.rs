//! Layers written on their own, before what lies below them is there: several at once, and while their blobs still come.
//!
//! Each becomes a snapshot without a parent, which is put on its parent later. One that cannot be written so is written
//! again over the one below.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use corten_containerd_api::{Descriptor, Labels, Mount, STAGED, Snapshotter};
use corten_types::Digest;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::lease::random_hex;
use crate::unpack::UnpackError;

/// Layers that are written at once where they can be: more would share two or four processors' worth of work.
const AT_ONCE: usize = 4;
/// Blobs that are followed and not yet written to their end: each holds a descriptor.
const FOLLOWED_MAX: usize = 64;

/// The layers of an image, or of an archive of images, that are written or were.
pub(crate) struct Staging<S: Snapshotter> {
    store: S,
    runtime: Handle,
    turns: Arc<Semaphore>,
    tasks: JoinSet<(String, Staged)>,
    ready: HashMap<String, Staged>,
    /// Under which name a layer is on its way: the reference of its ingest, or its digest.
    begun: HashMap<Digest, String>,
    followed: HashSet<String>,
    /// How much was read of each.
    read: HashMap<String, Arc<AtomicU64>>,
}

/// A layer that was written without what lies below it.
pub(crate) struct Staged {
    /// Of its snapshot.
    pub(crate) key: String,
    /// Its diff id, or why it was not written.
    pub(crate) written: Result<Digest, UnpackError>,
}

impl<S: Snapshotter> Staging<S> {
    /// Nothing is written yet. Must be made inside a runtime.
    pub(crate) fn new(store: S) -> Self {
        Self::beside(store, 0)
    }

    /// As [`new`](Staging::new), where `followed` blobs come at once, which may all be slow.
    pub(crate) fn beside(store: S, followed: usize) -> Self {
        Self {
            store,
            runtime: Handle::current(),
            turns: Arc::new(Semaphore::new(AT_ONCE.max(followed))),
            tasks: JoinSet::new(),
            ready: HashMap::new(),
            begun: HashMap::new(),
            followed: HashSet::new(),
            read: HashMap::new(),
        }
    }

    /// Begins to write the layer whose blob is there.
    pub(crate) fn begin(&mut self, layer: Descriptor) {
        if self.begun.contains_key(&layer.digest) {
            return;
        }
        let (store, digest) = (self.store.clone(), layer.digest.clone());
        self.begun.insert(digest.clone(), digest.to_string());
        self.spawn(digest.to_string(), move |mounts, read| async move {
            let applied = store.apply(&layer, &mounts, &read).await;
            applied.map_err(|answer| UnpackError::Apply { layer: layer.digest, answer })
        });
    }

    /// Begins to write the layer that the ingest `reference` receives. Whose it is may be [said](Staging::is_of) later.
    pub(crate) fn follow(&mut self, reference: &str, arriving: S::Arriving) {
        if self.tasks.len() >= FOLLOWED_MAX || !self.followed.insert(reference.to_owned()) {
            return;
        }
        let (store, name) = (self.store.clone(), reference.to_owned());
        self.spawn(reference.to_owned(), move |mounts, read| async move {
            let applied = store.apply_arriving(arriving, &mounts, &read).await;
            applied.map_err(|source| UnpackError::Arriving { reference: name, source })
        });
    }

    /// The blob that the ingest `reference` received is `digest`.
    pub(crate) fn is_of(&mut self, reference: &str, digest: &Digest) {
        if self.followed.contains(reference) {
            self.begun.entry(digest.clone()).or_insert_with(|| reference.to_owned());
        }
    }

    fn spawn<F: Future<Output = Result<Digest, UnpackError>> + Send>(
        &mut self,
        name: String,
        apply: impl FnOnce(Vec<Mount>, Arc<AtomicU64>) -> F + Send + 'static,
    ) {
        let read = Arc::new(AtomicU64::new(0));
        self.read.insert(name.clone(), read.clone());
        let (store, turns) = (self.store.clone(), self.turns.clone());
        let task = async move {
            // The semaphore is never closed.
            let _turn = turns.acquire().await;
            let key = format!("extract-{} staged-{name}", random_hex(8));
            let written = match prepare(&store, &key).await {
                Ok(mounts) => apply(mounts, read).await,
                Err(error) => Err(error),
            };
            (name, Staged { key, written })
        };
        self.tasks.spawn_on(task, &self.runtime);
    }

    /// How many bytes of the layer's blob were read, which goes on growing; none of one that was never begun.
    pub(crate) fn read(&self, layer: &Digest) -> Option<Arc<AtomicU64>> {
        self.read.get(self.begun.get(layer)?).cloned()
    }

    /// Waits for the layer; none when it was never begun, was taken before, or its task is lost.
    pub(crate) async fn take(&mut self, layer: &Digest) -> Option<Staged> {
        let name = self.begun.remove(layer)?;
        loop {
            if let Some(found) = self.ready.remove(&name) {
                return Some(found);
            }
            if let Ok((name, staged)) = self.tasks.join_next().await? {
                self.ready.insert(name, staged);
            }
        }
    }

    /// Removes what was written and is of no use any more, after a failure or because somebody else was faster. Of an
    /// ingest that is still open this waits for its end.
    pub(crate) async fn discard(mut self) {
        for (_, left) in self.ready.drain() {
            remove(&self.store, &left.key).await;
        }
        while let Some(left) = self.tasks.join_next().await {
            if let Ok((_, left)) = left {
                remove(&self.store, &left.key).await;
            }
        }
    }
}

async fn prepare<S: Snapshotter>(store: &S, key: &str) -> Result<Vec<Mount>, UnpackError> {
    let prepared = store.prepare(key, "", &Labels::new()).await;
    let mut mounts =
        prepared.map_err(|source| UnpackError::Snapshot { operation: "prepare", key: key.to_owned(), source })?;
    for mount in &mut mounts {
        mount.options.push(STAGED.to_owned());
    }
    Ok(mounts)
}

/// Removes the snapshot of a staged layer.
pub(crate) async fn remove<S: Snapshotter>(store: &S, key: &str) {
    // The lease takes what cannot be removed now.
    if let Err(error) = store.remove(key).await {
        tracing::warn!(key, error = %error, "snapshot of a staged layer left to its lease");
    }
}
