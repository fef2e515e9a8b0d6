//! `/volumes`: none yet.

use std::sync::Arc;

use corten_docker_api::volumes::VolumeList;

use crate::engine::Engine;
use crate::errors::{EngineError, Result};
use crate::http::{Answer, Request};

/// `GET /volumes`.
pub async fn list(_: Arc<Engine>, _: Request) -> Result<Answer> {
    Answer::json(&VolumeList { volumes: Some(Vec::new()), warnings: None })
}

/// `GET /volumes/{name}`.
pub async fn inspect(_: Arc<Engine>, request: Request) -> Result<Answer> {
    Err(EngineError::not_found(format!("get {}: no such volume", request.param("name"))))
}

/// `POST /volumes/create`.
pub async fn create(_: Arc<Engine>, _: Request) -> Result<Answer> {
    Err(EngineError::unimplemented("volumes: not supported yet"))
}

/// `POST /volumes/prune`.
pub async fn prune(_: Arc<Engine>, _: Request) -> Result<Answer> {
    Answer::json(&serde_json::json!({ "SpaceReclaimed": 0, "VolumesDeleted": null }))
}
