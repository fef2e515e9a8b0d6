//! `system df`: what images, containers and volumes take on the daemon's disk.

use crate::arguments::Matches;
use crate::cli::Cli;
use crate::commands::{images, ps};
use crate::failure::{Failure, Outcome};
use crate::flags::Flag;
use crate::table;
use crate::template::{FunctionSet, MissingKey, Row, Template, Value};
use crate::tree::{Arity, Verb, verb};
use corten_docker_api::disk_usage::DiskUsage;
use corten_terminal::units::human_size;
use std::rc::Rc;

/// The command.
pub const VERB: Verb = verb!(system_df, "[OPTIONS]", "Show what takes space on disk", Arity::None, FLAGS);

const FLAGS: &[Flag] = &[
    Flag::text("format", crate::commands::FORMAT_HELP),
    Flag::bool("verbose", "Show each image, container and volume").short('v'),
];

const HEADER: [(&str, &str); 5] =
    [("Type", "TYPE"), ("TotalCount", "TOTAL"), ("Active", "ACTIVE"), ("Size", "SIZE"), ("Reclaimable", "RECLAIMABLE")];

const TABLE: &str = "table {{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}";
const RAW: &str =
    "type: {{.Type}}\ntotal: {{.TotalCount}}\nactive: {{.Active}}\nsize: {{.Size}}\nreclaimable: {{.Reclaimable}}\n";
const RAW_VERBOSE: &str = "\
{{range .Images}}type: Image
repository: {{.Repository}}
tag: {{.Tag}}
digest: {{.Digest}}
image_id: {{.ID}}
created_at: {{.CreatedAt}}
virtual_size: {{.Size}}

{{end -}}
{{range .Containers}}type: Container
container_id: {{.ID}}
image: {{.Image}}
command: {{.Command}}
created_at: {{.CreatedAt}}
state: {{- pad .State 1 0}}
status: {{- pad .Status 1 0}}
names: {{.Names}}
labels: {{- pad .Labels 1 0}}
ports: {{- pad .Ports 1 0}}
size: {{.Size}}

{{end -}}
";
const IMAGES: &str = "table {{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}\t{{.SharedSize}}\t{{.UniqueSize}}\t{{.Containers}}";
const CONTAINERS: &str =
    "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.LocalVolumes}}\t{{.Size}}\t{{.RunningFor}}\t{{.Status}}\t{{.Names}}";
const VOLUMES: (&str, [(&str, &str); 3]) =
    ("table {{.Name}}\t{{.Links}}\t{{.Size}}", [("Name", "VOLUME NAME"), ("Links", "LINKS"), ("Size", "SIZE")]);
const BUILD_CACHE: (&str, [(&str, &str); 7]) = (
    "table {{.ID}}\t{{.CacheType}}\t{{.Size}}\t{{.CreatedSince}}\t{{.LastUsedSince}}\t{{.UsageCount}}\t{{.Shared}}",
    [
        ("ID", "CACHE ID"),
        ("CacheType", "CACHE TYPE"),
        ("Size", "SIZE"),
        ("CreatedSince", "CREATED"),
        ("LastUsedSince", "LAST USED"),
        ("UsageCount", "USAGE"),
        ("Shared", "SHARED"),
    ],
);

/// Shows the sums, or with `--verbose` everything.
pub async fn system_df(cli: &Cli, matches: &Matches) -> Outcome {
    let usage: DiskUsage = cli.client.get("/system/df").await?.json().await?;
    let format = match matches.text("format") {
        "" => table::TABLE,
        given => given,
    };
    if matches.flag("verbose") {
        let shown = if format == table::TABLE { everything(&usage)? } else { formatted(format, &usage)? };
        cli.print(&shown);
        return Ok(());
    }
    let format = match format {
        table::TABLE => TABLE,
        "raw" => RAW,
        own => own,
    };
    cli.print(&table::render(format, &HEADER, sums(&usage).iter().map(Sum::row).collect())?);
    Ok(())
}

/// One kind of object.
struct Sum {
    kind: &'static str,
    count: usize,
    active: usize,
    bytes: i64,
    reclaimable_bytes: i64,
    shows_percent: bool,
}

