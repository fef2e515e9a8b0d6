//! `network ls`: networks by name.

use crate::arguments::Matches;
use crate::cli::Cli;
use crate::failure::Outcome;
use crate::flags::Flag;
use crate::request::filters;
use crate::table;
use crate::template::Row;
use crate::text::short_id;
use crate::tree::{Arity, Verb, verb};
use corten_docker_api::client::Query;
use corten_docker_api::networks::Network;

/// The command.
pub const VERB: Verb = verb!(network_ls, "[OPTIONS]", "List networks", Arity::None, FLAGS);

const FLAGS: &[Flag] = &[
    Flag::filter(),
    Flag::text("format", crate::commands::FORMAT_HELP),
    Flag::bool("no-trunc", "Show ids in full"),
    Flag::bool("quiet", "Show ids only").short('q'),
];

const HEADER: [(&str, &str); 9] = [
    ("ID", "NETWORK ID"),
    ("Name", "NAME"),
    ("Driver", "DRIVER"),
    ("Scope", "SCOPE"),
    ("IPv4", "IPV4"),
    ("IPv6", "IPV6"),
    ("Internal", "INTERNAL"),
    ("Labels", "LABELS"),
    ("CreatedAt", "CREATED AT"),
];

const TABLE: &str = "table {{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}";
const RAW: &str = "network_id: {{.ID}}\nname: {{.Name}}\ndriver: {{.Driver}}\nscope: {{.Scope}}\n";

/// Lists networks.
pub async fn network_ls(cli: &Cli, matches: &Matches) -> Outcome {
    let query = Query::new().non_empty("filters", &filters(matches.list("filter")));
    let mut networks: Vec<Network> = cli.client.get(&format!("/networks{}", query.as_str())).await?.json().await?;
    networks.sort_by(|one, other| one.name.cmp(&other.name));
    let format = match (matches.text("format"), matches.flag("quiet")) {
        ("" | table::TABLE, true) => "{{.ID}}",
        ("" | table::TABLE, false) => TABLE,
        ("raw", true) => "network_id: {{.ID}}",
        ("raw", false) => RAW,
        (own, _) => own,
    };
    let is_short = !matches.flag("no-trunc");
    let rows = networks.iter().map(|network| row(network, is_short)).collect();
    cli.print(&table::render(format, &HEADER, rows)?);
    Ok(())
}

fn row(network: &Network, is_short: bool) -> Row {
    let labels = network.labels.clone().unwrap_or_default();
    let shown: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let id = if is_short { short_id(&network.id).to_owned() } else { network.id.clone() };
    Row::new(
        "*network.networkContext",
        vec![
            ("ID", Some(id)),
            ("Name", Some(network.name.clone())),
            ("Driver", Some(network.driver.clone())),
            ("Scope", Some(network.scope.clone())),
            ("IPv4", Some(network.enable_ipv4.to_string())),
            ("IPv6", Some(network.enable_ipv6.to_string())),
            ("Internal", Some(network.internal.to_string())),
            ("Labels", Some(shown.join(","))),
            ("CreatedAt", Some(go_time(&network.created))),
        ],
    )
    .with_labels(labels)
}

/// A moment as Go prints it: `2026-01-02T03:04:05.60Z` becomes `2026-01-02 03:04:05.6 +0000 UTC`.
fn go_time(text: &str) -> String {
    let Some((date, time)) = text.split_once('T') else { return text.to_owned() };
    let zone = time.find(['Z', '+', '-']).unwrap_or(time.len());
    let (time, zone) = time.split_at(zone);
    let time = match time.split_once('.') {
        Some((seconds, part)) => match part.trim_end_matches('0') {
            "" => seconds.to_owned(),
            part => format!("{seconds}.{part}"),
        },
        None => time.to_owned(),
    };
    match zone {
        "Z" | "" => format!("{date} {time} +0000 UTC"),
        other => {
            let other = other.replace(':', "");
            format!("{date} {time} {other} {other}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::go_time;

    #[test]
    fn moments_are_written_as_go_does() {
        for (text, expected) in [
            ("2026-01-02T03:04:05.600000000Z", "2026-01-02 03:04:05.6 +0000 UTC"),
            ("2026-01-02T03:04:05Z", "2026-01-02 03:04:05 +0000 UTC"),
            ("2026-01-02T03:04:05.5+01:00", "2026-01-02 03:04:05.5 +0100 +0100"),
            ("0001-01-01T00:00:00Z", "0001-01-01 00:00:00 +0000 UTC"),
            ("soon", "soon"),
        ] {
            assert_eq!(go_time(text), expected);
        }
    }
}
