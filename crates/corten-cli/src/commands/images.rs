//! `images`: images, a row for each name.

use crate::arguments::Matches;
use crate::cli::Cli;
use crate::failure::Outcome;
use crate::flags::Flag;
use crate::request::filters;
use crate::table;
use crate::template::Row;
use crate::text::{short_id, since, timestamp};
use crate::tree::{Arity, Verb, verb};
use corten_docker_api::client::Query;
use corten_docker_api::images::ImageSummary;
use corten_terminal::units::{human_size, human_size_with_precision};
use corten_types::Reference;
use std::collections::BTreeMap;

/// The command.
pub const VERB: Verb =
    verb!(images, "[OPTIONS] [REPOSITORY[:TAG]]", "List images by name and tag", Arity::AtMost(1), FLAGS);

const FLAGS: &[Flag] = &[
    Flag::bool("all", "Show intermediate images too").short('a'),
    Flag::bool("digests", "Show digests"),
    Flag::filter(),
    Flag::text("format", crate::commands::FORMAT_HELP),
    Flag::bool("no-trunc", "Show ids in full"),
    Flag::bool("quiet", "Show ids only").short('q'),
];

/// The columns there are.
pub const HEADER: [(&str, &str); 11] = [
    ("ID", "IMAGE ID"),
    ("Repository", "REPOSITORY"),
    ("Tag", "TAG"),
    ("Digest", "DIGEST"),
    ("CreatedSince", "CREATED"),
    ("CreatedAt", "CREATED AT"),
    ("Size", "SIZE"),
    ("Containers", "CONTAINERS"),
    ("VirtualSize", "SIZE"),
    ("SharedSize", "SHARED SIZE"),
    ("UniqueSize", "UNIQUE SIZE"),
];

const TABLE: &str =
    "table {{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{if .CreatedSince }}{{.CreatedSince}}{{else}}N/A{{end}}\t{{.Size}}";
const TABLE_WITH_DIGEST: &str = "table {{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{if .CreatedSince }}{{.CreatedSince}}{{else}}N/A{{end}}\t{{.Size}}";
const RAW: &str = "repository: {{ .Repository }}\ntag: {{.Tag}}\nimage_id: {{.ID}}\ncreated_at: {{.CreatedAt}}\nvirtual_size: {{.Size}}\n";
const RAW_WITH_DIGEST: &str = "repository: {{ .Repository }}\ntag: {{.Tag}}\ndigest: {{.Digest}}\nimage_id: {{.ID}}\ncreated_at: {{.CreatedAt}}\nvirtual_size: {{.Size}}\n";

/// What a name without one is shown as.
const NONE: &str = "<none>";

/// Words behind `images` that were rather meant for `image`.
const SUBCOMMANDS: [&str; 13] =
    ["build", "history", "import", "inspect", "list", "load", "ls", "prune", "pull", "push", "rm", "save", "tag"];

/// Lists images.
pub async fn images(cli: &Cli, matches: &Matches) -> Outcome {
    let name = matches.arguments.first().map_or("", String::as_str);
    let mut conditions = matches.list("filter").to_vec();
    if !name.is_empty() {
        conditions.push(format!("reference={name}"));
    }
    let query = Query::new().flag("all", matches.flag("all")).non_empty("filters", &filters(&conditions));
    let images: Vec<ImageSummary> = cli.client.get(&format!("/images/json{}", query.as_str())).await?.json().await?;

    let is_quiet = matches.flag("quiet");
    let shows_digests = matches.flag("digests");
    let given = matches.text("format");
    let format = match given {
        "" if !is_quiet && !cli.config.images_format.is_empty() => &cli.config.images_format,
        "" => table::TABLE,
        given => given,
    };
    let format = layout(format, is_quiet, shows_digests);
    let needs_digest = shows_digests || format.contains("{{.Digest}}");
    let is_short = !matches.flag("no-trunc");
    let rows = images.iter().flat_map(|image| rows(image, is_short, shows_digests, needs_digest)).collect();
    cli.print(&table::render(&format, &HEADER, rows)?);
    if !name.is_empty() && images.is_empty() && cli.called_as == "images" && SUBCOMMANDS.contains(&name) {
        cli.warn(&format!("\nNo images found matching {name:?}: did you mean \"{} image {name}\"?", cli.program));
    }
    Ok(())
}

