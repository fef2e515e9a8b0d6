//! From a challenge to an `Authorization` header: passwords, and tokens that are bought with them (distribution,
//! "token authentication" and "OAuth2 token authentication").

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hyper::header::HeaderValue;
use serde::Deserialize;
use tokio::sync::Mutex;

use super::call::Call;
use super::challenge::Challenge;
use super::client::Client;
use super::credentials::{Asked, Credential};
use super::error::RegistryError;
use super::hosts::Endpoint;

/// Largest answer of a token server.
const TOKEN_MAX: u64 = 1 << 20;
/// What a token lives when the server does not say.
const LIFETIME: Duration = Duration::from_secs(60);
/// Who we are to token servers: the name docker uses, which some of them expect.
const CLIENT_ID: &str = "docker";

/// What is known of who asks, by host.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<HashMap<String, Arc<Host>>>);

/// What one host wants and gets.
#[derive(Debug)]
struct Host(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    credential: Option<Credential>,
    scheme: Option<Scheme>,
    /// By scopes.
    tokens: HashMap<Vec<String>, Token>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Scheme {
    Basic,
    Bearer { realm: String, service: String },
}

#[derive(Debug, Clone)]
struct Token {
    header: HeaderValue,
    renew_at: Instant,
}

/// What a token server gave.
#[derive(Debug, Clone)]
pub(super) struct Given {
    pub(super) token: String,
    pub(super) refresh_token: Option<String>,
    lifetime: Duration,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    access_token: Option<String>,
    #[serde(default)]
    refresh_token: Option<String>,
    #[serde(default)]
    expires_in: Option<f64>,
}

impl Known {
    async fn host(&self, endpoint: &Endpoint) -> Arc<Host> {
        let mut hosts = self.0.lock().await;
        hosts.entry(endpoint.host.clone()).or_insert_with(|| Arc::new(Host(Mutex::default()))).clone()
    }

    /// The header for a request that needs `scopes`, as far as the host's wishes are known.
    pub(super) async fn header(
        &self,
        client: &Client,
        endpoint: &Endpoint,
        scopes: &[String],
    ) -> Result<Option<HeaderValue>, RegistryError> {
        let host = self.host(endpoint).await;
        // Held while a token is fetched: requests that start together share it.
        let mut state = host.0.lock().await;
        match state.scheme.clone() {
            None => Ok(None),
            Some(scheme) => state.header(client, endpoint, scheme, scopes).await,
        }
    }

    /// Takes in the challenge to a request that was sent with `sent`; whether another header can be had now.
    pub(super) async fn challenged(
        &self,
        client: &Client,
        endpoint: &Endpoint,
        scopes: &[String],
        challenges: &[String],
        sent: Option<&HeaderValue>,
    ) -> Result<Option<HeaderValue>, RegistryError> {
        let parsed: Vec<Challenge> = challenges.iter().flat_map(|header| super::challenge::parse(header)).collect();
        let Some(scheme) = best(&parsed) else { return Ok(None) };
        let host = self.host(endpoint).await;
        let mut state = host.0.lock().await;
        if state.credential.is_none() {
            let asked = Asked { host: &endpoint.host, reference: &client.reference, challenges };
            state.credential = Some(client.credentials.credential(asked).await?);
        }
        if state.scheme.as_ref() != Some(&scheme) {
            state.scheme = Some(scheme.clone());
            state.tokens.clear();
        }
        let key = scopes.to_vec();
        // One that was refused is of no use any more, unless somebody else got another meanwhile.
        if state.tokens.get(&key).is_some_and(|token| Some(&token.header) == sent) {
            state.tokens.remove(&key);
        }
        state.header(client, endpoint, scheme, scopes).await
    }
}

/// The scheme that is understood: tokens before passwords.
fn best(challenges: &[Challenge]) -> Option<Scheme> {
    let bearer = challenges.iter().find_map(|challenge| {
        let realm = challenge.get("realm").filter(|_| challenge.scheme == "bearer")?;
        let service = challenge.get("service").unwrap_or_default().to_owned();
        Some(Scheme::Bearer { realm: realm.to_owned(), service })
    });
    bearer.or_else(|| challenges.iter().any(|challenge| challenge.scheme == "basic").then_some(Scheme::Basic))
}

impl State {
    async fn header(
        &mut self,
        client: &Client,
        endpoint: &Endpoint,
        scheme: Scheme,
        scopes: &[String],
    ) -> Result<Option<HeaderValue>, RegistryError> {
        let credential = self.credential.clone().unwrap_or_default();
        let header = |text: String| {
            let mut value = HeaderValue::try_from(text).map_err(|_| RegistryError::Credentials {
                host: endpoint.host.clone(),
                why: "they hold characters that no header can".to_owned(),
            })?;
            value.set_sensitive(true);
            Ok(value)
        };
        let (realm, service) = match (&credential, scheme) {
            (Credential::Header(text), _) => return header(text.clone()).map(Some),
            (Credential::RegistryToken(token), _) => return header(format!("Bearer {token}")).map(Some),
            (Credential::Basic { username, password }, Scheme::Basic) => {
                return header(basic(username, password)).map(Some);
            }
            (_, Scheme::Basic) => return Ok(None),
            (_, Scheme::Bearer { realm, service }) => (realm, service),
        };
        let key = scopes.to_vec();
        if let Some(token) = self.tokens.get(&key).filter(|token| Instant::now() < token.renew_at) {
            return Ok(Some(token.header.clone()));
        }
        let given = fetch(client, endpoint, &Wanted { realm, service, scopes, offline: false }, &credential).await?;
        let token = Token {
            header: header(format!("Bearer {}", given.token))?,
            renew_at: Instant::now() + given.lifetime.mul_f64(0.9),
        };
        self.tokens.insert(key, token.clone());
        Ok(Some(token.header))
    }
}

/// Which token is wanted.
pub(super) struct Wanted<'a> {
    pub(super) realm: String,
    pub(super) service: String,
    pub(super) scopes: &'a [String],
    /// With a token that outlives it, in the place of the password.
    pub(super) offline: bool,
}

