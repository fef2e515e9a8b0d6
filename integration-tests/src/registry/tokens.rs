//! Who is let in: everybody, users with a password, or bearers of tokens that this registry gives out itself.

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};

use super::log::Logged;

/// Whom a registry lets in.
#[derive(Debug, Clone, Default)]
pub enum Access {
    /// Everybody.
    #[default]
    Open,
    /// Who knows this name and password.
    Basic(String, String),
    /// Who bears a token from `/token`.
    Bearer(Tokens),
}

/// How tokens are given out.
#[derive(Debug, Clone)]
pub struct Tokens {
    /// Who gets one; everybody when there is none.
    pub user: Option<(String, String)>,
    /// The identity token that does as well, only by POST; without it POST is answered 405.
    pub refresh_token: Option<String>,
    /// Where the challenge sends clients, when not here.
    pub realm: Option<String>,
    /// `token` or `access_token`.
    pub field: &'static str,
    /// Lifetime that is told, in seconds; nothing is told for none.
    pub expires_in: Option<u64>,
}

impl Default for Tokens {
    fn default() -> Self {
        Self { user: None, refresh_token: None, realm: None, field: "token", expires_in: Some(300) }
    }
}

/// Tokens that are valid, with what each allows: `repository:name:pull`.
pub(super) type Issued = BTreeMap<String, Vec<String>>;

/// What a request needs: `repository:NAME:pull`, `…:push`; none of /v2/ itself.
pub(super) fn needed(method: &str, path: &str) -> Option<String> {
    let rest = path.strip_prefix("/v2/")?;
    let end = ["/blobs/", "/manifests/", "/tags/"].iter().filter_map(|part| rest.find(part)).min()?;
    let action = if matches!(method, "GET" | "HEAD") { "pull" } else { "push" };
    Some(format!("repository:{}:{action}", &rest[..end]))
}

/// Whether `request` may pass; otherwise the challenge.
pub(super) fn admit(access: &Access, issued: &Issued, url: &str, request: &Logged) -> Result<(), String> {
    let given = request.authorization.as_deref();
    match access {
        Access::Open => Ok(()),
        Access::Basic(user, password) if given == Some(&basic(user, password)) => Ok(()),
        Access::Basic(..) => Err("Basic realm=\"tests, with a comma\"".to_owned()),
        Access::Bearer(tokens) => {
            let needed = needed(&request.method, &request.path);
            let scopes = given.and_then(|given| given.strip_prefix("Bearer ")).and_then(|token| issued.get(token));
            let suffices = |scopes: &Vec<String>| needed.as_ref().is_none_or(|needed| allows(scopes, needed));
            if scopes.is_some_and(suffices) {
                return Ok(());
            }
            let realm = tokens.realm.clone().unwrap_or_else(|| format!("{url}/token"));
            let scope = needed.map(|needed| {
                let needed = needed.strip_suffix(":push").map_or(needed.clone(), |name| format!("{name}:pull,push"));
                format!(",scope=\"{needed}\"")
            });
            let error = if given.is_some() { ",error=\"invalid_token\"" } else { "" };
            Err(format!("Bearer realm=\"{realm}\",service=\"tests\"{}{error}", scope.unwrap_or_default()))
        }
    }
}

fn allows(scopes: &[String], needed: &str) -> bool {
    let Some((name, action)) = needed.rsplit_once(':') else { return false };
    scopes
        .iter()
        .filter_map(|scope| scope.rsplit_once(':'))
        .any(|(of, actions)| of == name && actions.split(',').any(|given| given == action))
}

/// The header of a name and a password.
pub(super) fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")))
}

/// Answers `/token`: status and JSON.
pub(super) fn give(access: &Access, issued: &mut Issued, request: &Logged, body: &Bytes) -> (u16, Value) {
    let Access::Bearer(tokens) = access else { return (404, json!({})) };
    let is_post = request.method == "POST";
    let text = String::from_utf8_lossy(body).into_owned();
    let fields = parameters(if is_post { &text } else { &request.query });
    let value = |name: &str| fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.clone());
    let welcome = match (&tokens.user, is_post) {
        (_, true) if tokens.refresh_token.is_none() => return (405, json!({})),
        (_, true) if value("grant_type").as_deref() == Some("refresh_token") => {
            value("refresh_token") == tokens.refresh_token
        }
        (Some((user, password)), true) => {
            value("username").as_ref() == Some(user) && value("password").as_ref() == Some(password)
        }
        (Some((user, password)), false) => request.authorization.as_deref() == Some(&basic(user, password)),
        (None, _) => true,
    };
    if !welcome {
        return (401, json!({"errors": [{"code": "UNAUTHORIZED", "message": "who are you"}]}));
    }
    let scopes: Vec<String> = fields
        .iter()
        .filter(|(field, _)| field == "scope")
        .flat_map(|(_, value)| value.split(' ').map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let token = format!("token-{}", crate::random_id(8));
    issued.insert(token.clone(), scopes);
    let mut answer = json!({tokens.field: token});
    if let Some(seconds) = tokens.expires_in {
        answer["expires_in"] = seconds.into();
    }
    if value("offline_token").as_deref() == Some("true") || value("access_type").as_deref() == Some("offline") {
        answer["refresh_token"] = json!(tokens.refresh_token);
    }
    (200, answer)
}

/// The fields of a query or form.
pub(super) fn parameters(text: &str) -> Vec<(String, String)> {
    let decode = |text: &str| {
        let mut out = Vec::new();
        let mut bytes = text.bytes();
        while let Some(byte) = bytes.next() {
            match byte {
                b'+' => out.push(b' '),
                b'%' => {
                    let digits = [bytes.next().unwrap_or(b'0'), bytes.next().unwrap_or(b'0')];
                    out.push(u8::from_str_radix(&String::from_utf8_lossy(&digits), 16).unwrap_or(b'?'));
                }
                byte => out.push(byte),
            }
        }
        String::from_utf8_lossy(&out).into_owned()
    };
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}
