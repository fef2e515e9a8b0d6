//! One repository: what a tag stands for, and manifests by digest.

use std::sync::Arc;

use bytes::Bytes;
use corten_containerd_api::{Descriptor, Labels};
use corten_types::{Digest, Reference};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, CONTENT_TYPE};
use hyper::{Method, Response};
use sha2::Digest as _;

use super::RegistryError;
use super::call::Call;
use super::client::{Client, content_length};
use super::hosts::{Endpoint, Operation};
use super::tokens::form;
use crate::manifest::MANIFEST_MAX;
use crate::media_type::{DOCKER_INDEX, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST};

/// What manifests of before 2016 are served as.
const SCHEMA_ONE: [&str; 2] = [
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
];
/// Headers with digests, as every registry since distribution 2 sends them.
const CONTENT_DIGEST: &str = "docker-content-digest";

/// One repository on the hosts that serve it.
#[derive(Clone)]
pub struct Repository {
    pub(super) client: Arc<Client>,
    pub(super) reference: Reference,
    pub(super) endpoints: Arc<Vec<Endpoint>>,
}

/// What a reference stands for.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The manifest or index.
    pub descriptor: Descriptor,
    /// Its bytes, checked, where the registry had to send them to tell the digest.
    pub data: Option<Bytes>,
    /// Who said so.
    pub host: String,
}

impl Repository {
    pub(super) fn new(client: Arc<Client>, reference: Reference, endpoints: Vec<Endpoint>) -> Self {
        Self { client, reference, endpoints: Arc::new(endpoints) }
    }

    /// The reference it was opened for.
    pub fn reference(&self) -> &Reference {
        &self.reference
    }

    /// How many hosts may be asked to pull: an attempt beyond them has no one to go to.
    pub fn hosts(&self) -> usize {
        self.endpoints.iter().filter(|endpoint| endpoint.operations.contains(&Operation::Pull)).count()
    }

    /// What a token must allow to read.
    pub(super) fn pull_scope(&self) -> Vec<String> {
        vec![format!("repository:{}:pull", self.reference.path())]
    }

    /// The endpoints for `operation`, from number `from` on.
    pub(super) fn endpoints_for(&self, operation: Operation, from: usize) -> Result<Vec<&Endpoint>, RegistryError> {
        let all: Vec<&Endpoint> =
            self.endpoints.iter().filter(|endpoint| endpoint.operations.contains(&operation)).skip(from).collect();
        if all.is_empty() {
            let domain = self.reference.domain().to_owned();
            return Err(RegistryError::NoHost { domain, operation: operation.verb() });
        }
        Ok(all)
    }

    /// A request below the repository's name, as this endpoint wants it.
    pub(super) fn call(&self, endpoint: &Endpoint, method: Method, what: &str, rest: &str, query: &str) -> Call {
        let namespace = endpoint.namespace.as_deref().map(|name| form(&[("ns", name)])).unwrap_or_default();
        let queries = [query, &namespace].into_iter().filter(|query| !query.is_empty()).collect::<Vec<_>>().join("&");
        let mark = if queries.is_empty() { "" } else { "?" };
        Call::new(what, method).at(format!("/{}/{rest}{mark}{queries}", self.reference.path()))
    }

    /// What the reference's tag or digest stands for.
    ///
    /// # Errors
    /// [`RegistryError`] of the last host; what the others said is logged.
    pub async fn resolve(&self) -> Result<Resolved, RegistryError> {
        let what = match (self.reference.digest(), self.reference.tag()) {
            (Some(digest), _) => digest.to_string(),
            (None, tag) => tag.unwrap_or("latest").to_owned(),
        };
        let operation = if self.reference.digest().is_some() { Operation::Pull } else { Operation::Resolve };
        let endpoints = self.endpoints_for(operation, 0)?;
        let mut last = None;
        for endpoint in endpoints {
            match self.resolve_at(endpoint, &what).await {
                Ok(resolved) => return Ok(resolved),
                Err(error) => note(&mut last, endpoint, error),
            }
        }
        Err(self.nothing(last, operation))
    }

    pub(super) fn nothing(&self, last: Option<RegistryError>, operation: Operation) -> RegistryError {
        let domain = || self.reference.domain().to_owned();
        last.unwrap_or_else(|| RegistryError::NoHost { domain: domain(), operation: operation.verb() })
    }

    async fn resolve_at(&self, endpoint: &Endpoint, what: &str) -> Result<Resolved, RegistryError> {
        let response = self.ask(endpoint, Method::HEAD, what).await?;
        let status = response.status().as_u16();
        // Some answer HEAD with an error of their own, and an error without a body says less than one with.
        if !response.status().is_success() || status == 204 {
            return self.resolve_by_get(endpoint, what).await;
        }
        let media_type = self.media_type(&response)?;
        let digest = header(&response, CONTENT_DIGEST).and_then(|text| text.parse::<Digest>().ok());
        let digest = self.reference.digest().cloned().or(digest);
        let (Some(digest), Some(size)) = (digest, content_length(&response)) else {
            return self.resolve_by_get(endpoint, what).await;
        };
        self.check_size(endpoint, what, size)?;
        let descriptor = Descriptor { media_type, digest, size, annotations: Labels::new() };
        Ok(Resolved { descriptor, data: None, host: endpoint.host.clone() })
    }

