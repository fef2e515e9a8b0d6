//! Transfers between containerd and registries: what is said of registries, and who asks.

use corten_containerd_api::{ApiError, Stream};
use corten_images::Platform;
use corten_images::registry::{Credential, Settings};
use corten_proto::any;
use corten_proto::containerd::types;
use corten_proto::containerd::types::transfer::{
    AuthRequest, AuthResponse, AuthType, ImageStore, OciRegistry, Progress, RegistryResolver, UnpackConfiguration,
};
use corten_types::Reference;
use prost_types::Any;

use super::abilities::Ability;
use super::{Containerd, by_ourselves};
use crate::registry::credentials::{Credentials, is_same};

/// An image on its way between a registry and containerd: our supervisor moves it, and with any other containerd we do.
pub struct Transfer<'a> {
    /// The way to it.
    pub containerd: &'a Containerd,
    /// The image's name there, and in the registry.
    pub reference: &'a Reference,
    /// How registries are reached.
    pub settings: Settings,
    /// Who asks.
    pub credentials: &'a Credentials,
    /// Whose work it is: this engine's.
    pub owner: &'a str,
}

impl Transfer<'_> {
    /// Brings it here, unpacked for `platform`.
    ///
    /// # Errors
    /// What containerd answers; with the registry's refusal where that is why.
    pub async fn pull(&self, platform: Platform, progress: impl FnMut(Progress)) -> Result<(), ApiError> {
        if !self.containerd.has(Ability::Ours) {
            return by_ourselves::pull(self, platform, progress).await;
        }
        let (registry, answers) = self.registry().await?;
        let platform = described(platform);
        let unpack = UnpackConfiguration { platform: Some(platform.clone()), snapshotter: String::new() };
        let store = ImageStore { platforms: vec![platform], unpacks: vec![unpack], ..ImageStore::default() };
        let transfer = self.containerd.transfer(registry, any::pack(&store), progress);
        tokio::select! {
            result = transfer => result,
            never = answers => match never {},
        }
    }

    /// Sends it; of an image for several platforms only `platform`, where one is named.
    ///
    /// # Errors
    /// What containerd answers; with the registry's refusal where that is why.
    pub async fn push(&self, platform: Option<Platform>, progress: impl FnMut(Progress)) -> Result<(), ApiError> {
        if !self.containerd.has(Ability::Ours) {
            return by_ourselves::push(self, platform, progress).await;
        }
        let (registry, answers) = self.registry().await?;
        let platforms = platform.map(described).into_iter().collect();
        let store = ImageStore { name: self.reference.to_string(), platforms, ..ImageStore::default() };
        let transfer = self.containerd.transfer(any::pack(&store), registry, progress);
        tokio::select! {
            result = transfer => result,
            never = answers => match never {},
        }
    }

    /// The registry's end, and the work of answering who asks, which goes on as long as it is polled.
    async fn registry(&self) -> Result<(Any, impl Future<Output = std::convert::Infallible>), ApiError> {
        let stream = self.containerd.open_stream("auth").await?;
        let resolver = RegistryResolver {
            auth_stream: stream.id.clone(),
            corten_settings: self.settings.to_json(),
            ..RegistryResolver::default()
        };
        let registry = OciRegistry { reference: self.reference.to_string(), resolver: Some(resolver) };
        Ok((any::pack(&registry), answer(stream, self.reference.domain().to_owned(), self.credentials.clone())))
    }
}

/// A platform as containerd names it.
pub fn described(platform: Platform) -> types::Platform {
    types::Platform {
        os: platform.os,
        architecture: platform.architecture,
        variant: platform.variant,
        ..types::Platform::default()
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
