//! The services from within: what images are made of, without a socket between.
//!
//! [`LocalStore`] is to a transfer what a containerd's client is to a program outside. It asks the same handlers, so
//! that events, leases and collection are theirs; only the bytes of blobs go past the messages.

mod content;
mod images;
mod leases;
mod snapshots;

use std::sync::Arc;

use corten_containerd_api::ApiError;
use tonic::Status;

use crate::{Supervisor, caller::Caller, error::Error};

/// The stores of one namespace; what is created joins the caller's lease.
#[derive(Debug, Clone)]
pub struct LocalStore {
    supervisor: Arc<Supervisor>,
    caller: Caller,
    snapshotter: String,
}

impl LocalStore {
    /// The stores as `caller` sees them, with snapshots by `snapshotter`.
    pub fn new(supervisor: Arc<Supervisor>, caller: Caller, snapshotter: &str) -> Self {
        Self { supervisor, caller, snapshotter: snapshotter.to_owned() }
    }
}

fn refused(error: Error) -> ApiError {
    Status::from(error).into()
}

/// What a store answered from within, as the error of a service.
pub(crate) fn refusal(error: ApiError) -> Error {
    Error::new(error.kind(), error.reason())
}
