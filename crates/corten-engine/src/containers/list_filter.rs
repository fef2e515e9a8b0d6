//! Which containers a list asks for.

use std::time::Duration;

use corten_docker_api::Filters;

use super::View;
use super::record::{Record, State};
use crate::clock::Moment;
use crate::engine::Engine;
use crate::errors::{EngineError, Result};
use crate::images;

/// The keys that `docker ps --filter` knows.
const KEYS: &[&str] = &[
    "ancestor",
    "before",
    "exited",
    "expose",
    "health",
    "id",
    "is-task",
    "isolation",
    "label",
    "name",
    "network",
    "publish",
    "since",
    "status",
    "volume",
];

/// Filters with what they refer to looked up.
pub struct ListFilter {
    filters: Filters,
    exited: Vec<i64>,
    before: Option<Moment>,
    since: Option<Moment>,
    ancestors: Option<Vec<String>>,
}

impl ListFilter {
    /// Checks the filters and looks up the containers and images they name.
    ///
    /// # Errors
    /// 400 for keys and values docker refuses, 404 for a container that `before` or `since` name.
    pub async fn prepare(engine: &Engine, filters: Filters) -> Result<Self> {
        filters.allow(KEYS)?;
        let bad = |key: &str, value: &str| EngineError::invalid(format!("invalid filter '{key}={value}'"));
        let exited = filters.values("exited").map(|code| code.parse().map_err(|_| bad("exited", code)));
        let exited = exited.collect::<Result<Vec<i64>>>()?;
        let statuses = ["created", "running", "paused", "restarting", "removing", "exited", "dead"];
        if let Some(status) = filters.values("status").find(|status| !statuses.contains(status)) {
            return Err(bad("status", status));
        }
        if let Some(health) =
            filters.values("health").find(|health| !["starting", "healthy", "unhealthy", "none"].contains(health))
        {
            return Err(bad("health", health));
        }
        filters.boolean("is-task", false)?;
        for key in ["publish", "expose"] {
            if let Some(port) = filters.values(key).find(|port| !is_port_range(port)) {
                return Err(bad(key, port));
            }
        }
        let created = |name: &str| engine.containers.find(name).map(|container| container.view().record.created);
        let before = filters.values("before").map(created).collect::<Result<Vec<_>>>()?.into_iter().min();
        let since = filters.values("since").map(created).collect::<Result<Vec<_>>>()?.into_iter().max();
        let mut ancestors = None;
        for name in filters.values("ancestor") {
            let list = ancestors.get_or_insert_with(Vec::new);
            // An image nobody has is nobody's ancestor.
            if let Ok(image) = images::resolve::resolve(engine, name).await {
                list.push(image.id.clone());
            }
        }
        Ok(Self { filters, exited, before, since, ancestors })
    }

    /// Whether a status is asked for, which makes the list include containers that do not run.
    pub fn asks_for_status(&self) -> bool {
        ["status", "exited", "before", "since"].iter().any(|key| self.filters.contains(key))
    }

