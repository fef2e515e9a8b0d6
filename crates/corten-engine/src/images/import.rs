//! `POST /images/create?fromSrc=-`.

use corten_docker_api::images::Progress;
use corten_images::{Change, ImportRequest, Platform};
use hyper::body::Incoming;

use super::body::with_archive;
use super::tag;
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
pub async fn import(engine: &Engine, request: &ImportRequest, body: Incoming) -> Result<Progress> {
    engine.containerd.linked().await?;
    let store = engine.catalog.store();
    let id = with_archive(body, |archive| corten_images::import(store, request, archive)).await?;
    let name = request.name.as_ref().map_or_else(|| id.to_string(), |name| name.familiar());
    super::announce(engine, "import", id.as_str(), &name);
    Ok(Progress { status: id.to_string(), ..Progress::default() })
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
