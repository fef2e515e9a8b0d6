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
use crate::runtimes::Runtime;
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
    let options = options(engine, task.record)?;
    // Only our shim understands `corten://`.
    let stdio = if options.is_some() { task.stdio } else { String::new() };
    put_record(engine, task.record, spec, options.clone()).await?;
    let request = CreateTaskRequest {
        container_id: task.record.id.clone(),
        rootfs: task.rootfs,
        stdin: String::new(),
        stdout: stdio.clone(),
        stderr: stdio,
        terminal: task.record.config.tty,
        options,
        ..CreateTaskRequest::default()
    };
    let mut tasks = engine.containerd.tasks();
    Ok(engine.containerd.step("failed to create task for container", tasks.create(request)).await?.pid)
}

async fn put_record(engine: &Engine, record: &Record, spec: Vec<u8>, options: Option<prost_types::Any>) -> Result<()> {
    let container = ContainerRecord {
        id: record.id.clone(),
        labels: HashMap::from([(ENGINE_LABEL.to_owned(), engine.id.clone())]),
        image: record.config.image.clone(),
        runtime: Some(container::Runtime { name: record.runtime.clone(), options }),
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

/// The runtime that the container asks for, with its state under the exec root; `None` for a shim of containerd's, which
/// keeps its own.
///
/// # Errors
/// 400 when the configuration has that runtime no longer, 500 when its program is gone.
fn options(engine: &Engine, record: &Record) -> Result<Option<prost_types::Any>> {
    let name = &record.host_config.runtime;
    // Our shim is named by its path; containerd's name is kept since the container was made.
    if !record.runtime.starts_with('/') {
        return Ok(None);
    }
    let Runtime::Program(program) = engine.runtimes.find(name)? else { return Ok(None) };
    engine.runtimes.check(name)?;
    Ok(Some(any::pack(&Options {
        binary_name: program.display().to_string(),
        root: engine.config.exec_root.join("runtime").display().to_string(),
        ..Options::default()
    })))
}
