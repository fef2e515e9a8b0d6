//! Blobs by digest, from any offset, continued where they break off.

use std::time::Duration;

use bytes::Bytes;
use corten_containerd_api::Descriptor;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{CONTENT_RANGE, RANGE};
use hyper::{Method, Response};
use tokio::time::{Instant, timeout_at};

use super::RegistryError;
use super::client::{chain, content_length};
use super::hosts::{Endpoint, Operation};
use super::patience::STALL_BYTES;
use super::repository::{Repository, header, note};

/// A body that broke off after so many bytes does not count as an attempt.
const PROGRESS: u64 = 64 << 10;
/// Times one blob is continued at most, whatever progress each brings.
const CONTINUED_MAX: usize = 1000;
/// Times in a row that a body may stall: together they take less than a minute.
const STALLS_MAX: usize = 2;

/// A blob on its way here.
pub struct Blob {
    repository: Repository,
    descriptor: Descriptor,
    /// Number of the endpoint that serves it.
    endpoint: usize,
    offset: u64,
    body: Option<Body>,
    continued: usize,
    fruitless: usize,
    stalls: usize,
}

struct Body {
    response: Response<Incoming>,
    /// Bytes that come before the offset, from a host that does not serve ranges.
    skip: u64,
    /// Bytes that came after it.
    brought: u64,
    /// Since when, and what came since then.
    since: Instant,
    recent: u64,
}

impl Repository {
    /// The blob of `descriptor` from `offset` on, from the first host that serves it, beginning with host number
    /// `first`. Nothing is asked for when it is all there.
    ///
    /// # Errors
    /// [`RegistryError`] of the last host.
    pub async fn blob(&self, descriptor: &Descriptor, offset: u64, first: usize) -> Result<Blob, RegistryError> {
        let mut last = None;
        for (number, endpoint) in self.endpoints_for(Operation::Pull, first)?.into_iter().enumerate() {
            match self.open(endpoint, descriptor, offset).await {
                Ok(body) => {
                    return Ok(Blob {
                        repository: self.clone(),
                        descriptor: descriptor.clone(),
                        endpoint: first + number,
                        offset,
                        body,
                        continued: 0,
                        fruitless: 0,
                        stalls: 0,
                    });
                }
                Err(error) => note(&mut last, endpoint, error),
            }
        }
        Err(self.nothing(last, Operation::Pull))
    }

    async fn open(
        &self,
        endpoint: &Endpoint,
        descriptor: &Descriptor,
        offset: u64,
    ) -> Result<Option<Body>, RegistryError> {
        let what = format!("blob {}", descriptor.digest);
        if offset >= descriptor.size {
            return Ok(None);
        }
        let whole = self.call(endpoint, Method::GET, &what, &format!("blobs/{}", descriptor.digest), "");
        let whole = whole.with_scopes(&self.pull_scope());
        let mut response = if offset == 0 {
            self.client.send(endpoint, &whole).await?
        } else {
            let ranged = whole.clone().with_header(RANGE, &format!("bytes={offset}-"))?;
            self.client.send(endpoint, &ranged).await?
        };
        if response.status().as_u16() == 416 {
            response = self.client.send(endpoint, &whole).await?;
        }
        let response = self.client.expect_success(&endpoint.host, &what, response).await?;
        let protocol = |why: String| RegistryError::Protocol { host: endpoint.host.clone(), what: what.clone(), why };
        let skip = match response.status().as_u16() {
            206 => {
                let range = header(&response, CONTENT_RANGE.as_str()).unwrap_or_default();
                let start = range.strip_prefix("bytes ").and_then(|range| range.split('-').next());
                if start.and_then(|start| start.parse().ok()) != Some(offset) {
                    return Err(protocol(format!("asked from byte {offset}, it sends {range:?}")));
                }
                0
            }
            200 => offset,
            status => return Err(protocol(format!("status {status} for a blob"))),
        };
        let expected = descriptor.size - offset + skip;
        if let Some(length) = content_length(&response).filter(|length| *length != expected) {
            let actual = (length + offset).saturating_sub(skip);
            return Err(RegistryError::Size { host: endpoint.host.clone(), what, actual, expected: descriptor.size });
        }
        Ok(Some(Body { response, skip, brought: 0, since: Instant::now(), recent: 0 }))
    }
}

impl Blob {
    /// The host that serves it.
    pub fn host(&self) -> &str {
        self.endpoint().map_or("", |endpoint| endpoint.host.as_str())
    }

    /// The number of that host, for [`Repository::blob`] of the next.
    pub fn host_number(&self) -> usize {
        self.endpoint
    }

