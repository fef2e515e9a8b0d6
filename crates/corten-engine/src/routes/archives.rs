//! `/containers/{id}/archive`.

use std::sync::Arc;

use corten_docker_api::containers::{PATH_STAT_HEADER, PathStat};
use hyper::StatusCode;

use crate::containers::archive::{self, PutOptions};
use crate::engine::Engine;
use crate::errors::{EngineError, Result};
use crate::http::{Answer, Request};

/// `HEAD /containers/{id}/archive`.
pub async fn stat(engine: Arc<Engine>, request: Request) -> Result<Answer> {
    let stat = archive::stat(&engine, request.param("id"), request.query.get("path")).await?;
    Ok(Answer::empty(StatusCode::OK).with_header(PATH_STAT_HEADER, &header(&stat)?))
}

/// `GET /containers/{id}/archive`.
pub async fn get(engine: Arc<Engine>, request: Request) -> Result<Answer> {
    let (stat, archive) = archive::get(&engine, request.param("id"), request.query.get("path")).await?;
    let header = header(&stat)?;
    Ok(Answer::stream("application/x-tar", Box::pin(archive.into_stream())).with_header(PATH_STAT_HEADER, &header))
}

/// `PUT /containers/{id}/archive`.
pub async fn put(engine: Arc<Engine>, request: Request) -> Result<Answer> {
    let options = PutOptions {
        replaces_directories: !request.query.flag("noOverwriteDirNonDir"),
        to_user: request.query.flag("copyUIDGID"),
    };
    let (id, path) = (request.param("id").to_owned(), request.query.get("path").to_owned());
    archive::put(&engine, &id, &path, options, request.into_body()).await?;
    Ok(Answer::empty(StatusCode::OK))
}

fn header(stat: &PathStat) -> Result<String> {
    stat.to_header().map_err(|error| EngineError::internal("write what the path is").caused_by(error))
}
