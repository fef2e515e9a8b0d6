//! `stats`: what containers use, once or again and again.

use crate::arguments::Matches;
use crate::cli::Cli;
use crate::failure::{Outcome, join};
use crate::flags::Flag;
use crate::table;
use crate::template::Row;
use crate::text::short_id;
use crate::tree::{Arity, Verb, verb};
use corten_docker_api::client::{Client, encode_segment};
use corten_docker_api::containers::{ContainerSummary, MemoryStats, Stats};
use corten_docker_api::events::Event;
use corten_terminal::units::{binary_size, human_size_with_precision};
use std::cell::RefCell;
use std::pin::Pin;
use std::time::Duration;

/// The command.
pub const VERB: Verb =
    verb!(stats, "[OPTIONS] [CONTAINER...]", "Show what containers use, again and again", Arity::AtLeast(0), FLAGS);

const FLAGS: &[Flag] = &[
    Flag::bool("all", "Show stopped containers too").short('a'),
    Flag::text("format", crate::commands::FORMAT_HELP),
    Flag::bool("no-stream", "Show once and end"),
    Flag::bool("no-trunc", "Show ids in full"),
];

const HEADER: [(&str, &str); 9] = [
    ("Container", "CONTAINER"),
    ("Name", "NAME"),
    ("ID", "CONTAINER ID"),
    ("CPUPerc", "CPU %"),
    ("MemUsage", "MEM USAGE / LIMIT"),
    ("MemPerc", "MEM %"),
    ("NetIO", "NET I/O"),
    ("BlockIO", "BLOCK I/O"),
    ("PIDs", "PIDS"),
];

const TABLE: &str =
    "table {{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}";

/// Time between two pictures.
const REFRESH: Duration = Duration::from_millis(500);

/// After this long without news a container's figures are shown as unknown.
const STALE: Duration = Duration::from_secs(2);

/// What is not known.
const UNKNOWN: &str = "--";

/// A container and the last that was heard of it.
struct Watched {
    /// As asked for, or the short id.
    container: String,
    stats: Option<Stats>,
    is_stale: bool,
    failure: Option<String>,
}

type Shared = RefCell<Vec<Watched>>;
type Collector<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Shows statistics.
pub async fn stats(cli: &Cli, matches: &Matches) -> Outcome {
    let streams = !matches.flag("no-stream");
    let wants_all = matches.flag("all");
    let shows_any = matches.arguments.is_empty();
    let watched: Shared = RefCell::default();
    // Asked before the list, so that no container is missed in between.
    let mut events = if shows_any && streams {
        Some(cli.client.get("/events?filters=%7B%22type%22%3A%7B%22container%22%3Atrue%7D%7D").await?.into_body())
    } else {
        None
    };
    let names: Vec<String> = if shows_any {
        let target = format!("/containers/json{}", if wants_all { "?all=1" } else { "" });
        let list: Vec<ContainerSummary> = cli.client.get(&target).await?.json().await?;
        list.iter().map(|container| short_id(&container.id).to_owned()).collect()
    } else {
        let mut names = matches.arguments.clone();
        let mut seen = Vec::new();
        names.retain(|name| {
            !seen.contains(name) && {
                seen.push(name.clone());
                true
            }
        });
        names
    };
    let mut collectors = Collectors::default();
    for name in &names {
        collectors.watch(&cli.client, &watched, name, streams);
    }
    collectors
        .until(|| {
            watched.borrow().iter().all(|entry| entry.stats.is_some() || entry.failure.is_some() || entry.is_stale)
        })
        .await;
    if !shows_any {
        join(watched.borrow().iter().filter_map(|entry| entry.failure.clone()).collect())?;
    }

    let format = match matches.text("format") {
        "" if !cli.config.stats_format.is_empty() => cli.config.stats_format.as_str(),
        "" => table::TABLE,
        own => own,
    };
    let format = if format == table::TABLE { TABLE } else { format };
    let mut pending = Vec::new();
    loop {
        let rows = watched.borrow().iter().map(|entry| row(entry, !matches.flag("no-trunc"))).collect();
        let text = table::render(format, &HEADER, rows)?;
        if !streams {
            cli.print(&text);
            return Ok(());
        }
        cli.print(&picture(&text));
        if watched.borrow().is_empty() && !shows_any {
            return Ok(());
        }
        let refresh = tokio::time::sleep(REFRESH);
        tokio::pin!(refresh);
        loop {
            tokio::select! {
                () = &mut refresh => break,
                () = collectors.run() => {}
                chunk = async { match &mut events { Some(body) => body.chunk().await, None => std::future::pending().await } } => {
                    let Ok(Some(chunk)) = chunk else { return Ok(()) };
                    pending.extend_from_slice(&chunk);
                    for event in complete_events(&mut pending) {
                        let id = short_id(&event.actor.id).to_owned();
                        match event.action.as_str() {
                            "create" if wants_all => collectors.watch(&cli.client, &watched, &id, streams),
                            "start" => collectors.watch(&cli.client, &watched, &id, streams),
                            "die" if !wants_all => watched.borrow_mut().retain(|entry| entry.container != id),
                            _ => {}
                        }
                    }
                }
            }
        }
    }
}

