//! What a container says and uses: `attach`, `logs`, `stats`, `top`.

use std::sync::Arc;

use corten_docker_api::ApiVersion;

use crate::attach::framing;
use crate::containers::stats::Sampling;
use crate::containers::{attach, logs, stats, top};
use crate::engine::Engine;
use crate::errors::Result;
use crate::http::{Answer, Request};
use crate::logs::LogsQuery;

/// `POST /containers/{id}/attach`.
pub async fn attach(engine: Arc<Engine>, request: Request) -> Result<Answer> {
    attach::attach(engine, request).await
}

/// `GET /containers/{id}/logs`.
pub async fn logs(engine: Arc<Engine>, request: Request) -> Result<Answer> {
    let log = logs::logs(&engine, request.param("id"), &LogsQuery::decode(&request.query)?)?;
    let (_, content_type) = framing(request.version, log.has_terminal);
    Ok(Answer::stream(content_type, log.chunks))
}

/// `one-shot` is read from this version on.
const ONE_SHOT_SINCE: ApiVersion = ApiVersion::new(1, 41);

/// `GET /containers/{id}/stats`.
pub async fn stats(engine: Arc<Engine>, request: Request) -> Result<Answer> {
    let container = engine.containers.find(request.param("id"))?;
    let wants_one = request.version >= ONE_SHOT_SINCE && request.query.flag("one-shot");
    let sampling = match request.query.flag_or("stream", true) {
        true => Sampling::Stream,
        false if wants_one => Sampling::Once,
        false => Sampling::Twice,
    };
    match sampling {
        Sampling::Stream => Ok(Answer::stream("application/json", stats::follow(engine, container))),
        once => Answer::json(&stats::stats(&engine, &container, once).await?),
    }
}

/// `GET /containers/{id}/top`.
pub async fn top(engine: Arc<Engine>, request: Request) -> Result<Answer> {
    Answer::json(&top::top(&engine, request.param("id"), request.query.get("ps_args")).await?)
}
