//! `GET /containers/{id}/stats`. Nothing is sampled while nobody asks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use corten_docker_api::containers::{NetworkStats, Stats};
use corten_docker_api::json;
use corten_proto::containerd::services::tasks::v1::MetricsRequest;
use futures_util::stream;
use tokio::time::{MissedTickBehavior, interval};

use super::{Container, View};
use crate::clock::{Moment, NEVER};
use crate::engine::Engine;
use crate::errors::{EngineError, Result};
use crate::http::answer::Chunks;
use crate::metrics;

/// Between two samples.
const PERIOD: Duration = Duration::from_secs(1);

/// How often a client wants statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampling {
    /// Every second, for ever.
    Stream,
    /// Once, with a sample a second before it.
    Twice,
    /// Once, at once.
    Once,
}

/// One answer with the statistics of `container`.
///
/// One that does not run has only its name and id: that is no error, and `docker stats` shows dashes.
///
/// # Errors
/// What containerd answers, and a host whose processor time cannot be read.
pub async fn stats(engine: &Engine, container: &Container, sampling: Sampling) -> Result<Stats> {
    if sampling == Sampling::Once || !container.view().state.is_alive() {
        return sample(engine, container).await;
    }
    let first = sample(engine, container).await?;
    tokio::time::sleep(PERIOD).await;
    Ok(after(sample(engine, container).await?, &first))
}

/// Statistics each second until the client or the container goes.
pub fn follow(engine: Arc<Engine>, container: Arc<Container>) -> Chunks {
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let last = None::<Stats>;
    Box::pin(stream::unfold((engine, container, ticks, last), |(engine, container, mut ticks, last)| async move {
        ticks.tick().await;
        if container.lifecycle().borrow().removed.is_some() {
            return None;
        }
        // An error is a moment without numbers, as between two runs: the next second may have some.
        let now = sample(&engine, &container).await.unwrap_or_else(|_| empty(&container.view()));
        let now = match &last {
            Some(last) => after(now, last),
            None => now,
        };
        let line = json::encode(&now).map(Bytes::from).map_err(std::io::Error::other);
        Some((line, (engine, container, ticks, Some(now))))
    }))
}

/// One sample, with nothing before it.
async fn sample(engine: &Engine, container: &Container) -> Result<Stats> {
    let view = container.view();
    if !view.state.is_alive() {
        return Ok(empty(&view));
    }
    let request = MetricsRequest { filters: vec![format!("id=={}", container.id)] };
    let response = engine.containerd.step("read a task's metrics", engine.containerd.tasks().metrics(request)).await?;
    let Some(data) = response.metrics.into_iter().find(|metric| metric.id == container.id).and_then(|it| it.data)
    else {
        return Ok(empty(&view));
    };
    let while_reading = || format!("read the statistics of container {}", container.id);
    let mut stats = metrics::convert(&data, metrics::host::memory_bytes())
        .map_err(|error| EngineError::internal(while_reading()).caused_by(error))?;
    let host = metrics::host::cpu().map_err(|error| EngineError::internal(while_reading()).caused_by(error))?;
    stats.cpu_stats.system_cpu_usage = host.total_ns;
    stats.cpu_stats.online_cpus = host.online;
    stats.networks = networks(engine, &view);
    stats.read = Moment::now().to_string();
    Ok(with_names(stats, &view))
}

/// What went through its own interfaces, or those it shares with another container; nothing of the host's.
fn networks(engine: &Engine, view: &View) -> Option<BTreeMap<String, NetworkStats>> {
    let has_sandbox = match view.record.host_config.network_mode.strip_prefix("container:") {
        Some(other) => engine.containers.find(other).is_ok_and(|other| other.view().state.networking.sandbox),
        None => view.state.networking.sandbox,
    };
    let found = metrics::interfaces::of(view.state.pid).ok().filter(|_| has_sandbox)?;
    // Read while its init lived: the number of one that has ended may be another process's.
    let is_still = engine.containers.find(&view.record.id).is_ok_and(|now| {
        let now = now.view();
        now.state.is_alive() && now.state.pid == view.state.pid
    });
    (is_still && !found.is_empty()).then_some(found)
}

fn empty(view: &View) -> Stats {
    with_names(Stats { read: NEVER.to_owned(), ..Stats::default() }, view)
}

fn with_names(mut stats: Stats, view: &View) -> Stats {
    stats.name = format!("/{}", view.record.name);
    stats.id.clone_from(&view.record.id);
    stats.preread = NEVER.to_owned();
    stats
}

/// `now` with what `before` had counted.
fn after(mut now: Stats, before: &Stats) -> Stats {
    now.preread.clone_from(&before.read);
    now.precpu_stats = before.cpu_stats.clone();
    now
}
