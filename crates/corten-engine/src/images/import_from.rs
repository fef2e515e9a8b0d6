//! `POST /images/create?fromSrc=URL`.

use std::sync::Arc;

use bytes::Bytes;
use corten_docker_api::images::{Progress, ProgressDetail};
use corten_images::registry::{Anonymous, Download, Registry, RegistryError};
use corten_images::{ImportRequest, input};
use corten_types::ErrorKind;
use corten_types::error::chain;
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe;

use super::handover::Whole;
use super::import;
use super::lines::{Job, Lines};
use super::phrases::bar;
use crate::containerd::abilities::Ability;
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
        let id = match engine.containerd.has(Ability::Imports) {
            true => import_there(&engine, &request, &url, download, &lines).await?,
            false => import_here(&engine, &request, &url, download, &lines).await?,
        };
        import::announce(&engine, &request, &id);
        lines.status("", id);
        Ok(())
    })
}

async fn import_there(
    engine: &Engine,
    request: &ImportRequest,
    url: &str,
    download: Download,
    lines: &Lines,
) -> Result<String> {
    let mut fed = Ok(());
    let outcome = &mut fed;
    let imported = import::import_there(engine, request, |pipe| async move {
        *outcome = Shown::new(download, lines).write(pipe).await;
        if outcome.is_ok() { Whole::Yes } else { Whole::No }
    });
    let imported = imported.await;
    broken_off(url, fed)?;
    imported
}

async fn import_here(
    engine: &Arc<Engine>,
    request: &ImportRequest,
    url: &str,
    download: Download,
    lines: &Lines,
) -> Result<String> {
    let (sender, reader) = input::channel();
    let (own, request) = (engine.clone(), request.clone());
    // In a task of its own: when the last client leaves, the archive breaks off and nothing of it stays.
    let importing = tokio::spawn(async move { corten_images::import(own.catalog.store(), &request, reader).await });
    let fed = Shown::new(download, lines).send(sender).await;
    let imported = importing.await.map_err(|error| EngineError::internal("import an image").caused_by(error))?;
    broken_off(url, fed)?;
    Ok(imported?.to_string())
}

/// What broke off is the reason of what the import says.
fn broken_off(url: &str, fed: std::result::Result<(), RegistryError>) -> Result<()> {
    fed.map_err(|error| EngineError::internal(format!("{url}: {}", chain(&error))))
}

/// A download that shows how far it is.
struct Shown<'a> {
    download: Download,
    lines: &'a Lines,
    current: u64,
    /// How far it was when the bar was drawn.
    drawn: u64,
}

impl<'a> Shown<'a> {
    fn new(download: Download, lines: &'a Lines) -> Self {
        Self { download, lines, current: 0, drawn: 0 }
    }

    async fn next(&mut self) -> std::result::Result<Option<Bytes>, RegistryError> {
        let Some(data) = self.download.next().await? else { return Ok(None) };
        let total = self.download.size().unwrap_or(0);
        self.current += data.len() as u64;
        if self.current == total || self.current - self.drawn >= SHOWN_EVERY {
            self.drawn = self.current;
            let [current, total] = [self.current, total].map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
            self.lines.show(Progress {
                status: "Importing".to_owned(),
                progress: bar(current, total),
                progress_detail: Some(ProgressDetail { current, total }),
                ..Progress::default()
            });
        }
        Ok(Some(data))
    }

    /// Writes all of it into a pipe; who takes no more has its own reason.
    async fn write(mut self, mut pipe: pipe::Sender) -> std::result::Result<(), RegistryError> {
        while let Some(data) = self.next().await? {
            if pipe.write_all(&data).await.is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Hands all of it over; who takes no more has its own reason.
    async fn send(mut self, sender: input::Sender) -> std::result::Result<(), RegistryError> {
        while let Some(data) = self.next().await? {
            if sender.send(data).await.is_err() {
                return Ok(());
            }
        }
        sender.finish().await;
        Ok(())
    }
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
