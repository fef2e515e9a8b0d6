//! Image references: `[domain[:port]/]path[:tag][@digest]`, with docker's normalisation.
//!
//! `busybox` is `docker.io/library/busybox:latest`: the first component is a domain only when it holds
//! `.` or `:`, is `localhost`, or has an upper-case letter; one component under docker.io belongs to
//! `library/`; a missing tag is `latest`, but only when the reference is used, not when it is parsed.

use std::{fmt, str::FromStr};

use crate::digest::Digest;

const HUB: &str = "docker.io";
const HUB_LEGACY: &str = "index.docker.io";
const LIBRARY: &str = "library/";
/// Longest repository name, in bytes (distribution-spec).
const NAME_MAX: usize = 255;

/// A normalised image reference.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reference {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Why a text is not an image reference; the texts are the ones docker prints.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// Not of the grammar.
    #[error("invalid reference format")]
    Format,
    /// Would be valid in lower case.
    #[error("invalid reference format: repository name ({0}) must be lowercase")]
    Uppercase(String),
    /// 64 hex digits could be an image id.
    #[error("invalid repository name ({0}), cannot specify 64-byte hexadecimal strings")]
    LooksLikeId(String),
    /// Longer than 255 bytes.
    #[error("repository name must not be more than 255 characters")]
    TooLong,
}

impl Reference {
    /// `docker.io`, `localhost:5000`, …
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// `library/busybox`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The tag as written; see [`Reference::or_latest`].
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest as written.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The same reference with `latest` when it has neither tag nor digest.
    #[must_use]
    pub fn or_latest(mut self) -> Self {
        if self.tag.is_none() && self.digest.is_none() {
            self.tag = Some("latest".to_owned());
        }
        self
    }

    /// The same repository under another tag.
    ///
    /// # Errors
    /// [`ReferenceError::Format`] when `tag` is not one.
    pub fn with_tag(&self, tag: &str) -> Result<Self, ReferenceError> {
        if !is_tag(tag) {
            return Err(ReferenceError::Format);
        }
        Ok(Self { tag: Some(tag.to_owned()), digest: None, ..self.clone() })
    }

    /// The same repository pinned to `digest`, without a tag.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self { tag: None, digest: Some(digest), ..self.clone() }
    }

    /// Domain and path: `docker.io/library/busybox`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.domain, self.path)
    }

    /// The name as docker shows it: without `docker.io/library/`.
    pub fn familiar_name(&self) -> String {
        if self.domain == HUB { self.path.strip_prefix(LIBRARY).unwrap_or(&self.path).to_owned() } else { self.name() }
    }

    /// The whole reference as docker shows it: `busybox:latest`, `localhost:5000/a@sha256:…`.
    pub fn familiar(&self) -> String {
        self.with_suffix(self.familiar_name())
    }

    fn with_suffix(&self, mut text: String) -> String {
        if let Some(tag) = &self.tag {
            text.push(':');
            text.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            text.push('@');
            text.push_str(digest.as_str());
        }
        text
    }
}

impl fmt::Display for Reference {
    /// The normalised text: `docker.io/library/busybox:latest`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.with_suffix(self.name()))
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse().map_err(|_| ReferenceError::Format)?)),
            None => (text, None),
        };
        // A colon behind the last slash begins a tag; before it, a port.
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        if is_hex_id(name) {
            return Err(ReferenceError::LooksLikeId(name.to_owned()));
        }
        let (domain, path) = match name.split_once('/') {
            Some((first, path)) if is_domain_by_look(first) => (first, path.to_owned()),
            _ => (HUB, name.to_owned()),
        };
        let domain = if domain == HUB_LEGACY { HUB } else { domain };
        let path = if domain == HUB && !path.contains('/') { format!("{LIBRARY}{path}") } else { path };
        if path.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(ReferenceError::Uppercase(path));
        }
        if !is_domain(domain) || !path.split('/').all(is_path_component) || tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(ReferenceError::Format);
        }
        if domain.len() + 1 + path.len() > NAME_MAX {
            return Err(ReferenceError::TooLong);
        }
        Ok(Self { domain: domain.to_owned(), path, tag: tag.map(str::to_owned), digest })
    }
}

fn is_hex_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

fn is_domain_by_look(text: &str) -> bool {
    text.contains(['.', ':']) || text == "localhost" || text.bytes().any(|byte| byte.is_ascii_uppercase())
}

fn is_domain(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let port_ok = port.is_none_or(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()));
    let host_ok = match host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
        Some(address) => !address.is_empty() && address.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':'),
        None => host.split('.').all(|label| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        }),
    };
    host_ok && port_ok
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_path_component(text: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    let mut at = 0;
    loop {
        let word = bytes[at..].iter().take_while(|byte| alphanumeric(**byte)).count();
        if word == 0 {
            return false;
        }
        at += word;
        if at == bytes.len() {
            return true;
        }
        let separator = bytes[at..].iter().take_while(|byte| !alphanumeric(**byte)).count();
        match &bytes[at..at + separator] {
            b"." | b"_" | b"__" => {}
            dashes if dashes.iter().all(|byte| *byte == b'-') => {}
            _ => return false,
        }
        at += separator;
    }
}

/// `[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}`
fn is_tag(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=128).contains(&text.len())
        && word(text.as_bytes()[0])
        && text.bytes().all(|byte| word(byte) || byte == b'.' || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, normal: &str, familiar: &str) {
        let reference = text.parse::<Reference>().unwrap_or_else(|error| panic!("{text}: {error}")).or_latest();
        assert_eq!(reference.to_string(), normal, "{text}");
        assert_eq!(reference.familiar(), familiar, "{text}");
    }

    #[test]
    fn names_are_normalised_as_docker_does() {
        check("busybox", "docker.io/library/busybox:latest", "busybox:latest");
        check("me/app:1", "docker.io/me/app:1", "me/app:1");
        check("localhost/app", "localhost/app:latest", "localhost/app:latest");
        check("localhost:5000/a/b:x", "localhost:5000/a/b:x", "localhost:5000/a/b:x");
        check("index.docker.io/busybox", "docker.io/library/busybox:latest", "busybox:latest");
        let digest = format!("sha256:{}", "a".repeat(64));
        check(&format!("a@{digest}"), &format!("docker.io/library/a@{digest}"), &format!("a@{digest}"));
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        for text in ["", ":tag", "a//b", "a:", "-a", "a/-b", "a:-x", "a@sha256:12", "a b", "a___b", "../x", "a:b:c"] {
            assert!(text.parse::<Reference>().is_err(), "{text:?} was accepted");
        }
        assert_eq!("Busybox".parse::<Reference>(), Err(ReferenceError::Uppercase("library/Busybox".into())));
        let id = "a".repeat(64);
        assert_eq!(id.parse::<Reference>(), Err(ReferenceError::LooksLikeId(id)));
    }
}
