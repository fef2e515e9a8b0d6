//! What the supervisor starts with: containerd's flags over containerd's configuration file.

use std::{
    io,
    path::{Path, PathBuf},
};

use serde::Deserialize;

/// Where things are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// What survives a reboot.
    pub root: PathBuf,
    /// What does not: bundles of tasks.
    pub state: PathBuf,
    /// The gRPC socket; the events socket is beside it, with `.ttrpc` behind.
    pub address: PathBuf,
    /// The level of the log.
    pub log_level: String,
}

/// What the command line says; it goes before the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--config`
    pub config: Option<PathBuf>,
    /// `--root`
    pub root: Option<PathBuf>,
    /// `--state`
    pub state: Option<PathBuf>,
    /// `--address`
    pub address: Option<PathBuf>,
    /// `--log-level`
    pub log_level: Option<String>,
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("read configuration {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The file is no TOML, or a key has the wrong type.
    #[error("configuration {}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: toml::de::Error,
    },
    /// A relative path would mean something else for every process that reads it.
    #[error("{what} {} is not an absolute path", path.display())]
    Relative {
        /// Which one.
        what: &'static str,
        /// Its value.
        path: PathBuf,
    },
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct File {
    root: Option<PathBuf>,
    state: Option<PathBuf>,
    grpc: Grpc,
    debug: Debug,
    #[serde(flatten)]
    others: toml::Table,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Grpc {
    address: Option<PathBuf>,
    #[serde(flatten)]
    others: toml::Table,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Debug {
    level: Option<String>,
    #[serde(flatten)]
    others: toml::Table,
}

impl Config {
    /// Puts the configuration together; the second answer names the keys of the file that have no
    /// meaning here, as containerd does: unknown keys warn and never stop a start.
    ///
    /// # Errors
    /// [`ConfigError`] when the file was named and cannot be used.
    pub fn load(flags: Flags) -> Result<(Self, Vec<String>), ConfigError> {
        let file = match &flags.config {
            Some(path) => read(path)?,
            None => File::default(),
        };
        let unknown = unknown_keys(&file);
        let pick = |flag: Option<PathBuf>, file: Option<PathBuf>, default: &str| {
            flag.or(file.filter(|path| !path.as_os_str().is_empty())).unwrap_or_else(|| default.into())
        };
        let config = Self {
            root: pick(flags.root, file.root, "/var/lib/corten"),
            state: pick(flags.state, file.state, "/run/corten"),
            address: pick(flags.address, file.grpc.address, "/run/corten/supervisor/s.sock"),
            log_level: flags.log_level.or(file.debug.level).unwrap_or_else(|| "info".to_owned()),
        };
        for (what, path) in [("root", &config.root), ("state", &config.state), ("address", &config.address)] {
            if !path.is_absolute() {
                return Err(ConfigError::Relative { what, path: path.clone() });
            }
        }
        Ok((config, unknown))
    }

    /// The socket that shims forward their events to.
    pub fn ttrpc_address(&self) -> PathBuf {
        let mut address = self.address.clone().into_os_string();
        address.push(".ttrpc");
        address.into()
    }
}

/// Go's programs take long flags with one dash as well: `-address X` becomes `--address X`.
pub fn normalise(arguments: impl Iterator<Item = String>) -> impl Iterator<Item = String> {
    arguments.map(|argument| match argument.strip_prefix('-') {
        Some(flag)
            if flag.len() > 1 && !flag.starts_with('-') && flag.starts_with(|c: char| c.is_ascii_alphabetic()) =>
        {
            format!("--{flag}")
        }
        _ => argument,
    })
}

fn read(path: &Path) -> Result<File, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    toml::from_str(&text).map_err(|source| ConfigError::Parse { path: path.to_owned(), source })
}

fn unknown_keys(file: &File) -> Vec<String> {
    let below =
        |table: &toml::Table, prefix: &str| table.keys().map(|key| format!("{prefix}{key}")).collect::<Vec<_>>();
    let mut unknown = below(&file.others, "");
    unknown.retain(|key| key != "version");
    unknown.extend(below(&file.grpc.others, "grpc."));
    unknown.extend(below(&file.debug.others, "debug."));
    unknown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_go_before_the_file_and_unknown_keys_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.toml");
        let text = "version = 2\nroot = \"/r\"\nstate = \"/s\"\noom_score = 1\n[grpc]\naddress = \"/a.sock\"\nuid = 0\n[debug]\nlevel = \"debug\"\n";
        std::fs::write(&path, text).unwrap();
        let flags = Flags { config: Some(path), state: Some("/flag".into()), ..Flags::default() };
        let (config, unknown) = Config::load(flags).unwrap();
        assert_eq!((config.root, config.state, config.address), ("/r".into(), "/flag".into(), "/a.sock".into()));
        assert_eq!(config.log_level, "debug");
        assert_eq!(unknown, ["oom_score", "grpc.uid"]);
    }

    #[test]
    fn a_named_file_that_is_missing_or_no_toml_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.toml");
        let load = || Config::load(Flags { config: Some(path.clone()), ..Flags::default() });
        assert!(matches!(load(), Err(ConfigError::Read { .. })));
        std::fs::write(&path, "root = 7").unwrap();
        assert!(matches!(load(), Err(ConfigError::Parse { .. })));
    }
}
