//! From a request to an answer (distribution-spec 1.1), with the planted faults in between.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::{Request, Response, StatusCode};
use serde_json::json;

use super::faults::{self, Effect};
use super::log::Logged;
use super::{Shared, tokens, uploads};

/// How much of a body is handed over at once: what is logged as served is close to what the client saw.
const PIECE: usize = 16 << 10;

/// How long a body that is to be cut has to reach the client: more bytes come so, none are promised.
const FLUSH: Duration = Duration::from_millis(50);

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// An answer before the faults.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Bytes,
}

impl Reply {
    pub(super) fn new(status: u16) -> Reply {
        Reply { status, headers: Vec::new(), body: Bytes::new() }
    }

    pub(super) fn error(status: u16, code: &str, message: &str) -> Reply {
        Reply::json(status, &json!({"errors": [{"code": code, "message": message}]}))
    }

    fn json(status: u16, value: &serde_json::Value) -> Reply {
        let reply = Reply { body: value.to_string().into(), ..Reply::new(status) };
        reply.with("content-type", "application/json")
    }

    pub(super) fn with(mut self, name: &str, value: impl Into<String>) -> Reply {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

/// Serves one request.
pub(super) async fn serve(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let (logged, number) = log(&shared, &request);
    let effects = {
        let mut faults = shared.faults.lock().expect("no request panics");
        faults::effects(&mut faults, &logged)
    };
    let planted = effects.iter().find_map(|effect| match effect {
        Effect::Status(status, headers, body) => {
            let headers = headers.clone().into_iter().collect();
            Some(Reply { status: *status, headers, body: body.clone().into() })
        }
        Effect::Redirect(to) => Some(Reply::new(307).with("location", format!("{to}{}", logged.path))),
        _ => None,
    });
    let reply = match planted {
        Some(reply) => reply,
        None => answer(&shared, &logged, request.into_body(), number, &effects).await,
    };
    let response = respond(&shared, &logged, number, reply, &effects);
    let mut log = shared.log.lock().expect("no request panics");
    if let Some(entry) = log.get_mut(number) {
        entry.status = response.status().as_u16();
    }
    drop(log);
    Ok(response)
}

fn log(shared: &Shared, request: &Request<Incoming>) -> (Logged, usize) {
    let header =
        |name: &str| request.headers().get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let all = request.headers().iter();
    let logged = Logged {
        method: request.method().to_string(),
        path: request.uri().path().to_owned(),
        query: request.uri().query().unwrap_or_default().to_owned(),
        authorization: header("authorization"),
        range: header("range"),
        content_range: header("content-range"),
        content_length: header("content-length").and_then(|text| text.parse().ok()),
        accept: header("accept"),
        headers: all.map(|(n, v)| (n.to_string(), String::from_utf8_lossy(v.as_bytes()).into_owned())).collect(),
        at: Instant::now(),
        status: 0,
        served: 0,
        taken: 0,
    };
    let mut log = shared.log.lock().expect("no request panics");
    log.push(logged.clone());
    (logged, log.len() - 1)
}

async fn answer(shared: &Arc<Shared>, request: &Logged, body: Incoming, number: usize, effects: &[Effect]) -> Reply {
    if request.path == "/token" {
        let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let mut issued = shared.tokens.lock().expect("no request panics");
        let (status, value) = tokens::give(&shared.access, &mut issued, request, &body);
        return Reply::json(status, &value);
    }
    let admitted = {
        let issued = shared.tokens.lock().expect("no request panics");
        tokens::admit(&shared.access, &issued, &shared.url(), request)
    };
    if let Err(challenge) = admitted {
        return Reply::error(401, "UNAUTHORIZED", "authentication required").with("www-authenticate", challenge);
    }
    let rest = request.path.strip_prefix("/v2/").unwrap_or("?").to_owned();
    let split = |part: &str| rest.split_once(part).map(|(name, rest)| (name.to_owned(), rest.to_owned()));
    if rest.is_empty() {
        return Reply::json(200, &json!({})).with("docker-distribution-api-version", "registry/2.0");
    }
    if rest == "_catalog" {
        let storage = shared.storage.lock().expect("no request panics");
        let names: Vec<String> = storage.repositories().into_iter().cloned().collect();
        return page(request, "repositories", None, &names);
    }
    if let Some((name, _)) = split("/tags/list") {
        let storage = shared.storage.lock().expect("no request panics");
        let tags: Vec<String> = storage.tags.keys().filter(|(of, _)| *of == name).map(|(_, tag)| tag.clone()).collect();
        return page(request, "tags", Some(&name), &tags);
    }
    if let Some((name, rest)) = split("/blobs/uploads/") {
        return uploads::serve(shared, request, &name, &rest, body, number).await;
    }
    if let Some((name, digest)) = split("/blobs/") {
        let storage = shared.storage.lock().expect("no request panics");
        return match storage.blob(&name, &digest) {
            Some(blob) => ranged(request, blob.clone(), &digest, effects),
            None => Reply::error(404, "BLOB_UNKNOWN", "blob unknown to registry"),
        };
    }
    match split("/manifests/") {
        Some((name, reference)) if request.method == "PUT" => {
            uploads::put_manifest(shared, request, &name, &reference, body).await
        }
        Some((name, reference)) => manifest(shared, &name, &reference),
        None => Reply::error(404, "NOT_FOUND", "no such page"),
    }
}

fn manifest(shared: &Shared, name: &str, reference: &str) -> Reply {
    let storage = shared.storage.lock().expect("no request panics");
    let Some(manifest) = storage.manifest(name, reference) else {
        return if storage.repositories().contains(&name.to_owned()) {
            Reply::error(404, "MANIFEST_UNKNOWN", "manifest unknown")
        } else {
            Reply::error(404, "NAME_UNKNOWN", "repository name not known to registry")
        };
    };
    let reply = Reply { body: manifest.data.clone(), ..Reply::new(200) };
    reply.with("content-type", &manifest.media_type).with("docker-content-digest", manifest.digest())
}

/// A blob, or the end of it that `Range` asks for.
fn ranged(request: &Logged, blob: Bytes, digest: &str, effects: &[Effect]) -> Reply {
    let start = request.range.as_ref().filter(|_| !effects.iter().any(|effect| matches!(effect, Effect::NoRange)));
    let start = start.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    let reply = match start {
        None => Reply { body: blob, ..Reply::new(200) },
        Some(start) if start >= blob.len() => return Reply::error(416, "RANGE_INVALID", "no such range"),
        Some(start) => {
            let range = format!("bytes {start}-{}/{}", blob.len() - 1, blob.len());
            Reply { body: blob.slice(start..), ..Reply::new(206) }.with("content-range", range)
        }
    };
    reply.with("content-type", "application/octet-stream").with("docker-content-digest", digest)
}

/// A page of names, with a link to the next one.
fn page(request: &Logged, field: &str, name: Option<&str>, all: &[String]) -> Reply {
    let parameters = tokens::parameters(&request.query);
    let value = |name: &str| parameters.iter().find(|(field, _)| field == name).map(|(_, value)| value.clone());
    let count = value("n").and_then(|text| text.parse().ok()).unwrap_or(100);
    let last = value("last").unwrap_or_default();
    let names: Vec<&String> = all.iter().filter(|name| **name > last).take(count).collect();
    let mut reply = Reply::json(200, &json!({"name": name, field: names}));
    if let Some(end) = names.last().filter(|end| all.last() != Some(**end)) {
        reply = reply.with("link", format!("<{}?n={count}&last={end}>; rel=\"next\"", request.path));
    }
    reply
}

fn respond(
    shared: &Arc<Shared>,
    request: &Logged,
    number: usize,
    mut reply: Reply,
    effects: &[Effect],
) -> Response<Body> {
    let mut length = reply.body.len() as u64;
    let (mut cut, mut hold, mut slow) = (None, None, false);
    for effect in effects {
        match effect {
            Effect::Cut(count) => cut = Some(*count),
            Effect::Hold(count) => hold = Some(*count),
            Effect::Slow => slow = true,
            Effect::WrongBytes => reply.body = reply.body.iter().map(|byte| byte ^ 1).collect(),
            Effect::WrongSize(by) => {
                let mut data = reply.body.to_vec();
                data.resize((data.len() as i64 + by).max(0) as usize, b'x');
                reply.body = data.into();
                length = reply.body.len() as u64;
            }
            Effect::Body(data, media_type) => {
                reply.body = data.clone().into();
                length = reply.body.len() as u64;
                reply.headers.retain(|(name, _)| name != "docker-content-digest");
                if let Some(media_type) = media_type {
                    reply.headers.retain(|(name, _)| name != "content-type");
                    reply = reply.with("content-type", media_type);
                }
            }
            Effect::WithoutHeader(name) => reply.headers.retain(|(own, _)| own != name),
            Effect::Status(..) | Effect::Redirect(_) | Effect::NoRange => {}
        }
    }
    let mut builder = Response::builder().status(StatusCode::from_u16(reply.status).expect("the tests know codes"));
    for (name, value) in &reply.headers {
        builder = builder.header(name, value);
    }
    let has_no_body = request.method == "HEAD" || matches!(reply.status, 204 | 304);
    builder = builder.header("content-length", length);
    let data = if has_no_body { Bytes::new() } else { reply.body };
    let pieces = Pieces { shared: shared.clone(), number, data, sent: 0, cut, hold, slow };
    builder.body(StreamBody::new(stream::unfold(pieces, Pieces::next)).boxed_unsync()).expect("the headers are text")
}

/// A body on its way.
struct Pieces {
    shared: Arc<Shared>,
    number: usize,
    data: Bytes,
    sent: u64,
    cut: Option<u64>,
    hold: Option<u64>,
    slow: bool,
}

impl Pieces {
    async fn next(mut self) -> Option<(Result<Frame<Bytes>, io::Error>, Pieces)> {
        if self.data.is_empty() {
            return None;
        }
        let mut most = PIECE as u64;
        if let Some(cut) = self.cut {
            if self.sent >= cut {
                // What hyper still holds goes down with the connection, so it gets time to send it.
                tokio::time::sleep(FLUSH).await;
                self.data = Bytes::new();
                return Some((Err(io::Error::other("cut as planted")), self));
            }
            most = most.min(cut - self.sent);
        }
        if let Some(hold) = self.hold {
            if self.sent >= hold {
                let mut released = self.shared.released.subscribe();
                // The sender lives as long as the registry.
                let _ = released.wait_for(|released| *released).await;
                self.hold = None;
            } else {
                most = most.min(hold - self.sent);
            }
        }
        if self.slow {
            most = 1;
            if self.sent > 0 {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
        let piece = self.data.split_to(self.data.len().min(most as usize));
        self.sent += piece.len() as u64;
        if let Some(entry) = self.shared.log.lock().expect("no request panics").get_mut(self.number) {
            entry.served += piece.len() as u64;
        }
        Some((Ok(Frame::data(piece)), self))
    }
}
