//! `certs.d`: docker's directory of certificates by host, and containerd's with `hosts.toml`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::RegistryError;
use super::hosts::{Operation, Tls};
use super::settings::refused;

/// Largest `hosts.toml`.
const FILE_MAX: u64 = 1 << 20;
/// Most hosts of one file.
const HOSTS_MAX: usize = 64;

/// What a `hosts.toml` says.
#[derive(Debug, Clone)]
pub(super) struct HostFile {
    /// The origin, when it is another host than the domain.
    pub(super) server: Option<String>,
    /// In the file's order; the one without an address holds what is said of the server.
    pub(super) hosts: Vec<Host>,
}

/// One host of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Host {
    pub(super) url: String,
    pub(super) operations: Option<Vec<Operation>>,
    pub(super) override_path: bool,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) tls: Tls,
    pub(super) dial_timeout: Option<Duration>,
}

impl HostFile {
    pub(super) fn default_server() -> Host {
        Host::default()
    }
}

/// The directory of `host` below containerd's: `r.example_5000_`, `r.example:5000`, `_default`.
fn host_directory(root: &Path, host: &str) -> Option<PathBuf> {
    let escaped = host.rsplit_once(':').map(|(name, port)| format!("{}_{port}_", name.replace(':', "")));
    let names = escaped.into_iter().chain([host.to_owned(), "_default".to_owned()]);
    names.map(|name| root.join(name)).find(|directory| directory.is_dir())
}

/// Reads the `hosts.toml` of `domain`, if there is one.
pub(super) fn host_file(root: &Path, domain: &str) -> Result<Option<HostFile>, RegistryError> {
    let Some(directory) = host_directory(root, domain) else { return Ok(None) };
    let path = directory.join("hosts.toml");
    let text = match read_bounded(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(refused(path.display().to_string(), error.to_string())),
    };
    let wrong = |why: String| refused(path.display().to_string(), why);
    let file: FileToml = toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    if file.host.0.len() > HOSTS_MAX {
        return Err(wrong(format!("{} hosts, at most {HOSTS_MAX} are taken", file.host.0.len())));
    }
    let mut hosts = Vec::new();
    for (url, host) in file.host.0 {
        if url.is_empty() {
            return Err(wrong("a host without an address".to_owned()));
        }
        hosts.push(host.read(url, &directory).map_err(wrong)?);
    }
    let server = HostToml {
        capabilities: file.capabilities,
        ca: file.ca,
        client: file.client,
        skip_verify: file.skip_verify,
        header: file.header,
        override_path: file.override_path,
        dial_timeout: file.dial_timeout,
    };
    hosts.push(server.read(String::new(), &directory).map_err(wrong)?);
    Ok(Some(HostFile { server: file.server, hosts }))
}

