//! `docker commit`: an image of what a container is.

use std::collections::BTreeMap;
use std::sync::Arc;

use corten_docker_api::containers::ContainerConfig;
use corten_images::change::{Healthcheck, RunConfig};
use corten_images::{Change, CommitRequest};
use corten_layers::changes;
use corten_types::Reference;

use super::{Container, View, freeze};
use crate::engine::Engine;
use crate::errors::{EngineError, Result};
use crate::events::Kind;
use crate::snapshots::compare::{self, is_placeholder};

/// What to make of a container.
#[derive(Debug)]
pub struct NewImage {
    /// Its name; none keeps it without one.
    pub name: Option<Reference>,
    /// Who made it.
    pub author: String,
    /// A comment.
    pub comment: String,
    /// Whether the container is frozen meanwhile.
    pub pause: bool,
    /// Changes to its configuration, in order.
    pub changes: Vec<Change>,
    /// The configuration to begin with, when not the container's.
    pub config: Option<ContainerConfig>,
}

/// Makes an image of the container; its id. Once begun it is carried through, also when the client has left.
///
/// # Errors
/// 404 for an unknown container or when its image is gone; 409 when it is being removed.
pub async fn commit(engine: &Arc<Engine>, wanted: &str, new: NewImage) -> Result<String> {
    let container = engine.containers.find(wanted)?;
    engine.containerd.linked().await?;
    let engine = Arc::clone(engine);
    let all = async move { commit_now(&engine, &container, new).await };
    let broken = |error| EngineError::internal("commit a container").caused_by(error);
    tokio::spawn(all).await.unwrap_or_else(|error| Err(broken(error)))
}

async fn commit_now(engine: &Arc<Engine>, container: &Arc<Container>, new: NewImage) -> Result<String> {
    let request = request(engine, &container.view(), &new).await?;
    let name = request.name.as_ref().map(Reference::familiar);
    let id = if new.pause || !container.view().state.is_alive() {
        // Nobody starts, stops or removes it meanwhile.
        let turn = container.turn().await;
        refuse_going(&turn.view())?;
        let is_ours = freeze::freeze(engine, &turn).await?;
        let id = write(engine, container, &request).await;
        if is_ours {
            freeze::thaw(engine, &turn).await;
        }
        id?
    } else {
        refuse_going(&container.view())?;
        write(engine, container, &request).await?
    };
    let attributes = [
        ("comment", new.comment.as_str()),
        ("imageID", id.as_str()),
        ("imageRef", name.as_deref().unwrap_or_default()),
    ];
    let mut all = container.view().record.event_attributes();
    all.extend(attributes.map(|(key, value)| (key.to_owned(), value.to_owned())));
    engine.events.publish(Kind::Container, "commit", &container.id, all);
    if let Some(name) = name {
        let attributes = BTreeMap::from([("name".to_owned(), name)]);
        engine.events.publish(Kind::Image, "tag", &id, attributes);
    }
    Ok(id)
}

fn refuse_going(view: &View) -> Result<()> {
    let refused = |how: &str| {
        Err(EngineError::conflict(format!("You cannot commit container {} which is {how}", view.record.id)))
    };
    match (view.state.dead, view.state.removing) {
        (true, _) => refused("Dead"),
        (_, true) => refused("being removed"),
        _ => Ok(()),
    }
}

async fn request(engine: &Engine, view: &View, new: &NewImage) -> Result<CommitRequest> {
    let record = &view.record;
    let base = engine.catalog.resolve(&record.image_id).await?.details;
    let own = run_config(&record.config);
    let mut config = new.config.as_ref().map_or_else(|| own.clone(), run_config);
    let mut has_command = false;
    for change in &new.changes {
        change.apply(&mut config).map_err(|error| EngineError::invalid(error.to_string()))?;
        match change.instruction() {
            "CMD" => has_command = true,
            // The old command was the old entry point's.
            "ENTRYPOINT" if !has_command => config.cmd = None,
            _ => {}
        }
    }
    merge(&mut config, own);
    Ok(CommitRequest {
        base,
        author: new.author.clone(),
        message: new.comment.clone(),
        created_by: record.config.cmd.as_ref().map(|cmd| cmd.0.join(" ")).unwrap_or_default(),
        config,
        name: new.name.clone(),
        owner: engine.id.clone(),
    })
}

