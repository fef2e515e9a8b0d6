//! The verbs that are one call to the shim.

use corten_proto::containerd::{services::tasks::v1 as wire, task::v2 as shim_api, v1::types::ProcessInfo};

use super::refused;
use crate::{
    Supervisor,
    error::{Error, Result},
    identifier,
};

pub(super) async fn kill(supervisor: &Supervisor, namespace: &str, request: wire::KillRequest) -> Result<()> {
    let wire::KillRequest { container_id: id, exec_id, signal, all } = request;
    let shim = supervisor.tasks.get(namespace, &id).await?;
    shim.client.kill(&shim_api::KillRequest { id, exec_id, signal, all }, None).await.map_err(refused)
}

pub(super) async fn exec(supervisor: &Supervisor, namespace: &str, request: wire::ExecProcessRequest) -> Result<()> {
    let wire::ExecProcessRequest { container_id: id, stdin, stdout, stderr, terminal, spec, exec_id } = request;
    if exec_id.is_empty() {
        return Err(Error::invalid("exec id cannot be empty"));
    }
    identifier::validate(&exec_id).map_err(|error| error.within(format!("invalid exec id {exec_id}")))?;
    let shim = supervisor.tasks.get(namespace, &id).await?;
    let asked = shim_api::ExecProcessRequest { id, exec_id, terminal, stdin, stdout, stderr, spec };
    shim.client.exec(&asked, None).await.map_err(refused)
}

pub(super) async fn resize_pty(
    supervisor: &Supervisor,
    namespace: &str,
    request: wire::ResizePtyRequest,
) -> Result<()> {
    let wire::ResizePtyRequest { container_id: id, exec_id, width, height } = request;
    let shim = supervisor.tasks.get(namespace, &id).await?;
    shim.client.resize_pty(&shim_api::ResizePtyRequest { id, exec_id, width, height }, None).await.map_err(refused)
}

pub(super) async fn close_io(supervisor: &Supervisor, namespace: &str, request: wire::CloseIoRequest) -> Result<()> {
    let wire::CloseIoRequest { container_id: id, exec_id, stdin } = request;
    let shim = supervisor.tasks.get(namespace, &id).await?;
    shim.client.close_io(&shim_api::CloseIoRequest { id, exec_id, stdin }, None).await.map_err(refused)
}

pub(super) async fn pause(supervisor: &Supervisor, namespace: &str, id: String) -> Result<()> {
    let shim = supervisor.tasks.get(namespace, &id).await?;
    shim.client.pause(&shim_api::PauseRequest { id }, None).await.map_err(refused)
}

pub(super) async fn resume(supervisor: &Supervisor, namespace: &str, id: String) -> Result<()> {
    let shim = supervisor.tasks.get(namespace, &id).await?;
    shim.client.resume(&shim_api::ResumeRequest { id }, None).await.map_err(refused)
}

pub(super) async fn list_pids(supervisor: &Supervisor, namespace: &str, id: String) -> Result<Vec<ProcessInfo>> {
    let shim = supervisor.tasks.get(namespace, &id).await?;
    Ok(shim.client.pids(&shim_api::PidsRequest { id }, None).await.map_err(refused)?.processes)
}

pub(super) async fn update(supervisor: &Supervisor, namespace: &str, request: wire::UpdateTaskRequest) -> Result<()> {
    let wire::UpdateTaskRequest { container_id: id, resources, annotations } = request;
    let shim = supervisor.tasks.get(namespace, &id).await?;
    shim.client.update(&shim_api::UpdateTaskRequest { id, resources, annotations }, None).await.map_err(refused)
}

pub(super) async fn wait(
    supervisor: &Supervisor,
    namespace: &str,
    request: wire::WaitRequest,
) -> Result<wire::WaitResponse> {
    let wire::WaitRequest { container_id: id, exec_id } = request;
    let shim = supervisor.tasks.get(namespace, &id).await?;
    let asked = shim_api::WaitRequest { id, exec_id };
    match shim.client.wait(&asked, None).await {
        Ok(exit) => Ok(wire::WaitResponse { exit_status: exit.exit_status, exited_at: exit.exited_at }),
        // The shim died under the wait: that is an exit too, known when it is settled.
        Err(error) if error.is_closed() => {
            shim.settled().await;
            let exit = *shim.deleted.lock().await;
            let exit = exit.ok_or_else(|| refused(error))?;
            Ok(wire::WaitResponse { exit_status: exit.exit_status, exited_at: exit.exited_at })
        }
        Err(error) => Err(refused(error)),
    }
}
