//! `/containers`.

use std::sync::Arc;

use bytes::Bytes;
use corten_docker_api::containers::{ContainerCreate, HostConfig};
use corten_docker_api::{ApiVersion, Filters, json};
use corten_types::Signal;
use futures_util::stream;
use hyper::StatusCode;

use crate::containers::create::NewContainer;
use crate::containers::delete::Running;
use crate::containers::inspect::WithSize;
use crate::containers::list::ListQuery;
use crate::containers::stop::StopOptions;
use crate::containers::wait::Condition;
use crate::containers::{
    create as create_, delete as delete_, inspect as inspect_, kill as kill_, list as list_, pause as pause_,
    prune as prune_, rename as rename_, resize as resize_, restart as restart_, start as start_, stop as stop_,
    unpause as unpause_, update as update_, wait as wait_,
};
use crate::engine::Engine;
use crate::errors::{EngineError, Result};
use crate::http::{Answer, Query, Request};

/// A body of a start longer than this is the host configuration that clients sent before 1.24.
const START_BODY_LIMIT_BYTES: u64 = 7;

/// The first version that creates containers in several networks.
const SEVERAL_NETWORKS_SINCE: ApiVersion = ApiVersion::new(1, 44);

/// The priority of a network's gateway is read from this version on.
const GATEWAY_PRIORITY_SINCE: ApiVersion = ApiVersion::new(1, 48);

/// `POST /containers/create`.
pub async fn create(engine: Arc<Engine>, mut request: Request) -> Result<Answer> {
    let body = request.json_text().await?;
    if body.is_empty() {
        return Err(EngineError::invalid("invalid JSON: got EOF while reading request body"));
    }
    let name = Some(request.query.get("name").to_owned()).filter(|name| !name.is_empty());
    let platform = request.query.get("platform").to_owned();
    let mut body = ContainerCreate::decode(&body)?;
    adapt(&mut body, request.version)?;
    let new = NewContainer { name, platform, body };
    Answer::json_with(StatusCode::CREATED, &create_::create(&engine, new).await?)
}

/// What clients of older versions could not ask for.
fn adapt(body: &mut ContainerCreate, version: ApiVersion) -> Result<()> {
    let Some(places) = body.networking_config.as_mut().and_then(|config| config.endpoints_config.as_mut()) else {
        return Ok(());
    };
    if version < SEVERAL_NETWORKS_SINCE && places.len() > 1 {
        let names = places.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let text = format!("Container cannot be created with multiple network endpoints: {names}");
        return Err(EngineError::invalid(text));
    }
    if version < GATEWAY_PRIORITY_SINCE {
        places.values_mut().flatten().for_each(|place| place.gw_priority = 0);
    }
    Ok(())
}

/// `GET /containers/json`.
pub async fn list(engine: Arc<Engine>, request: Request) -> Result<Answer> {
    let limit = request.query.get("limit").parse::<usize>().ok().filter(|limit| *limit > 0);
    let filters = Filters::decode(request.query.get("filters"))?;
    let query = ListQuery { all: request.query.flag("all"), limit, filters, size: request.query.flag("size") };
    Answer::json(&list_::list(&engine, query).await?)
}

/// Since when the aliases of a container are those that were asked for, and no others.
const OWN_ALIASES_SINCE: ApiVersion = ApiVersion::new(1, 45);

/// `GET /containers/{id}/json`.
pub async fn inspect(engine: Arc<Engine>, request: Request) -> Result<Answer> {
    let size = if request.query.flag("size") { WithSize::Yes } else { WithSize::No };
    let mut shown = inspect_::inspect(&engine, request.param("id"), size).await?;
    if request.version < OWN_ALIASES_SINCE {
        inspect_::add_own_names(&mut shown);
    }
    Answer::json(&shown)
}

/// `POST /containers/{id}/start`.
pub async fn start(engine: Arc<Engine>, request: Request) -> Result<Answer> {
    if request.header("content-length").parse().is_ok_and(|length: u64| length > START_BODY_LIMIT_BYTES) {
        return Err(EngineError::invalid(
            "starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24",
        ));
    }
    refuse(&request.query, "checkpoint")?;
    start_::start(&engine, request.param("id")).await?;
    Ok(Answer::no_content())
}

/// `POST /containers/{id}/stop`.
pub async fn stop(engine: Arc<Engine>, request: Request) -> Result<Answer> {
    stop_::stop(&engine, request.param("id"), &stop_options(&request.query)?).await?;
    Ok(Answer::no_content())
}

