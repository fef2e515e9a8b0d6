//! The engine itself: `_ping`, `version`, `info`, `events`.

use std::sync::Arc;

use corten_docker_api::ApiVersion;
use hyper::StatusCode;

use crate::engine::Engine;
use crate::errors::Result;
use crate::events::subscribe::{self, EventQuery};
use crate::http::{Answer, Request};
use crate::system;
use crate::system::disk_usage::Types;

/// The first version that asks for some kinds of objects only.
const TYPES_SINCE: ApiVersion = ApiVersion::new(1, 42);

/// `GET /_ping`.
pub async fn ping(_: Arc<Engine>, _: Request) -> Result<Answer> {
    Ok(ping_headers(Answer::bytes(StatusCode::OK, "text/plain; charset=utf-8", "OK")))
}

/// `HEAD /_ping`: clients negotiate the version on it.
pub async fn ping_head(_: Arc<Engine>, _: Request) -> Result<Answer> {
    Ok(ping_headers(Answer::bytes(StatusCode::OK, "text/plain; charset=utf-8", "")))
}

/// Builder-Version 1: the CLI then uses its own builder protocol only when it must.
fn ping_headers(answer: Answer) -> Answer {
    answer
        .with_header("builder-version", "1")
        .with_header("swarm", "inactive")
        .with_header("cache-control", "no-cache, no-store, must-revalidate")
        .with_header("pragma", "no-cache")
}

/// `GET /version`.
pub async fn version(engine: Arc<Engine>, _: Request) -> Result<Answer> {
    Answer::json(&system::version::version(&engine).await?)
}

/// `GET /info`.
pub async fn info(engine: Arc<Engine>, request: Request) -> Result<Answer> {
    Answer::json(&system::info::info(&engine, request.version).await?)
}

/// `GET /system/df`.
pub async fn disk_usage(engine: Arc<Engine>, request: Request) -> Result<Answer> {
    let types = if request.version >= TYPES_SINCE { request.query.all("type").collect() } else { Vec::new() };
    let types = Types::decode(types.into_iter())?;
    Answer::json(&system::disk_usage::disk_usage(&engine, types, request.version).await?)
}

/// `GET /events`.
pub async fn events(engine: Arc<Engine>, request: Request) -> Result<Answer> {
    let query = EventQuery::decode(&request.query)?;
    Ok(Answer::stream("application/json", subscribe::subscribe(&engine, query)))
}
