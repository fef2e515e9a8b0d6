//! `/networks`: the three that every engine has.

use std::sync::Arc;

use corten_docker_api::Filters;

use crate::engine::Engine;
use crate::errors::{EngineError, Result};
use crate::http::{Answer, Request};
use crate::networks;

/// `GET /networks`.
pub async fn list(engine: Arc<Engine>, request: Request) -> Result<Answer> {
    let filters = Filters::decode(request.query.get("filters"))?;
    Answer::json(&networks::list(&engine, &filters)?)
}

/// `GET /networks/{id}`.
pub async fn inspect(engine: Arc<Engine>, request: Request) -> Result<Answer> {
    Answer::json(&networks::inspect(&engine, request.param("id"))?)
}

/// `POST /networks/create`.
pub async fn create(_: Arc<Engine>, _: Request) -> Result<Answer> {
    Err(EngineError::unimplemented("networks of one's own: not supported yet"))
}

/// `POST /networks/prune`.
pub async fn prune(_: Arc<Engine>, _: Request) -> Result<Answer> {
    Answer::json(&serde_json::json!({ "NetworksDeleted": null }))
}
