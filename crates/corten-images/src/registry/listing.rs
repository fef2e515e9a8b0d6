//! What registries list: tags, repositories, search results; and whether they let somebody in.

use std::collections::BTreeSet;
use std::sync::Arc;

use corten_types::Reference;
use hyper::header::{AUTHORIZATION, LINK, WWW_AUTHENTICATE};
use hyper::{Method, Response, body::Incoming};
use serde::{Deserialize, Serialize};

use super::call::Call;
use super::client::{Client, resolve_location};
use super::credentials::Credential;
use super::hosts::{self, Endpoint, Operation};
use super::repository::{Repository, header, note};
use super::tokens::{Wanted, basic, bearer, fetch, form};
use super::{Registry, RegistryError};

/// Most names of one list.
const NAMES_MAX: usize = 10_000;
/// Most pages of one list: a server that links in a circle ends here.
const PAGES_MAX: usize = 200;
/// Largest page.
const PAGE_MAX: u64 = 4 << 20;
/// Where Hub is searched.
const HUB_SEARCH: &str = "index.docker.io";
/// Most search results, as dockerd bounds them.
pub const RESULTS_MAX: usize = 100;

/// A search result, as Hub has them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// The repository.
    #[serde(default)]
    pub name: String,
    /// What its owner says of it.
    #[serde(default)]
    pub description: String,
    /// How many like it; 0 where nobody counts.
    #[serde(default)]
    pub star_count: i64,
    /// One of Hub's own.
    #[serde(default)]
    pub is_official: bool,
    /// Built by Hub.
    #[serde(default)]
    pub is_automated: bool,
}

/// A registry let somebody in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// What may be kept in the place of the password.
    pub identity_token: Option<String>,
}

#[derive(Deserialize)]
struct Page {
    #[serde(default, alias = "repositories")]
    tags: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Results {
    #[serde(default)]
    results: Vec<Found>,
}

impl Repository {
    /// Every tag.
    ///
    /// # Errors
    /// [`RegistryError`] of the last host.
    pub async fn tags(&self) -> Result<Vec<String>, RegistryError> {
        let mut last = None;
        for endpoint in self.endpoints_for(Operation::Resolve, 0)? {
            let call = self.call(endpoint, Method::GET, "tags", "tags/list", "").with_scopes(&self.pull_scope());
            match names(&self.client, endpoint, call).await {
                Ok(tags) => return Ok(tags),
                Err(error) => note(&mut last, endpoint, error),
            }
        }
        Err(self.nothing(last, Operation::Resolve))
    }
}

impl Registry {
    async fn origin(&self, domain: &str) -> Result<(Arc<Client>, Endpoint), RegistryError> {
        let client = self.client(domain)?;
        let mut endpoints = hosts::endpoints(&self.settings, domain).await?;
        let none = || RegistryError::NoHost { domain: domain.to_owned(), operation: "ask" };
        Ok((client, endpoints.pop().ok_or_else(none)?))
    }

    /// The repositories of the registry of `domain`, the first 10 000.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub async fn catalog(&self, domain: &str) -> Result<Vec<String>, RegistryError> {
        let (client, endpoint) = self.origin(domain).await?;
        let scopes = ["registry:catalog:*".to_owned()];
        let call = Call::get("catalog").at("/_catalog?n=1000".to_owned()).with_scopes(&scopes);
        names(&client, &endpoint, call).await
    }

