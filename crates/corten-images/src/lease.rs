//! Leases of this crate's work, and ending those of a process that was killed.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use corten_containerd_api::{ApiError, Collect, ContentStore, Ingest, Labels, Leases};
use corten_types::Digest;

/// Marks a lease as one of ours; its value says whose, so that two engines on one containerd leave each other's alone.
const OWNER: &str = "com.corten.lease";
/// How long one operation may take; longer than any, since it is only for those that were killed.
const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// How long the layers of a pull that came to no end are kept for the next one.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// The leases of this process's running operations: [`settle`] leaves them alone.
static RUNNING: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

fn running() -> MutexGuard<'static, BTreeSet<String>> {
    // A set of names is whole whenever it can be seen, also after a panic.
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Hex digits of `bytes` random bytes.
pub(crate) fn random_hex(bytes: usize) -> String {
    use std::fmt::Write;
    use std::hash::{BuildHasher, Hasher};
    let mut text = String::new();
    while text.len() < 2 * bytes {
        // RandomState is seeded from the system's random numbers and differs at every call.
        let number = std::hash::RandomState::new().build_hasher().finish();
        let _ = write!(text, "{number:016x}"); // writing to a String cannot fail
    }
    text.truncate(2 * bytes);
    text
}

/// A lease held for one operation.
#[derive(Debug)]
pub struct Held<S> {
    /// The store under the lease.
    pub store: S,
    /// Its id, also the stem of ingest names.
    pub id: String,
}

/// Takes a lease for `operation` on behalf of `owner`.
///
/// # Errors
/// What containerd answers.
pub async fn hold<S: Leases>(store: &S, operation: &str, owner: &str) -> Result<Held<S>, ApiError> {
    let id = format!("{operation}-{}", random_hex(8));
    let labels = Labels::from([(OWNER.to_owned(), owner.to_owned())]);
    running().insert(id.clone());
    // Held from here on, so that an operation that is dropped while it asks for its lease is not taken for a running one.
    let mut held = Held { store: store.clone(), id };
    held.store = store.lease(&held.id, LIFETIME, &labels).await?;
    Ok(held)
}

impl<S: Leases> Held<S> {
    /// Ends the lease: at once with all it alone kept after a failure, in containerd's own time after success.
    pub async fn release(self, collect: Collect) {
        if let Err(error) = self.store.release(&self.id, collect).await {
            tracing::warn!(id = self.id, error = %error, "lease left for the next settling");
        }
    }
}

/// A lease of an operation that may be dropped anywhere: it is released then, too, in a task of its own.
pub(crate) struct Abandoned<S: Leases>(Option<Held<S>>);

impl<S: Leases> Abandoned<S> {
    pub(crate) fn new(held: Held<S>) -> Self {
        Self(Some(held))
    }

    pub(crate) async fn release(&mut self, collect: Collect) {
        if let Some(held) = self.0.take() {
            held.release(collect).await;
        }
    }
}

impl<S: Leases> std::ops::Deref for Abandoned<S> {
    type Target = Held<S>;

    fn deref(&self) -> &Held<S> {
        self.0.as_ref().expect("it is taken by what ends the operation")
    }
}

impl<S: Leases> Drop for Abandoned<S> {
    fn drop(&mut self) {
        // A runtime that ends takes the task along; the next settling finds the lease.
        if let (Some(held), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(held.release(Collect::Now));
        }
    }
}

impl<S> Drop for Held<S> {
    fn drop(&mut self) {
        running().remove(&self.id);
    }
}

/// What was fetched whole by a pull that may come to no end: it stays for the next one that wants the same, and goes by
/// itself after a day. Nobody's death needs to be noticed for either.
pub(crate) struct Kept<S> {
    store: S,
    id: String,
    /// The store under the lease, which is made when there is something to keep.
    leased: tokio::sync::OnceCell<S>,
}

impl<S: Leases + ContentStore> Kept<S> {
    /// For pulls of `what`.
    pub(crate) fn of(store: S, what: &str) -> Self {
        use sha2::{Digest as _, Sha256};
        let digest = Digest::sha256(Sha256::digest(what).into());
        let id = format!("kept-{}", &digest.hex()[..32]);
        Self { store, id, leased: tokio::sync::OnceCell::new() }
    }

    /// Keeps content that is there.
    pub(crate) async fn keep(&self, digest: &Digest) -> Result<(), ApiError> {
        let make = async || self.store.lease(&self.id, KEPT, &Labels::new()).await;
        hold_content(self.leased.get_or_try_init(make).await?, digest).await.map(drop)
    }

    /// Keeps nothing any more.
    pub(crate) async fn forget(&self, collect: Collect) {
        if let Err(error) = self.store.release(&self.id, collect).await {
            tracing::warn!(id = self.id, error = %error, "lease left to expire");
        }
    }
}

/// Puts content that is there under the lease of `store`; whether it is there.
pub(crate) async fn hold_content(store: &impl ContentStore, digest: &Digest) -> Result<bool, ApiError> {
    match store.content_info(digest).await {
        Ok(_) => {}
        Err(error) if error.is_not_found() => return Ok(false),
        Err(error) => return Err(error),
    }
    // Asking to write what is there holds it.
    let reference = format!("hold-{}", random_hex(8));
    match store.ingest(&reference, Some(digest), None).await? {
        Ingest::Exists => Ok(true),
        Ingest::Open(writer) => {
            drop(writer);
            store.abort_ingest(&reference).await?;
            Ok(false)
        }
    }
}

/// Ends the leases that operations of `owner` left: of a process that was killed, or when containerd was and could not
/// be told. To be called after each connection; operations that still run keep theirs. What the ended ones kept is
/// collected. Returns how many.
///
/// # Errors
/// What containerd answers.
pub async fn settle(store: &impl Leases, owner: &str) -> Result<usize, ApiError> {
    let left = store.leases_labelled(OWNER, owner).await?;
    let mut ended = 0;
    for id in left.iter().filter(|id| !running().contains(*id)) {
        store.release(id, Collect::Later).await?;
        ended += 1;
    }
    Ok(ended)
}