    /// Bytes of the blob up to here.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    fn endpoint(&self) -> Option<&Endpoint> {
        let serves = |endpoint: &&Endpoint| endpoint.operations.contains(&Operation::Pull);
        self.repository.endpoints.iter().filter(serves).nth(self.endpoint)
    }

    /// The next piece; none at the end, when all the bytes that the descriptor states were there.
    ///
    /// # Errors
    /// [`RegistryError`] when the host serves something else, or nothing more after several attempts.
    pub async fn next(&mut self) -> Result<Option<Bytes>, RegistryError> {
        loop {
            if self.offset >= self.descriptor.size {
                self.body = None;
                return Ok(None);
            }
            match self.piece().await {
                Ok(Some(data)) => {
                    self.offset += data.len() as u64;
                    if self.offset > self.descriptor.size {
                        return Err(self.longer());
                    }
                    return Ok(Some(data));
                }
                Ok(None) => self.go_on(self.short()).await?,
                Err(error) => self.go_on(error).await?,
            }
        }
    }

    fn what(&self) -> String {
        format!("blob {}", self.descriptor.digest)
    }

    fn longer(&self) -> RegistryError {
        let (host, what) = (self.host().to_owned(), self.what());
        RegistryError::Size { host, what, actual: self.offset, expected: self.descriptor.size }
    }

    fn short(&self) -> RegistryError {
        let why = format!("the body ended at byte {} of {}", self.offset, self.descriptor.size);
        RegistryError::Broken { host: self.host().to_owned(), what: self.what(), source: why.into() }
    }

    /// One piece of the current body that is not to be skipped.
    async fn piece(&mut self) -> Result<Option<Bytes>, RegistryError> {
        let (host, what) = (self.host().to_owned(), self.what());
        let stall = self.repository.client.patience.stall;
        let Some(body) = &mut self.body else { return Ok(None) };
        loop {
            let frame = match timeout_at(body.since + stall, body.response.body_mut().frame()).await {
                Ok(frame) => frame,
                Err(_) if body.recent >= STALL_BYTES => {
                    (body.since, body.recent) = (Instant::now(), 0);
                    continue;
                }
                Err(_) => return Err(RegistryError::Stalled { host, what, bytes: body.recent, waited: stall }),
            };
            let Some(frame) = frame else { return Ok(None) };
            let frame = frame.map_err(|error| RegistryError::Broken {
                host: host.clone(),
                what: what.clone(),
                source: chain(&error).into(),
            })?;
            let Ok(mut data) = frame.into_data() else { continue };
            body.recent += data.len() as u64;
            let skipped = body.skip.min(data.len() as u64);
            body.skip -= skipped;
            let data = data.split_off(usize::try_from(skipped).unwrap_or(usize::MAX));
            if data.is_empty() {
                continue;
            }
            body.brought += data.len() as u64;
            // What pauses on our side must not count against the host.
            if body.recent >= STALL_BYTES {
                (body.since, body.recent) = (Instant::now(), 0);
            }
            return Ok(Some(data));
        }
    }

    /// After `error`: the rest of the blob in another body, or the error when that has no prospect.
    async fn go_on(&mut self, error: RegistryError) -> Result<(), RegistryError> {
        let brought = self.body.take().map_or(0, |body| body.brought);
        self.continued += 1;
        self.fruitless = if brought >= PROGRESS { 0 } else { self.fruitless + 1 };
        self.stalls = match &error {
            RegistryError::Stalled { .. } if brought < PROGRESS => self.stalls + 1,
            _ => 0,
        };
        let client = self.repository.client.clone();
        let is_over =
            self.fruitless >= client.settings.attempts || self.continued >= CONTINUED_MAX || self.stalls >= STALLS_MAX;
        if is_over {
            return self.go_on_elsewhere(error).await;
        }
        tracing::debug!(host = self.host(), error = chain(&error), offset = self.offset, "blob is continued");
        if self.fruitless > 0 {
            tokio::time::sleep(client.patience.delay(self.fruitless).min(Duration::from_secs(10))).await;
        }
        let Some(endpoint) = self.endpoint() else { return Err(error) };
        match self.repository.open(endpoint, &self.descriptor, self.offset).await {
            Ok(body) => {
                self.body = body;
                Ok(())
            }
            Err(error) => self.go_on_elsewhere(error).await,
        }
    }

    /// The rest of the blob from the next host that serves it: its digest is the same everywhere.
    async fn go_on_elsewhere(&mut self, mut error: RegistryError) -> Result<(), RegistryError> {
        while self.endpoint + 1 < self.repository.hosts() {
            tracing::debug!(host = self.host(), error = chain(&error), offset = self.offset, "blob goes on elsewhere");
            (self.endpoint, self.fruitless, self.stalls) = (self.endpoint + 1, 0, 0);
            let Some(endpoint) = self.endpoint() else { break };
            match self.repository.open(endpoint, &self.descriptor, self.offset).await {
                Ok(body) => {
                    self.body = body;
                    return Ok(());
                }
                Err(next) => error = next,
            }
        }
        Err(error)
    }
}
