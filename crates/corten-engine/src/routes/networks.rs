//! `/networks`.

use std::sync::Arc;

use corten_docker_api::networks::{NetworkConnect, NetworkCreate, NetworkDifference, NetworkDisconnect};
use corten_docker_api::{ApiVersion, Filters};
use hyper::StatusCode;

use crate::engine::Engine;
use crate::errors::{EngineError, Result};
use crate::http::{Answer, Request};
use crate::networks::disconnect::Gone;
use crate::networks::list::Members;
use crate::networks::options::parse_bool;
use crate::networks::restore::{self, Mend};
use crate::networks::{
    connect as connect_, create as create_, delete as delete_, disconnect as disconnect_, inspect as inspect_,
    list as list_, prune as prune_,
};

/// The first version whose lists leave the containers of networks out.
const SHORT_LIST_SINCE: ApiVersion = ApiVersion::new(1, 28);

/// `EnableIPv4` is read from this version on.
const ENABLE_IPV4_SINCE: ApiVersion = ApiVersion::new(1, 48);

/// `GET /networks`.
pub async fn list(engine: Arc<Engine>, request: Request) -> Result<Answer> {
    let filters = Filters::decode(request.query.get("filters"))?;
    let members = if request.version < SHORT_LIST_SINCE { Members::Listed } else { Members::LeftOut };
    Answer::json(&list_::list(&engine, &filters, members)?)
}

/// `GET /networks/{id}`.
pub async fn inspect(engine: Arc<Engine>, request: Request) -> Result<Answer> {
    // `verbose` adds what swarm's services have, which is nothing here; what is no truth value is refused all the same.
    let verbose = request.query.get("verbose");
    if !verbose.is_empty() && parse_bool(verbose).is_none() {
        let reason = format!("strconv.ParseBool: parsing {verbose:?}: invalid syntax");
        return Err(EngineError::invalid(format!("invalid value for verbose: {verbose}: {reason}")));
    }
    Answer::json(&inspect_::inspect(&engine, request.param("id"), request.query.get("scope"))?)
}

/// `POST /networks/create`.
pub async fn create(engine: Arc<Engine>, mut request: Request) -> Result<Answer> {
    let mut body: NetworkCreate = request.json().await?;
    if request.version < ENABLE_IPV4_SINCE {
        body.enable_ipv4 = None;
    }
    Answer::json_with(StatusCode::CREATED, &create_::create(&engine, body).await?)
}

/// `DELETE /networks/{id}`.
pub async fn delete(engine: Arc<Engine>, request: Request) -> Result<Answer> {
    delete_::delete(&engine, request.param("id")).await?;
    Ok(Answer::no_content())
}

/// `POST /networks/{id}/connect`.
pub async fn connect(engine: Arc<Engine>, mut request: Request) -> Result<Answer> {
    let body: NetworkConnect = request.json().await?;
    let asked = body.endpoint_config.unwrap_or_default();
    connect_::connect(&engine, request.param("id"), &body.container, asked).await?;
    Ok(Answer::empty(StatusCode::OK))
}

/// `POST /networks/{id}/disconnect`.
pub async fn disconnect(engine: Arc<Engine>, mut request: Request) -> Result<Answer> {
    let body: NetworkDisconnect = request.json().await?;
    let gone = if body.force { Gone::Disconnect } else { Gone::Refuse };
    disconnect_::disconnect(&engine, request.param("id"), &body.container, gone).await?;
    Ok(Answer::empty(StatusCode::OK))
}

/// `POST /networks/prune`.
pub async fn prune(engine: Arc<Engine>, request: Request) -> Result<Answer> {
    let filters = Filters::decode(request.query.get("filters"))?;
    Answer::json(&prune_::prune(&engine, &filters).await?)
}

/// `POST /corten/networks/check`: what is not as it should be; with `fix`, what was mended.
pub async fn check(engine: Arc<Engine>, request: Request) -> Result<Answer> {
    let mend = if request.query.flag("fix") { Mend::Yes } else { Mend::No };
    let found = restore::check(&engine, mend).await?;
    let shown = found.into_iter().map(|one| NetworkDifference { object: one.object, what: one.what });
    Answer::json(&shown.collect::<Vec<_>>())
}
