//! Writing: blobs that are there are not sent, those of another repository are mounted, the rest is sent at once or, to
//! registries that cannot take that, in chunks; manifests when all they point to is there (distribution-spec, "Push").

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use bytes::Bytes;
use corten_containerd_api::Descriptor;
use futures_util::Stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{CONTENT_RANGE, CONTENT_TYPE, LOCATION};
use hyper::{Method, Response, Uri};

use super::RegistryError;
use super::call::{Call, Payload, Source};
use super::client::resolve_location;
use super::error::Cause;
use super::hosts::{Endpoint, Operation};
use super::repository::{Repository, header};
use super::tokens::{escape, form};

/// Size of a chunk, unless the registry wants larger ones.
const CHUNK: u64 = 4 << 20;
/// Largest chunk that a registry may want.
const CHUNK_MAX: u64 = 1 << 30;
/// Repositories that a blob is tried to be mounted from, as docker bounds them.
const MOUNTS_MAX: usize = 4;

/// Bytes of a blob, from where to how many: asked again for each attempt.
pub type Pieces = Arc<dyn Fn(u64, u64) -> PieceStream + Send + Sync>;
/// See [`Pieces`].
pub type PieceStream = std::pin::Pin<Box<dyn Stream<Item = Result<Bytes, Cause>> + Send>>;

/// How a blob got to the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    /// It was there.
    Existed,
    /// From this repository of the same registry.
    Mounted(String),
    /// It was sent.
    Uploaded,
}

/// Where an upload goes on.
struct Session {
    location: Uri,
    /// Smallest chunk the registry takes.
    chunk_min: u64,
}

impl Repository {
    fn push_endpoint(&self) -> Result<&Endpoint, RegistryError> {
        let first = self.endpoints_for(Operation::Push, 0)?.into_iter().next();
        first.ok_or_else(|| self.nothing(None, Operation::Push))
    }

    fn push_scopes(&self) -> Vec<String> {
        vec![format!("repository:{}:pull,push", self.reference.path())]
    }

    /// Makes sure that the repository has a blob. `mounts` are repositories of the same registry that may have it.
    ///
    /// # Errors
    /// [`RegistryError`] after as many attempts as are configured.
    pub async fn push_blob(
        &self,
        blob: &Descriptor,
        mounts: &[String],
        pieces: &Pieces,
    ) -> Result<Sent, RegistryError> {
        let endpoint = self.push_endpoint()?;
        let attempts = self.client.settings.attempts;
        for attempt in 1.. {
            match self.try_push(endpoint, blob, mounts, pieces).await {
                Err(error) if attempt < attempts && may_pass(&error) => {
                    tracing::debug!(host = endpoint.host, error = %error, attempt, "upload begins anew");
                    tokio::time::sleep(self.client.patience.delay(attempt)).await;
                }
                result => return result,
            }
        }
        unreachable!("the last attempt returns")
    }

    async fn try_push(
        &self,
        endpoint: &Endpoint,
        blob: &Descriptor,
        mounts: &[String],
        pieces: &Pieces,
    ) -> Result<Sent, RegistryError> {
        if self.has_blob(endpoint, blob).await? {
            return Ok(Sent::Existed);
        }
        let mut session = None;
        for from in mounts.iter().filter(|from| *from != self.reference.path()).take(MOUNTS_MAX) {
            match self.mount(endpoint, blob, from).await? {
                Mounted::Yes => return Ok(Sent::Mounted(from.clone())),
                Mounted::Upload(begun) => session = Some(begun),
                Mounted::Refused => {}
            }
        }
        let session = match session {
            Some(session) => session,
            None => self.begin(endpoint, blob).await?,
        };
        let response = self.put_whole(endpoint, blob, &session, pieces).await?;
        if response.status().as_u16() == 413 {
            let session = self.begin(endpoint, blob).await?;
            self.put_chunks(endpoint, blob, session, pieces).await?;
        } else {
            self.client.expect_success(&endpoint.host, &upload(blob), response).await?;
        }
        Ok(Sent::Uploaded)
    }