/// The realm and service that a challenge names, if it is one for tokens.
pub(super) fn bearer(challenges: &[String]) -> Option<(String, String)> {
    let parsed: Vec<Challenge> = challenges.iter().flat_map(|header| super::challenge::parse(header)).collect();
    match best(&parsed)? {
        Scheme::Bearer { realm, service } => Some((realm, service)),
        Scheme::Basic => None,
    }
}

/// `Basic …`.
pub(super) fn basic(username: &str, password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{username}:{password}")))
}

/// Asks the token server.
pub(super) async fn fetch(
    client: &Client,
    endpoint: &Endpoint,
    wanted: &Wanted<'_>,
    credential: &Credential,
) -> Result<Given, RegistryError> {
    let refused = |why: String| RegistryError::Credentials { host: endpoint.host.clone(), why };
    let is_http = wanted.realm.starts_with("http://");
    // Who could answer for the registry in plain text must not be able to ask for a password that TLS protects.
    if is_http && !endpoint.is_plain() && !endpoint.is_insecure {
        return Err(refused(format!("the token server {} is reached without TLS", wanted.realm)));
    }
    if !is_http && !wanted.realm.starts_with("https://") {
        return Err(refused(format!("the token server {:?} has no usable address", wanted.realm)));
    }
    if let Credential::IdentityToken(token) = credential {
        let posted = post(client, endpoint, wanted, token).await;
        return match posted {
            // A server that takes no form may take the same as a password, as containerd tries it.
            Err(error) if matches!(error.status(), Some(400 | 401 | 404 | 405)) => {
                get(client, endpoint, wanted, Some(("", token))).await.map_err(|_| error)
            }
            posted => posted,
        };
    }
    let user = match credential {
        Credential::Basic { username, password } => Some((username.as_str(), password.as_str())),
        _ => None,
    };
    get(client, endpoint, wanted, user).await
}

/// Everybody else asks with a query, and with name and password where there are some.
async fn get(
    client: &Client,
    endpoint: &Endpoint,
    wanted: &Wanted<'_>,
    user: Option<(&str, &str)>,
) -> Result<Given, RegistryError> {
    let mut query = Vec::new();
    if !wanted.service.is_empty() {
        query.push(("service", wanted.service.as_str()));
    }
    query.extend(wanted.scopes.iter().map(|scope| ("scope", scope.as_str())));
    let mut call = Call::get("token");
    if let Some((username, password)) = user {
        if !username.is_empty() {
            query.push(("account", username));
        }
        call = call.with_header(hyper::header::AUTHORIZATION, &basic(username, password))?;
    }
    if wanted.offline {
        query.extend([("offline_token", "true"), ("client_id", CLIENT_ID)]);
    }
    let separator = if wanted.realm.contains('?') { '&' } else { '?' };
    call.url = Some(format!("{}{separator}{}", wanted.realm, form(&query)));
    answer(client, endpoint, call).await
}

/// An identity token belongs into a form.
async fn post(
    client: &Client,
    endpoint: &Endpoint,
    wanted: &Wanted<'_>,
    identity: &str,
) -> Result<Given, RegistryError> {
    let scope = wanted.scopes.join(" ");
    let fields = [
        ("grant_type", "refresh_token"),
        ("refresh_token", identity),
        ("service", wanted.service.as_str()),
        ("scope", scope.as_str()),
        ("client_id", CLIENT_ID),
    ];
    let mut call = Call::post("token", form(&fields).into())
        .with_header(hyper::header::CONTENT_TYPE, "application/x-www-form-urlencoded")?;
    call.url = Some(wanted.realm.clone());
    answer(client, endpoint, call).await
}

async fn answer(client: &Client, endpoint: &Endpoint, call: Call) -> Result<Given, RegistryError> {
    let realm = call.url.as_deref().and_then(|url| url.parse::<hyper::Uri>().ok());
    let host = realm.and_then(|uri| uri.authority().map(ToString::to_string)).unwrap_or_default();
    let protocol = |why: &str| RegistryError::Protocol { host: host.clone(), what: "token".into(), why: why.into() };
    let response = client.send_without_token(endpoint, &call).await?;
    let response = client.expect_success(&host, "token", response).await?;
    let body = client.read_body(&host, "token", response, TOKEN_MAX).await?;
    let answer: Answer = serde_json::from_slice(&body).map_err(|_| protocol("not the JSON of a token"))?;
    let token = answer.token.filter(|token| !token.is_empty()).or(answer.access_token);
    let seconds = answer.expires_in.filter(|seconds| (0.0..1e9).contains(seconds));
    Ok(Given {
        token: token.filter(|token| !token.is_empty()).ok_or_else(|| protocol("no token in the answer"))?,
        refresh_token: answer.refresh_token.filter(|token| !token.is_empty()),
        lifetime: seconds.map_or(LIFETIME, Duration::from_secs_f64).max(LIFETIME),
    })
}

/// Fields as a query or form.
pub(super) fn form(fields: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", escape(value))).collect();
    pairs.join("&")
}

/// A value of a query: all but the unreserved characters in hex.
pub(super) fn escape(text: &str) -> String {
    use std::fmt::Write;
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:/".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}"); // writing to a String cannot fail
        }
    }
    escaped
}
