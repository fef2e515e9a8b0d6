//! What is not there at all: swarm and plugins. Their answers let clients go on.

use std::sync::Arc;

use corten_docker_api::errors::{NOT_A_SWARM_MANAGER, NOT_IN_A_SWARM};
use corten_types::ErrorKind;

use crate::engine::Engine;
use crate::errors::{EngineError, Result};
use crate::http::{Answer, Request};

/// Any read of swarm: 503, after which compose, Portainer and Traefik go on.
pub async fn unavailable(_: Arc<Engine>, _: Request) -> Result<Answer> {
    Err(EngineError::new(ErrorKind::Unavailable, NOT_A_SWARM_MANAGER))
}

/// `POST /swarm/leave`.
pub async fn leave(_: Arc<Engine>, _: Request) -> Result<Answer> {
    Err(EngineError::new(ErrorKind::Unavailable, NOT_IN_A_SWARM))
}

/// `POST /swarm/init` and `join`.
pub async fn not_supported(_: Arc<Engine>, _: Request) -> Result<Answer> {
    Err(EngineError::unimplemented("swarm mode is not supported"))
}

/// `GET /plugins`: none.
pub async fn plugins(_: Arc<Engine>, _: Request) -> Result<Answer> {
    Answer::json(&[(); 0])
}

/// `GET /plugins/{name}/json`.
pub async fn plugin(_: Arc<Engine>, request: Request) -> Result<Answer> {
    Err(EngineError::not_found(format!("plugin \"{}\" not found", request.param("name"))))
}
