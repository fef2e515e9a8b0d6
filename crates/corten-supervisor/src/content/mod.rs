//! Content: immutable blobs by digest, and the ingests they are written through.
//!
//! ```text
//! <root>/io.containerd.content.v1.content/
//!   blobs/sha256/<hex>                         mode 0444, one file for all namespaces
//!   ingest/<sha256 of namespace/ref>/          data, ref, startedat, updatedat, total
//! ```
//! [`store`] is the files, [`ingest`] one writer, [`Follower`] who reads along, `records` what each namespace knows.
//! A blob is durable before it is acknowledged: data synced, renamed, directory synced, then recorded.

mod arrival;
pub mod ingest;
pub(crate) mod records;
mod service;
pub mod store;
mod write;

pub use arrival::{Arrival, Follower};
pub use ingest::Ingest;
pub(crate) use records::check_digest;
pub use service::ContentService;
pub use store::Store;
pub use write::Writer;

/// The file of `digest`, if this caller's namespace may see it.
///
/// # Errors
/// `NotFound` when the namespace has no such content.
pub fn open(supervisor: &crate::Supervisor, namespace: &str, digest: &str) -> crate::error::Result<std::fs::File> {
    supervisor.metadata.read(|c| records::get(c, namespace, digest).map(drop))?;
    supervisor.content.open_blob(digest)
}

/// Records a blob that is on disk for the caller's namespace, and tells about it. One that the
/// namespace has already is fine: the content is the same.
///
/// # Errors
/// The database's.
pub(crate) async fn record(
    supervisor: &crate::Supervisor,
    caller: crate::caller::Caller,
    reference: String,
    digest: String,
    size: i64,
    labels: std::collections::HashMap<String, String>,
) -> crate::error::Result<()> {
    use crate::metadata::Durability;
    // What is written under a lease becomes part of something (an image) whose durable record makes
    // this one durable as well; content on its own is acknowledged here.
    let durability = if caller.lease.is_some() { Durability::Relaxed } else { Durability::Durable };
    let (namespace, blob, holder) = (caller.namespace.clone(), digest.clone(), caller.clone());
    let change = move |c: &rusqlite::Connection| records::create(c, &caller, &reference, &blob, size, labels);
    match supervisor.metadata.write(durability, change).await {
        Err(error) if error.kind() == corten_types::error::ErrorKind::AlreadyExists => {
            let join = move |c: &rusqlite::Connection| crate::leases::join(c, &holder, "content", &digest);
            return supervisor.metadata.write(Durability::Relaxed, join).await;
        }
        done => done?,
    }
    let event = corten_proto::containerd::events::ContentCreate { digest, size, ..Default::default() };
    supervisor.events.publish(&namespace, "/content/create", &event);
    Ok(())
}

/// A finished hash as a digest.
pub(crate) fn sha256_text(hash: sha2::Sha256) -> String {
    use sha2::Digest;
    format!("sha256:{}", store::hex(&hash.finalize()))
}
