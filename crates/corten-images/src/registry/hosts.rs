//! Which hosts serve a domain's images, in which order, and how each is reached.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::Uri;
use hyper::header::{HeaderName, HeaderValue};
use ipnet::IpNet;
use tokio::sync::OnceCell;

use super::RegistryError;
use super::certs::{self, HostFile};
use super::client::Pair;
use super::settings::{Settings, refused};

/// The domain of Hub's images.
const HUB: &str = "docker.io";
/// The host that serves them.
const HUB_HOST: &str = "registry-1.docker.io";

/// What is to be done with images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Find out what a tag stands for.
    Resolve,
    /// Fetch by digest.
    Pull,
    /// Send.
    Push,
}

impl Operation {
    pub(super) fn verb(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Pull => "pull",
            Self::Push => "push",
        }
    }
}

/// Authorities and client certificates of one host.
#[derive(Debug, Clone, Default)]
pub(super) struct Tls {
    /// Files of authorities that are trusted beside the system's.
    pub(super) authorities: Vec<std::path::PathBuf>,
    /// Certificate and key; one file that holds both stands twice.
    pub(super) clients: Vec<(std::path::PathBuf, std::path::PathBuf)>,
    /// Anybody is believed.
    pub(super) skip_verify: bool,
}

/// One host that serves images.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// `r.example:5000`.
    pub(super) host: String,
    /// It is only spoken to in plain text.
    pub(super) is_http: bool,
    /// What paths begin with: `/v2`.
    pub(super) path: String,
    /// What it may be asked for.
    pub(super) operations: Vec<Operation>,
    /// For a mirror: the domain whose images are meant, as containerd tells it.
    pub(super) namespace: Option<String>,
    /// Headers of every request.
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) tls: Tls,
    /// Without TLS when TLS cannot be had.
    pub(super) is_insecure: bool,
    pub(super) dial_timeout: Option<Duration>,
    /// Nobody is asked after it, so it is asked more than once.
    pub(super) is_last: bool,
    /// TLS could not be had.
    plain: AtomicBool,
    /// It has answered before, so what breaks now may come back.
    answered: AtomicBool,
    pub(super) transport: OnceCell<Pair>,
}

impl Endpoint {
    fn new(url: &str) -> Result<Self, RegistryError> {
        let whole = if url.contains("://") { url.to_owned() } else { format!("https://{url}") };
        let uri: Uri = whole.parse().map_err(|error| refused(format!("registry {url:?}"), format!("{error}")))?;
        let scheme = uri.scheme_str().unwrap_or_default();
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'));
        let (Some(authority), "http" | "https", None) = (authority, scheme, uri.query()) else {
            return Err(refused(format!("registry {url:?}"), "expected http[s]://HOST[:PORT][/PATH]"));
        };
        Ok(Self {
            host: authority.as_str().to_owned(),
            is_http: scheme == "http",
            path: format!("{}/v2", uri.path().trim_end_matches('/')),
            operations: vec![Operation::Resolve, Operation::Pull, Operation::Push],
            namespace: None,
            headers: Vec::new(),
            tls: Tls::default(),
            is_insecure: false,
            dial_timeout: None,
            is_last: false,
            plain: AtomicBool::new(false),
            answered: AtomicBool::new(false),
            transport: OnceCell::new(),
        })
    }

    /// Whether requests go out in plain text now.
    pub(super) fn is_plain(&self) -> bool {
        self.is_http || self.plain.load(Ordering::Relaxed)
    }

    /// Speaks plain text from now on, if that may be; whether it does. Requests that began together find it out
    /// together.
    pub(super) fn give_up_tls(&self) -> bool {
        if self.is_insecure && !self.is_plain() && !self.has_answered() {
            self.plain.store(true, Ordering::Relaxed);
        }
        self.is_plain()
    }

    pub(super) fn has_answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

    pub(super) fn set_answered(&self) {
        self.answered.store(true, Ordering::Relaxed);
    }

    /// `https://HOST`.
    pub(super) fn root(&self) -> String {
        format!("{}://{}", if self.is_plain() { "http" } else { "https" }, self.host)
    }
}

/// The host that a domain's images come from.
pub(super) fn origin_host(domain: &str) -> &str {
    if domain == HUB || domain == "index.docker.io" { HUB_HOST } else { domain }
}

