//! How registries are reached: the part of `daemon.json` that is read again at SIGHUP.

use std::net::IpAddr;

use corten_images::registry::Settings;

/// The registries' part of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Asked before Docker Hub, in this order; each ends with a slash.
    pub mirrors: Vec<String>,
    /// Hosts (`host:port`) and networks (CIDR) whose certificates are not checked, and that may speak http.
    pub insecure: Vec<String>,
    /// Layers fetched at once.
    pub downloads: u32,
    /// Layers sent at once.
    pub uploads: u32,
    /// How often a layer is asked for.
    pub attempts: u32,
    /// How the world is reached.
    pub proxies: Proxies,
}

/// Proxies, as dockerd has them; what is not configured comes from the daemon's environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    /// For http.
    pub http: String,
    /// For https.
    pub https: String,
    /// Hosts that are reached without.
    pub none: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            mirrors: Vec::new(),
            insecure: Vec::new(),
            downloads: 3,
            uploads: 5,
            attempts: 5,
            proxies: Proxies::default(),
        }
    }
}

impl Options {
    /// As the client of registries takes them.
    pub fn to_settings(&self) -> Settings {
        let number = |value: u32| usize::try_from(value).unwrap_or(usize::MAX);
        Settings {
            mirrors: self.mirrors.clone(),
            insecure: self.insecure.clone(),
            proxies: Some(corten_images::registry::Proxies {
                http: self.proxies.http.clone(),
                https: self.proxies.https.clone(),
                no: self.proxies.none.clone(),
            }),
            downloads: number(self.downloads),
            uploads: number(self.uploads),
            attempts: number(self.attempts),
            ..Settings::default()
        }
    }
}

impl Proxies {
    /// What is not said here is taken from `environment`.
    #[must_use]
    pub fn or_environment(self, environment: impl Fn(&str) -> Option<String>) -> Self {
        let or = |given: String, name: &str| {
            if !given.is_empty() {
                return given;
            }
            environment(name).or_else(|| environment(&name.to_lowercase())).unwrap_or_default()
        };
        Self {
            http: or(self.http, "HTTP_PROXY"),
            https: or(self.https, "HTTPS_PROXY"),
            none: or(self.none, "NO_PROXY"),
        }
    }
}

/// A mirror's address, ending with a slash.
///
/// # Errors
/// dockerd's sentence on what is wrong with it.
pub fn mirror(text: &str) -> Result<String, String> {
    let (scheme, rest) = text.split_once("://").filter(|(scheme, _)| !scheme.is_empty()).ok_or_else(|| {
        format!("invalid mirror: no scheme specified for {text:?}: must use either 'https://' or 'http://'")
    })?;
    if !matches!(scheme, "http" | "https") {
        return Err(format!(
            "invalid mirror: unsupported scheme {scheme:?} in {text:?}: must use either 'https://' or 'http://'"
        ));
    }
    if rest.contains(['?', '#']) {
        return Err(format!("invalid mirror: query or fragment at end of the URI {text:?}"));
    }
    let authority = rest.split('/').next().unwrap_or_default();
    if let Some((user, host)) = authority.rsplit_once('@') {
        let user = user.split(':').next().unwrap_or_default();
        let path = &rest[authority.len()..];
        return Err(format!(
            "invalid mirror: username/password not allowed in URI \"{scheme}://{user}:xxxxx@{host}{path}\""
        ));
    }
    if authority.is_empty() || rest.contains(char::is_whitespace) {
        return Err(format!("invalid mirror: {text:?} is not a valid URI"));
    }
    Ok(format!("{}/", text.strip_suffix('/').unwrap_or(text)))
}

/// A host or network that may be insecure; a scheme before it is taken off, as dockerd does.
///
/// # Errors
/// dockerd's sentence on what is wrong with it.
pub fn insecure(text: &str) -> Result<String, String> {
    if text.starts_with('-') || text.ends_with('-') {
        return Err(format!("invalid index name ({text}). Cannot begin or end with a hyphen"));
    }
    let host = match text.split_once("://") {
        Some((scheme, host)) if matches!(scheme.to_ascii_lowercase().as_str(), "http" | "https") => host,
        Some(_) => return Err(format!("insecure registry {text} should not contain '://'")),
        None => text,
    };
    let invalid = || format!("insecure registry {host} is not valid: invalid host {host:?}");
    if let Some((address, bits)) = host.split_once('/') {
        let address: IpAddr = address.parse().map_err(|_| invalid())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        bits.parse::<u8>().ok().filter(|bits| *bits <= most).ok_or_else(invalid)?;
        return Ok(host.to_owned());
    }
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') || name.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    };
    if port.is_some_and(|port| port.parse::<u16>().is_err()) {
        return Err(invalid());
    }
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    let is_name = !bare.is_empty() && bare.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte));
    if is_name || bare.parse::<IpAddr>().is_ok() { Ok(host.to_owned()) } else { Err(invalid()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_are_addresses_without_secrets() {
        assert_eq!(mirror("https://m.example"), Ok("https://m.example/".into()));
        assert_eq!(mirror("http://m.example:5000/path/"), Ok("http://m.example:5000/path/".into()));
        for (text, part) in [
            ("m.example", "no scheme specified for \"m.example\""),
            ("ftp://m", "unsupported scheme \"ftp\""),
            ("https://m?x", "query or fragment"),
            ("https://u:secret@m/p", "not allowed in URI \"https://u:xxxxx@m/p\""),
            ("https:///x", "is not a valid URI"),
        ] {
            let error = mirror(text).unwrap_err();
            assert!(error.contains(part) && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn insecure_registries_are_hosts_and_networks() {
        for (text, host) in [
            ("r.example:5000", "r.example:5000"),
            ("http://r.example", "r.example"),
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("[::1]:5000", "[::1]:5000"),
            ("fd00::/8", "fd00::/8"),
        ] {
            assert_eq!(insecure(text).as_deref(), Ok(host));
        }
        for text in ["-x", "ftp://x", "10.0.0.0/33", "host:port", "a b", ""] {
            assert!(insecure(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn proxies_come_from_the_environment_where_nothing_is_said() {
        let given = Proxies { http: "http://p".into(), ..Proxies::default() };
        let environment = |name: &str| (name == "https_proxy" || name == "HTTP_PROXY").then(|| name.to_owned());
        let all = given.or_environment(environment);
        assert_eq!(all, Proxies { http: "http://p".into(), https: "https_proxy".into(), none: String::new() });
    }
}
