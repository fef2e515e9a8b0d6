//! What is said to registries and what they answer, for whoever looks for a fault: heads only, and no secrets.

use std::fmt::Write;
use std::sync::Arc;

use hyper::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderName, LOCATION, PROXY_AUTHORIZATION, SET_COOKIE};
use hyper::{Request, Response};

/// Who is told.
pub type Watcher = Arc<dyn Fn(&str) + Send + Sync>;

/// Headers that say who somebody is, or let somebody pass for him.
const SECRET: [HeaderName; 4] = [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE, SET_COOKIE];

/// Parameters of an address that are shown: others may be a signature, or what an upload goes on with.
const SHOWN: [&str; 10] = ["ns", "n", "last", "mount", "from", "digest", "service", "scope", "artifactType", "q"];

/// A request's head, as it goes.
pub(super) fn said<B>(request: &Request<B>) -> String {
    let uri = request.uri();
    let path = without_secrets(uri.path_and_query().map_or("/", |path| path.as_str()));
    let host = uri.authority().map_or("", |authority| authority.as_str().rsplit('@').next().unwrap_or_default());
    let mut text = format!("{} {path} {:?}\r\nHost: {host}\r\n", request.method(), request.version());
    headers(&mut text, request.headers());
    text
}

/// An answer's head, as it came.
pub(super) fn answered<B>(response: &Response<B>) -> String {
    let mut text = format!("{:?} {}\r\n", response.version(), response.status());
    headers(&mut text, response.headers());
    text
}

fn headers(text: &mut String, headers: &HeaderMap) {
    for (name, value) in headers {
        let shown = String::from_utf8_lossy(value.as_bytes());
        let shown = match name {
            name if SECRET.contains(name) => "<hidden>".into(),
            &LOCATION => without_secrets(&shown).into(),
            _ => shown,
        };
        let _ = write!(text, "{name}: {shown}\r\n"); // writing to a String cannot fail
    }
    text.push_str("\r\n");
}

/// An address with no parameters but those that are [`SHOWN`].
fn without_secrets(address: &str) -> String {
    let Some((path, query)) = address.split_once('?') else { return address.to_owned() };
    let shown = |pair: &str| match pair.split_once('=') {
        Some((name, _)) if !SHOWN.contains(&name) => format!("{name}=<hidden>"),
        _ => pair.to_owned(),
    };
    let query: Vec<String> = query.split('&').map(shown).collect();
    format!("{path}?{}", query.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_shown_and_secrets_are_not() {
        let request = Request::get("https://r.example:5000/v2/a/manifests/1?ns=b")
            .header("Authorization", "Bearer secret")
            .header("Accept", "*/*");
        let text = said(&request.body(()).unwrap());
        assert!(text.starts_with("GET /v2/a/manifests/1?ns=b HTTP/1.1\r\nHost: r.example:5000\r\n"), "{text}");
        assert!(text.contains("authorization: <hidden>\r\naccept: */*\r\n\r\n"), "{text}");
        let response = Response::builder().status(307).header("Location", "https://cdn/b?digest=d&sig=secret");
        let text = answered(&response.body(()).unwrap());
        assert!(text.ends_with("location: https://cdn/b?digest=d&sig=<hidden>\r\n\r\n"), "{text}");
        let response = Response::builder().status(401).header("WWW-Authenticate", "Basic realm=\"a\"");
        let text = answered(&response.body(()).unwrap());
        assert_eq!(text, "HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Basic realm=\"a\"\r\n\r\n");
    }
}
