//! Leases: what is kept from garbage collection until it is referred to.

use std::future::Future;
use std::time::Duration;

use corten_proto::containerd::services::leases::v1 as wire;
use corten_types::ErrorKind;

use crate::images::Collect;
use crate::{ApiError, Client, Labels, rfc3339};

/// Label after whose time a lease no longer counts; set by clients, since a killed one cannot release it.
const EXPIRE: &str = "containerd.io/gc.expire";

/// A place for leases.
pub trait Leases: Clone + Send + Sync + 'static {
    /// Makes a lease that ends by itself after `lifetime`, or joins the one of that id as it is, and answers the store that
    /// creates everything under it.
    fn lease(
        &self,
        id: &str,
        lifetime: Duration,
        labels: &Labels,
    ) -> impl Future<Output = Result<Self, ApiError>> + Send;

    /// Ends a lease; one that is not there is no error.
    fn release(&self, id: &str, collect: Collect) -> impl Future<Output = Result<(), ApiError>> + Send;

    /// The ids of all leases that carry the label `key` with `value`.
    fn leases_labelled(&self, key: &str, value: &str) -> impl Future<Output = Result<Vec<String>, ApiError>> + Send;
}

/// The request for a lease that ends by itself after `lifetime`.
pub fn lease_request(id: &str, lifetime: Duration, labels: &Labels) -> wire::CreateRequest {
    let mut labels = labels.clone();
    labels.insert(EXPIRE.to_owned(), rfc3339(std::time::SystemTime::now() + lifetime));
    wire::CreateRequest { id: id.to_owned(), labels: labels.into_iter().collect() }
}

/// What making a lease answered, where one that is there will do.
///
/// # Errors
/// Any other than that it is there.
pub fn joined<T>(created: Result<T, tonic::Status>) -> Result<(), ApiError> {
    match created {
        Err(status) if status.code() == tonic::Code::AlreadyExists => Ok(()),
        created => created.map(drop).map_err(ApiError::from),
    }
}

impl Leases for Client {
    async fn lease(&self, id: &str, lifetime: Duration, labels: &Labels) -> Result<Self, ApiError> {
        joined(self.leases().create(lease_request(id, lifetime, labels)).await)?;
        self.under_lease(id).map_err(|error| ApiError::new(ErrorKind::InvalidArgument, error.to_string()))
    }

    async fn release(&self, id: &str, collect: Collect) -> Result<(), ApiError> {
        let request = wire::DeleteRequest { id: id.to_owned(), sync: collect == Collect::Now };
        match self.leases().delete(request).await {
            Err(status) if status.code() == tonic::Code::NotFound => Ok(()),
            result => result.map(drop).map_err(ApiError::from),
        }
    }

    async fn leases_labelled(&self, key: &str, value: &str) -> Result<Vec<String>, ApiError> {
        let request = wire::ListRequest { filters: vec![format!("labels.{key:?}=={value:?}")] };
        let answer = self.leases().list(request).await?.into_inner();
        Ok(answer.leases.into_iter().map(|lease| lease.id).collect())
    }
}
