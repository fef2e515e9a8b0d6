//! docker's `config.json` and contexts, as far as a command needs them.

use crate::credentials::{Auth, CredentialError};
use crate::failure::Failure;
use corten_docker_api::client::Host;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Where cortend listens unless told otherwise.
pub const DEFAULT_HOST: &str = "unix:///run/corten/docker.sock";

/// The context that stands for `DOCKER_HOST` or the default socket.
const DEFAULT_CONTEXT: &str = "default";

/// What `config.json` may hold for us.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Config {
    /// Format of `ps` when none is given.
    pub ps_format: String,
    /// Format of `images` when none is given.
    pub images_format: String,
    /// Format of `stats` when none is given.
    pub stats_format: String,
    /// Keys that detach.
    pub detach_keys: String,
    /// Context in use.
    pub current_context: String,
    /// Credentials kept in the file itself, by registry.
    pub auths: Option<BTreeMap<String, Auth>>,
    /// Name of the program that keeps credentials.
    pub creds_store: String,
    /// Names of programs that keep those of one registry.
    pub cred_helpers: Option<BTreeMap<String, String>>,
    /// Where the file is, or would be.
    #[serde(skip)]
    pub path: PathBuf,
}

impl Config {
    /// Reads `config.json` below `directory`; a missing one is empty, a broken one is told and skipped.
    pub fn load(directory: &Path) -> Self {
        let path = directory.join("config.json");
        let config = match std::fs::read(&path) {
            Ok(text) => Self::parse(&path, &text),
            Err(error) => {
                if error.kind() != ErrorKind::NotFound {
                    eprintln!("WARNING: Error loading config file: {}: {error}", path.display());
                }
                Self::default()
            }
        };
        Self { path, ..config }
    }

    /// Reads the text of `path`; what is wrong with it is told and skipped.
    pub fn parse(path: &Path, text: &[u8]) -> Self {
        let mut config: Self = serde_json::from_slice(text).unwrap_or_else(|error| {
            // What serde says of a value of another type quotes it, and it may be a secret.
            let reason = if error.is_data() {
                format!("unexpected value at line {} column {}", error.line(), error.column())
            } else {
                error.to_string()
            };
            eprintln!("WARNING: Error parsing config file ({}): {reason}", path.display());
            Self::default()
        });
        let auths = config.auths.take().unwrap_or_default().into_iter();
        config.auths = auths
            .map(|(key, auth)| Ok((key, auth.decoded()?)))
            .collect::<Result<_, CredentialError>>()
            .inspect_err(|error| eprintln!("WARNING: Error parsing config file ({}): {error}", path.display()))
            .ok();
        config
    }
}

/// `--config`, `DOCKER_CONFIG` or `~/.docker`.
pub fn directory(given: &str) -> PathBuf {
    if !given.is_empty() {
        return given.into();
    }
    match env::var_os("DOCKER_CONFIG").filter(|value| !value.is_empty()) {
        Some(directory) => directory.into(),
        None => env::var_os("HOME").map_or_else(|| PathBuf::from("/root"), PathBuf::from).join(".docker"),
    }
}

/// The daemon to speak to, and the context's name.
#[derive(Debug)]
pub struct Endpoint {
    /// Its address.
    pub host: Host,
    /// Name of the context, `default` for an address given directly.
    pub context: String,
}

/// Finds the daemon: `-H`, `--context`, `DOCKER_HOST`, `DOCKER_CONTEXT`, the configured context, the default socket.
///
/// # Errors
/// A context that does not exist, an address that is none.
pub fn endpoint(hosts: &[String], context: &str, config: &Config, directory: &Path) -> Result<Endpoint, Failure> {
    if !hosts.is_empty() && !context.is_empty() {
        return Err(Failure::new("conflicting options: cannot specify both --host and --context"));
    }
    if hosts.len() > 1 {
        return Err(Failure::new("Specify only one -H"));
    }
    let from_environment = |name| env::var(name).ok().filter(|value| !value.is_empty());
    let direct = match hosts.first() {
        Some(host) => Some(host.clone()),
        None if context.is_empty() => from_environment("DOCKER_HOST"),
        None => None,
    };
    if let Some(host) = direct {
        return parse(&host, DEFAULT_CONTEXT);
    }
    let name = match context {
        "" => from_environment("DOCKER_CONTEXT").unwrap_or_else(|| config.current_context.clone()),
        name => name.to_owned(),
    };
    match name.as_str() {
        "" | DEFAULT_CONTEXT => parse(DEFAULT_HOST, DEFAULT_CONTEXT),
        name => parse(&context_host(name, directory)?, name),
    }
}

fn parse(host: &str, context: &str) -> Result<Endpoint, Failure> {
    let host = Host::parse(host)
        .map_err(|error| Failure::new(format!("Failed to initialize: unable to resolve docker endpoint: {error}")))?;
    Ok(Endpoint { host, context: context.to_owned() })
}

#[derive(Deserialize)]
struct ContextFile {
    #[serde(rename = "Endpoints", default)]
    endpoints: BTreeMap<String, ContextEndpoint>,
}

#[derive(Deserialize)]
struct ContextEndpoint {
    #[serde(rename = "Host", default)]
    host: String,
}

fn context_host(name: &str, directory: &Path) -> Result<String, Failure> {
    let mut hash = String::new();
    for byte in Sha256::digest(name.as_bytes()) {
        // Writing to a String cannot fail.
        let _ = write!(hash, "{byte:02x}");
    }
    let path = directory.join("contexts/meta").join(hash).join("meta.json");
    let text = std::fs::read(&path).map_err(|error| {
        let reason = if error.kind() == ErrorKind::NotFound { "no such file or directory".to_owned() } else { error.to_string() };
        Failure::new(format!(
            "Failed to initialize: unable to resolve docker endpoint: context {name:?}: context not found: open {}: {reason}",
            path.display()
        ))
    })?;
    let file: ContextFile = serde_json::from_slice(&text).map_err(|error| {
        Failure::new(format!("Failed to initialize: unable to resolve docker endpoint: {}: {error}", path.display()))
    })?;
    let host = file.endpoints.get("docker").map(|endpoint| endpoint.host.clone()).unwrap_or_default();
    Ok(if host.is_empty() { DEFAULT_HOST.to_owned() } else { host })
}
