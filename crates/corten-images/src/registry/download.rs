//! What an address names, for `import`: no registry, but reached through the same proxies and with the same patience.

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::{Response, Uri};
use tokio::time::timeout;

use super::call::Call;
use super::client::{chain, content_length};
use super::settings::refused;
use super::{Registry, RegistryError, Settings, hosts};

/// A body on its way here.
pub struct Download {
    response: Response<Incoming>,
    host: String,
    stall: std::time::Duration,
    left: Option<u64>,
}

impl Registry {
    /// Begins to fetch what `url` names, as anybody: no certificate or credential of a registry is shown.
    ///
    /// # Errors
    /// [`RegistryError`]; [`RegistryError::status`] is what was answered.
    pub async fn download(&self, url: &str) -> Result<Download, RegistryError> {
        let uri: Uri = url.parse().map_err(|error| refused(url, format!("no address: {error}")))?;
        let settings = Settings {
            mirrors: Vec::new(),
            insecure: Vec::new(),
            tls_dir: None,
            host_dir: None,
            headers: Vec::new(),
            ..self.settings.clone()
        };
        let anybody = Self {
            settings,
            credentials: std::sync::Arc::new(super::Anonymous),
            patience: self.patience,
            limits: self.limits.clone(),
            watcher: self.watcher.clone(),
        };
        let endpoint = hosts::endpoint_at(&uri, &anybody.settings).await?;
        let client = anybody.client(url)?;
        let mut call = Call::get("download");
        call.url = Some(url.to_owned());
        let response = client.send_without_token(&endpoint, &call).await?;
        let response = client.expect_success(&endpoint.host, "download", response).await?;
        let left = content_length(&response);
        Ok(Download { response, host: endpoint.host, stall: self.patience.stall, left })
    }
}

impl Download {
    /// Bytes in all, where that was said.
    pub fn size(&self) -> Option<u64> {
        content_length(&self.response)
    }

    /// The next piece; none at the end.
    ///
    /// # Errors
    /// [`RegistryError`] when it breaks off, or nothing comes for long.
    pub async fn next(&mut self) -> Result<Option<Bytes>, RegistryError> {
        let what = || "download".to_owned();
        let broken = |why: String| RegistryError::Broken { host: self.host.clone(), what: what(), source: why.into() };
        loop {
            let Ok(frame) = timeout(self.stall, self.response.body_mut().frame()).await else {
                let (host, waited) = (self.host.clone(), self.stall);
                return Err(RegistryError::Stalled { host, what: what(), bytes: 0, waited });
            };
            let Some(frame) = frame else {
                return match self.left {
                    Some(left) if left > 0 => Err(broken(format!("it ended {left} bytes early"))),
                    _ => Ok(None),
                };
            };
            let frame = frame.map_err(|error| broken(chain(&error)))?;
            let Ok(data) = frame.into_data() else { continue };
            self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
            return Ok(Some(data));
        }
    }
}