    async fn resolve_by_get(&self, endpoint: &Endpoint, what: &str) -> Result<Resolved, RegistryError> {
        let response = self.ask(endpoint, Method::GET, what).await?;
        let name = format!("manifest {what}");
        let response = self.client.expect_success(&endpoint.host, &name, response).await?;
        let media_type = self.media_type(&response)?;
        let data = self.client.read_body(&endpoint.host, &name, response, MANIFEST_MAX).await?;
        let digest = match self.reference.digest() {
            Some(digest) => {
                self.check_digest(endpoint, &name, digest, &data)?;
                digest.clone()
            }
            None => Digest::sha256(sha2::Sha256::digest(&data).into()),
        };
        let descriptor = Descriptor { media_type, digest, size: data.len() as u64, annotations: Labels::new() };
        Ok(Resolved { descriptor, data: Some(data), host: endpoint.host.clone() })
    }

    async fn ask(&self, endpoint: &Endpoint, method: Method, what: &str) -> Result<Response<Incoming>, RegistryError> {
        let accept = [OCI_INDEX, DOCKER_INDEX, OCI_MANIFEST, DOCKER_MANIFEST].join(", ");
        let call = self.call(endpoint, method, &format!("manifest {what}"), &format!("manifests/{what}"), "");
        let call = call.with_header(ACCEPT, &accept)?.with_scopes(&self.pull_scope());
        self.client.send(endpoint, &call).await
    }

    /// The type a manifest is served as, without parameters.
    fn media_type(&self, response: &Response<Incoming>) -> Result<String, RegistryError> {
        let text = header(response, CONTENT_TYPE.as_str()).unwrap_or_default();
        let media_type = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if SCHEMA_ONE.contains(&media_type.as_str()) {
            return Err(RegistryError::SchemaOne { name: self.reference.to_string() });
        }
        Ok(media_type)
    }

    fn check_size(&self, endpoint: &Endpoint, what: &str, size: u64) -> Result<(), RegistryError> {
        if size <= MANIFEST_MAX {
            return Ok(());
        }
        let what = format!("manifest {what}");
        Err(RegistryError::TooLarge { host: endpoint.host.clone(), what, max: MANIFEST_MAX })
    }

    fn check_digest(&self, endpoint: &Endpoint, what: &str, digest: &Digest, data: &[u8]) -> Result<(), RegistryError> {
        let actual = match digest.algorithm() {
            "sha512" => format!("sha512:{}", hex(&sha2::Sha512::digest(data))),
            _ => Digest::sha256(sha2::Sha256::digest(data).into()).to_string(),
        };
        if actual == digest.as_str() {
            return Ok(());
        }
        Err(RegistryError::Digest {
            host: endpoint.host.clone(),
            what: what.to_owned(),
            actual,
            expected: digest.clone(),
            size: data.len() as u64,
        })
    }

    /// The manifest or index that `descriptor` points to, its size and digest checked.
    ///
    /// # Errors
    /// [`RegistryError`] of the last host.
    pub async fn manifest(&self, descriptor: &Descriptor) -> Result<Bytes, RegistryError> {
        let mut last = None;
        for endpoint in self.endpoints_for(Operation::Pull, 0)? {
            match self.manifest_at(endpoint, descriptor).await {
                Ok(data) => return Ok(data),
                Err(error) => note(&mut last, endpoint, error),
            }
        }
        Err(self.nothing(last, Operation::Pull))
    }

    async fn manifest_at(&self, endpoint: &Endpoint, descriptor: &Descriptor) -> Result<Bytes, RegistryError> {
        let what = descriptor.digest.as_str();
        let name = format!("manifest {what}");
        self.check_size(endpoint, what, descriptor.size)?;
        let response = self.ask(endpoint, Method::GET, what).await?;
        let response = self.client.expect_success(&endpoint.host, &name, response).await?;
        self.media_type(&response)?;
        let wrong_size = |actual| {
            let host = endpoint.host.clone();
            RegistryError::Size { host, what: name.clone(), actual, expected: descriptor.size }
        };
        if let Some(length) = content_length(&response).filter(|length| *length != descriptor.size) {
            return Err(wrong_size(length));
        }
        let data = self.client.read_body(&endpoint.host, &name, response, descriptor.size).await?;
        if data.len() as u64 != descriptor.size {
            return Err(wrong_size(data.len() as u64));
        }
        self.check_digest(endpoint, &name, &descriptor.digest, &data)?;
        Ok(data)
    }
}

/// Keeps the error of this host, and logs the one before it.
pub(super) fn note(last: &mut Option<RegistryError>, endpoint: &Endpoint, error: RegistryError) {
    tracing::debug!(host = endpoint.host, error = super::client::chain(&error), "host did not serve the request");
    *last = Some(error);
}

pub(super) fn header<'a>(response: &'a Response<Incoming>, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