/// The events that have arrived whole.
fn complete_events(pending: &mut Vec<u8>) -> Vec<Event> {
    let mut values = serde_json::Deserializer::from_slice(pending).into_iter::<Event>();
    let events: Vec<Event> = values.by_ref().map_while(Result::ok).collect();
    let used = values.byte_offset();
    pending.drain(..used);
    events
}

/// A picture over the last one, without a flicker between: each line clears what it does not cover.
fn picture(text: &str) -> String {
    let lines: Vec<_> = text.split('\n').map(|line| format!("{line} \x1b[K\n")).collect();
    format!("\x1b[H{text}{}\x1b[J", lines.concat())
}

/// One connection a container, all driven together.
#[derive(Default)]
struct Collectors<'a>(Vec<Collector<'a>>);

impl<'a> Collectors<'a> {
    fn watch(&mut self, client: &'a Client, watched: &'a Shared, name: &str, streams: bool) {
        if watched.borrow().iter().any(|entry| entry.container == name) {
            return;
        }
        watched.borrow_mut().push(Watched { container: name.to_owned(), stats: None, is_stale: false, failure: None });
        self.0.push(Box::pin(collect(client, watched, name.to_owned(), streams)));
    }

    /// Drives all; never ends while one is at work.
    async fn run(&mut self) {
        std::future::poll_fn(|context| {
            self.0.retain_mut(|collector| collector.as_mut().poll(context).is_pending());
            std::task::Poll::<()>::Pending
        })
        .await;
    }

