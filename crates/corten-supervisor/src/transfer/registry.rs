//! A registry as a client describes it: where it is, how it is reached, and whom it is asked for.

use std::path::PathBuf;

use corten_images::registry::{Asked, Credential, Credentials, RegistryError, Settings};
use corten_proto::{
    any,
    containerd::types::transfer::{AuthRequest, AuthResponse, AuthType, RegistryResolver},
};
use tokio::sync::Mutex;

use crate::{
    caller::Caller,
    error::{Error, Result},
    streams::{Stream, Streams},
};

/// What `resolver` says of how registries are reached: our engine's settings, or containerd's fields.
///
/// # Errors
/// `InvalidArgument` for settings that cannot be read, `Unimplemented` for a field that is not heeded.
pub fn settings(resolver: &RegistryResolver) -> Result<Settings> {
    if !resolver.corten_settings.is_empty() {
        return Settings::parse(resolver.corten_settings.as_bytes()).map_err(|error| Error::invalid(error.to_string()));
    }
    let plain_http = match resolver.default_scheme.as_str() {
        "" | "https" => false,
        "http" => true,
        other => return Err(Error::invalid(format!("registries by {other:?}: only http and https are spoken"))),
    };
    if resolver.http_debug != 0 {
        return Err(Error::unimplemented("showing the client what is said to a registry: not supported yet"));
    }
    if let Some(name) = resolver.headers.keys().next() {
        return Err(Error::unimplemented(format!("header {name} on every request: not supported yet")));
    }
    let host_dir = (!resolver.host_dir.is_empty()).then(|| PathBuf::from(&resolver.host_dir));
    // What docker's daemon reads is its own; containerd's clients know only containerd's directory.
    Ok(Settings { tls_dir: None, host_dir, plain_http, ..Settings::default() })
}

/// Asks the client who asks, each time a registry wants to know.
#[derive(Debug)]
pub struct AskClient {
    stream: Mutex<Option<Stream>>,
}

impl AskClient {
    /// Asks on the stream that `resolver` names; without one everybody is asked anonymously.
    ///
    /// # Errors
    /// `NotFound` when there is no such stream.
    pub fn on(streams: &Streams, caller: &Caller, resolver: &RegistryResolver) -> Result<Self> {
        let stream = match resolver.auth_stream.as_str() {
            "" => None,
            id => Some(streams.take(&caller.namespace, id)?),
        };
        Ok(Self { stream: Mutex::new(stream) })
    }
}

impl Credentials for AskClient {
    fn credential<'a>(&'a self, asked: Asked<'a>) -> corten_images::registry::Answer<'a> {
        Box::pin(async move {
            // One question at a time: the answers carry no name.
            let mut stream = self.stream.lock().await;
            let Some(stream) = stream.as_mut() else { return Ok(Credential::None) };
            let failed = |why: String| RegistryError::Credentials { host: asked.host.to_owned(), why };
            let question = AuthRequest {
                host: asked.host.to_owned(),
                reference: asked.reference.to_owned(),
                wwwauthenticate: asked.challenges.to_vec(),
            };
            let gone = |_| failed("the client left".to_owned());
            stream.outgoing.send(Ok(any::pack(&question))).await.map_err(gone)?;
            let answer = stream.incoming.message().await.map_err(|status| failed(status.message().to_owned()))?;
            let answer = answer.ok_or_else(|| failed("the client left".to_owned()))?;
            let answer = any::unpack::<AuthResponse>(&answer).map_err(|error| failed(error.to_string()))?;
            Ok(credential(answer.ok_or_else(|| failed("the client answered something else".to_owned()))?))
        })
    }
}

fn credential(answer: AuthResponse) -> Credential {
    match answer.auth_type() {
        AuthType::None => Credential::None,
        AuthType::Credentials => Credential::Basic { username: answer.username, password: answer.secret },
        AuthType::Refresh => Credential::IdentityToken(answer.secret),
        AuthType::Header => Credential::Header(answer.secret),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_says_of_registries_is_heeded_or_refused() {
        let ours = RegistryResolver {
            corten_settings: r#"{"v":1,"mirrors":["https://m.example/"]}"#.into(),
            ..RegistryResolver::default()
        };
        assert_eq!(settings(&ours).unwrap().mirrors, ["https://m.example/"]);
        let containerds = RegistryResolver { host_dir: "/etc/certs.d".into(), ..RegistryResolver::default() };
        assert_eq!(settings(&containerds).unwrap().host_dir, Some(PathBuf::from("/etc/certs.d")));
        let of_scheme =
            |scheme: &str| RegistryResolver { default_scheme: scheme.into(), ..RegistryResolver::default() };
        assert!(settings(&of_scheme("http")).unwrap().plain_http && !settings(&of_scheme("https")).unwrap().plain_http);
        assert!(settings(&of_scheme("ftp")).unwrap_err().to_string().contains("only http and https"));
    }

    #[test]
    fn every_sort_of_answer_is_understood() {
        let answer = |kind: AuthType| AuthResponse {
            auth_type: kind.into(),
            secret: "s".into(),
            username: "u".into(),
            expire_at: None,
        };
        assert_eq!(credential(answer(AuthType::None)), Credential::None);
        assert_eq!(credential(answer(AuthType::Refresh)), Credential::IdentityToken("s".into()));
        assert_eq!(credential(answer(AuthType::Header)), Credential::Header("s".into()));
        let basic = Credential::Basic { username: "u".into(), password: "s".into() };
        assert_eq!(credential(answer(AuthType::Credentials)), basic);
    }
}
