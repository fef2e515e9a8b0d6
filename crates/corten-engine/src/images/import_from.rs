//! `POST /images/create?fromSrc=URL`.

use std::sync::Arc;

use corten_docker_api::images::{Progress, ProgressDetail};
use corten_images::registry::{Anonymous, Download, Registry, RegistryError};
use corten_images::{ImportRequest, input};
use corten_types::ErrorKind;
use corten_types::error::chain;

use super::lines::{Job, Lines};
use super::phrases::bar;
use crate::engine::Engine;
use crate::errors::{EngineError, Result};

/// How much more has come when the bar is drawn anew.
const SHOWN_EVERY: u64 = 512 << 10;

/// The address a client means: without a scheme it is http.
///
/// # Errors
/// dockerd's sentence for another scheme than http and https.
pub fn address(source: &str) -> Result<String> {
    let Some((scheme, _)) = source.split_once("://") else { return Ok(format!("http://{source}")) };
    if matches!(scheme.to_ascii_lowercase().as_str(), "http" | "https") {
        return Ok(source.to_owned());
    }
    Err(EngineError::internal(format!("Get {source:?}: unsupported protocol scheme {scheme:?}")))
}

/// Makes an image of the file system that `url` names, while it comes.
pub fn import(engine: &Arc<Engine>, request: ImportRequest, url: String) -> Arc<Job> {
    let engine = engine.clone();
    Job::start(|lines| async move {
        engine.containerd.linked().await?;
        let registry = Registry::new(engine.registries.load().to_settings(), Arc::new(Anonymous))?;
        let download = registry.download(&url).await.map_err(|error| refusal(&url, &error))?;
        lines.status("", format!("Downloading from {url}"));
        let (sender, reader) = input::channel();
        let name = request.name.as_ref().map(|name| name.familiar());
        let own = engine.clone();
        // In a task of its own: when the last client leaves, the archive breaks off and nothing of it stays.
        let importing = tokio::spawn(async move { corten_images::import(own.catalog.store(), &request, reader).await });
        let fed = feed(download, sender, &lines).await;
        let imported = importing.await.map_err(|error| EngineError::internal("import an image").caused_by(error))?;
        // What broke off is the reason of what the import says.
        fed.map_err(|error| EngineError::internal(format!("{url}: {}", chain(&error))))?;
        let id = imported?;
        super::announce(&engine, "import", id.as_str(), &name.unwrap_or_else(|| id.to_string()));
        lines.status("", id.to_string());
        Ok(())
    })
}

/// Hands over what comes, and shows how far it is.
async fn feed(mut download: Download, sender: input::Sender, lines: &Lines) -> std::result::Result<(), RegistryError> {
    let total = download.size().unwrap_or(0);
    let (mut current, mut shown) = (0, 0);
    while let Some(data) = download.next().await? {
        current += data.len() as u64;
        if current == total || current - shown >= SHOWN_EVERY {
            shown = current;
            let [current, total] = [current, total].map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
            lines.show(Progress {
                status: "Importing".to_owned(),
                progress: bar(current, total),
                progress_detail: Some(ProgressDetail { current, total }),
                ..Progress::default()
            });
        }
        if sender.send(data).await.is_err() {
            // Whoever read has its own reason.
            return Ok(());
        }
    }
    sender.finish().await;
    Ok(())
}

/// dockerd's sentence and status for what an address did not give.
fn refusal(url: &str, error: &RegistryError) -> EngineError {
    let Some(status) = error.status() else {
        return EngineError::internal(format!("Get {url:?}: {}", chain(error)));
    };
    let kind = match status {
        400 => ErrorKind::InvalidArgument,
        401 => ErrorKind::Unauthenticated,
        403 => ErrorKind::PermissionDenied,
        404 => ErrorKind::NotFound,
        _ => ErrorKind::Internal,
    };
    let reason = hyper::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let text = error.docker_text().map_or_else(String::new, |text| format!(": {text}"));
    EngineError::new(kind, format!("failed to GET {url} with status {status} {}{text}", reason.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_scheme_is_http_and_others_are_refused() {
        assert_eq!(address("example.com/a.tar").unwrap(), "http://example.com/a.tar");
        assert_eq!(address("https://example.com/a.tar").unwrap(), "https://example.com/a.tar");
        let refused = address("ftp://example.com/a.tar").unwrap_err().message();
        assert_eq!(refused, "Get \"ftp://example.com/a.tar\": unsupported protocol scheme \"ftp\"");
    }
}
