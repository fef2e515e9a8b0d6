//! Creates a task: its namespaces and rootfs are set up, its init waits for the start.

use std::collections::HashMap;

use corten_proto::any;
use corten_proto::containerd::runc::v1::Options;
use corten_proto::containerd::services::containers::v1::{
    Container as ContainerRecord, CreateContainerRequest, UpdateContainerRequest, container,
};
use corten_proto::containerd::services::tasks::v1::CreateTaskRequest;
use corten_proto::containerd::types::Mount;
use corten_types::ErrorKind;
use oci_spec::runtime::Spec;

use crate::containers::record::Record;
use crate::engine::Engine;
use crate::errors::{EngineError, Result};
use crate::snapshots::ENGINE_LABEL;

/// What a task is created from.
pub struct NewTask<'a> {
    /// Whose task it is.
    pub record: &'a Record,
    /// What it may and sees.
    pub spec: &'a Spec,
    /// Its root filesystem.
    pub rootfs: Vec<Mount>,
    /// Where its output goes: `corten:///…/stdio.json`, or empty for nowhere.
    pub stdio: String,
}

/// Creates the task, and returns its init's pid. containerd's own record of the container is made
/// first, or brought up to date when a start before has left it.
///
/// # Errors
/// What containerd, the shim or the runtime answers. The container's record stays; the next start
/// uses it and removal removes it.
pub async fn create(engine: &Engine, task: NewTask<'_>) -> Result<u32> {
    let spec = serde_json::to_vec(task.spec)
        .map_err(|error| EngineError::internal("write the runtime specification").caused_by(error))?;
    put_record(engine, task.record, spec).await?;
    let stdio = if is_ours(task.record) { task.stdio } else { String::new() };
    let request = CreateTaskRequest {
        container_id: task.record.id.clone(),
        rootfs: task.rootfs,
        stdin: String::new(),
        stdout: stdio.clone(),
        stderr: stdio,
        terminal: task.record.config.tty,
        options: options(engine, task.record),
        ..CreateTaskRequest::default()
    };
    let mut tasks = engine.containerd.tasks();
    Ok(engine.containerd.step("failed to create task for container", tasks.create(request)).await?.pid)
}

async fn put_record(engine: &Engine, record: &Record, spec: Vec<u8>) -> Result<()> {
    let container = ContainerRecord {
        id: record.id.clone(),
        labels: HashMap::from([(ENGINE_LABEL.to_owned(), engine.id.clone())]),
        image: record.config.image.clone(),
        runtime: Some(container::Runtime { name: record.runtime.clone(), options: options(engine, record) }),
        spec: Some(any::pack_json(any::SPEC, spec)),
        snapshotter: record.snapshotter.clone(),
        snapshot_key: record.id.clone(),
        ..ContainerRecord::default()
    };
    let mut containers = engine.containerd.containers();
    let request = CreateContainerRequest { container: Some(container.clone()) };
    match engine.containerd.step("create container", containers.create(request)).await {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let paths = ["spec", "labels", "image"].map(str::to_owned).into();
            let update_mask = Some(prost_types::FieldMask { paths });
            let request = UpdateContainerRequest { container: Some(container), update_mask };
            engine.containerd.step("update container", containers.update(request)).await.map(drop)
        }
        created => created.map(drop),
    }
}

/// Our runtime, with its state under the exec root; a foreign shim keeps its own.
fn options(engine: &Engine, record: &Record) -> Option<prost_types::Any> {
    is_ours(record).then(|| {
        any::pack(&Options {
            binary_name: engine.programs.runtime.display().to_string(),
            root: engine.config.exec_root.join("runtime").display().to_string(),
            ..Options::default()
        })
    })
}

/// Whether our shim runs the container: it is named by its path, and understands `corten://`.
fn is_ours(record: &Record) -> bool {
    record.runtime.starts_with('/')
}
