//! containerd's interface: gRPC stubs of both ends, and what our programs say with them.
//!
//! [`containerd`] holds the generated clients and servers. [`Client`] is one connection with namespace and lease, over a [`Line`];
//! [`ContentStore`], [`Snapshotter`], [`ImageStore`] and [`Leases`] are the few operations that images are made of,
//! and [`Client`] is their implementation on any containerd. [`ApiError`] is what every one of them answers.

#[allow(missing_docs, clippy::all, unreachable_pub)]
mod stubs {
    include!(concat!(env!("OUT_DIR"), "/services.rs"));
}

mod client;
mod content;
mod error;
mod images;
mod leases;
mod line;
mod moment;
mod snapshots;
mod transfer;

pub use client::{Client, Headers, InvalidHeader, Service};
pub use content::{Content, ContentStore, ContentWriter, Ingest, RemoteWriter, relabel};
pub use corten_proto::containerd::types::{Mount, transfer::Progress as TransferProgress};
pub use error::ApiError;
pub use images::{Collect, Descriptor, Image, ImageStore};
pub use leases::{Leases, joined, lease_request};
pub use line::{Line, Presence};
pub use moment::{now, parse_timestamp, rfc3339, timestamp};
pub use snapshots::{LAYER_LABEL, STAGED, Snapshot, SnapshotKind, Snapshotter};
pub use stubs::{containerd, grpc};
pub use transfer::Stream;

/// Labels of an object, in the order they are listed.
pub type Labels = std::collections::BTreeMap<String, String>;

/// Everything images are made of; what loading, importing and removing run on.
pub trait Store: ContentStore + Snapshotter + ImageStore + Leases {}

impl<S: ContentStore + Snapshotter + ImageStore + Leases> Store for S {}