fn read_bounded(path: &Path) -> io::Result<String> {
    let size = fs::metadata(path)?.len();
    if size > FILE_MAX {
        return Err(io::Error::other(format!("{size} bytes, at most {FILE_MAX} are read")));
    }
    fs::read_to_string(path)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileToml {
    server: Option<String>,
    capabilities: Option<Vec<String>>,
    ca: Option<Words>,
    client: Option<Clients>,
    skip_verify: Option<bool>,
    #[serde(default)]
    header: std::collections::BTreeMap<String, Words>,
    #[serde(default)]
    override_path: bool,
    dial_timeout: Option<String>,
    #[serde(default)]
    host: Ordered,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HostToml {
    capabilities: Option<Vec<String>>,
    ca: Option<Words>,
    client: Option<Clients>,
    skip_verify: Option<bool>,
    #[serde(default)]
    header: std::collections::BTreeMap<String, Words>,
    #[serde(default)]
    override_path: bool,
    dial_timeout: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Words {
    One(String),
    Many(Vec<String>),
}

impl Words {
    fn list(self) -> Vec<String> {
        match self {
            Self::One(word) => vec![word],
            Self::Many(words) => words,
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Clients {
    One(String),
    Many(Vec<ClientToml>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ClientToml {
    Both(String),
    Pair(String, String),
}

/// A table whose order counts: the hosts are asked as they stand in the file.
#[derive(Default)]
struct Ordered(Vec<(String, HostToml)>);

impl<'de> Deserialize<'de> for Ordered {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Ordered;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("a table of hosts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ordered, A::Error> {
                let mut all = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    all.push(entry);
                }
                Ok(Ordered(all))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

impl HostToml {
    fn read(self, url: String, directory: &Path) -> Result<Host, String> {
        let operation = |name: &String| match name.as_str() {
            "resolve" => Ok(Operation::Resolve),
            "pull" => Ok(Operation::Pull),
            "push" => Ok(Operation::Push),
            other => Err(format!("unknown capability {other:?} of host {url:?}")),
        };
        let operations = self.capabilities.map(|names| names.iter().map(operation).collect::<Result<_, _>>());
        let mut headers = Vec::new();
        for (name, values) in self.header {
            for value in values.list() {
                let invalid = || format!("header {name:?} of host {url:?} cannot be sent");
                let name: HeaderName = name.parse().map_err(|_| invalid())?;
                headers.push((name, value.parse().map_err(|_| invalid())?));
            }
        }
        let at = |path: String| directory.join(path);
        let clients = match self.client {
            None => Vec::new(),
            Some(Clients::One(both)) => vec![(at(both.clone()), at(both))],
            Some(Clients::Many(list)) => list
                .into_iter()
                .map(|client| match client {
                    ClientToml::Both(both) => (at(both.clone()), at(both)),
                    ClientToml::Pair(certificate, key) => (at(certificate), at(key)),
                })
                .collect(),
        };
        Ok(Host {
            operations: operations.transpose()?,
            override_path: self.override_path,
            headers,
            tls: Tls {
                authorities: self.ca.map(Words::list).unwrap_or_default().into_iter().map(at).collect(),
                clients,
                skip_verify: self.skip_verify.unwrap_or(false),
            },
            dial_timeout: self.dial_timeout.as_deref().map(duration).transpose()?,
            url,
        })
    }
}

/// Go's durations as far as they make sense here: `10s`, `500ms`, `1m`, `1m30s`.
fn duration(text: &str) -> Result<Duration, String> {
    let invalid = || format!("dial_timeout {text:?} is no duration such as 10s");
    let (mut rest, mut total) = (text, Duration::ZERO);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(invalid)?;
        let number: u64 = rest[..digits].parse().map_err(|_| invalid())?;
        let unit = rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |end| digits + end);
        let milliseconds = match &rest[digits..unit] {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(invalid()),
        };
        let part = number.checked_mul(milliseconds).map(Duration::from_millis).ok_or_else(invalid)?;
        total = total.checked_add(part).ok_or_else(invalid)?;
        rest = &rest[unit..];
    }
    if total.is_zero() { Err(invalid()) } else { Ok(total) }
}

/// Adds what docker's directory holds for `host`: `*.crt` authorities, `NAME.cert` with `NAME.key` clients.
pub(super) fn add_docker_files(root: &Path, host: &str, tls: &mut Tls) -> Result<(), RegistryError> {
    add_files(&root.join(host), tls)
}

/// The same of containerd's directory where it has no `hosts.toml`.
pub(super) fn add_host_files(root: &Path, host: &str, tls: &mut Tls) -> Result<(), RegistryError> {
    match host_directory(root, host) {
        Some(directory) if !directory.join("hosts.toml").exists() => add_files(&directory, tls),
        _ => Ok(()),
    }
}

fn add_files(directory: &Path, tls: &mut Tls) -> Result<(), RegistryError> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(()),
        Err(error) => return Err(refused(directory.display().to_string(), error.to_string())),
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in &paths {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("crt") => tls.authorities.push(path.clone()),
            Some("cert") => {
                let key = path.with_extension("key");
                if !paths.contains(&key) {
                    let why = format!(
                        "missing key {} for client certificate; CA certificates must use the extension .crt",
                        key.display()
                    );
                    return Err(refused(path.display().to_string(), why));
                }
                tls.clients.push((path.clone(), key));
            }
            Some("key") if !paths.contains(&path.with_extension("cert")) => {
                let why = format!("missing client certificate {} for key", path.with_extension("cert").display());
                return Err(refused(path.display().to_string(), why));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_without_its_key_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let home = directory.path().join("r.example:5000");
        fs::create_dir(&home).unwrap();
        fs::write(home.join("a.crt"), "").unwrap();
        fs::write(home.join("b.cert"), "").unwrap();
        let mut tls = Tls::default();
        let error = add_docker_files(directory.path(), "r.example:5000", &mut tls).unwrap_err().to_string();
        assert!(error.contains("b.key"), "{error}");
        fs::write(home.join("b.key"), "").unwrap();
        let mut tls = Tls::default();
        add_docker_files(directory.path(), "r.example:5000", &mut tls).unwrap();
        assert_eq!((tls.authorities.len(), tls.clients.len()), (1, 1));
    }

    #[test]
    fn durations_are_gos() {
        assert_eq!(duration("1m30s").unwrap(), Duration::from_secs(90));
        for text in ["", "10", "s", "0s", "1x", "99999999999999999999s"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