/// The hosts of `domain`, the first to be asked first; the origin is last.
pub(super) async fn endpoints(settings: &Settings, domain: &str) -> Result<Vec<Endpoint>, RegistryError> {
    let scheme = if settings.plain_http { "http" } else { "https" };
    let origin = format!("{scheme}://{}", origin_host(domain));
    let file = settings.host_dir.as_deref().map(|dir| certs::host_file(dir, domain)).transpose()?.flatten();
    let mut all = Vec::new();
    match &file {
        Some(file) => {
            let is_empty = |host: &certs::Host| host.url.is_empty();
            for host in file.hosts.iter().filter(|host| !is_empty(host)) {
                all.push(from_file(host, domain)?);
            }
            let default = HostFile::default_server();
            let server = file.hosts.iter().find(|host| is_empty(host)).unwrap_or(&default);
            let url = file.server.clone().unwrap_or(origin);
            all.push(from_file(&certs::Host { url, ..server.clone() }, domain)?);
        }
        None => {
            if domain == HUB {
                for mirror in &settings.mirrors {
                    let operations = vec![Operation::Resolve, Operation::Pull];
                    all.push(Endpoint { operations, ..Endpoint::new(mirror)? });
                }
            }
            all.push(Endpoint::new(&origin)?);
        }
    }
    for endpoint in &mut all {
        complete(endpoint, settings).await?;
    }
    for operation in [Operation::Resolve, Operation::Pull, Operation::Push] {
        if let Some(last) = all.iter_mut().rfind(|endpoint| endpoint.operations.contains(&operation)) {
            last.is_last = true;
        }
    }
    Ok(all)
}

/// The host of an address that has nothing to do with a registry.
///
/// # Errors
/// [`RegistryError::Settings`] for an address that cannot be reached.
pub(super) async fn endpoint_at(uri: &hyper::Uri, settings: &Settings) -> Result<Endpoint, RegistryError> {
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(refused(uri.to_string(), "it names no host"));
    };
    let mut endpoint = Endpoint::new(&format!("{scheme}://{authority}"))?;
    complete(&mut endpoint, settings).await?;
    endpoint.is_last = true;
    Ok(endpoint)
}

fn from_file(host: &certs::Host, domain: &str) -> Result<Endpoint, RegistryError> {
    let mut endpoint = Endpoint::new(&host.url)?;
    if let Some(operations) = &host.operations {
        endpoint.operations = operations.clone();
    }
    if let Some(path) = endpoint.path.strip_suffix("/v2")
        && (host.override_path || path.ends_with("/v2"))
    {
        endpoint.path = path.to_owned();
    }
    if endpoint.host != origin_host(domain) {
        endpoint.namespace = Some(domain.to_owned());
    }
    endpoint.headers = host.headers.clone();
    endpoint.tls = host.tls.clone();
    endpoint.dial_timeout = host.dial_timeout;
    Ok(endpoint)
}

/// What holds for a host by its name, wherever the name came from.
async fn complete(endpoint: &mut Endpoint, settings: &Settings) -> Result<(), RegistryError> {
    if let Some(directory) = &settings.tls_dir {
        certs::add_docker_files(directory, &endpoint.host, &mut endpoint.tls)?;
    }
    if let Some(directory) = &settings.host_dir {
        certs::add_host_files(directory, &endpoint.host, &mut endpoint.tls)?;
    }
    // An authority that was configured for this machine is meant to be heeded.
    let is_trusted = is_this_machine(&endpoint.host) && endpoint.tls.authorities.is_empty();
    if is_trusted || is_insecure(&endpoint.host, settings).await? {
        endpoint.is_insecure = true;
        endpoint.tls.skip_verify = true;
    }
    Ok(())
}

/// The host without its port and without the brackets of an address.
pub fn bare_host(host: &str) -> &str {
    let bare = match host.rsplit_once(':') {
        Some((bare, port)) if !port.ends_with(']') => bare,
        _ => host,
    };
    bare.trim_start_matches('[').trim_end_matches(']')
}