fn layout(format: &str, is_quiet: bool, shows_digests: bool) -> String {
    match format {
        table::TABLE if is_quiet => "{{.ID}}".to_owned(),
        table::TABLE if shows_digests => TABLE_WITH_DIGEST.to_owned(),
        table::TABLE => TABLE.to_owned(),
        "raw" if is_quiet => "image_id: {{.ID}}".to_owned(),
        "raw" if shows_digests => RAW_WITH_DIGEST.to_owned(),
        "raw" => RAW.to_owned(),
        own if own.starts_with(table::TABLE) && shows_digests && !own.contains("{{.Digest}}") => {
            format!("{own}\t{{{{.Digest}}}}")
        }
        own => own.to_owned(),
    }
}

fn rows(image: &ImageSummary, is_short: bool, shows_digests: bool, needs_digest: bool) -> Vec<Row> {
    let row = |repository: &str, tag: &str, digest: &str| row(image, is_short, repository, tag, digest);
    let texts = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
    let (tags, digests) = (texts(&image.repo_tags), texts(&image.repo_digests));
    let is_dangling =
        (tags.is_empty() && digests.is_empty()) || (tags == ["<none>:<none>"] && digests == ["<none>@<none>"]);
    if is_dangling {
        return vec![row(NONE, NONE, NONE)];
    }
    let mut by_name: BTreeMap<String, (Vec<String>, Vec<String>)> = BTreeMap::new();
    for reference in tags.iter().filter_map(|text| text.parse::<Reference>().ok()) {
        if let Some(tag) = reference.tag() {
            by_name.entry(reference.familiar_name()).or_default().0.push(tag.to_owned());
        }
    }
    for reference in digests.iter().filter_map(|text| text.parse::<Reference>().ok()) {
        if let Some(digest) = reference.digest() {
            by_name.entry(reference.familiar_name()).or_default().1.push(digest.to_string());
        }
    }
    let mut rows = Vec::new();
    // Names with tags first, then what is known by digest only.
    for (name, (tags, digests)) in by_name.iter().filter(|(_, (tags, _))| !tags.is_empty()) {
        for tag in tags {
            if digests.is_empty() || !needs_digest {
                rows.push(row(name, tag, NONE));
            } else {
                rows.extend(digests.iter().map(|digest| row(name, tag, digest)));
            }
        }
    }
    for (name, (_, digests)) in by_name.iter().filter(|(_, (tags, _))| tags.is_empty()) {
        if shows_digests {
            rows.extend(digests.iter().map(|digest| row(name, NONE, digest)));
        } else {
            rows.push(row(name, NONE, ""));
        }
    }
    rows
}

/// The row of `system df`: under the first tag alone, with a short id where there are columns.
pub fn usage_row(image: &ImageSummary, is_short: bool) -> Row {
    let first = image.repo_tags.iter().flatten().find(|tag| *tag != "<none>:<none>");
    let reference = first.and_then(|text| text.parse::<Reference>().ok());
    let (repository, tag) = match &reference {
        Some(reference) => (reference.familiar_name(), reference.tag().unwrap_or(NONE).to_owned()),
        None => (NONE.to_owned(), NONE.to_owned()),
    };
    row(image, is_short, &repository, &tag, "")
}

fn row(image: &ImageSummary, is_short: bool, repository: &str, tag: &str, digest: &str) -> Row {
    let id = if is_short { short_id(&image.id).to_owned() } else { image.id.clone() };
    #[allow(clippy::cast_precision_loss)] // four digits are shown
    let unknown_or = |bytes: i64| if bytes == -1 { "N/A".to_owned() } else { human_size(bytes as f64) };
    let unique = if image.size == -1 || image.shared_size == -1 { -1 } else { image.size - image.shared_size };
    #[allow(clippy::cast_precision_loss)]
    let size = image.size as f64;
    Row::new(
        "*formatter.imageContext",
        vec![
            ("ID", Some(id)),
            ("Repository", Some(repository.to_owned())),
            ("Tag", Some(tag.to_owned())),
            ("Digest", Some(digest.to_owned())),
            ("CreatedSince", Some(format!("{} ago", since(image.created)))),
            ("CreatedAt", Some(timestamp(image.created))),
            ("Size", Some(human_size_with_precision(size, 3))),
            ("Containers", Some(if image.containers == -1 { "N/A".to_owned() } else { image.containers.to_string() })),
            ("VirtualSize", Some(human_size(size))),
            ("SharedSize", Some(unknown_or(image.shared_size))),
            ("UniqueSize", Some(unknown_or(unique))),
        ],
    )
}
