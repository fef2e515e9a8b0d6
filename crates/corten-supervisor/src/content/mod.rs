//! Content: immutable blobs by digest, and the ingests they are written through.
//!
//! ```text
//! <root>/io.containerd.content.v1.content/
//!   blobs/sha256/<hex>                         mode 0444, one file for all namespaces
//!   ingest/<sha256 of namespace/ref>/          data, ref, startedat, updatedat, total
//! ```
//! [`store`] is the files, [`ingest`] one writer, `records` what each namespace knows of them.
//! A blob is durable before it is acknowledged: data synced, renamed, directory synced, then recorded.

pub mod ingest;
pub(crate) mod records;
mod service;
pub mod store;
mod write;

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
