//! A client of registries (distribution-spec 1.1, and what registries really do).
//!
//! [`Registry`] is one operation's view of the outside: [`Settings`] say how hosts are reached, [`Credentials`] who asks.
//! [`Registry::repository`] finds the hosts of a reference, and [`Repository`] resolves, reads and writes there. What
//! fails for a reason that may pass is tried again, what a mirror does not have is asked of the next host, and a blob
//! that breaks off is continued where it broke. Credentials go to the host they were asked for and to its token server,
//! never along a redirect.

mod blobs;
mod call;
mod certs;
pub mod challenge;
mod client;
mod credentials;
mod download;
mod error;
mod hosts;
mod listing;
mod patience;
mod repository;
mod settings;
mod tls;
mod tokens;
mod transport;
mod turns;
mod uploads;
mod watch;

use std::sync::Arc;

use corten_types::Reference;

pub use blobs::Blob;
pub use credentials::{Anonymous, Answer, Asked, Credential, Credentials, ForDomain};
pub use download::Download;
pub use error::RegistryError;
pub use hosts::{Operation, bare_host};
pub use listing::{Found, Login};
pub use patience::Patience;
pub use repository::{Repository, Resolved};
pub use settings::{Proxies, Settings};
pub use turns::{Compressions, Limits, Turn, Turns};
pub use uploads::{Pieces, Sent};
pub use watch::Watcher;

use client::Client;

/// Registries as one operation reaches them.
#[derive(Clone)]
pub struct Registry {
    settings: Settings,
    credentials: Arc<dyn Credentials>,
    patience: Patience,
    limits: Limits,
    watcher: Option<Watcher>,
}

impl Registry {
    /// Registries, reached as `settings` say, on behalf of whom `credentials` tell.
    ///
    /// # Errors
    /// [`RegistryError::Settings`].
    pub fn new(settings: Settings, credentials: Arc<dyn Credentials>) -> Result<Self, RegistryError> {
        settings.check()?;
        Ok(Self { settings, credentials, patience: Patience::default(), limits: Limits::default(), watcher: None })
    }

    /// The same with other waits.
    #[must_use]
    pub fn with_patience(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }

    /// The same, with turns at transfers that others share.
    #[must_use]
    pub fn sharing(self, limits: &Limits) -> Self {
        Self { limits: limits.clone(), ..self }
    }

    /// The same, with somebody who is told the head of every request and answer, without secrets.
    #[must_use]
    pub fn watched_by(self, watcher: Option<Watcher>) -> Self {
        Self { watcher, ..self }
    }

    /// Whose turns its transfers take.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// How registries are reached.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The repository of `reference`, on every host that serves it.
    ///
    /// # Errors
    /// [`RegistryError::Settings`] for configuration that cannot be used.
    pub async fn repository(&self, reference: &Reference) -> Result<Repository, RegistryError> {
        let client = self.client(&reference.to_string())?;
        let endpoints = hosts::endpoints(&self.settings, reference.domain()).await?;
        Ok(Repository::new(client, reference.clone(), endpoints))
    }

    fn client(&self, reference: &str) -> Result<Arc<Client>, RegistryError> {
        let (settings, credentials) = (self.settings.clone(), self.credentials.clone());
        let watcher = self.watcher.clone();
        Ok(Arc::new(Client::new(settings, credentials, reference.to_owned(), self.patience, watcher)?))
    }
}
