//! Who asks: asked for when a registry wants to know, and never kept longer than the operation.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use super::RegistryError;

/// A registry that wants to know who asks.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Its host as it is reached: `registry-1.docker.io`, `r.example:5000`.
    pub host: &'a str,
    /// The image that is transferred.
    pub reference: &'a str,
    /// Its `WWW-Authenticate` headers.
    pub challenges: &'a [String],
}

/// Who asks, as one registry knows them.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Credential {
    /// Nobody in particular.
    #[default]
    None,
    /// A user's name and password.
    Basic {
        /// The name.
        username: String,
        /// The password.
        password: String,
    },
    /// What `docker login` got in exchange for a password: buys tokens.
    IdentityToken(String),
    /// A token for the registry itself.
    RegistryToken(String),
    /// A whole `Authorization` header.
    Header(String),
}

impl fmt::Debug for Credential {
    /// Without the secret: what is printed may end in a log.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::None => "None",
            Self::Basic { .. } => "Basic",
            Self::IdentityToken(_) => "IdentityToken",
            Self::RegistryToken(_) => "RegistryToken",
            Self::Header(_) => "Header",
        })
    }
}

/// The answer to [`Credentials::credential`].
pub type Answer<'a> = Pin<Box<dyn Future<Output = Result<Credential, RegistryError>> + Send + 'a>>;

/// Whoever knows who asks: containerd's `auth_stream`, or an `X-Registry-Auth` header.
pub trait Credentials: Send + Sync {
    /// Who asks this host; asked once for each host of an operation.
    ///
    /// Errors with [`RegistryError::Credentials`].
    fn credential<'a>(&'a self, asked: Asked<'a>) -> Answer<'a>;
}

/// Nobody in particular, whoever wants to know.
#[derive(Debug, Clone, Copy)]
pub struct Anonymous;

impl Credentials for Anonymous {
    fn credential<'a>(&'a self, _: Asked<'a>) -> Answer<'a> {
        Box::pin(async { Ok(Credential::None) })
    }
}

/// One credential for the registry of one domain, and for nobody else: no mirror is told.
#[derive(Debug, Clone)]
pub struct ForDomain {
    host: String,
    credential: Credential,
}

impl ForDomain {
    /// `credential` for the registry that images of `domain` come from.
    pub fn new(domain: &str, credential: Credential) -> Self {
        Self { host: super::hosts::origin_host(domain).to_owned(), credential }
    }
}

impl Credentials for ForDomain {
    fn credential<'a>(&'a self, asked: Asked<'a>) -> Answer<'a> {
        let own = super::hosts::origin_host(asked.host) == self.host;
        Box::pin(async move { Ok(if own { self.credential.clone() } else { Credential::None }) })
    }
}
