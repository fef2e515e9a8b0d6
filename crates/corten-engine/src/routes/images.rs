//! `/images`.

use std::sync::Arc;

use corten_docker_api::images::Progress;
use corten_docker_api::{ApiVersion, Filters};
use corten_images::Platform;
use hyper::StatusCode;
use serde::Deserialize;

use crate::engine::Engine;
use crate::errors::{EngineError, Result};
use crate::http::{Answer, Query, Request};
use crate::images::{
    body, delete, history, import, import_from, inspect, lines, list, load, prune, pull, push, save, tag,
};

/// `platform` of a push is read from this version on.
const PUSH_PLATFORM_SINCE: ApiVersion = ApiVersion::new(1, 46);

/// From this version on a name is only asked for by a filter.
const FILTERS_ONLY_SINCE: ApiVersion = ApiVersion::new(1, 41);
/// The first version with `shared-size`.
const SHARED_SIZE_SINCE: ApiVersion = ApiVersion::new(1, 42);
/// The first version that lists manifests.
const MANIFESTS_SINCE: ApiVersion = ApiVersion::new(1, 47);
/// The first version that shows an image's manifests, and a platform's history.
const INSPECT_MANIFESTS_SINCE: ApiVersion = ApiVersion::new(1, 48);
/// `platforms` of a removal is read from this version on.
const DELETE_PLATFORMS_SINCE: ApiVersion = ApiVersion::new(1, 50);

/// The first version that shows one platform of an image.
const INSPECT_PLATFORM_SINCE: ApiVersion = ApiVersion::new(1, 49);

/// `GET /images/json`.
pub async fn list(engine: Arc<Engine>, request: Request) -> Result<Answer> {
    let mut filters = Filters::decode(request.query.get("filters"))?;
    // Below 1.41 a name was a parameter of its own.
    if request.version < FILTERS_ONLY_SINCE && !request.query.get("filter").is_empty() {
        filters.add("reference", request.query.get("filter"));
    }
    let (query, version) = (&request.query, request.version);
    let extras = list::Extras {
        shared_size: version >= SHARED_SIZE_SINCE && query.flag("shared-size"),
        manifests: version >= MANIFESTS_SINCE && query.flag("manifests"),
    };
    Answer::json(&list::list(&engine, &filters, extras, version).await?)
}

/// `GET /images/{name}/json`.
pub async fn inspect(engine: Arc<Engine>, request: Request) -> Result<Answer> {
    let (query, version) = (&request.query, request.version);
    let extras = inspect::Extras {
        manifests: version >= INSPECT_MANIFESTS_SINCE && query.flag("manifests"),
        platform: if version >= INSPECT_PLATFORM_SINCE { one_platform(query)? } else { None },
        container: is_compose_1(&request),
    };
    Answer::json(&inspect::inspect(&engine, request.param("name"), extras, version).await?)
}

/// docker-compose 1 speaks the newest version and reads `ContainerConfig` all the same, whenever it makes a container anew:
/// without it `up` ends in a Python traceback, as it does with dockerd 28.
fn is_compose_1(request: &Request) -> bool {
    let agent = request.headers.get(hyper::header::USER_AGENT);
    agent.is_some_and(|agent| agent.as_bytes().starts_with(b"docker-compose/1."))
}

/// `GET /images/{name}/history`.
pub async fn history(engine: Arc<Engine>, request: Request) -> Result<Answer> {
    let has_platform = request.version >= INSPECT_MANIFESTS_SINCE;
    let platform = if has_platform { one_platform(&request.query)? } else { None };
    Answer::json(&history::history(&engine, request.param("name"), platform.as_ref()).await?)
}

/// `POST /images/{name}/tag`.
pub async fn tag(engine: Arc<Engine>, request: Request) -> Result<Answer> {
    tag::tag(&engine, request.param("name"), request.query.get("repo"), request.query.get("tag")).await?;
    Ok(Answer::empty(StatusCode::CREATED))
}

/// `DELETE /images/{name}`.
pub async fn delete(engine: Arc<Engine>, request: Request) -> Result<Answer> {
    let force = if request.query.flag("force") { delete::Force::Yes } else { delete::Force::No };
    let mut platforms = request.query.all("platforms").filter(|text| !text.is_empty());
    if let Some(json) = platforms.next().filter(|_| request.version >= DELETE_PLATFORMS_SINCE) {
        if platforms.next().is_some() {
            return Err(EngineError::invalid("multiple platforms are not supported"));
        }
        let platform = platform(json)?;
        return Answer::json(&delete::delete_platform(&engine, request.param("name"), &platform, force).await?);
    }
    Answer::json(&delete::delete(&engine, request.param("name"), force).await?)
}