    async fn has_blob(&self, endpoint: &Endpoint, blob: &Descriptor) -> Result<bool, RegistryError> {
        let what = format!("blob {}", blob.digest);
        let call = self.call(endpoint, Method::HEAD, &what, &format!("blobs/{}", blob.digest), "");
        let response = self.client.send(endpoint, &call.with_scopes(&self.push_scopes())).await?;
        // A refusal of HEAD has no body that says why: the upload will be refused with one. And storage that a registry
        // redirects to may not know HEAD: then the blob is sent again, which does no harm.
        Ok(response.status().is_success())
    }

    async fn mount(&self, endpoint: &Endpoint, blob: &Descriptor, from: &str) -> Result<Mounted, RegistryError> {
        let query = form(&[("mount", blob.digest.as_str()), ("from", from)]);
        let mut scopes = self.push_scopes();
        // Both in one token: the registry looks at one header only.
        scopes.push(format!("repository:{from}:pull"));
        let call = self.upload_call(endpoint, Method::POST, blob, &query).with_scopes(&scopes);
        let response = self.client.send(endpoint, &call).await?;
        match response.status().as_u16() {
            201 => Ok(Mounted::Yes),
            202 => self.session(endpoint, blob, &self.base(endpoint)?, &response).map(Mounted::Upload),
            // Who may not read there may well write here.
            _ => Ok(Mounted::Refused),
        }
    }

    fn upload_call(&self, endpoint: &Endpoint, method: Method, blob: &Descriptor, query: &str) -> Call {
        let call = self.call(endpoint, method, &upload(blob), "blobs/uploads/", query);
        Call { payload: Payload::Bytes(Bytes::new()), ..call.with_scopes(&self.push_scopes()) }
    }

    async fn begin(&self, endpoint: &Endpoint, blob: &Descriptor) -> Result<Session, RegistryError> {
        let call = self.upload_call(endpoint, Method::POST, blob, "");
        let response = self.client.send(endpoint, &call).await?;
        let response = self.client.expect_success(&endpoint.host, &upload(blob), response).await?;
        self.session(endpoint, blob, &self.base(endpoint)?, &response)
    }

    fn base(&self, endpoint: &Endpoint) -> Result<Uri, RegistryError> {
        let text = format!("{}{}/{}/blobs/uploads/", endpoint.root(), endpoint.path, self.reference.path());
        text.parse().map_err(|error| super::settings::refused(text.clone(), format!("{error}")))
    }

    /// Where `response` says that the upload goes on.
    fn session(
        &self,
        endpoint: &Endpoint,
        blob: &Descriptor,
        base: &Uri,
        response: &Response<Incoming>,
    ) -> Result<Session, RegistryError> {
        let protocol = |why: String| RegistryError::Protocol { host: endpoint.host.clone(), what: upload(blob), why };
        let location = header(response, LOCATION.as_str()).ok_or_else(|| protocol("no Location".to_owned()))?;
        let mut location = resolve_location(base, location).map_err(protocol)?;
        let is_own = location.authority().is_some_and(|own| own.as_str() == endpoint.host);
        if is_own && location.scheme_str() == Some("http") && !endpoint.is_plain() {
            // Behind a proxy for TLS, registries do not know how they were reached.
            let text = location.to_string().replacen("http://", "https://", 1);
            location = text.parse().map_err(|error| protocol(format!("{error}")))?;
        }
        if location.scheme_str() == Some("http") && !endpoint.is_plain() && !endpoint.is_insecure {
            return Err(protocol(format!("an upload that leaves TLS for {location}")));
        }
        let chunk_min = header(response, "oci-chunk-min-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        if chunk_min > CHUNK_MAX {
            return Err(protocol(format!("chunks of at least {chunk_min} bytes are wanted")));
        }
        Ok(Session { location, chunk_min })
    }

    async fn put_whole(
        &self,
        endpoint: &Endpoint,
        blob: &Descriptor,
        session: &Session,
        pieces: &Pieces,
    ) -> Result<Response<Incoming>, RegistryError> {
        let call = self.upload_call(endpoint, Method::PUT, blob, "").with_header(CONTENT_TYPE, OCTETS)?;
        let call = Call {
            url: Some(finished(&session.location, blob)),
            payload: Payload::Stream(source(pieces, 0, blob.size)),
            // A session that broke is not gone on with.
            repeats: false,
            ..call
        };
        self.client.send(endpoint, &call).await
    }

