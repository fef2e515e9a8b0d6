//! `ctr containers`.

use std::collections::HashMap;

use corten_containerd_api::{Client, Collect, Descriptor, ImageStore, Labels, Snapshotter, parse_timestamp, rfc3339};
use corten_images::catalog::read_details;
use corten_images::{Platform, lease, unpack};
use corten_proto::containerd::runc::v1::Options;
use corten_proto::containerd::services::containers::v1 as wire;
use corten_proto::containerd::services::tasks::v1 as task_wire;
use corten_proto::containerd::v1::types::Status;
use corten_proto::{any, containerd};
use serde_json::Value;

use crate::json;
use crate::session::{Failure, Outcome, Session, api, label_mask, labels, log_error, sentence, show_labels, warn};
use crate::spec::{self, ImageDefaults};
use crate::table;
use crate::user::Names;

/// The record of a container.
pub async fn load(session: &Session, id: &str) -> Result<wire::Container, Failure> {
    let request = wire::GetContainerRequest { id: id.to_owned() };
    let answer = session.client.containers().get(request).await.map_err(api)?.into_inner();
    Ok(answer.container.unwrap_or_default())
}

/// Makes a container.
pub async fn create(session: &Session) -> Outcome {
    make(session).await.map(drop)
}

/// Makes the container that `run` and `create` are told to make.
pub async fn make(session: &Session) -> Result<wire::Container, Failure> {
    let mut words = session.words();
    if let Some(path) = session.given("config") {
        if words.len() > 1 {
            return Err(sentence("with spec config file, only container id should be provided"));
        }
        let id = session.first("container id must be provided")?;
        let file = std::fs::read(path).map_err(|error| sentence(format!("open {path}: {error}")))?;
        let spec: Value = serde_json::from_slice(&file).map_err(|error| sentence(format!("{path}: {error}")))?;
        let record = wire::Container { id, labels: own_labels(session), ..Default::default() };
        return register(session, record, &spec).await;
    }
    let image = session.first("image ref must be provided")?;
    if words.len() < 2 || words[1].is_empty() {
        return Err(sentence("container id must be provided"));
    }
    let arguments = words.split_off(2);
    let id = words.remove(1);
    if session.is_set("rootfs") {
        return with_directory(session, &image, id, &arguments).await;
    }
    with_image(session, &image, id, &arguments).await
}

fn own_labels(session: &Session) -> HashMap<String, String> {
    labels(&session.values("label")).into_iter().collect()
}

async fn with_directory(
    session: &Session,
    directory: &str,
    id: String,
    arguments: &[String],
) -> Result<wire::Container, Failure> {
    let root = std::path::absolute(directory)?.display().to_string();
    let user = Names::in_directory(&root).find("")?;
    let defaults = ImageDefaults { user, ..Default::default() };
    let mut spec = spec::build(session, &id, &defaults, arguments)?;
    spec["root"]["path"] = root.into();
    register(session, wire::Container { id, labels: own_labels(session), ..Default::default() }, &spec).await
}

async fn with_image(
    session: &Session,
    reference: &str,
    id: String,
    arguments: &[String],
) -> Result<wire::Container, Failure> {
    let store = session.client.with_snapshotter(&session.snapshotter());
    // Until the container's record refers to it, only the lease keeps the snapshot from being collected.
    let held = lease::hold(&store, "ctr", "ctr").await.map_err(api)?;
    let made = above_image(session, &held.store, reference, id, arguments).await;
    held.release(Collect::Later).await;
    made
}

