//! `search`: images of a registry by a word.

use crate::arguments::Matches;
use crate::cli::Cli;
use crate::commands::pull::with_credentials;
use crate::failure::Outcome;
use crate::flags::Flag;
use crate::request::filters;
use crate::table;
use crate::template::Row;
use crate::tree::{Arity, Verb, verb};
use corten_docker_api::client::{Method, Query};
use corten_terminal::ellipsis::ellipsis;
use serde::Deserialize;

/// The command.
pub const VERB: Verb = verb!(search, "[OPTIONS] TERM", "Search a registry for images", Arity::Exactly(1), FLAGS);

const FLAGS: &[Flag] = &[
    Flag::filter(),
    Flag::text("format", "How to print: 'table TEMPLATE', 'json' or a Go TEMPLATE"),
    Flag::int("limit", "Show at most that many"),
    Flag::bool("no-trunc", "Show descriptions in full"),
];

const HEADER: [(&str, &str); 4] =
    [("Name", "NAME"), ("Description", "DESCRIPTION"), ("StarCount", "STARS"), ("IsOfficial", "OFFICIAL")];

const TABLE: &str = "table {{.Name}}\t{{.Description}}\t{{.StarCount}}\t{{.IsOfficial}}";

/// Longest description in a table, in cells.
const DESCRIPTION_WIDTH: usize = 45;

/// One image found. podman's names begin with capitals, which docker's client reads as well.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Found {
    #[serde(alias = "Name")]
    name: String,
    #[serde(alias = "Description")]
    description: String,
    star_count: i64,
    is_official: bool,
}

/// Searches.
pub async fn search(cli: &Cli, matches: &Matches) -> Outcome {
    let term = matches.arguments.first().map_or("", String::as_str);
    let conditions = matches.list("filter");
    if conditions.iter().any(|condition| condition.split('=').next().unwrap_or_default().trim() == "is-automated") {
        cli.warn(
            "WARNING: the \"is-automated\" filter is deprecated, and searching for \"is-automated=true\" will not yield any results in future.",
        );
    }
    let mut query = Query::new().non_empty("filters", &filters(conditions));
    if matches.int("limit") > 0 {
        query = query.with("limit", &matches.int("limit").to_string());
    }
    let target = format!("/images/search{}", query.with("term", term).as_str());
    let found: Option<Vec<Found>> =
        with_credentials(cli, domain(term), "search", Method::GET, &target).await?.json().await?;

    let format = match matches.text("format") {
        "" | table::TABLE => TABLE,
        given => given,
    };
    let (is_short, is_json) = (!matches.flag("no-trunc"), prints_rows_as_json(format));
    let rows = found.unwrap_or_default().iter().map(|image| row(image, is_short, is_json)).collect();
    cli.print(&table::render(format, &HEADER, rows)?);
    Ok(())
}

/// The registry a term is searched in.
fn domain(term: &str) -> &str {
    match term.split_once('/') {
        Some((domain, _)) if domain.contains(['.', ':']) || domain == "localhost" => domain,
        _ => "docker.io",
    }
}

/// Whether the format writes whole rows as JSON, in which yes and no are `true` and `false`.
fn prints_rows_as_json(format: &str) -> bool {
    let words = |action: &str| action.split("}}").next().unwrap_or_default().split_whitespace().eq(["json", "."]);
    format == table::JSON || format.split("{{").skip(1).any(words)
}

fn row(image: &Found, is_short: bool, is_json: bool) -> Row {
    let mut description = image.description.replace(['\n', '\r'], " ");
    if is_short {
        description = ellipsis(&description, DESCRIPTION_WIDTH);
    }
    let official = match (image.is_official, is_json) {
        (yes, true) => yes.to_string(),
        (true, false) => "[OK]".to_owned(),
        (false, false) => String::new(),
    };
    Row::new(
        "*registry.searchContext",
        vec![
            ("Name", Some(image.name.clone())),
            ("Description", Some(description)),
            ("StarCount", Some(image.star_count.to_string())),
            ("IsOfficial", Some(official)),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::{domain, prints_rows_as_json};

    #[test]
    fn a_term_may_name_its_registry() {
        let check = |term: &str, expected: &str| assert_eq!(domain(term), expected, "{term}");
        check("busybox", "docker.io");
        check("library/busybox", "docker.io");
        check("localhost/busybox", "localhost");
        check("a.example/b/c", "a.example");
        check("host:5000/b", "host:5000");
    }

    #[test]
    fn whole_rows_as_json_are_noticed() {
        assert!(
            prints_rows_as_json("json") && prints_rows_as_json("{{ json . }}") && prints_rows_as_json("a {{json .}}")
        );
        assert!(!prints_rows_as_json("{{json .Name}}") && !prints_rows_as_json("json ."));
    }
}
