//! The version at the start of a path, and which ones are served.

use corten_docker_api::ApiVersion;
use corten_docker_api::version::{MAXIMUM, MINIMUM};

use crate::errors::{EngineError, Result};

/// Splits `/v1.41/containers/json` into the version and the rest; a path without one speaks the newest.
///
/// # Errors
/// 400 for a version outside what is served, in dockerd's words: clients print them.
pub fn gate(path: &str) -> Result<(ApiVersion, &str)> {
    let Some((version, rest)) = prefix(path) else { return Ok((MAXIMUM, path)) };
    if version > MAXIMUM {
        return Err(EngineError::invalid(format!(
            "client version {version} is too new. Maximum supported API version is {MAXIMUM}"
        )));
    }
    let minimum = if is_of_archives(rest) { MINIMUM_OF_ARCHIVES } else { MINIMUM };
    if version < minimum {
        return Err(EngineError::invalid(format!(
            "client version {version} is too old. Minimum supported API version is {MINIMUM}, please upgrade your client to a newer version"
        )));
    }
    Ok((version, rest))
}

/// What skopeo and podman of Debian 12 say at the two routes that read and write archives, without asking first;
/// dockerd 20.10 answers them, and nothing there has changed since.
const MINIMUM_OF_ARCHIVES: ApiVersion = ApiVersion::new(1, 22);

fn is_of_archives(rest: &str) -> bool {
    let path = rest.split('?').next().unwrap_or(rest);
    let Some(name) = path.strip_prefix("/images/") else { return false };
    name == "load" || name == "get" || name.ends_with("/get")
}

fn prefix(path: &str) -> Option<(ApiVersion, &str)> {
    let versioned = path.strip_prefix("/v")?;
    let end = versioned.find('/')?;
    Some((versioned[..end].parse().ok()?, &versioned[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_outside_the_range_are_refused_in_dockerds_words() {
        assert_eq!(gate("/v1.41/info").unwrap(), (ApiVersion::new(1, 41), "/info"));
        assert_eq!(gate("/info").unwrap(), (MAXIMUM, "/info"));
        assert_eq!(gate("/volumes/x").unwrap(), (MAXIMUM, "/volumes/x"));
        for path in ["/images/get?names=a", "/images/a/b:1/get", "/images/load"] {
            assert_eq!(gate(&format!("/v1.22{path}")).unwrap(), (ApiVersion::new(1, 22), path));
            assert!(gate(&format!("/v1.21{path}")).is_err());
        }
        let text = |path: &str| gate(path).unwrap_err().message();
        assert_eq!(text("/v1.99/info"), "client version 1.99 is too new. Maximum supported API version is 1.51");
        assert!(
            text("/v1.9/info").starts_with("client version 1.9 is too old. Minimum supported API version is 1.24,")
        );
    }
}