async fn write(engine: &Arc<Engine>, container: &Container, request: &CommitRequest) -> Result<String> {
    let record = Arc::clone(&container.view().record);
    let compared = compare::compare(engine, &record).await?;
    let trees = compared.trees.clone();
    let write = move |out: &mut dyn std::io::Write| changes::layer(&trees, &is_placeholder, out);
    let committed = corten_images::commit(engine.catalog.store(), request, write).await;
    compare::release(engine, &record, compared).await;
    Ok(committed?.to_string())
}

/// The part of a container's configuration that an image keeps.
fn run_config(config: &ContainerConfig) -> RunConfig {
    let set = |set: &Option<corten_docker_api::json::Set>| {
        set.iter().flatten().map(|(key, _)| (key.clone(), serde_json::Map::new())).collect()
    };
    RunConfig {
        user: config.user.clone(),
        exposed_ports: set(&config.exposed_ports),
        env: config.env.clone().unwrap_or_default(),
        entrypoint: config.entrypoint.as_ref().map(|arguments| arguments.0.clone()),
        cmd: config.cmd.as_ref().map(|arguments| arguments.0.clone()),
        volumes: set(&config.volumes),
        working_dir: config.working_dir.clone(),
        labels: config.labels.clone().unwrap_or_default(),
        stop_signal: config.stop_signal.clone(),
        on_build: config.on_build.clone().unwrap_or_default(),
        healthcheck: config.healthcheck.as_ref().map(|check| Healthcheck {
            test: check.test.clone().unwrap_or_default(),
            interval: check.interval,
            timeout: check.timeout,
            start_period: check.start_period,
            start_interval: check.start_interval,
            retries: check.retries,
        }),
        shell: config.shell.clone().unwrap_or_default(),
    }
}

/// Fills what `config` leaves open from the container's own, as dockerd does.
fn merge(config: &mut RunConfig, own: RunConfig) {
    fn if_empty(text: &mut String, own: String) {
        if text.is_empty() {
            *text = own;
        }
    }
    if_empty(&mut config.user, own.user);
    if_empty(&mut config.working_dir, own.working_dir);
    if_empty(&mut config.stop_signal, own.stop_signal);
    for (port, value) in own.exposed_ports {
        config.exposed_ports.entry(port).or_insert(value);
    }
    for (volume, value) in own.volumes {
        config.volumes.entry(volume).or_insert(value);
    }
    for (label, value) in own.labels {
        config.labels.entry(label).or_insert(value);
    }
    let key_of = |pair: &str| pair.split_once('=').map_or(pair, |(key, _)| key).to_owned();
    let known: Vec<String> = config.env.iter().map(|pair| key_of(pair)).collect();
    config.env.extend(own.env.into_iter().filter(|pair| !known.contains(&key_of(pair))));
    let is_empty = |arguments: &Option<Vec<String>>| arguments.as_ref().is_none_or(Vec::is_empty);
    if is_empty(&config.entrypoint) {
        if is_empty(&config.cmd) {
            config.cmd = own.cmd;
        }
        config.entrypoint = config.entrypoint.take().or(own.entrypoint);
    }
    config.healthcheck = config.healthcheck.take().or(own.healthcheck);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_open_comes_from_the_container() {
        let own = RunConfig {
            user: "me".into(),
            env: vec!["A=1".into(), "B=2".into()],
            entrypoint: Some(vec!["/bin/own".into()]),
            cmd: Some(vec!["own".into()]),
            ..RunConfig::default()
        };
        let mut config = RunConfig { env: vec!["A=3".into()], ..RunConfig::default() };
        merge(&mut config, own.clone());
        assert_eq!((config.user.as_str(), config.env), ("me", vec!["A=3".to_owned(), "B=2".to_owned()]));
        assert_eq!((config.entrypoint.clone(), config.cmd.clone()), (own.entrypoint.clone(), own.cmd.clone()));
        let mut config = RunConfig { entrypoint: Some(vec!["/new".into()]), ..RunConfig::default() };
        merge(&mut config, own);
        assert_eq!(config.cmd, None);
    }
}
