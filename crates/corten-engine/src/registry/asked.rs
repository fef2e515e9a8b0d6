//! What a registry is asked on a client's behalf without an image moving: `/auth`, search, `/distribution`.

use std::sync::Arc;

use corten_docker_api::Filters;
use corten_docker_api::images::Descriptor;
use corten_docker_api::registry::{AuthResponse, DistributionInspect, Platform, SearchResult};
use corten_images::manifest::{Config, Index, Manifest};
use corten_images::media_type::is_index;
use corten_images::registry::{ForDomain, Registry, RegistryError};
use corten_types::error::chain;
use corten_types::{ErrorKind, Reference};

use super::credentials::{Credentials, host_of};
use crate::engine::Engine;
use crate::errors::{EngineError, Result};

/// Results when a client does not say how many it wants.
const RESULTS: usize = 25;
/// Most that it may want.
const RESULTS_MAX: usize = 100;
/// What a search can be narrowed by.
const FILTERS: [&str; 3] = ["is-automated", "is-official", "stars"];
/// Largest configuration that is read for its platform.
const CONFIG_MAX: usize = 8 << 20;

impl From<RegistryError> for EngineError {
    /// dockerd answers 500 for what a registry refuses, but for who asks.
    fn from(error: RegistryError) -> Self {
        let kind = match error.kind() {
            kind @ (ErrorKind::Unauthenticated | ErrorKind::InvalidArgument | ErrorKind::NotFound) => kind,
            ErrorKind::PermissionDenied => ErrorKind::Unauthenticated,
            _ => ErrorKind::Internal,
        };
        Self::new(kind, chain(&error))
    }
}

/// Whether a registry knows an account: `docker login`.
///
/// # Errors
/// 401 when it does not.
pub async fn login(engine: &Engine, credentials: &Credentials) -> Result<AuthResponse> {
    let domain = match host_of(&credentials.serveraddress) {
        "" => "docker.io",
        host => host,
    };
    let registry = registry(engine, domain, credentials)?;
    let answer =
        registry.login(domain, &credentials.to_credential()).await.map_err(|error| match error.docker_text() {
            Some(text) if error.status() == Some(401) => EngineError::new(
                ErrorKind::Unauthenticated,
                format!("Get \"https://{}/v2/\": {text}", error.host().unwrap_or(domain)),
            ),
            _ => error.into(),
        })?;
    let identity_token = answer.identity_token.unwrap_or_default();
    Ok(AuthResponse { status: "Login Succeeded".to_owned(), identity_token })
}

/// Repositories whose name or description has `term`.
///
/// # Errors
/// 400 for a term, limit or filter that cannot be used.
pub async fn search(
    engine: &Engine,
    term: &str,
    limit: &str,
    filters: &Filters,
    credentials: &Credentials,
) -> Result<Vec<SearchResult>> {
    filters.allow(&FILTERS)?;
    let official = if filters.contains("is-official") { Some(filters.boolean("is-official", false)?) } else { None };
    let mut stars = 0;
    for text in filters.values("stars") {
        let number: i64 = text.parse().map_err(|_| EngineError::invalid(format!("invalid filter 'stars={text}'")))?;
        stars = stars.max(number);
    }
    if filters.boolean("is-automated", false)? {
        // Nothing is built by Hub any more.
        return Ok(Vec::new());
    }
    if term.contains("://") {
        let text = format!("invalid repository name: repository name ({term}) should not have a scheme");
        return Err(EngineError::invalid(text));
    }
    let limit =
        match limit {
            "" | "0" => RESULTS,
            text => text.parse().ok().filter(|limit| (1..=RESULTS_MAX).contains(limit)).ok_or_else(|| {
                EngineError::invalid(format!("limit {text} is outside the range of [1, {RESULTS_MAX}]"))
            })?,
        };
    let domain =
        term.split_once('/').map(|(host, _)| host).filter(|host| host.contains(['.', ':']) || *host == "localhost");
    let found = registry(engine, domain.unwrap_or("docker.io"), credentials)?.search(term, limit).await?;
    let wanted = found
        .into_iter()
        .filter(|one| official.is_none_or(|official| one.is_official == official) && one.star_count >= stars);
    let results = wanted.map(|one| SearchResult {
        star_count: one.star_count,
        is_official: one.is_official,
        name: one.name,
        is_automated: false,
        description: one.description,
    });
    Ok(results.collect())
}

/// Every tag of a repository.
///
/// # Errors
/// What the registry answers.
pub async fn tags(engine: &Engine, repository: &Reference, credentials: &Credentials) -> Result<Vec<String>> {
    let registry = registry(engine, repository.domain(), credentials)?;
    Ok(registry.repository(repository).await?.tags().await?)
}

/// What a name stands for in its registry, and what that runs on.
///
/// # Errors
/// 400 for a name that is none; what the registry answers.
pub async fn distribution(engine: &Engine, name: &str, credentials: &Credentials) -> Result<DistributionInspect> {
    let reference: Reference = name
        .parse()
        .map_err(|error: corten_types::reference::ReferenceError| EngineError::invalid(error.to_string()))?;
    let reference = reference.or_latest();
    let repository = registry(engine, reference.domain(), credentials)?.repository(&reference).await?;
    let resolved = repository.resolve().await?;
    let descriptor = resolved.descriptor;
    let data = match resolved.data {
        Some(data) => data,
        None => repository.manifest(&descriptor).await?,
    };
    let unreadable = |error: serde_json::Error| {
        EngineError::internal(format!("manifest of {}", reference.familiar())).caused_by(error)
    };
    let platforms = if is_index(&descriptor.media_type) {
        let index: Index = serde_json::from_slice(&data).map_err(unreadable)?;
        let platforms = index.manifests.into_iter().filter_map(|pointer| pointer.platform);
        platforms
            .map(|one| Platform {
                architecture: one.architecture,
                os: one.os,
                variant: one.variant,
                ..Platform::default()
            })
            .collect()
    } else {
        let manifest: Manifest = serde_json::from_slice(&data).map_err(unreadable)?;
        // As dockerd: without its configuration an image has no platform, and that is no error.
        let config = config(&repository, &manifest).await;
        let named = config.filter(|config| !config.os.is_empty() || !config.architecture.is_empty());
        named
            .map(|one| Platform {
                architecture: one.architecture,
                os: one.os,
                variant: one.variant,
                ..Platform::default()
            })
            .into_iter()
            .collect()
    };
    let descriptor = Descriptor {
        media_type: descriptor.media_type,
        digest: descriptor.digest.to_string(),
        size: i64::try_from(descriptor.size).unwrap_or(i64::MAX),
        annotations: None,
    };
    Ok(DistributionInspect { descriptor, platforms: Some(platforms) })
}

async fn config(repository: &corten_images::registry::Repository, manifest: &Manifest) -> Option<Config> {
    let descriptor = manifest.config.clone().into();
    let mut blob = repository.blob(&descriptor, 0, 0).await.ok()?;
    let mut data = Vec::new();
    while let Some(piece) = blob.next().await.ok()? {
        data.extend_from_slice(&piece);
        if data.len() > CONFIG_MAX {
            return None;
        }
    }
    serde_json::from_slice(&data).ok()
}

fn registry(engine: &Engine, domain: &str, credentials: &Credentials) -> Result<Registry> {
    let credentials = ForDomain::new(domain, credentials.for_registry_of(domain));
    Ok(Registry::new(engine.registries.load().to_settings(), Arc::new(credentials))?)
}
