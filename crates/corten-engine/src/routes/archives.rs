//! A container's files: `/containers/{id}/archive`, `changes` and `export`, and `/commit`.

use std::sync::Arc;

use corten_docker_api::containers::{Committed, ContainerConfig, PATH_STAT_HEADER, PathStat};
use corten_docker_api::json;
use corten_images::Change;
use hyper::StatusCode;

use crate::containers::archive::{self, PutOptions};
use crate::containers::commit::NewImage;
use crate::containers::{changes as changes_, commit as commit_, export as export_};
use crate::engine::Engine;
use crate::errors::{EngineError, Result};
use crate::http::{Answer, Request};
use crate::images::tag;

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

/// `GET /containers/{id}/changes`.
pub async fn changes(engine: Arc<Engine>, request: Request) -> Result<Answer> {
    Answer::json(&changes_::changes(&engine, request.param("id")).await?)
}

/// `GET /containers/{id}/export`.
pub async fn export(engine: Arc<Engine>, request: Request) -> Result<Answer> {
    let archive = export_::export(&engine, request.param("id")).await?;
    Ok(Answer::stream("application/octet-stream", Box::pin(archive.into_stream())))
}

/// `POST /commit`.
pub async fn commit(engine: Arc<Engine>, mut request: Request) -> Result<Answer> {
    let body = request.json_text().await?;
    let config: Option<ContainerConfig> = if body.is_empty() { None } else { json::decode(&body)? };
    let query = &request.query;
    let name = match (query.get("repo"), query.get("tag")) {
        ("", _) => None,
        (repo, tag) => Some(tag::name(repo, tag)?),
    };
    let changes = query.all("changes").map(|text| text.parse::<Change>());
    let changes = changes.collect::<std::result::Result<_, _>>();
    let new = NewImage {
        name,
        author: query.get("author").to_owned(),
        comment: query.get("comment").to_owned(),
        pause: query.flag_or("pause", true),
        changes: changes.map_err(|error| EngineError::invalid(error.to_string()))?,
        config,
    };
    let id = commit_::commit(&engine, query.get("container"), new).await?;
    Answer::json_with(StatusCode::CREATED, &Committed { id })
}

fn header(stat: &PathStat) -> Result<String> {
    stat.to_header().map_err(|error| EngineError::internal("write what the path is").caused_by(error))
}
