//! Accepts connections and turns each request into one answer.

use std::convert::Infallible;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use corten_docker_api::errors::PAGE_NOT_FOUND;
use corten_docker_api::version::MAXIMUM;
use hyper::body::Incoming;
use hyper::header::{HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::UnixListener;
use tokio::sync::Semaphore;
use tracing::{debug, error, warn};

use super::answer::Body;
use super::{Answer, Request, gone, version};
use crate::engine::Engine;
use crate::errors::{EngineError, Result};
use crate::routes;

/// Most connections at a time; the next waits in the kernel's queue. A connection is a descriptor,
/// and attach, logs and events hold theirs open.
const MAX_CONNECTIONS: usize = 8192;

/// Most bytes of a request's head: `X-Registry-Config` can be long.
const HEAD_LIMIT_BYTES: usize = 64 * 1024;

/// Time a client has for a request's head, which on a kept connection includes the time between two
/// requests; dockerd's own.
const HEAD_TIMEOUT: Duration = Duration::from_secs(300);

/// What a full descriptor table needs before the next try.
const ACCEPT_BACK_OFF: Duration = Duration::from_millis(100);

/// Accepts connections for ever.
pub async fn serve(listener: UnixListener, engine: Arc<Engine>) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let engine = Arc::clone(&engine);
                tokio::spawn(async move {
                    connection(stream, engine).await;
                    drop(slot);
                });
            }
            Err(error) => {
                warn!(%error, "accept a connection");
                tokio::time::sleep(ACCEPT_BACK_OFF).await;
            }
        }
    }
}

async fn connection(stream: tokio::net::UnixStream, engine: Arc<Engine>) {
    // A second handle, to see the client leave while it is being answered.
    let socket = match stream.as_fd().try_clone_to_owned() {
        Ok(socket) => Arc::new(socket),
        Err(error) => return warn!(%error, "watch a connection"),
    };
    let service = service_fn(move |request| answer(Arc::clone(&engine), Arc::clone(&socket), request));
    let served = http1::Builder::new()
        // A client that has sent everything may shut its sending half: `docker exec -i` does.
        .half_close(true)
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_LIMIT_BYTES)
        .title_case_headers(true)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
    if let Err(error) = served {
        debug!(%error, "connection ended");
    }
}

async fn answer(
    engine: Arc<Engine>,
    socket: Arc<OwnedFd>,
    request: hyper::Request<Incoming>,
) -> std::result::Result<Response<Body>, Infallible> {
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let answer = match route(&engine, request).await {
        Ok(answer) => answer,
        Err(error) => {
            debug!(%method, path, error = error.message(), "refused");
            Answer::refused(&error)
        }
    };
    debug!(%method, path, status = answer.status().as_u16(), "answered");
    Ok(gone::end_with(socket, answer.into_response(&common_headers())))
}

async fn route(engine: &Arc<Engine>, mut request: hyper::Request<Incoming>) -> Result<Answer> {
    if request.uri().path().contains("//") {
        return Ok(redirect_to_clean_path(&request));
    }
    let upgrade = hyper::upgrade::on(&mut request);
    let path = request.uri().path().to_owned();
    let (api_version, path) = version::gate(&path)?;
    let Some((route, params)) = routes::find(request.method(), path) else {
        return Err(EngineError::not_found(PAGE_NOT_FOUND));
    };
    if route.is_about_containers() {
        engine.containerd.settled().await;
    }
    let request = Request::new(api_version, params, request, upgrade);
    // In a task of its own: a client that disconnects never cancels a change half way, and a defect
    // in one handler costs that answer only.
    let handled = tokio::spawn((route.handler)(Arc::clone(engine), request)).await;
    handled.unwrap_or_else(|defect| {
        error!(route = route.pattern, error = %defect, "a handler ended early");
        Err(EngineError::internal("the engine has a defect: this request ended it early; the log says where"))
    })
}

fn redirect_to_clean_path(request: &hyper::Request<Incoming>) -> Answer {
    let mut clean = String::with_capacity(request.uri().path().len());
    for character in request.uri().path().chars() {
        if !(character == '/' && clean.ends_with('/')) {
            clean.push(character);
        }
    }
    if let Some(query) = request.uri().query() {
        clean.push('?');
        clean.push_str(query);
    }
    Answer::empty(StatusCode::MOVED_PERMANENTLY).with_header("location", &clean)
}

/// The engine we stand in for.
const SERVER: &str = "Docker/28.5.2 (linux)";

/// What every answer carries; clients read the version before anything else. `Server` looks like
/// Docker because compose, act and Portainer print and parse it; `/version` says what we are.
fn common_headers() -> [(HeaderName, HeaderValue); 4] {
    static API: std::sync::LazyLock<HeaderValue> = std::sync::LazyLock::new(|| {
        HeaderValue::from_str(&MAXIMUM.to_string()).unwrap_or(HeaderValue::from_static("1.51"))
    });
    [
        (HeaderName::from_static("api-version"), API.clone()),
        (HeaderName::from_static("ostype"), HeaderValue::from_static("linux")),
        (HeaderName::from_static("docker-experimental"), HeaderValue::from_static("false")),
        (HeaderName::from_static("server"), HeaderValue::from_static(SERVER)),
    ]
}
