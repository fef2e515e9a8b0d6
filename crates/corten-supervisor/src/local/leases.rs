//! Leases.

use std::time::Duration;

use corten_containerd_api::{
    ApiError, Collect, Labels, Leases, containerd::services::leases::v1::leases_server::Leases as _, joined,
    lease_request,
};
use corten_proto::containerd::services::leases::v1::{DeleteRequest, ListRequest};
use tonic::Code;

use super::LocalStore;
use crate::{caller::Caller, leases::LeasesService};

impl LocalStore {
    fn leases(&self) -> LeasesService {
        LeasesService(self.supervisor.clone())
    }
}

impl Leases for LocalStore {
    async fn lease(&self, id: &str, lifetime: Duration, labels: &Labels) -> Result<Self, ApiError> {
        joined(self.leases().create(self.caller.asks(lease_request(id, lifetime, labels))).await)?;
        Ok(Self { caller: Caller { lease: Some(id.to_owned()), ..self.caller.clone() }, ..self.clone() })
    }

    async fn release(&self, id: &str, collect: Collect) -> Result<(), ApiError> {
        let request = DeleteRequest { id: id.to_owned(), sync: collect == Collect::Now };
        match self.leases().delete(self.caller.asks(request)).await {
            Err(status) if status.code() == Code::NotFound => Ok(()),
            result => result.map(drop).map_err(ApiError::from),
        }
    }

    async fn leases_labelled(&self, key: &str, value: &str) -> Result<Vec<String>, ApiError> {
        let request = ListRequest { filters: vec![format!("labels.{key:?}=={value:?}")] };
        let answer = self.leases().list(self.caller.asks(request)).await?.into_inner();
        Ok(answer.leases.into_iter().map(|lease| lease.id).collect())
    }
}