async fn above_image(
    session: &Session,
    store: &Client,
    reference: &str,
    id: String,
    arguments: &[String],
) -> Result<wire::Container, Failure> {
    let platform = match session.arguments.try_get_one::<String>("platform") {
        Ok(Some(platform)) if !platform.is_empty() => platform.parse()?,
        _ => Platform::host(),
    };
    let image = store.get_image(reference).await.map_err(api)?;
    let details = read_details(store, &image.target, &platform).await?;
    if store.stat(details.top()).await.is_err_and(|error| error.is_not_found()) && !details.top().is_empty() {
        let manifest = corten_images::manifest::read_manifest(store, &Descriptor::clone(&details.manifest)).await?;
        unpack::unpack(store, &manifest).await?;
    }
    let config: Value = serde_json::from_slice(&details.config_json)?;
    let config = &config["config"];
    let snapshot_labels: Labels = labels(&session.values("snapshotter-label"));
    let mounts = store.prepare(&id, details.top(), &snapshot_labels).await.map_err(api)?;
    let made = async {
        let user = Names::of(&mounts).find(config["User"].as_str().unwrap_or_default())?;
        let strings = |key: &str| -> Vec<String> {
            let list = config[key].as_array().cloned().unwrap_or_default();
            list.iter().filter_map(|word| word.as_str().map(str::to_owned)).collect()
        };
        let entrypoint = strings("Entrypoint");
        let defaults = ImageDefaults {
            env: strings("Env"),
            arguments: [entrypoint.clone(), strings("Cmd")].concat(),
            cwd: config["WorkingDir"].as_str().unwrap_or_default().to_owned(),
            entrypoint,
            user,
        };
        let arguments = match arguments {
            [] => Vec::new(),
            given => given.to_vec(),
        };
        let spec = spec::build(session, &id, &defaults, &arguments)?;
        let mut labels: HashMap<String, String> = details.parsed.config.labels.clone().into_iter().collect();
        labels.extend(image.labels.clone());
        labels.extend(own_labels(session));
        let stop = config["StopSignal"].as_str().filter(|signal| !signal.is_empty()).unwrap_or("SIGTERM");
        labels.insert("io.containerd.image.config.stop-signal".to_owned(), stop.to_owned());
        let record = wire::Container {
            id: id.clone(),
            labels,
            image: image.name.clone(),
            snapshotter: session.snapshotter(),
            snapshot_key: id.clone(),
            ..Default::default()
        };
        register(session, record, &spec).await
    };
    match made.await {
        Ok(container) => Ok(container),
        Err(error) => {
            // The container was not made, so its snapshot is nobody's.
            if let Err(left) = store.remove(&id).await {
                warn(format!("snapshot {id} is left: {left}"));
            }
            Err(error)
        }
    }
}

async fn register(session: &Session, mut record: wire::Container, spec: &Value) -> Result<wire::Container, Failure> {
    let name = session.value("runtime").to_owned();
    let text = |flag: &str| session.arguments.try_get_one::<String>(flag).ok().flatten().cloned().unwrap_or_default();
    let is_set = |flag: &str| session.arguments.try_get_one::<bool>(flag).ok().flatten().copied().unwrap_or(false);
    let options = Options {
        binary_name: text("runc-binary"),
        root: text("runc-root"),
        systemd_cgroup: is_set("runc-systemd-cgroup"),
        ..Default::default()
    };
    let is_asked = !options.binary_name.is_empty() || !options.root.is_empty() || options.systemd_cgroup;
    // Shims that understand these options: containerd's for runc, and ours by name or by path.
    let understands = name == "io.containerd.runc.v2" || name.contains("corten") || name.ends_with("-runc-v2");
    if is_asked && !understands {
        return Err(sentence(
            "specifying runc-binary and runc-systemd-cgroup is only supported for \"io.containerd.runc.v2\" runtime",
        ));
    }
    if options.systemd_cgroup && text("cgroup").is_empty() {
        return Err(sentence(
            "option --runc-systemd-cgroup requires --cgroup to be set, e.g. \"machine.slice:foo:deadbeef\"",
        ));
    }
    let options = (is_asked || name == "io.containerd.runc.v2").then(|| any::pack(&options));
    record.runtime = Some(containerd::services::containers::v1::container::Runtime { name, options });
    record.spec = Some(any::pack_json(any::SPEC, spec::text(spec).into_bytes()));
    let request = wire::CreateContainerRequest { container: Some(record) };
    let made = session.client.containers().create(request).await.map_err(api)?.into_inner();
    Ok(made.container.unwrap_or_default())
}

/// Lists containers.
pub async fn list(session: &Session) -> Outcome {
    let request = wire::ListContainersRequest { filters: session.words() };
    let containers = session.client.containers().list(request).await.map_err(api)?.into_inner().containers;
    if session.is_set("quiet") {
        containers.iter().for_each(|container| println!("{}", container.id));
        return Ok(());
    }
    let mut lines = String::from("CONTAINER\tIMAGE\tRUNTIME\t\n");
    for container in containers {
        let image = if container.image.is_empty() { "-" } else { &container.image };
        let runtime = container.runtime.unwrap_or_default().name;
        lines.push_str(&format!("{}\t{image}\t{runtime}\t\n", container.id));
    }
    table::print(&lines, table::WIDE);
    Ok(())
}