    async fn put_chunks(
        &self,
        endpoint: &Endpoint,
        blob: &Descriptor,
        mut session: Session,
        pieces: &Pieces,
    ) -> Result<(), RegistryError> {
        let size = CHUNK.max(session.chunk_min);
        let mut offset = 0;
        while offset < blob.size {
            let length = size.min(blob.size - offset);
            let range = format!("{offset}-{}", offset + length - 1);
            let call = self.upload_call(endpoint, Method::PATCH, blob, "");
            let call = call.with_header(CONTENT_TYPE, OCTETS)?.with_header(CONTENT_RANGE, &range)?;
            let call = Call {
                url: Some(session.location.to_string()),
                payload: Payload::Stream(source(pieces, offset, length)),
                repeats: false,
                ..call
            };
            let response = self.client.send(endpoint, &call).await?;
            let response = self.client.expect_success(&endpoint.host, &upload(blob), response).await?;
            session = self.session(endpoint, blob, &session.location, &response)?;
            offset += length;
        }
        let call = self.upload_call(endpoint, Method::PUT, blob, "");
        let call = Call { url: Some(finished(&session.location, blob)), repeats: false, ..call };
        let response = self.client.send(endpoint, &call).await?;
        self.client.expect_success(&endpoint.host, &upload(blob), response).await.map(drop)
    }

    /// Stores a manifest or index under `reference`, a tag or its digest.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub async fn push_manifest(
        &self,
        descriptor: &Descriptor,
        reference: &str,
        data: Bytes,
    ) -> Result<(), RegistryError> {
        let endpoint = self.push_endpoint()?;
        let what = format!("push manifest {reference}");
        let call = self.call(endpoint, Method::PUT, &what, &format!("manifests/{reference}"), "");
        let call = call.with_header(CONTENT_TYPE, &descriptor.media_type)?.with_scopes(&self.push_scopes());
        let call = Call { payload: Payload::Bytes(data), ..call };
        let response = self.client.send(endpoint, &call).await?;
        let response = self.client.expect_success(&endpoint.host, &what, response).await?;
        match header(&response, "docker-content-digest") {
            Some(other) if other != descriptor.digest.as_str() => Err(RegistryError::Digest {
                host: endpoint.host.clone(),
                what,
                actual: other.to_owned(),
                expected: descriptor.digest.clone(),
                size: descriptor.size,
            }),
            _ => Ok(()),
        }
    }
}

const OCTETS: &str = "application/octet-stream";

enum Mounted {
    Yes,
    Upload(Session),
    Refused,
}

fn upload(blob: &Descriptor) -> String {
    format!("upload of blob {}", blob.digest)
}

/// The address that ends an upload: the session's, whatever it holds, and the digest.
fn finished(location: &Uri, blob: &Descriptor) -> String {
    let mark = if location.query().is_some() { '&' } else { '?' };
    format!("{location}{mark}digest={}", escape(blob.digest.as_str()))
}

fn source(pieces: &Pieces, offset: u64, length: u64) -> Source {
    let taken = Arc::new(AtomicU64::new(0));
    let (pieces, counted) = (pieces.clone(), taken.clone());
    let make = move || {
        use futures_util::StreamExt;
        let counted = counted.clone();
        let frames = pieces(offset, length).map(move |piece| {
            piece.map(|data| {
                counted.fetch_add(data.len() as u64, std::sync::atomic::Ordering::Relaxed);
                Frame::data(data)
            })
        });
        StreamBody::new(frames).boxed_unsync()
    };
    Source { make: Arc::new(make), length, taken }
}

/// Whether the same upload may succeed when it begins anew.
fn may_pass(error: &RegistryError) -> bool {
    match error {
        RegistryError::Broken { .. } | RegistryError::Stalled { .. } => true,
        // What answers HEAD with 404 still says 404 to a session that it forgot.
        RegistryError::Status { status, code, .. } => {
            matches!(status, 408 | 416 | 429 | 500 | 502 | 503 | 504) || code.as_deref() == Some("BLOB_UPLOAD_UNKNOWN")
        }
        _ => false,
    }
}
