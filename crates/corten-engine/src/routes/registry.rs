//! Registries: `auth`, `images/search`, `distribution`.

use std::sync::Arc;

use corten_docker_api::Filters;

use crate::engine::Engine;
use crate::errors::{EngineError, Result};
use crate::http::{Answer, Request};
use crate::registry::asked;
use crate::registry::credentials::Credentials;

/// `POST /auth`.
pub async fn auth(engine: Arc<Engine>, mut request: Request) -> Result<Answer> {
    let credentials: Credentials = request.json().await?;
    Answer::json(&asked::login(&engine, &credentials).await?)
}

/// `GET /images/search`.
pub async fn search(engine: Arc<Engine>, request: Request) -> Result<Answer> {
    let (query, credentials) = (&request.query, Credentials::decode(request.header("x-registry-auth")));
    let filters = Filters::decode(query.get("filters"))?;
    Answer::json(&asked::search(&engine, query.get("term"), query.get("limit"), &filters, &credentials).await?)
}

/// `GET /distribution/{name}/json`.
pub async fn distribution(engine: Arc<Engine>, request: Request) -> Result<Answer> {
    let name = request.param("name");
    let is_id = |text: &str| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_id(name.strip_prefix("sha256:").unwrap_or(name)) {
        return Err(EngineError::internal("no manifest found for full image ID"));
    }
    let credentials = Credentials::decode(request.header("x-registry-auth"));
    Answer::json(&asked::distribution(&engine, name, &credentials).await?)
}