/// Shows a container's record.
pub async fn info(session: &Session) -> Outcome {
    let id = session.first("container id must be provided: invalid argument")?;
    let container = load(session, &id).await?;
    let spec = container.spec.as_ref().map(|spec| String::from_utf8_lossy(&spec.value).into_owned());
    if session.is_set("spec") {
        json::print(&spec.unwrap_or_else(|| "null".to_owned()));
        return Ok(());
    }
    let runtime = container.runtime.unwrap_or_default();
    let options = runtime.options.as_ref().map_or_else(|| "null".to_owned(), json::packed);
    let extensions = if container.extensions.is_empty() {
        "null".to_owned()
    } else {
        let mut pairs: Vec<String> = container
            .extensions
            .iter()
            .map(|(key, value)| format!("{}:{}", json::string(key), json::packed(value)))
            .collect();
        pairs.sort_unstable();
        format!("{{{}}}", pairs.join(","))
    };
    let labels = if container.labels.is_empty() { "null".to_owned() } else { json::labels(&container.labels) };
    let mut fields = vec![
        format!("\"ID\":{}", json::string(&container.id)),
        format!("\"Labels\":{labels}"),
        format!("\"Image\":{}", json::string(&container.image)),
        format!("\"Runtime\":{{\"Name\":{},\"Options\":{options}}}", json::string(&runtime.name)),
        format!("\"SnapshotKey\":{}", json::string(&container.snapshot_key)),
        format!("\"Snapshotter\":{}", json::string(&container.snapshotter)),
        format!("\"CreatedAt\":\"{}\"", rfc3339(parse_timestamp(container.created_at.as_ref()))),
        format!("\"UpdatedAt\":\"{}\"", rfc3339(parse_timestamp(container.updated_at.as_ref()))),
        format!("\"Extensions\":{extensions}"),
    ];
    fields.extend(spec.map(|spec| format!("\"Spec\":{spec}")));
    json::print(&format!("{{{}}}", fields.join(",")));
    Ok(())
}

/// Removes containers that do not run, with their snapshots.
pub async fn delete(session: &Session) -> Outcome {
    let ids = session.words();
    if ids.is_empty() {
        return Err(sentence("must specify at least one container to delete: invalid argument"));
    }
    let mut failure = None;
    for id in ids {
        if let Err(error) = delete_one(session, &id).await {
            log_error(format!("failed to delete container {id:?}"), &error);
            failure.get_or_insert(error);
        }
    }
    failure.map_or(Ok(()), Err)
}

async fn delete_one(session: &Session, id: &str) -> Outcome {
    let container = load(session, id).await?;
    let request = task_wire::GetRequest { container_id: id.to_owned(), ..Default::default() };
    if let Ok(answer) = session.client.tasks().get(request).await {
        let process = answer.into_inner().process.unwrap_or_default();
        match process.status() {
            Status::Stopped | Status::Created => {
                let request = task_wire::DeleteTaskRequest { container_id: id.to_owned() };
                session.client.tasks().delete(request).await.map_err(api)?;
            }
            status => {
                let status = format!("{status:?}").to_lowercase();
                return Err(sentence(format!(
                    "cannot delete a non stopped container: {{{status} 0 0001-01-01 00:00:00 +0000 UTC}}"
                )));
            }
        }
    }
    remove(session, &container, !session.is_set("keep-snapshot")).await
}

/// Removes a container's record and, when asked to, its snapshot first.
pub async fn remove(session: &Session, container: &wire::Container, with_snapshot: bool) -> Outcome {
    if with_snapshot && !container.snapshot_key.is_empty() {
        let store = session.client.with_snapshotter(&container.snapshotter);
        store.remove(&container.snapshot_key).await.map_err(api)?;
    }
    let request = wire::DeleteContainerRequest { id: container.id.clone() };
    session.client.containers().delete(request).await.map_err(api)?;
    Ok(())
}

/// Sets and clears labels.
pub async fn label(session: &Session) -> Outcome {
    let id = session.first("container id must be provided: invalid argument")?;
    let labels = labels(&session.words()[1..]);
    let request = wire::UpdateContainerRequest {
        update_mask: Some(label_mask(&labels)),
        container: Some(wire::Container { id, labels: labels.into_iter().collect(), ..Default::default() }),
    };
    let updated = session.client.containers().update(request).await.map_err(api)?.into_inner().container;
    println!("{}", show_labels(&updated.unwrap_or_default().labels));
    Ok(())
}
