//! Users and passwords for registries, where docker keeps them and by its protocol.
//!
//! `config.json` holds them itself (`auths`, [`file`]) or names a program that does ([`helper`]): one for
//! a registry (`credHelpers`) wins over the one for all (`credsStore`), which wins over the file. What is
//! found travels to the daemon in a header of one request and is never printed: the types here show no
//! secret when debugged.
//!
//! A registry's key is its host with its port, exactly; Docker Hub's is the address it had in 2013.

mod auth;
mod file;
mod helper;

pub use auth::Auth;

use crate::config::Config;
use helper::Helper;
use std::fmt;

/// The key of Docker Hub.
pub const HUB: &str = "https://index.docker.io/v1/";

/// Docker Hub's names in references.
const HUB_DOMAINS: [&str; 2] = ["docker.io", "index.docker.io"];

/// Why credentials could not be read, kept or removed. The text names no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialError(String);

impl fmt::Display for CredentialError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// How credentials were kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// By a helper, or they were there already.
    Quietly,
    /// In `config.json`, a password readable for whoever reads the file.
    Unencrypted,
}

/// The key of a registry, given the domain of a reference.
pub fn key_of(domain: &str) -> &str {
    if HUB_DOMAINS.contains(&domain) { HUB } else { domain }
}

/// The host, with its port, of an address that may be a URL: keys were URLs once.
pub fn host_of(address: &str) -> String {
    let host = address.split_once("://").map_or(address, |(_, rest)| rest);
    let host = host.split('/').next().unwrap_or_default();
    if address.contains("://") {
        let host = host.split(['?', '#']).next().unwrap_or_default();
        return host.rsplit_once('@').map_or(host, |(_, host)| host).to_owned();
    }
    host.to_owned()
}

/// What is kept for `key`; empty when nothing is.
///
/// # Errors
/// A helper that fails.
pub async fn get(config: &Config, key: &str) -> Result<Auth, CredentialError> {
    let in_file = config.auth_of(key);
    let Some(helper) = helper_for(config, key)? else { return Ok(in_file.unwrap_or_default()) };
    // What the helper's protocol has no place for stays in the file.
    let mut auth = in_file.map_or_else(Auth::default, |Auth { email, registry_token, .. }| Auth {
        email,
        registry_token,
        ..Auth::default()
    });
    if let Some(found) = helper.get(key).await? {
        auth.username = found.username;
        auth.password = found.password;
        auth.identity_token = found.identity_token;
        auth.server_address = found.server_address;
    }
    Ok(auth)
}

/// Keeps `auth` for its `server_address`.
///
/// # Errors
/// A helper that fails, a file that cannot be written.
pub async fn store(config: &Config, auth: &Auth) -> Result<Kept, CredentialError> {
    let key = &auth.server_address;
    let Some(helper) = helper_for(config, key)? else {
        let is_changed = file::put(&config.path, key, auth)?;
        let is_readable = is_changed && !auth.password.is_empty();
        return Ok(if is_readable { Kept::Unencrypted } else { Kept::Quietly });
    };
    helper.store(auth).await?;
    // The file keeps that there is something, and what the helper's protocol has no place for.
    let rest = Auth { email: auth.email.clone(), registry_token: auth.registry_token.clone(), ..Auth::default() };
    file::put(&config.path, key, &rest)?;
    Ok(Kept::Quietly)
}

/// Removes what is kept for `key`; nothing kept is as good.
///
/// # Errors
/// A helper that fails, a file that cannot be written.
pub async fn erase(config: &Config, key: &str) -> Result<(), CredentialError> {
    if let Some(helper) = helper_for(config, key)? {
        helper.erase(key).await?;
    }
    file::remove(&config.path, key)
}

fn helper_for(config: &Config, key: &str) -> Result<Option<Helper>, CredentialError> {
    let name = config.cred_helpers.as_ref().and_then(|helpers| helpers.get(key)).unwrap_or(&config.creds_store);
    if name.is_empty() { Ok(None) } else { Helper::named(name).map(Some) }
}

impl Config {
    /// The entry of `auths` for `key`, or one under an address that has this host.
    fn auth_of(&self, key: &str) -> Option<Auth> {
        let auths = self.auths.as_ref()?;
        let (address, auth) =
            auths.get_key_value(key).or_else(|| auths.iter().find(|(other, _)| host_of(other) == key))?;
        Some(Auth { server_address: address.clone(), ..auth.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        Config::parse(std::path::Path::new("config.json"), text.as_bytes())
    }

    async fn user(config: &Config, key: &str) -> String {
        get(config, key).await.expect("no helper is asked").username
    }

    #[test]
    fn a_key_is_a_host_but_for_hub() {
        assert_eq!(key_of("docker.io"), HUB);
        assert_eq!(key_of("index.docker.io"), HUB);
        assert_eq!(key_of("localhost:5000"), "localhost:5000");
    }

    #[test]
    fn addresses_of_long_ago_are_reduced_to_their_host() {
        let check = |address: &str, expected: &str| assert_eq!(host_of(address), expected, "{address}");
        check("https://a.example:5000/v1/", "a.example:5000");
        check("http://user@a.example?x", "a.example");
        check("a.example/v2", "a.example");
        check("a.example", "a.example");
        check(HUB, "index.docker.io");
    }

    #[tokio::test]
    async fn the_exact_key_wins_over_an_address_with_that_host() {
        // base64 of exact:p and old:p
        let config = config(
            r#"{"auths":{"a.example":{"auth":"ZXhhY3Q6cA=="},"https://a.example/v1/":{"auth":"b2xkOnA="},
                "http://b.example/v1/":{"auth":"b2xkOnA="}}}"#,
        );
        assert_eq!(user(&config, "a.example").await, "exact");
        assert_eq!(user(&config, "b.example").await, "old");
        assert_eq!(user(&config, "example").await, "");
        assert_eq!(user(&config, "a.example:443").await, "");
    }

    #[tokio::test]
    async fn an_entry_that_is_none_makes_everybody_nobody() {
        let config = config(r#"{"auths":{"a.example":{"auth":"c2VjcmV0"},"b.example":{"auth":"b2xkOnA="}}}"#);
        assert_eq!(user(&config, "b.example").await, "");
        let error = Auth { auth: "c2VjcmV0".to_owned(), ..Auth::default() }.decoded();
        assert_eq!(error.expect_err("it holds no colon").to_string(), "Invalid auth configuration file");
    }

    #[test]
    fn a_helper_for_the_registry_wins_over_the_one_for_all() {
        let config = config(r#"{"credsStore":"all","credHelpers":{"a.example":"one","b.example":""}}"#);
        let program = |key| helper_for(&config, key).expect("a name").map(|helper| helper.program().to_owned());
        assert_eq!(program("a.example").as_deref(), Some("docker-credential-one"));
        assert_eq!(program("c.example").as_deref(), Some("docker-credential-all"));
        // An empty name keeps a registry in the file.
        assert_eq!(program("b.example"), None);
    }
}