    /// Whether the container is asked for.
    pub fn matches(&self, view: &View) -> bool {
        let (record, state) = (&view.record, &view.state);
        let filters = &self.filters;
        let slashed = format!("/{}", record.name);
        let exited = self.exited.is_empty()
            || (!state.running && state.started_at.is_some() && self.exited.contains(&state.exit_code));
        let is_exposed = |port: &str, wanted: &str| {
            let (number, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
            number.parse().is_ok_and(|number| is_in_range(number, protocol, wanted))
        };
        let exposed = |wanted: &str| {
            record.config.exposed_ports.iter().flatten().any(|(port, _)| is_exposed(port, wanted))
                || state.networking.ports.iter().any(|port| is_in_range(port.container.port(), &port.protocol, wanted))
        };
        // The host's side: what a client connects to.
        let published = |wanted: &str| {
            state.networking.ports.iter().any(|port| is_in_range(port.host.port(), &port.protocol, wanted))
        };
        // Either will do where both are asked for.
        let is_by_port = match (filters.contains("publish"), filters.contains("expose")) {
            (true, true) => filters.any("publish", published) || filters.any("expose", exposed),
            _ => filters.any("publish", published) && filters.any("expose", exposed),
        };
        let mounted = |wanted: &str| {
            super::inspect::mount_points(record)
                .iter()
                .any(|mount| mount.destination == wanted || mount.source == wanted)
        };
        exited
            && filters.any("status", |status| status == state.status())
            && filters.any("id", |id| record.id.starts_with(id))
            && filters.any("name", |name| name_matches(&slashed, name))
            && filters.any("health", |health| health == "none")
            && filters.any("is-task", |value| matches!(value, "0" | "false"))
            && filters.any("network", |network| is_in(record, state, network))
            && is_by_port
            && filters.any("volume", mounted)
            && filters.match_labels(&record.labels())
            && self.before.is_none_or(|before| record.created < before)
            && self.since.is_none_or(|since| record.created > since)
            && self.ancestors.as_ref().is_none_or(|images| images.contains(&record.image_id))
    }
}

/// Whether a container is in the network that somebody calls `wanted`.
fn is_in(record: &Record, state: &State, wanted: &str) -> bool {
    let by_id = |id: &str| !wanted.is_empty() && id.starts_with(wanted);
    record.networks().iter().any(|(name, endpoint)| name == wanted || by_id(&endpoint.network_id))
        || state.networking.attachments.values().any(|place| by_id(&place.network))
}

/// Whether a port is one of `80`, `80-90`, `80/udp`.
fn is_in_range(port: u16, protocol: &str, wanted: &str) -> bool {
    let (range, wanted_protocol) = wanted.split_once('/').unwrap_or((wanted, "tcp"));
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let bounds = (first.parse::<u16>(), last.parse::<u16>());
    matches!(bounds, (Ok(first), Ok(last)) if (first..=last).contains(&port))
        && wanted_protocol.eq_ignore_ascii_case(protocol)
}

/// `80`, `80-90`, `80/udp`: what ports are asked for by.
fn is_port_range(text: &str) -> bool {
    let (range, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let known = matches!(protocol.to_ascii_lowercase().as_str(), "tcp" | "udp" | "sctp");
    match (first.parse::<u16>(), last.parse::<u16>()) {
        (Ok(first), Ok(last)) => known && first <= last,
        _ => false,
    }
}

/// A name filter is a part of the name; `^` and `$` bind it to an end, which is what people use of
/// the expressions docker allows.
fn name_matches(slashed: &str, wanted: &str) -> bool {
    let (starts, rest) = wanted.strip_prefix('^').map_or((false, wanted), |rest| (true, rest));
    let (ends, rest) = rest.strip_suffix('$').map_or((false, rest), |rest| (true, rest));
    let bare = &slashed[1..];
    [slashed, bare].iter().any(|name| match (starts, ends) {
        (true, true) => *name == rest,
        (true, false) => name.starts_with(rest),
        (false, true) => name.ends_with(rest),
        (false, false) => name.contains(rest),
    })
}

/// A moment as filters give it: unix seconds, RFC 3339, or a duration before `now` such as `1h30m`.
pub fn moment(text: &str, now: Moment) -> Option<Moment> {
    if let Ok(seconds) = text.parse::<i64>() {
        return seconds.checked_mul(1_000_000_000).map(Moment::from_nanos);
    }
    if let Some(moment) = Moment::parse(text) {
        return Some(moment);
    }
    let ago = i64::try_from(go_duration(text)?.as_nanos()).ok()?;
    now.nanos().checked_sub(ago).map(Moment::from_nanos)
}

/// Go's durations: `300ms`, `1h30m`.
fn go_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        let unit_end = rest[digits..].find(|letter: char| letter.is_ascii_digit()).map_or(rest.len(), |at| at + digits);
        let factor = match &rest[digits..unit_end] {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        total = total.checked_add(Duration::try_from_secs_f64(number * factor).ok()?)?;
        rest = &rest[unit_end..];
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_in_part_and_at_bound_ends() {
        for (wanted, matches) in [
            ("we", true),
            ("^/web$", true),
            ("^web$", true),
            ("^we$", false),
            ("eb$", true),
            ("^eb", false),
            ("/web", true),
        ] {
            assert_eq!(name_matches("/web", wanted), matches, "{wanted}");
        }
    }

    #[test]
    fn ports_are_numbers_or_ranges() {
        for (text, is_one) in
            [("80", true), ("80/udp", true), ("80-90/tcp", true), ("90-80", false), ("x", false), ("80/x", false)]
        {
            assert_eq!(is_port_range(text), is_one, "{text}");
        }
    }

    #[test]
    fn moments_are_seconds_times_or_durations() {
        let now = Moment::from_nanos(10_000_000_000_000);
        assert_eq!(moment("5", now).unwrap().nanos(), 5_000_000_000);
        assert_eq!(moment("1970-01-01T00:00:07Z", now).unwrap().nanos(), 7_000_000_000);
        assert_eq!(moment("1h30m", now).unwrap().nanos(), 10_000_000_000_000 - 5_400_000_000_000);
        assert_eq!(moment("300ms", now).unwrap().nanos(), 9_999_700_000_000);
        assert!(moment("soon", now).is_none());
        assert!(moment("", now).is_none());
    }
}
