//! How registries are reached: what `daemon.json` says, as it travels to the supervisor.

use std::path::PathBuf;

use hyper::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING, UPGRADE};
use serde::{Deserialize, Serialize};

use super::RegistryError;

/// The format of [`Settings`] as JSON.
const VERSION: u32 = 1;
/// Most hosts of one list: far more than anybody mirrors.
const LIST_MAX: usize = 256;
/// Most transfers at once: each has its buffers.
const PARALLEL_MAX: usize = 64;
/// Most headers that a client sets, far more than anybody needs.
const HEADERS_MAX: usize = 64;
/// Headers that say how a request is sent, which is not a client's to say.
const HEADERS_OF_OURS: [HeaderName; 5] = [HOST, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE];
/// Most attempts of one request.
const ATTEMPTS_MAX: usize = 100;

/// How registries are reached. As JSON it is field 1000 of containerd's `RegistryResolver`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The format's number, 1.
    pub v: u32,
    /// `registry-mirrors`: addresses that are asked for Hub's images first, in order.
    pub mirrors: Vec<String>,
    /// `insecure-registries`: `HOST[:PORT]` or a network such as `10.0.0.0/8`.
    pub insecure: Vec<String>,
    /// docker's `certs.d`: authorities and client certificates by host.
    pub tls_dir: Option<PathBuf>,
    /// containerd's `certs.d`: `hosts.toml` by host.
    pub host_dir: Option<PathBuf>,
    /// Hosts without a `hosts.toml` are spoken to in plain text, nothing else is tried: containerd's default scheme, which
    /// its clients set for one call.
    #[serde(skip)]
    pub plain_http: bool,
    /// Headers of every request to a registry, which containerd's clients set for one call.
    #[serde(skip)]
    pub headers: Vec<(String, String)>,
    /// Proxies; none leaves it to the environment of this process.
    pub proxies: Option<Proxies>,
    /// `max-concurrent-downloads`.
    pub downloads: usize,
    /// `max-concurrent-uploads`.
    pub uploads: usize,
    /// `max-download-attempts`.
    pub attempts: usize,
}

/// Proxies, as the variables of the same names have them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Proxies {
    /// `HTTP_PROXY`.
    pub http: String,
    /// `HTTPS_PROXY`.
    pub https: String,
    /// `NO_PROXY`.
    pub no: String,
}

impl Default for Settings {
    /// docker's numbers.
    fn default() -> Self {
        Self {
            v: VERSION,
            mirrors: Vec::new(),
            insecure: Vec::new(),
            tls_dir: Some(PathBuf::from("/etc/docker/certs.d")),
            host_dir: None,
            plain_http: false,
            headers: Vec::new(),
            proxies: None,
            downloads: 3,
            uploads: 5,
            attempts: 5,
        }
    }
}

impl Settings {
    /// Reads them as they travel.
    ///
    /// # Errors
    /// [`RegistryError::Settings`] for what is not understood.
    pub fn parse(json: &[u8]) -> Result<Self, RegistryError> {
        let invalid = |error: serde_json::Error| refused("registry settings", error.to_string());
        let settings: Self = serde_json::from_slice(json).map_err(invalid)?;
        settings.check()?;
        Ok(settings)
    }

    /// Them as they travel.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    pub(super) fn check(&self) -> Result<(), RegistryError> {
        if self.v != VERSION {
            return Err(refused("registry settings", format!("format {} is not understood, only {VERSION}", self.v)));
        }
        for (name, list) in [("registry-mirrors", &self.mirrors), ("insecure-registries", &self.insecure)] {
            if list.len() > LIST_MAX {
                return Err(refused(name, format!("{} entries, at most {LIST_MAX} are taken", list.len())));
            }
        }
        for (name, value, max) in [
            ("max-concurrent-downloads", self.downloads, PARALLEL_MAX),
            ("max-concurrent-uploads", self.uploads, PARALLEL_MAX),
            ("max-download-attempts", self.attempts, ATTEMPTS_MAX),
        ] {
            if value == 0 || value > max {
                return Err(refused(name, format!("{value} is not between 1 and {max}")));
            }
        }
        self.header_map().map(drop)
    }

    /// The headers that a client set, as they are sent.
    pub(super) fn header_map(&self) -> Result<HeaderMap, RegistryError> {
        if self.headers.len() > HEADERS_MAX {
            return Err(refused("headers", format!("{} of them, at most {HEADERS_MAX} are taken", self.headers.len())));
        }
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let refused = |why: &str| refused(format!("header {name:?}"), why);
            let name: HeaderName = name.parse().map_err(|_| refused("not a name of a header"))?;
            if HEADERS_OF_OURS.contains(&name) {
                return Err(refused("it says how a request is sent"));
            }
            let value: HeaderValue = value.parse().map_err(|_| refused("its value cannot be sent"))?;
            headers.append(name, value);
        }
        Ok(headers)
    }
}

pub(super) fn refused(what: impl Into<String>, why: impl Into<String>) -> RegistryError {
    RegistryError::Settings { what: what.into(), why: why.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_travels_comes_back_and_what_is_not_understood_is_named() {
        let settings = Settings { mirrors: vec!["https://m".into()], downloads: 7, ..Settings::default() };
        assert_eq!(Settings::parse(settings.to_json().as_bytes()).unwrap(), settings);
        assert_eq!(Settings::parse(b"{}").unwrap(), Settings::default());
        for (json, part) in
            [(r#"{"v":2}"#, "format 2"), (r#"{"other":1}"#, "other"), (r#"{"downloads":0}"#, "0 is not")]
        {
            let error = Settings::parse(json.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn headers_are_sent_unless_they_say_how() {
        let with = |name: &str, value: &str| Settings {
            headers: vec![(name.to_owned(), value.to_owned())],
            ..Settings::default()
        };
        assert_eq!(with("X-Meta", "a b").header_map().unwrap()["x-meta"], "a b");
        for (name, value) in [("Host", "other"), ("a b", "c"), ("X-Meta", "a\nb"), ("Content-Length", "3")] {
            let error = with(name, value).check().unwrap_err().to_string();
            assert!(error.contains(&format!("header {name:?}")), "{error}");
        }
    }
}