/// `POST /containers/{id}/restart`.
pub async fn restart(engine: Arc<Engine>, request: Request) -> Result<Answer> {
    restart_::restart(&engine, request.param("id"), &stop_options(&request.query)?).await?;
    Ok(Answer::no_content())
}

/// `POST /containers/{id}/kill`.
pub async fn kill(engine: Arc<Engine>, request: Request) -> Result<Answer> {
    let refused = |error: EngineError| error.while_doing(format!("cannot kill container: {}", request.param("id")));
    let signal = signal(&request.query).map_err(refused)?.unwrap_or(Signal::KILL);
    kill_::kill(&engine, request.param("id"), signal).await?;
    Ok(Answer::no_content())
}

/// `POST /containers/{id}/pause`.
pub async fn pause(engine: Arc<Engine>, request: Request) -> Result<Answer> {
    pause_::pause(&engine, request.param("id")).await?;
    Ok(Answer::no_content())
}

/// `POST /containers/{id}/unpause`.
pub async fn unpause(engine: Arc<Engine>, request: Request) -> Result<Answer> {
    unpause_::unpause(&engine, request.param("id")).await?;
    Ok(Answer::no_content())
}

/// `POST /containers/{id}/rename`.
pub async fn rename(engine: Arc<Engine>, request: Request) -> Result<Answer> {
    rename_::rename(&engine, request.param("id"), request.query.get("name")).await?;
    Ok(Answer::no_content())
}

/// `POST /containers/{id}/resize`.
pub async fn resize(engine: Arc<Engine>, request: Request) -> Result<Answer> {
    let (height, width) = terminal_size(&request.query)?;
    resize_::resize(&engine, request.param("id"), height, width).await?;
    Ok(Answer::empty(StatusCode::OK))
}

/// `POST /containers/{id}/update`.
pub async fn update(engine: Arc<Engine>, mut request: Request) -> Result<Answer> {
    let change: HostConfig = request.json().await?;
    Answer::json(&update_::update(&engine, request.param("id"), change).await?)
}

/// `POST /containers/{id}/wait`: the header goes at once, so that the client knows it may start the
/// container; the body comes with the end.
pub async fn wait(engine: Arc<Engine>, request: Request) -> Result<Answer> {
    let condition = Condition::decode(request.query.get("condition"))?;
    let waiter = wait_::wait(&engine, request.param("id"), condition)?;
    let body = async { Ok(Bytes::from(json::encode(&waiter.outcome().await).map_err(std::io::Error::other)?)) };
    Ok(Answer::stream("application/json", Box::pin(stream::once(body))))
}

/// `DELETE /containers/{id}`.
pub async fn delete(engine: Arc<Engine>, request: Request) -> Result<Answer> {
    refuse(&request.query, "link")?;
    let running = if request.query.flag("force") { Running::Kill } else { Running::Refuse };
    delete_::delete(&engine, request.param("id"), running).await?;
    Ok(Answer::no_content())
}

/// `POST /containers/prune`.
pub async fn prune(engine: Arc<Engine>, request: Request) -> Result<Answer> {
    let filters = Filters::decode(request.query.get("filters"))?;
    Answer::json(&prune_::prune(&engine, &filters).await?)
}

/// Height and width of a terminal.
///
/// # Errors
/// 400 when one is no number.
pub(super) fn terminal_size(query: &Query) -> Result<(u32, u32)> {
    let number = |name: &str| {
        let text = query.get(name);
        text.parse().map_err(|_| EngineError::invalid(format!("invalid resize {name}: {text:?} is not a number")))
    };
    Ok((number("h")?, number("w")?))
}

fn stop_options(query: &Query) -> Result<StopOptions> {
    let text = query.get("t");
    let seconds = || text.parse().map_err(|_| EngineError::invalid(format!("invalid timeout {text:?}")));
    let timeout_seconds = if text.is_empty() { None } else { Some(seconds()?) };
    Ok(StopOptions { signal: signal(query)?, timeout_seconds })
}

fn signal(query: &Query) -> Result<Option<Signal>> {
    match query.get("signal") {
        "" => Ok(None),
        text => match text.parse() {
            Ok(signal) => Ok(Some(signal)),
            Err(_) => Err(EngineError::invalid(format!("invalid signal: {text}"))),
        },
    }
}

/// Refuses a parameter that is not built yet.
fn refuse(query: &Query, name: &str) -> Result<()> {
    match query.flag(name) {
        false => Ok(()),
        true => Err(EngineError::unimplemented(format!("{name}: not supported yet"))),
    }
}
