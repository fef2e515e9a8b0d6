//! The engine itself: `_ping`, `version`, `info`, `events`.

use std::sync::Arc;

use hyper::StatusCode;

use crate::engine::Engine;
use crate::errors::Result;
use crate::events::subscribe::{self, EventQuery};
use crate::http::{Answer, Request};
use crate::system;

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
pub async fn info(engine: Arc<Engine>, _: Request) -> Result<Answer> {
    Answer::json(&system::info::info(&engine).await?)
}

/// `GET /events`.
pub async fn events(engine: Arc<Engine>, request: Request) -> Result<Answer> {
    let query = EventQuery::decode(&request.query)?;
    Ok(Answer::stream("application/json", subscribe::subscribe(&engine, query)))
}