    /// Drives all until `is_enough`.
    async fn until(&mut self, is_enough: impl Fn() -> bool) {
        std::future::poll_fn(|context| {
            self.0.retain_mut(|collector| collector.as_mut().poll(context).is_pending());
            if is_enough() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
    }
}

async fn collect(client: &Client, watched: &Shared, name: String, streams: bool) {
    let set = |change: &dyn Fn(&mut Watched)| {
        if let Some(entry) = watched.borrow_mut().iter_mut().find(|entry| entry.container == name) {
            change(entry);
        }
    };
    let target = format!("/containers/{}/stats?stream={}", encode_segment(&name), u8::from(streams));
    let mut body = match client.get(&target).await {
        Ok(response) => response.into_body(),
        Err(error) => return set(&|entry| entry.failure = Some(error.to_string())),
    };
    let mut pending = Vec::new();
    loop {
        match tokio::time::timeout(STALE, body.chunk()).await {
            Ok(Ok(Some(chunk))) => pending.extend_from_slice(&chunk),
            Ok(Ok(None)) => return set(&|entry| entry.is_stale |= entry.stats.is_none()),
            Ok(Err(error)) => return set(&|entry| entry.failure = Some(error.to_string())),
            Err(_) => {
                set(&|entry| entry.is_stale = true);
                continue;
            }
        }
        let mut values = serde_json::Deserializer::from_slice(&pending).into_iter::<Stats>();
        let last = values.by_ref().map_while(Result::ok).last();
        let used = values.byte_offset();
        pending.drain(..used);
        if let Some(stats) = last {
            set(&|entry| (entry.stats, entry.is_stale, entry.failure) = (Some(stats.clone()), false, None));
        }
    }
}

fn row(entry: &Watched, is_short: bool) -> Row {
    let known = entry.stats.as_ref();
    let valid = known.filter(|_| !entry.is_stale && entry.failure.is_none());
    let or_unknown = |text: Option<String>| Some(text.unwrap_or_else(|| UNKNOWN.to_owned()));
    let id = known.map_or("", |stats| stats.id.as_str());
    let name = known.and_then(|stats| stats.name.strip_prefix('/')).filter(|name| !name.is_empty());
    let memory = valid.map(|stats| memory_without_cache(&stats.memory_stats));
    Row::new(
        "*container.statsContext",
        vec![
            ("Container", Some(entry.container.clone())),
            ("Name", or_unknown(name.map(str::to_owned))),
            ("ID", Some(if is_short { short_id(id).to_owned() } else { id.to_owned() })),
            ("CPUPerc", or_unknown(valid.map(|stats| format!("{:.2}%", cpu_percent(stats))))),
            (
                "MemUsage",
                Some(valid.zip(memory).map_or_else(
                    || "-- / --".to_owned(),
                    |(stats, used)| format!("{} / {}", binary_size(used), binary_size(float(stats.memory_stats.limit))),
                )),
            ),
            (
                "MemPerc",
                or_unknown(valid.zip(memory).map(|(stats, used)| format!("{:.2}%", memory_percent(used, stats)))),
            ),
            ("NetIO", or_unknown(valid.map(network))),
            ("BlockIO", or_unknown(valid.map(block))),
            ("PIDs", or_unknown(valid.map(|stats| stats.pids_stats.current.to_string()))),
        ],
    )
}

#[allow(clippy::cast_precision_loss)] // four digits are shown
const fn float(value: u64) -> f64 {
    value as f64
}

/// The share of one processor, from the change between two readings.
fn cpu_percent(stats: &Stats) -> f64 {
    let (now, before) = (&stats.cpu_stats, &stats.precpu_stats);
    let used = float(now.cpu_usage.total_usage) - float(before.cpu_usage.total_usage);
    let system = float(now.system_cpu_usage) - float(before.system_cpu_usage);
    let count = match now.online_cpus {
        0 => now.cpu_usage.percpu_usage.as_ref().map_or(0, Vec::len) as f64,
        count => f64::from(count),
    };
    if used > 0.0 && system > 0.0 { used / system * count * 100.0 } else { 0.0 }
}

/// What is used beyond the page cache that could go: its name differs between cgroup v1 and v2.
fn memory_without_cache(memory: &MemoryStats) -> f64 {
    let stat = |name: &str| memory.stats.as_ref().and_then(|stats| stats.get(name)).copied();
    let inactive = stat("total_inactive_file").filter(|bytes| *bytes < memory.usage).or_else(|| stat("inactive_file"));
    float(inactive.filter(|bytes| *bytes < memory.usage).map_or(memory.usage, |bytes| memory.usage - bytes))
}

fn memory_percent(used: f64, stats: &Stats) -> f64 {
    let limit = stats.memory_stats.limit;
    if limit == 0 { 0.0 } else { used / float(limit) * 100.0 }
}

fn network(stats: &Stats) -> String {
    let sum = |bytes: fn(&corten_docker_api::containers::NetworkStats) -> u64| {
        stats.networks.iter().flat_map(|all| all.values()).map(bytes).sum::<u64>()
    };
    pair(sum(|network| network.rx_bytes), sum(|network| network.tx_bytes))
}

fn block(stats: &Stats) -> String {
    let sum = |first: char| {
        let entries = stats.blkio_stats.io_service_bytes_recursive.iter().flatten();
        entries.filter(|entry| entry.op.to_ascii_lowercase().starts_with(first)).map(|entry| entry.value).sum::<u64>()
    };
    pair(sum('r'), sum('w'))
}

fn pair(left: u64, right: u64) -> String {
    format!("{} / {}", human_size_with_precision(float(left), 3), human_size_with_precision(float(right), 3))
}
