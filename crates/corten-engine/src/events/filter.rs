//! Which events a listener asked for.

use corten_docker_api::Filters;
use corten_docker_api::events::Event;
use corten_types::Reference;

/// The keys of `filters`; swarm's are accepted and match nothing of ours.
pub const KEYS: &[&str] = &[
    "builder",
    "config",
    "container",
    "daemon",
    "event",
    "id",
    "image",
    "label",
    "network",
    "node",
    "plugin",
    "scope",
    "secret",
    "service",
    "type",
    "volume",
];

/// Whether `event` is one that `filters` ask for.
pub fn matches(filters: &Filters, event: &Event) -> bool {
    let attributes = event.actor.attributes.as_ref();
    let attribute = |key: &str| attributes.and_then(|all| all.get(key)).map_or("", String::as_str);
    let named = |kind: &str| {
        filters.any(kind, |wanted| {
            event.kind == kind && (event.actor.id.starts_with(wanted) || attribute("name") == wanted)
        })
    };
    filters.any("event", |wanted| action_matches(&event.action, wanted))
        && filters.any("type", |wanted| event.kind == wanted)
        && filters.any("scope", |wanted| event.scope == wanted)
        && named("daemon")
        && named("container")
        && named("plugin")
        && named("volume")
        && named("network")
        && named("node")
        && named("service")
        && named("secret")
        && named("config")
        && filters.any("image", |wanted| image_matches(event, wanted))
        && filters.match_labels(attributes.unwrap_or(&std::collections::BTreeMap::new()))
}

/// `exec_create: ls` is asked for as `exec_create`, `health_status: healthy` as `health_status`.
fn action_matches(action: &str, wanted: &str) -> bool {
    action == wanted
        || action
            .strip_prefix(wanted)
            .is_some_and(|rest| rest.starts_with(':') && (wanted.starts_with("exec_") || wanted == "health_status"))
}

/// Events of the image, and of containers made of it; the tag may be left out.
fn image_matches(event: &Event, wanted: &str) -> bool {
    let attribute = |key: &str| event.actor.attributes.as_ref().and_then(|all| all.get(key)).map_or("", String::as_str);
    let image = match event.kind.as_str() {
        "image" => attribute("name"),
        _ => attribute("image"),
    };
    let without_tag = |text: &str| text.parse::<Reference>().ok().map(|reference| reference.familiar_name());
    event.actor.id == wanted || image == wanted || without_tag(image).is_some_and(|name| name == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn die() -> Event {
        serde_json::from_str(
            r#"{"Type":"container","Action":"die","scope":"local","Actor":{"ID":"abcdef","Attributes":{"image":"busybox:latest","name":"web","a":"b"}}}"#,
        )
        .unwrap()
    }

    #[test]
    fn keys_must_all_match_and_values_are_alternatives() {
        let check = |text: &str| matches(&Filters::decode(text).unwrap(), &die());
        assert!(check(r#"{"event":["die","start"],"type":["container"]}"#));
        assert!(check(r#"{"container":["web"],"label":["a=b"]}"#));
        assert!(check(r#"{"container":["abc"],"image":["busybox"]}"#));
        assert!(!check(r#"{"container":["other"]}"#));
        assert!(!check(r#"{"network":["web"]}"#));
        assert!(!check(r#"{"event":["di"]}"#));
    }

    #[test]
    fn an_action_with_a_detail_is_found_by_its_word() {
        assert!(action_matches("exec_start: ls", "exec_start"));
        assert!(action_matches("health_status: healthy", "health_status"));
        assert!(!action_matches("exec_start: ls", "exec"));
    }
}