/// Whether `host` is this machine, by a name that nobody else can have.
pub(super) fn is_this_machine(host: &str) -> bool {
    let bare = bare_host(host);
    bare.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether TLS may be done without, by the name of the host or any of its addresses.
async fn is_insecure(host: &str, settings: &Settings) -> Result<bool, RegistryError> {
    let bare = bare_host(host);
    let address = bare.parse::<IpAddr>();
    let mut networks = Vec::new();
    for entry in &settings.insecure {
        match entry.parse::<IpNet>() {
            Ok(network) => networks.push(network),
            Err(_) if entry.contains('/') => {
                return Err(refused("insecure-registries", format!("{entry:?} is neither HOST[:PORT] nor a network")));
            }
            Err(_) if entry.eq_ignore_ascii_case(host) => return Ok(true),
            Err(_) => {}
        }
    }
    if networks.is_empty() {
        return Ok(false);
    }
    let within = |address: &IpAddr| networks.iter().any(|network| network.contains(address));
    if let Ok(address) = address {
        return Ok(within(&address));
    }
    // A name that is not known is found out when it is connected to.
    let Ok(addresses) = tokio::net::lookup_host((bare, 0)).await else { return Ok(false) };
    Ok(addresses.map(|address| address.ip()).any(|address| within(&address)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(settings: &Settings, domain: &str) -> Vec<String> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let endpoints = runtime.block_on(endpoints(settings, domain)).unwrap();
        endpoints
            .iter()
            .map(|endpoint| {
                let insecure = if endpoint.is_insecure { " insecure" } else { "" };
                let push = if endpoint.operations.contains(&Operation::Push) { " push" } else { "" };
                let namespace = endpoint.namespace.as_deref().map(|name| format!(" ns={name}")).unwrap_or_default();
                format!("{}{}{push}{insecure}{namespace}", endpoint.root(), endpoint.path)
            })
            .collect()
    }

    fn settings() -> Settings {
        Settings { tls_dir: None, ..Settings::default() }
    }

    #[test]
    fn mirrors_come_before_hub_and_before_nobody_else() {
        let settings = Settings { mirrors: vec!["http://m.example/sub/".into()], ..settings() };
        assert_eq!(shown(&settings, "docker.io"), ["http://m.example/sub/v2", "https://registry-1.docker.io/v2 push"]);
        assert_eq!(shown(&settings, "r.example"), ["https://r.example/v2 push"]);
        let plain = Settings { plain_http: true, ..self::settings() };
        assert_eq!(shown(&plain, "r.example:5000"), ["http://r.example:5000/v2 push"]);
    }

    #[test]
    fn this_machine_named_hosts_and_networks_are_insecure() {
        let settings =
            Settings { insecure: vec!["r.example:5000".into(), "10.1.0.0/16".into(), "fd00::/8".into()], ..settings() };
        for (domain, insecure) in [
            ("127.0.0.1:5000", true),
            ("[::1]:5000", true),
            ("localhost", true),
            ("127.8.8.8", true),
            ("r.example:5000", true),
            ("r.example", false),
            ("10.1.2.3:443", true),
            ("10.2.2.3", false),
            ("[fd00::7]:80", true),
        ] {
            assert_eq!(shown(&settings, domain)[0].contains("insecure"), insecure, "{domain}");
        }
    }

    #[test]
    fn a_hosts_file_says_who_is_asked_for_what() {
        let directory = tempfile::tempdir().unwrap();
        let home = directory.path().join("r.example_5000_");
        std::fs::create_dir(&home).unwrap();
        let text = r#"
            server = "https://other.example"
            [host."https://z.example/v2/all"]
            capabilities = ["pull", "resolve"]
            override_path = true
            [host."http://a.example"]
            skip_verify = true
            [host."http://a.example".header]
            x-one = ["1", "2"]
        "#;
        std::fs::write(home.join("hosts.toml"), text).unwrap();
        let settings = Settings { host_dir: Some(directory.path().to_owned()), ..settings() };
        let expected = [
            "https://z.example/v2/all ns=r.example:5000",
            "http://a.example/v2 push ns=r.example:5000",
            "https://other.example/v2 push ns=r.example:5000",
        ];
        assert_eq!(shown(&settings, "r.example:5000"), expected);
        assert_eq!(shown(&settings, "s.example"), ["https://s.example/v2 push"]);

        std::fs::write(home.join("hosts.toml"), "[host.\"https://z\"]\nfoo = 1").unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let error = runtime.block_on(endpoints(&settings, "r.example:5000")).unwrap_err().to_string();
        assert!(error.contains("hosts.toml") && error.contains("foo"), "{error}");
    }
}
