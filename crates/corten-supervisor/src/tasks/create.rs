//! Creating a task: a bundle, a shim over it, and the container inside, waiting for `start`.

use std::{path::Path, sync::Arc};

use corten_proto::containerd::{
    services::{containers::v1::Container, tasks::v1::CreateTaskRequest},
    task::v2 as shim_api,
};
use corten_types::error::ErrorKind;
use tracing::warn;

use super::refused;
use crate::{
    Supervisor, containers,
    error::{Error, Result},
    shims::{Bundle, Shim, bundle, settle, spawn},
};

/// Creates the task of a container and answers the pid of its init process.
///
/// The bundle names the task before anything runs: whatever ends this halfway, [`settle::settle`]
/// removes what it made, here or at the next start.
///
/// # Errors
/// `NotFound` without the container, `AlreadyExists` while it has a task, else what the shim says.
pub async fn create(supervisor: &Arc<Supervisor>, namespace: &str, request: CreateTaskRequest) -> Result<u32> {
    let id = request.container_id.clone();
    let container = supervisor.metadata.read(|c| containers::get(c, namespace, &id))?;
    if request.checkpoint.is_some() {
        return Err(Error::unimplemented("create a task from a checkpoint: not supported yet"));
    }
    if !request.task_api_address.is_empty() {
        return Err(Error::unimplemented("create a task in a sandbox: not supported yet"));
    }
    supervisor.tasks.claim(namespace, &id)?;
    let created = bring_up(supervisor, namespace, &container, request).await;
    if created.is_err() {
        supervisor.tasks.forget(namespace, &id);
    }
    created
}

async fn write_bundle(
    supervisor: &Arc<Supervisor>,
    namespace: &str,
    id: &str,
    spec: &[u8],
    binary: &Path,
) -> Result<Bundle> {
    let (owner, namespace, id) = (supervisor.clone(), namespace.to_owned(), id.to_owned());
    let (spec, binary) = (spec.to_vec(), binary.to_owned());
    crate::blocking(move || bundle::write(&owner.config, &namespace, &id, &spec, &binary)).await
}

async fn bring_up(
    supervisor: &Arc<Supervisor>,
    namespace: &str,
    container: &Container,
    request: CreateTaskRequest,
) -> Result<u32> {
    let runtime = container.runtime.clone().unwrap_or_default();
    let name = if request.runtime_path.is_empty() { &runtime.name } else { &request.runtime_path };
    let binary = spawn::resolve(name)?;
    let options = request.options.clone().or(runtime.options);
    let spec = container.spec.clone().unwrap_or_default();
    let bundle = match write_bundle(supervisor, namespace, &container.id, &spec.value, &binary).await {
        // The id is ours, so what lies there is what an earlier task could not remove.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let left = Bundle::at(&supervisor.config, namespace, &container.id);
            let program = left.shim_binary();
            settle::settle_unreachable(supervisor, &left, program.as_deref()).await;
            write_bundle(supervisor, namespace, &container.id, &spec.value, &binary).await?
        }
        written => written?,
    };

    let shim = match spawn::spawn(supervisor, &bundle, &binary, options.as_ref()).await {
        Ok((client, log)) => {
            let shim = Shim::new(bundle.clone(), binary.clone(), client);
            shim.keep_log(log);
            Arc::new(shim)
        }
        Err(error) => {
            settle::remove_after_failed_create(supervisor, &bundle, &binary).await;
            return Err(error.within("failed to start shim: start failed"));
        }
    };
    let asked = shim_api::CreateTaskRequest {
        id: container.id.clone(),
        bundle: bundle.path.display().to_string(),
        rootfs: request.rootfs,
        terminal: request.terminal,
        stdin: request.stdin,
        stdout: request.stdout,
        stderr: request.stderr,
        options,
        ..shim_api::CreateTaskRequest::default()
    };
    match shim.client.create(&asked, None).await {
        Ok(created) => {
            supervisor.tasks.live(shim.clone());
            settle::watch(supervisor.clone(), shim);
            Ok(created.pid)
        }
        Err(error) => {
            if let Err(left) = shim.shut_down().await {
                warn!(ns = namespace, id = container.id, error = %left, "shim of a failed create");
            }
            settle::remove_after_failed_create(supervisor, &bundle, &binary).await;
            Err(refused(error).within("failed to create shim task"))
        }
    }
}
