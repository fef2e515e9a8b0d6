//! `/containers/{id}/exec` and `/exec`.

use std::sync::Arc;

use corten_docker_api::ApiVersion;
use corten_docker_api::exec::{ExecCreate, ExecCreated, ExecStart};
use hyper::StatusCode;

use crate::engine::Engine;
use crate::errors::{EngineError, Result};
use crate::execs::{create, inspect, resize, start};
use crate::http::{Answer, Query, Request};

/// `ConsoleSize` is read from this version on.
const CONSOLE_SIZE_SINCE: ApiVersion = ApiVersion::new(1, 42);

/// `POST /containers/{id}/exec`.
pub async fn create(engine: Arc<Engine>, mut request: Request) -> Result<Answer> {
    let mut config: ExecCreate = request.json().await?;
    if request.version < CONSOLE_SIZE_SINCE {
        config.console_size = None;
    }
    let id = create::create(&engine, request.param("id"), config)?;
    Answer::json_with(StatusCode::CREATED, &ExecCreated { id })
}

/// `POST /exec/{id}/start`.
pub async fn start(engine: Arc<Engine>, mut request: Request) -> Result<Answer> {
    let options: ExecStart = request.json_or_default().await?;
    let exec = engine.execs.find(request.param("id"))?;
    start::start(engine, exec, options, request).await
}

/// `GET /exec/{id}/json`.
pub async fn inspect(engine: Arc<Engine>, request: Request) -> Result<Answer> {
    Answer::json(&inspect::inspect(&engine, request.param("id")).await?)
}

/// `POST /exec/{id}/resize`.
pub async fn resize(engine: Arc<Engine>, request: Request) -> Result<Answer> {
    let (height, width) = (cells(&request.query, "h", "height")?, cells(&request.query, "w", "width")?);
    resize::resize(&engine, request.param("id"), height, width).await?;
    Ok(Answer::empty(StatusCode::OK))
}

fn cells(query: &Query, name: &str, word: &str) -> Result<u32> {
    let text = query.get(name);
    text.parse().map_err(|_| EngineError::invalid(format!("invalid resize {word} {text:?}: it is no number")))
}
