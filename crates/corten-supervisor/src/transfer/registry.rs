//! A registry as a client describes it: where it is, how it is reached, and whom it is asked for.

use std::{path::PathBuf, sync::Arc};

use bytes::Bytes;
use corten_images::registry::{Asked, Credential, Credentials, Registry, RegistryError, Settings, Watcher};
use corten_proto::{
    any,
    containerd::types::transfer::{AuthRequest, AuthResponse, AuthType, HttpDebug, RegistryResolver},
};
use corten_types::error::chain;
use tokio::sync::{Mutex, mpsc};
use tracing::info;

use crate::{
    Supervisor,
    caller::Caller,
    error::{Error, Result},
    streams::{Stream, Streams, bytes::StreamWriter},
};

/// Requests and answers that wait for a client that watches: some hundred KiB.
const TOLD_MAX: usize = 256;

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
    let host_dir = (!resolver.host_dir.is_empty()).then(|| PathBuf::from(&resolver.host_dir));
    // What docker's daemon reads is its own; containerd's clients know only containerd's directory.
    let headers = resolver.headers.clone().into_iter().collect();
    Ok(Settings { tls_dir: None, host_dir, plain_http, headers, ..Settings::default() })
}

/// Registries as `resolver` describes them, on behalf of whom the client says, with everybody's turns.
///
/// # Errors
/// As [`settings`]; `NotFound` when a stream it names is not there.
pub fn registry(supervisor: &Supervisor, caller: &Caller, resolver: &RegistryResolver) -> Result<Registry> {
    let credentials = AskClient::on(&supervisor.streams, caller, resolver)?;
    let registry = Registry::new(settings(resolver)?, Arc::new(credentials));
    let registry = registry.map_err(|error| Error::invalid(chain(&error)))?;
    Ok(registry.sharing(&supervisor.transfers).watched_by(watcher(&supervisor.streams, caller, resolver)?))
}

/// Who is told what is said to registries, if the client wants it told: the client where it gave a stream, or else the
/// log. A client that does not read loses what does not fit.
fn watcher(streams: &Streams, caller: &Caller, resolver: &RegistryResolver) -> Result<Option<Watcher>> {
    if resolver.http_debug() == HttpDebug::Disabled {
        return Ok(None);
    }
    if resolver.logs_stream.is_empty() {
        return Ok(Some(Arc::new(|text| info!(text, "said to a registry"))));
    }
    let mut stream = StreamWriter::new(streams.take(&caller.namespace, &resolver.logs_stream)?);
    let (sender, mut told) = mpsc::channel::<Bytes>(TOLD_MAX);
    // Ends with the registry, and the stream with it.
    tokio::spawn(async move {
        while let Some(text) = told.recv().await {
            if stream.send(text).await.is_err() {
                return;
            }
        }
    });
    Ok(Some(Arc::new(move |text| drop(sender.try_send(Bytes::copy_from_slice(text.as_bytes()))))))
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
        let headers = [("X-Meta".to_owned(), "a".to_owned())].into();
        let with_header = settings(&RegistryResolver { headers, ..RegistryResolver::default() }).unwrap();
        assert_eq!(with_header.headers, [("X-Meta".to_owned(), "a".to_owned())]);
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
