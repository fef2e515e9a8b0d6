//! What a registry is shown, and how it travels to the daemon.

use super::CredentialError;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use corten_docker_api::client::{HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The header that carries credentials to the daemon.
const HEADER: &str = "x-registry-auth";

/// A user's credentials for one registry; all empty for nobody's.
#[derive(Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Auth {
    /// The user.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub username: String,
    /// The password, or a token in its place.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub password: String,
    /// `user:password` in base64, as `config.json` holds it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub auth: String,
    /// An address docker once asked for.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub email: String,
    /// The registry's key.
    #[serde(rename = "serveraddress", skip_serializing_if = "String::is_empty")]
    pub server_address: String,
    /// A token of the user's that stands for the password.
    #[serde(rename = "identitytoken", skip_serializing_if = "String::is_empty")]
    pub identity_token: String,
    /// A token that is shown to the registry as it is.
    #[serde(rename = "registrytoken", skip_serializing_if = "String::is_empty")]
    pub registry_token: String,
}

impl fmt::Debug for Auth {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Auth").field("server_address", &self.server_address).finish_non_exhaustive()
    }
}

impl Auth {
    /// With user and password taken out of `auth`.
    ///
    /// # Errors
    /// An `auth` that is no base64 of `user:password`.
    pub fn decoded(mut self) -> Result<Self, CredentialError> {
        if self.auth.is_empty() {
            return Ok(self);
        }
        let invalid = || CredentialError("Invalid auth configuration file".to_owned());
        let bytes = STANDARD.decode(self.auth.trim()).map_err(|_| invalid())?;
        let text = String::from_utf8(bytes).map_err(|_| invalid())?;
        let (username, password) = text.split_once(':').filter(|(user, _)| !user.is_empty()).ok_or_else(invalid)?;
        self.username = username.to_owned();
        self.password = password.trim_matches('\0').to_owned();
        self.auth.clear();
        Ok(self)
    }

    /// `user:password` in base64; empty for nobody.
    pub(super) fn encoded_pair(&self) -> String {
        if self.username.is_empty() && self.password.is_empty() {
            return String::new();
        }
        STANDARD.encode(format!("{}:{}", self.username, self.password))
    }

    /// The header of a request to the daemon.
    pub fn header(&self) -> HeaderMap {
        let json = serde_json::to_vec(self).expect("texts can be written as JSON");
        let mut value = HeaderValue::try_from(URL_SAFE.encode(json)).expect("base64 is ASCII");
        value.set_sensitive(true);
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, value);
        headers
    }
}

#[cfg(test)]
mod tests {
    use super::Auth;

    #[test]
    fn nobody_s_credentials_are_an_empty_object() {
        assert_eq!(Auth::default().header()["x-registry-auth"], "e30=");
    }

    #[test]
    fn a_pair_is_read_as_it_was_written() {
        let auth = Auth { username: "me".to_owned(), password: "a:b".to_owned(), ..Auth::default() };
        let written = Auth { auth: auth.encoded_pair(), ..Auth::default() };
        assert_eq!(written.auth, "bWU6YTpi");
        assert_eq!(written.decoded(), Ok(auth));
    }

    #[test]
    fn a_secret_is_not_shown_when_debugged() {
        let auth = Auth { password: "hunter2".to_owned(), identity_token: "hunter3".to_owned(), ..Auth::default() };
        assert_eq!(format!("{auth:?}"), "Auth { server_address: \"\", .. }");
        assert!(!format!("{:?}", auth.header()).contains("ey"));
    }
}
