//! Transfers between containerd and registries: what is said of registries, and who asks.

use corten_containerd_api::{ApiError, Client, Stream};
use corten_images::registry::Credential;
use corten_proto::any;
use corten_proto::containerd::services::introspection::v1::PluginsRequest;
use corten_proto::containerd::types::transfer::{
    AuthRequest, AuthResponse, AuthType, OciRegistry, Progress, RegistryResolver,
};
use corten_types::Reference;
use prost_types::Any;

use crate::registry::credentials::{Credentials, is_same};

/// Whether the containerd is our supervisor, which understands our settings and tells how a registry refused.
///
/// # Errors
/// What containerd answers.
pub async fn is_ours(client: &Client) -> Result<bool, ApiError> {
    let filters = vec!["type==io.containerd.transfer.v1,id==local".to_owned()];
    let plugins = client.introspection().plugins(PluginsRequest { filters }).await?.into_inner().plugins;
    Ok(plugins.iter().any(|plugin| plugin.exports.get("corten").is_some_and(|version| version == "1")))
}

/// Has our supervisor move an image between a registry and what `other` describes.
#[derive(Debug)]
pub struct Transfer<'a> {
    /// The way to it.
    pub client: &'a Client,
    /// The image's name there.
    pub reference: &'a Reference,
    /// How registries are reached, as JSON.
    pub settings: String,
    /// Who asks.
    pub credentials: &'a Credentials,
}

impl Transfer<'_> {
    /// Brings it to `destination`.
    ///
    /// # Errors
    /// What containerd answers; with the registry's refusal where that is why.
    pub async fn pull(&self, destination: Any, progress: impl FnMut(Progress)) -> Result<(), ApiError> {
        let (registry, answers) = self.registry().await?;
        let transfer = self.client.transfer(registry, destination, progress);
        tokio::select! {
            result = transfer => result,
            never = answers => match never {},
        }
    }

    /// Takes it from `source`.
    ///
    /// # Errors
    /// What containerd answers; with the registry's refusal where that is why.
    pub async fn push(&self, source: Any, progress: impl FnMut(Progress)) -> Result<(), ApiError> {
        let (registry, answers) = self.registry().await?;
        let transfer = self.client.transfer(source, registry, progress);
        tokio::select! {
            result = transfer => result,
            never = answers => match never {},
        }
    }

    /// The registry's end, and the work of answering who asks, which goes on as long as it is polled.
    async fn registry(&self) -> Result<(Any, impl Future<Output = std::convert::Infallible>), ApiError> {
        let stream = self.client.open_stream("auth").await?;
        let resolver = RegistryResolver {
            auth_stream: stream.id.clone(),
            corten_settings: self.settings.clone(),
            ..RegistryResolver::default()
        };
        let registry = OciRegistry { reference: self.reference.to_string(), resolver: Some(resolver) };
        Ok((any::pack(&registry), answer(stream, self.reference.domain().to_owned(), self.credentials.clone())))
    }
}

/// Tells the registry of `domain` who asks, and nobody else: least of all a mirror.
async fn answer(mut stream: Stream, domain: String, credentials: Credentials) -> std::convert::Infallible {
    while let Ok(Some(AuthRequest { host, .. })) = stream.next().await {
        stream.send(&response(&domain, &host, &credentials)).await;
    }
    std::future::pending().await
}

fn response(domain: &str, asked: &str, credentials: &Credentials) -> AuthResponse {
    let credential = if is_same(asked, domain) { credentials.for_registry_of(domain) } else { Credential::None };
    let (kind, username, secret) = match credential {
        Credential::None => return AuthResponse::default(),
        Credential::RegistryToken(token) => (AuthType::Header, String::new(), format!("Bearer {token}")),
        Credential::IdentityToken(token) => (AuthType::Refresh, String::new(), token),
        Credential::Basic { username, password } => (AuthType::Credentials, username, password),
        Credential::Header(header) => (AuthType::Header, String::new(), header),
    };
    AuthResponse { auth_type: kind.into(), username, secret, expire_at: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_images_own_registry_is_told() {
        let password = Credentials { username: "u".into(), password: "p".into(), ..Credentials::default() };
        let told = |domain: &str, asked: &str, credentials: &Credentials| response(domain, asked, credentials).secret;
        assert_eq!(told("docker.io", "registry-1.docker.io", &password), "p");
        assert_eq!(told("docker.io", "mirror.example", &password), "");
        assert_eq!(told("r.example:5000", "r.example:5000", &password), "p");
        assert_eq!(told("r.example:5000", "r.example", &password), "");
        let others = Credentials { serveraddress: "https://index.docker.io/v1/".into(), ..password.clone() };
        assert_eq!(told("r.example", "r.example", &others), "");
        assert_eq!(told("docker.io", "index.docker.io", &others), "p");
        let token = Credentials { registrytoken: "t".into(), ..password };
        assert_eq!(told("r.example", "r.example", &token), "Bearer t");
    }
}