    /// Searches as docker does: `TERM` on Hub, `HOST/TERM` on that registry, where its catalogue is looked through when
    /// it has no search.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub async fn search(&self, term: &str, limit: usize) -> Result<Vec<Found>, RegistryError> {
        let limit = limit.clamp(1, RESULTS_MAX);
        // The name before the first slash is a host if it looks like one, just as in a reference.
        let host = term.split_once('/').filter(|(host, _)| host.contains(['.', ':']) || *host == "localhost");
        let (domain, rest) = host.unwrap_or((HUB_SEARCH, term));
        let is_hub = matches!(domain, HUB_SEARCH | "docker.io");
        let rest = if is_hub { rest.strip_prefix("library/").unwrap_or(rest) } else { rest };
        let domain = if is_hub { HUB_SEARCH } else { domain };
        let (client, mut endpoint) = self.origin(domain).await?;
        if is_hub {
            endpoint.host = HUB_SEARCH.to_owned();
        }
        let mut call = Call::get("search");
        let query = form(&[("q", rest), ("n", &limit.to_string())]);
        // Beside the second version's path, not below it.
        let root = endpoint.path.strip_suffix("/v2").unwrap_or_default().to_owned();
        let path = format!("{root}/v1/search?{query}");
        endpoint.path = String::new();
        call = call.at(path);
        let response = client.send(&endpoint, &call).await?;
        if !is_hub && matches!(response.status().as_u16(), 404 | 405) {
            return Ok(filtered(self.catalog(domain).await?, domain, rest, limit));
        }
        let response = client.expect_success(&endpoint.host, "search", response).await?;
        let body = client.read_body(&endpoint.host, "search", response, PAGE_MAX).await?;
        let why = |error: serde_json::Error| RegistryError::Protocol {
            host: endpoint.host.clone(),
            what: "search".to_owned(),
            why: error.to_string(),
        };
        let mut results = serde_json::from_slice::<Results>(&body).map_err(why)?.results;
        results.truncate(limit);
        Ok(results)
    }

    /// Whether the registry of `domain` lets `credential` in: `docker login`.
    ///
    /// # Errors
    /// [`RegistryError::Status`] with 401 when it does not.
    pub async fn login(&self, domain: &str, credential: &Credential) -> Result<Login, RegistryError> {
        let (client, endpoint) = self.origin(domain).await?;
        let ask = |call: Call| {
            let (client, endpoint) = (&client, &endpoint);
            async move { client.send_without_token(endpoint, &call).await }
        };
        let call = || Call::get("login").at("/".to_owned());
        let response = ask(call()).await?;
        if response.status().as_u16() != 401 {
            client.expect_success(&endpoint.host, "login", response).await?;
            return Ok(Login { identity_token: None });
        }
        let challenges = challenges(&response);
        let (authorization, identity_token) = match (bearer(&challenges), credential) {
            (Some((realm, service)), _) => {
                let wanted = Wanted { realm, service, scopes: &[], offline: true };
                let given = fetch(&client, &endpoint, &wanted, credential).await?;
                (format!("Bearer {}", given.token), given.refresh_token)
            }
            (None, Credential::Basic { username, password }) => (basic(username, password), None),
            (None, _) => return Err(client.refusal(&endpoint.host, "login", response).await),
        };
        let response = ask(call().with_header(AUTHORIZATION, &authorization)?).await?;
        client.expect_success(&endpoint.host, "login", response).await?;
        Ok(Login { identity_token })
    }

    /// Whether anything that speaks the protocol answers for `domain`.
    ///
    /// # Errors
    /// [`RegistryError`] of the connection.
    pub async fn ping(&self, domain: &str) -> Result<(), RegistryError> {
        let (client, endpoint) = self.origin(domain).await?;
        let response = client.send_without_token(&endpoint, &Call::get("ping").at("/".to_owned())).await?;
        if response.status().as_u16() == 401 {
            return Ok(());
        }
        client.expect_success(&endpoint.host, "ping", response).await.map(drop)
    }
}

fn challenges(response: &Response<Incoming>) -> Vec<String> {
    let values = response.headers().get_all(WWW_AUTHENTICATE).iter();
    values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect()
}

/// Every name of a list with pages (distribution-spec, "Content Discovery").
async fn names(client: &Client, endpoint: &Endpoint, mut call: Call) -> Result<Vec<String>, RegistryError> {
    let (host, what) = (endpoint.host.clone(), call.what.clone());
    let protocol = |why: String| RegistryError::Protocol { host: host.clone(), what: what.clone(), why };
    let mut all = BTreeSet::new();
    for _ in 0..PAGES_MAX {
        let response = client.send(endpoint, &call).await?;
        let response = client.expect_success(&host, &what, response).await?;
        let next = header(&response, LINK.as_str()).and_then(next_link).map(str::to_owned);
        let body = client.read_body(&host, &what, response, PAGE_MAX).await?;
        let page: Page = serde_json::from_slice(&body).map_err(|error| protocol(error.to_string()))?;
        let before = all.len();
        all.extend(page.tags.unwrap_or_default());
        let Some(next) = next.filter(|_| all.len() > before && all.len() < NAMES_MAX) else { break };
        let base = format!("{}{}{}", endpoint.root(), endpoint.path, call.path);
        let base = call.url.clone().unwrap_or(base);
        let base = base.parse().map_err(|error| protocol(format!("{error}")))?;
        call.url = Some(resolve_location(&base, &next).map_err(protocol)?.to_string());
    }
    Ok(all.into_iter().take(NAMES_MAX).collect())
}

/// The address of `Link: <…>; rel="next"` (RFC 8288).
fn next_link(header: &str) -> Option<&str> {
    let (address, rest) = header.strip_prefix('<')?.split_once('>')?;
    rest.replace(['"', ' '], "").to_ascii_lowercase().contains("rel=next").then_some(address)
}

fn filtered(names: Vec<String>, domain: &str, term: &str, limit: usize) -> Vec<Found> {
    let matching = names.into_iter().filter(|name| name.contains(term));
    // What cannot be pulled is not shown.
    let usable = matching.filter(|name| format!("{domain}/{name}").parse::<Reference>().is_ok());
    let found = |name: String| Found {
        name,
        description: String::new(),
        star_count: 0,
        is_official: false,
        is_automated: false,
    };
    usable.take(limit).map(found).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_link_to_the_next_page_is_followed() {
        assert_eq!(next_link(r#"</v2/a/tags/list?n=2&last=b>; rel="next""#), Some("/v2/a/tags/list?n=2&last=b"));
        assert_eq!(next_link(r#"</x>; rel="prev""#), None);
        assert_eq!(next_link("nothing"), None);
    }
}