/// `POST /images/prune`.
pub async fn prune(engine: Arc<Engine>, request: Request) -> Result<Answer> {
    let filters = Filters::decode(request.query.get("filters"))?;
    Answer::json(&prune::prune(&engine, &filters).await?)
}

/// `POST /images/load`.
pub async fn load(engine: Arc<Engine>, request: Request) -> Result<Answer> {
    let platform = match one_platform(&request.query) {
        Ok(platform) => platform,
        Err(error) => return refuse(error, request).await,
    };
    progress(&load::load(&engine, request.into_body(), platform).await?)
}

/// `GET /images/{name}/get`.
pub async fn save(engine: Arc<Engine>, request: Request) -> Result<Answer> {
    let (names, platform) = (vec![request.param("name").to_owned()], one_platform(&request.query)?);
    Ok(Answer::stream("application/x-tar", save::save(&engine, names, platform).await?))
}

/// `GET /images/get`.
pub async fn save_several(engine: Arc<Engine>, request: Request) -> Result<Answer> {
    let names = request.query.all("names").filter(|name| !name.is_empty()).map(str::to_owned).collect();
    let platform = one_platform(&request.query)?;
    Ok(Answer::stream("application/x-tar", save::save(&engine, names, platform).await?))
}

/// `POST /images/{name}/push`.
pub async fn push(engine: Arc<Engine>, request: Request) -> Result<Answer> {
    let query = &request.query;
    // Clients of older versions sent a platform that never counted.
    let platform = if request.version >= PUSH_PLATFORM_SINCE { one_platform(query)? } else { None };
    let wanted = push::decode(request.param("name"), query.get("tag"), platform, request.header("x-registry-auth"))?;
    push::push(&engine, wanted).answer().await
}

/// `POST /images/create`: pulls, or imports the body.
pub async fn create(engine: Arc<Engine>, request: Request) -> Result<Answer> {
    match request.query.get("fromSrc") {
        "" => {
            let wanted = pull::decode(&request.query, request.header("x-registry-auth"))?;
            pull::pull(&engine, wanted).answer().await
        }
        "-" => match import::decode(&request.query, &engine.id) {
            Ok(wanted) => progress(&[import::import(&engine, &wanted, request.into_body()).await?]),
            Err(error) => refuse(error, request).await,
        },
        source => {
            let (wanted, url) = (import::decode(&request.query, &engine.id)?, import_from::address(source)?);
            import_from::import(&engine, wanted, url).answer().await
        }
    }
}

/// Refuses a request once its archive is out of the way: a client that is still writing would see a
/// broken pipe instead of the reason.
async fn refuse(error: EngineError, request: Request) -> Result<Answer> {
    body::discard(request.into_body()).await;
    Err(error)
}

fn progress(shown: &[Progress]) -> Result<Answer> {
    Ok(Answer::bytes(StatusCode::OK, "application/json", lines::encode(shown)))
}

/// A platform as JSON, as `load` and `save` get it since 1.48.
#[derive(Default, Deserialize)]
#[serde(default)]
struct PlatformJson {
    os: String,
    architecture: String,
    variant: String,
}

fn platform(json: &str) -> Result<Platform> {
    let platform: PlatformJson = serde_json::from_str(json)
        .map_err(|error| EngineError::invalid("invalid parameter 'platform'").caused_by(error))?;
    Ok(Platform::new(&platform.os, &platform.architecture, &platform.variant))
}

fn one_platform(query: &Query) -> Result<Option<Platform>> {
    let mut given = query.all("platform").filter(|text| !text.is_empty());
    let (Some(text), rest) = (given.next(), given.next()) else { return Ok(None) };
    if rest.is_some() {
        // dockerd 28's sentence, up to its API 1.51.
        return Err(EngineError::invalid("multiple platform parameters not supported"));
    }
    platform(text).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platform_is_json() {
        let read = |text: &str| one_platform(&Query::decode(text));
        assert_eq!(read("quiet=1").unwrap(), None);
        assert_eq!(
            read("platform=%7B%22os%22%3A%22linux%22%2C%22architecture%22%3A%22arm64%22%7D")
                .unwrap()
                .unwrap()
                .architecture,
            "arm64"
        );
        assert!(read("platform=linux").is_err());
    }
}