fn sums(usage: &DiskUsage) -> [Sum; 4] {
    let images: Vec<_> = usage.images.iter().flatten().collect();
    // What only an image that is used has stays; what is shared goes with the last image.
    let used: i64 = images
        .iter()
        .filter(|image| image.containers != 0 && image.size != -1 && image.shared_size != -1)
        .map(|image| image.size - image.shared_size)
        .sum();
    let containers: Vec<_> = usage.containers.iter().flatten().collect();
    let is_active = |state: &str| matches!(state, "running" | "paused" | "restarting");
    let written: i64 = containers.iter().map(|container| container.size_rw).sum();
    let resting = containers.iter().filter(|container| !is_active(&container.state));
    [
        Sum {
            kind: "Images",
            count: images.len(),
            active: images.iter().filter(|image| image.containers > 0).count(),
            bytes: usage.layers_size,
            reclaimable_bytes: usage.layers_size - used,
            shows_percent: true,
        },
        Sum {
            kind: "Containers",
            count: containers.len(),
            active: containers.iter().filter(|container| is_active(&container.state)).count(),
            bytes: written,
            reclaimable_bytes: resting.map(|container| container.size_rw).sum(),
            shows_percent: true,
        },
        Sum {
            kind: "Local Volumes",
            count: usage.volumes.as_ref().map_or(0, Vec::len),
            active: 0,
            bytes: 0,
            reclaimable_bytes: 0,
            shows_percent: true,
        },
        Sum {
            kind: "Build Cache",
            count: usage.build_cache.as_ref().map_or(0, Vec::len),
            active: 0,
            bytes: usage.builder_size,
            reclaimable_bytes: usage.builder_size,
            shows_percent: false,
        },
    ]
}

impl Sum {
    fn row(&self) -> Row {
        let mut reclaimable = in_words(self.reclaimable_bytes);
        if self.shows_percent && self.bytes > 0 {
            reclaimable = format!("{reclaimable} ({}%)", self.reclaimable_bytes * 100 / self.bytes);
        }
        Row::new(
            "*formatter.diskUsageContext",
            vec![
                ("Type", Some(self.kind.to_owned())),
                ("TotalCount", Some(self.count.to_string())),
                ("Active", Some(self.active.to_string())),
                ("Size", Some(in_words(self.bytes))),
                ("Reclaimable", Some(reclaimable)),
            ],
        )
    }
}

#[expect(clippy::cast_precision_loss, reason = "four digits are shown")]
fn in_words(bytes: i64) -> String {
    human_size(bytes as f64)
}

fn everything(usage: &DiskUsage) -> Result<String, Failure> {
    let images = usage.images.iter().flatten().map(|image| images::usage_row(image, true)).collect();
    let containers = usage.containers.iter().flatten().map(|container| ps::usage_row(container, true)).collect();
    Ok([
        "Images space usage:\n\n".to_owned(),
        table::render(IMAGES, &images::HEADER, images)?,
        "\nContainers space usage:\n\n".to_owned(),
        table::render(CONTAINERS, &ps::HEADER, containers)?,
        "\nLocal Volumes space usage:\n\n".to_owned(),
        table::render(VOLUMES.0, &VOLUMES.1, Vec::new())?,
        format!("\nBuild cache usage: {}\n\n", in_words(usage.builder_size)),
        table::render(BUILD_CACHE.0, &BUILD_CACHE.1, Vec::new())?,
    ]
    .concat())
}

/// Lists of rows, which the template ranges over; docker adds nothing behind it.
fn formatted(format: &str, usage: &DiskUsage) -> Result<String, Failure> {
    let is_short = format.starts_with(table::TABLE);
    let rows = |rows: Vec<Row>| Value::List(Rc::new(rows.into_iter().map(|row| Value::Row(Rc::new(row))).collect()));
    let images = usage.images.iter().flatten().map(|image| images::usage_row(image, is_short)).collect();
    let containers = usage.containers.iter().flatten().map(|container| ps::usage_row(container, is_short)).collect();
    let all = Value::object(vec![
        ("Images", rows(images)),
        ("Containers", rows(containers)),
        // Of both there are none yet.
        ("Volumes", rows(Vec::new())),
        ("BuildCache", rows(Vec::new())),
    ]);
    let template = match format {
        table::JSON => "{{json .}}",
        "raw" => RAW_VERBOSE,
        own => own.strip_prefix(table::TABLE).unwrap_or(own),
    };
    let template = template.trim_matches(' ').replace("\\t", "\t").replace("\\n", "\n");
    let template =
        Template::parse("", &template).map_err(|error| Failure::new(format!("template parsing error: {error}")))?;
    let mut shown = String::new();
    template
        .execute(&mut shown, &all, FunctionSet::Values, MissingKey::TypeError("*formatter.diskUsageContext"))
        .map_err(|error| Failure::new(error.to_string()))?;
    Ok(shown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use corten_docker_api::containers::ContainerSummary;
    use corten_docker_api::images::ImageSummary;

    #[test]
    fn what_is_used_by_one_image_alone_is_not_reclaimable() {
        let image =
            |size, shared_size, containers| ImageSummary { size, shared_size, containers, ..Default::default() };
        let container = |state: &str, size_rw| ContainerSummary { state: state.into(), size_rw, ..Default::default() };
        let usage = DiskUsage {
            layers_size: 1500,
            images: Some(vec![image(1000, 400, 2), image(900, 400, 0)]),
            containers: Some(vec![container("running", 30), container("exited", 10)]),
            ..DiskUsage::default()
        };
        let [images, containers, ..] = sums(&usage);
        assert_eq!((images.active, images.bytes, images.reclaimable_bytes), (1, 1500, 900));
        assert_eq!((containers.active, containers.bytes, containers.reclaimable_bytes), (1, 40, 10));
    }
}
