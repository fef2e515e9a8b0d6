//! `ps`: containers, newest first.

use crate::arguments::Matches;
use crate::cli::Cli;
use crate::failure::{Failure, Outcome};
use crate::flags::Flag;
use crate::request::filters;
use crate::table;
use crate::template::{FunctionSet, MissingKey, Row, Template, Value, quote};
use crate::text::{ports, reference, short_id, since, timestamp};
use crate::tree::{Arity, Verb, verb};
use corten_docker_api::client::Query;
use corten_docker_api::containers::ContainerSummary;
use corten_terminal::ellipsis::ellipsis;
use corten_terminal::units::human_size_with_precision;
use std::rc::Rc;

/// The command.
pub const VERB: Verb = verb!(ps, "[OPTIONS]", "List containers, newest first", Arity::None, FLAGS);

const FLAGS: &[Flag] = &[
    Flag::bool("all", "Show stopped containers too").short('a'),
    Flag::filter(),
    Flag::text("format", crate::commands::FORMAT_HELP),
    Flag::int("last", "Show that many of the newest containers, in any state").short('n').default("-1"),
    Flag::bool("latest", "Show the newest container, in any state").short('l'),
    Flag::bool("no-trunc", "Show ids and commands in full"),
    Flag::bool("quiet", "Show ids only").short('q'),
    Flag::bool("size", "Show sizes").short('s'),
];

/// The columns there are.
pub const HEADER: [(&str, &str); 15] = [
    ("ID", "CONTAINER ID"),
    ("Names", "NAMES"),
    ("Image", "IMAGE"),
    ("Command", "COMMAND"),
    ("CreatedAt", "CREATED AT"),
    ("RunningFor", "CREATED"),
    ("Ports", "PORTS"),
    ("State", "STATE"),
    ("Status", "STATUS"),
    ("Size", "SIZE"),
    ("Labels", "LABELS"),
    ("Mounts", "MOUNTS"),
    ("LocalVolumes", "LOCAL VOLUMES"),
    ("Networks", "NETWORKS"),
    ("Platform", "PLATFORM"),
];

const TABLE: &str = "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}";

const RAW: &str = "container_id: {{.ID}}\nimage: {{.Image}}\ncommand: {{.Command}}\ncreated_at: {{.CreatedAt}}\nstate: \
    {{- pad .State 1 0}}\nstatus: {{- pad .Status 1 0}}\nnames: {{.Names}}\nlabels: {{- pad .Labels 1 0}}\nports: {{- pad .Ports 1 0}}\n";

/// Lists containers.
pub async fn ps(cli: &Cli, matches: &Matches) -> Outcome {
    let given = matches.text("format");
    let format = if given.is_empty() { cli.config.ps_format.as_str() } else { given };
    let is_quiet = matches.flag("quiet");
    if is_quiet && !given.is_empty() {
        cli.warn("WARNING: Ignoring custom format, because both --format and --quiet are set.");
    }
    let mut wants_size = matches.flag("size");
    if !format.is_empty() {
        let uses_size = template_uses_size(format)?;
        wants_size |= uses_size && !is_quiet && !matches.is_given("size");
    }
    let last = matches.int("last");
    let limit = if matches.flag("latest") && last == -1 { 1 } else { last };
    let query = Query::new()
        .flag("all", matches.flag("all"))
        .non_empty("filters", &filters(matches.list("filter")))
        .non_empty("limit", &if limit > 0 { limit.to_string() } else { String::new() })
        .flag("size", wants_size);
    let containers: Vec<ContainerSummary> =
        cli.client.get(&format!("/containers/json{}", query.as_str())).await?.json().await?;

    let rows = containers.iter().map(|container| row(container, !matches.flag("no-trunc"))).collect();
    cli.print(&table::render(&layout(format, is_quiet, wants_size), &HEADER, rows)?);
    Ok(())
}

