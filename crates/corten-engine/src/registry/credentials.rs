//! Who asks a registry: what clients send with each request. It is never kept and never logged.

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use corten_images::registry::Credential;
use serde::Deserialize;

/// base64url with or without padding, as different clients send it.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The content of `X-Registry-Auth`.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Credentials {
    /// The account.
    pub username: String,
    /// Its password.
    pub password: String,
    /// Whose account it is; empty for the registry asked.
    pub serveraddress: String,
    /// Stands for account and password, to get tokens with.
    pub identitytoken: String,
    /// Sent to the registry as it is.
    pub registrytoken: String,
}

/// Secrets are not shown.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Credentials of {:?} at {:?}", self.username, self.serveraddress)
    }
}

impl Credentials {
    /// Reads a header; what cannot be read is nobody, as it is for dockerd.
    pub fn decode(header: &str) -> Self {
        let json = LENIENT.decode(header.trim()).unwrap_or_default();
        serde_json::from_slice(&json).unwrap_or_default()
    }

    /// What they are to the registry of `domain`: nobody's where they are another's.
    pub fn for_registry_of(&self, domain: &str) -> Credential {
        let is_own = self.serveraddress.is_empty() || is_same(host_of(&self.serveraddress), domain);
        if is_own { self.to_credential() } else { Credential::None }
    }

    /// As the client of registries takes them.
    pub fn to_credential(&self) -> Credential {
        match () {
            () if self.is_anonymous() => Credential::None,
            () if !self.registrytoken.is_empty() => Credential::RegistryToken(self.registrytoken.clone()),
            () if !self.identitytoken.is_empty() => Credential::IdentityToken(self.identitytoken.clone()),
            () => Credential::Basic { username: self.username.clone(), password: self.password.clone() },
        }
    }

    /// Whether they are nobody's.
    pub fn is_anonymous(&self) -> bool {
        self.username.is_empty() && self.identitytoken.is_empty() && self.registrytoken.is_empty()
    }
}

/// Hosts that stand for Docker Hub.
const HUB: [&str; 4] = ["docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"];

/// Whether two hosts are the same registry.
pub fn is_same(one: &str, other: &str) -> bool {
    one == other || (HUB.contains(&one) && HUB.contains(&other))
}

/// The host of a `serveraddress`: of a URL, or as it is.
pub fn host_of(server: &str) -> &str {
    let rest = server.split_once("://").map_or(server, |(_, rest)| rest);
    rest.split('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_padded_or_not_and_garbage_is_nobody() {
        for header in ["eyJ1c2VybmFtZSI6InUiLCJwYXNzd29yZCI6InAifQ==", "eyJ1c2VybmFtZSI6InUiLCJwYXNzd29yZCI6InAifQ"] {
            let credentials = Credentials::decode(header);
            assert_eq!((credentials.username.as_str(), credentials.password.as_str()), ("u", "p"));
            assert_eq!(format!("{credentials:?}"), "Credentials of \"u\" at \"\"");
        }
        for header in ["", "e30=", "!!", "bm90IGpzb24="] {
            assert!(Credentials::decode(header).is_anonymous(), "{header}");
        }
    }

    #[test]
    fn a_server_address_is_a_host() {
        assert_eq!(host_of("https://index.docker.io/v1/"), "index.docker.io");
        assert_eq!(host_of("r.example:5000"), "r.example:5000");
    }
}
