//! `docker network ls`.

use corten_docker_api::Filters;
use corten_docker_api::networks::Network;

use super::inspect::{shown, whole};
use super::record::Record;
use crate::engine::Engine;
use crate::errors::{EngineError, Result};

const FILTER_KEYS: &[&str] = &["dangling", "driver", "id", "label", "name", "scope", "type"];

/// Whether the containers of each network are in a list: to clients of today, inspect alone tells them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Members {
    /// They are.
    Listed,
    /// They are not.
    LeftOut,
}

/// The networks that `filters` ask for.
///
/// # Errors
/// 400 for a filter docker refuses.
pub fn list(engine: &Engine, filters: &Filters, members: Members) -> Result<Vec<Network>> {
    filters.allow(FILTER_KEYS)?;
    if let Some(bad) = filters.values("type").find(|kind| !matches!(*kind, "builtin" | "custom")) {
        return Err(EngineError::invalid(format!("invalid filter: 'type'='{bad}'")));
    }
    let dangling = dangling(filters)?;
    let wanted = |network: &Record| {
        let labels = network.labels.clone().unwrap_or_default();
        let kind = if network.is_predefined() { "builtin" } else { "custom" };
        filters.any("name", |pattern| matches(pattern, &network.name))
            && filters.any("id", |pattern| matches(pattern, &network.id))
            && filters.any("driver", |driver| network.driver == driver)
            && filters.any("scope", |scope| scope == "local")
            && filters.any("type", |wanted| wanted == kind)
            && dangling.is_none_or(|dangling| dangling == is_dangling(engine, network))
            && filters.match_labels(&labels)
    };
    let all = engine.networks.index.all();
    let entry = |network: &Record| match members {
        Members::Listed => whole(engine, network),
        Members::LeftOut => shown(network),
    };
    Ok(all.iter().filter(|network| wanted(network)).map(|network| entry(network)).collect())
}

/// Whether networks are wanted that nobody is in, or the others.
fn dangling(filters: &Filters) -> Result<Option<bool>> {
    let mut values = filters.values("dangling");
    let first = values.next();
    if values.next().is_some() {
        return Err(EngineError::invalid("got more than one value for filter key \"dangling\""));
    }
    match first {
        None => Ok(None),
        Some("1" | "true") => Ok(Some(true)),
        Some("0" | "false") => Ok(Some(false)),
        Some(_) => Err(EngineError::invalid(
            "invalid value for filter 'dangling', must be \"true\" (or \"1\"), or \"false\" (or \"0\")",
        )),
    }
}

fn is_dangling(engine: &Engine, network: &Record) -> bool {
    !network.is_predefined() && super::delete::members(engine, &network.id).is_empty()
}

/// Whether a name or id matches: a part of it, from its beginning with `^`, to its end with `$`. docker reads a regular
/// expression here; nobody's client sends more of one.
fn matches(pattern: &str, text: &str) -> bool {
    match (pattern.strip_prefix('^'), pattern.strip_suffix('$')) {
        (Some(_), Some(_)) => pattern[1..].strip_suffix('$').unwrap_or(pattern) == text,
        (Some(beginning), None) => text.starts_with(beginning),
        (None, Some(end)) => text.ends_with(end),
        (None, None) => text.contains(pattern),
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn names_match_in_part_unless_their_ends_are_held() {
        assert!(matches("b", "abc") && matches("^ab", "abc") && matches("bc$", "abc") && matches("^abc$", "abc"));
        assert!(!matches("^b", "abc") && !matches("b$", "abc") && !matches("^ab$", "abc") && !matches("x", "abc"));
    }
}