fn layout(format: &str, is_quiet: bool, wants_size: bool) -> String {
    match format {
        "" | table::TABLE if is_quiet => "{{.ID}}".to_owned(),
        "" | table::TABLE => format!("{TABLE}{}", if wants_size { "\t{{.Size}}" } else { "" }),
        "raw" if is_quiet => "container_id: {{.ID}}".to_owned(),
        "raw" => format!("{RAW}{}", if wants_size { "size: {{.Size}}\\n" } else { "" }),
        _ if is_quiet => "{{.ID}}".to_owned(),
        other => other.to_owned(),
    }
}

/// Checks the template on an empty row, and whether it reads the size, which is costly to find out.
fn template_uses_size(format: &str) -> Result<bool, Failure> {
    let template =
        Template::parse("", format).map_err(|error| Failure::new(format!("failed to parse template: {error}")))?;
    let row = Rc::new(row(&ContainerSummary { image: "x".to_owned(), ..ContainerSummary::default() }, true));
    template
        .execute(&mut String::new(), &Value::Row(Rc::clone(&row)), FunctionSet::Values, MissingKey::NoValue)
        .map_err(|error| Failure::new(format!("failed to execute template: {error}")))?;
    Ok(row.was_used("Size"))
}

/// The row of `system df`: what the container has written, without its image.
pub fn usage_row(container: &ContainerSummary, is_short: bool) -> Row {
    row(&ContainerSummary { size_root_fs: 0, ..container.clone() }, is_short)
}

fn row(container: &ContainerSummary, is_short: bool) -> Row {
    let id = if is_short { short_id(&container.id).to_owned() } else { container.id.clone() };
    let command = if is_short { ellipsis(&container.command, 20) } else { container.command.clone() };
    let labels: Vec<_> = container.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let mounts: Vec<_> = container
        .mounts
        .iter()
        .map(|mount| if mount.name.is_empty() { &mount.source } else { &mount.name })
        .map(|name| if is_short { ellipsis(name, 15) } else { name.clone() })
        .collect();
    let volumes = container.mounts.iter().filter(|mount| mount.driver == "local").count();
    let networks =
        container.network_settings.as_ref().map(|settings| settings.networks.keys().cloned().collect::<Vec<_>>());
    let platform = None::<String>;
    #[allow(clippy::cast_precision_loss)] // three digits are shown
    let size = |bytes: i64| human_size_with_precision(bytes as f64, 3);
    let size = if container.size_root_fs > 0 {
        format!("{} (virtual {})", size(container.size_rw), size(container.size_root_fs))
    } else {
        size(container.size_rw)
    };
    Row::new(
        "*formatter.ContainerContext",
        vec![
            ("ID", Some(id)),
            ("Names", Some(names(container, is_short))),
            ("Image", Some(image(container, is_short))),
            ("Command", Some(quote(&command))),
            ("CreatedAt", Some(timestamp(container.created))),
            ("RunningFor", Some(format!("{} ago", since(container.created)))),
            ("Platform", platform),
            ("Ports", Some(ports(&container.ports))),
            ("State", Some(container.state.clone())),
            ("Status", Some(container.status.clone())),
            ("Size", Some(size)),
            ("Labels", Some(labels.join(","))),
            ("Mounts", Some(mounts.join(","))),
            ("LocalVolumes", Some(volumes.to_string())),
            ("Networks", Some(networks.unwrap_or_default().join(","))),
        ],
    )
    .with_labels(container.labels.clone())
}

/// All names, or the one that is no alias by a link.
fn names(container: &ContainerSummary, is_short: bool) -> String {
    let names: Vec<&str> =
        container.names.iter().flatten().map(|name| name.strip_prefix('/').unwrap_or(name)).collect();
    match names.iter().find(|name| !name.contains('/')) {
        Some(own) if is_short => (*own).to_owned(),
        _ => names.join(","),
    }
}

fn image(container: &ContainerSummary, is_short: bool) -> String {
    if container.image.is_empty() {
        return "<no image>".to_owned();
    }
    if !is_short {
        return container.image.clone();
    }
    if short_id(&container.image_id) == short_id(&container.image) {
        return short_id(&container.image).to_owned();
    }
    reference::without_digest(&container.image)
}
