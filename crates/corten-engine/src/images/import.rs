//! `POST /images/create?fromSrc=-`.

use corten_docker_api::images::Progress;
use corten_images::{Change, ImportRequest, Platform};
use corten_proto::containerd::types::transfer::{CortenImport, ImageImportStream, ImageStore};
use hyper::body::Incoming;
use tokio::net::unix::pipe;

use super::body::{self, with_archive};
use super::handover::{self, Whole};
use super::tag;
use crate::containerd::abilities::Ability;
use crate::containerd::registry::described;
use crate::engine::Engine;
use crate::errors::{EngineError, Result};
use crate::http::Query;

/// What an image made of a file system is to be.
///
/// # Errors
/// 400 for a name, platform or change that cannot be used.
pub fn decode(query: &Query, owner: &str) -> Result<ImportRequest> {
    let name = match query.get("repo") {
        "" => None,
        repo => Some(tag::name(repo, query.get("tag"))?),
    };
    let invalid = |text: String| EngineError::invalid(text);
    let changes = query
        .all("changes")
        .map(|change| change.parse::<Change>().map_err(|error| invalid(error.to_string())))
        .collect::<Result<_>>()?;
    let platform = match query.get("platform") {
        "" => Platform::host(),
        text => text.parse().map_err(|error: corten_images::platform::InvalidPlatform| invalid(error.to_string()))?,
    };
    let message = match query.get("message") {
        "" => format!("Imported from {}", query.get("fromSrc")),
        message => message.to_owned(),
    };
    Ok(ImportRequest { name, message, changes, platform, owner: owner.to_owned() })
}

/// Makes an image of the file system in `body`; says its id.
///
/// # Errors
/// What is wrong with the archive; nothing of it stays then.
pub async fn import(engine: &Engine, request: &ImportRequest, mut body: Incoming) -> Result<Progress> {
    engine.containerd.linked().await?;
    let id = if engine.containerd.has(Ability::Imports) {
        let imported = import_there(engine, request, |pipe| handover::feed_body(&mut body, pipe)).await;
        // What is left of a refused archive is taken and thrown away.
        body::discard(body).await;
        imported?
    } else {
        let store = engine.catalog.store();
        with_archive(body, |archive| corten_images::import(store, request, archive)).await?.to_string()
    };
    announce(engine, request, &id);
    Ok(Progress { status: id, ..Progress::default() })
}

/// Has our supervisor make an image of the file system that `feed` writes into a pipe; its id.
pub(super) async fn import_there<F: Future<Output = Whole>>(
    engine: &Engine,
    request: &ImportRequest,
    feed: impl FnOnce(pipe::Sender) -> F,
) -> Result<String> {
    let wanted = CortenImport {
        changes: request.changes.iter().map(ToString::to_string).collect(),
        message: request.message.clone(),
        platform: Some(described(request.platform.clone())),
    };
    let source = ImageImportStream { corten_import: Some(wanted), ..ImageImportStream::default() };
    let name = request.name.as_ref().map(ToString::to_string).unwrap_or_default();
    let destination = ImageStore { name, ..ImageStore::default() };
    let mut id = String::new();
    handover::import(engine.containerd.client(), source, &destination, feed, |progress| {
        if progress.event == "saved" {
            id = progress.corten_id;
        }
    })
    .await?;
    Ok(id)
}

/// Tells who listens that an image was made.
pub(super) fn announce(engine: &Engine, request: &ImportRequest, id: &str) {
    let name = request.name.as_ref().map_or_else(|| id.to_owned(), |name| name.familiar());
    super::announce(engine, "import", id, &name);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_become_a_request() {
        let query = Query::decode(
            "fromSrc=-&repo=a/b&tag=c&changes=CMD%20sh&changes=ENV%20A%3D1&message=m&platform=linux%2Farm64",
        );
        let request = decode(&query, "me").unwrap();
        assert_eq!(request.name.unwrap().familiar(), "a/b:c");
        assert_eq!((request.changes.len(), request.message.as_str()), (2, "m"));
        assert_eq!(request.platform.architecture, "arm64");
        let request = decode(&Query::decode("fromSrc=-"), "me").unwrap();
        assert!(request.name.is_none());
        assert_eq!(request.message, "Imported from -");
    }

    #[test]
    fn what_cannot_be_used_is_refused_before_the_archive_is_read() {
        for query in ["repo=UPPER", "changes=RUN%20x", "platform=a/b/c/d"] {
            let status = decode(&Query::decode(query), "me").unwrap_err().kind().http_status();
            assert_eq!(status, 400, "{query}");
        }
    }
}
