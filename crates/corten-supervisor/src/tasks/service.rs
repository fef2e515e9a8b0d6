//! gRPC edge of the tasks.

use std::sync::Arc;

use corten_containerd_api::containerd::services::tasks::v1::tasks_server::Tasks;
use corten_proto::containerd::{
    services::tasks::v1::{
        CheckpointTaskRequest, CheckpointTaskResponse, CloseIoRequest, CreateTaskRequest, CreateTaskResponse,
        DeleteProcessRequest, DeleteResponse, DeleteTaskRequest, ExecProcessRequest, GetRequest, GetResponse,
        KillRequest, ListPidsRequest, ListPidsResponse, ListTasksRequest, ListTasksResponse, MetricsRequest,
        MetricsResponse, PauseTaskRequest, ResizePtyRequest, ResumeTaskRequest, StartRequest, StartResponse,
        UpdateTaskRequest, WaitRequest, WaitResponse,
    },
    task::v2::DeleteResponse as Exit,
};
use tonic::{Request, Response, Status, async_trait};

use super::{create::create, delete, list, start::start, verbs};
use crate::{Supervisor, caller::Caller, error::Error, in_its_own_task};

/// The handlers.
#[derive(Debug)]
pub struct TasksService(pub Arc<Supervisor>);

#[async_trait]
impl Tasks for TasksService {
    async fn create(&self, request: Request<CreateTaskRequest>) -> Result<Response<CreateTaskResponse>, Status> {
        let (Caller { namespace, .. }, supervisor) = (Caller::of(&request)?, self.0.clone());
        let request = request.into_inner();
        let container_id = request.container_id.clone();
        let pid = in_its_own_task(async move { create(&supervisor, &namespace, request).await }).await?;
        Ok(Response::new(CreateTaskResponse { container_id, pid }))
    }

    async fn start(&self, request: Request<StartRequest>) -> Result<Response<StartResponse>, Status> {
        let (Caller { namespace, .. }, supervisor) = (Caller::of(&request)?, self.0.clone());
        let request = request.into_inner();
        let pid = in_its_own_task(async move { start(&supervisor, &namespace, request).await }).await?;
        Ok(Response::new(StartResponse { pid }))
    }

    async fn delete(&self, request: Request<DeleteTaskRequest>) -> Result<Response<DeleteResponse>, Status> {
        let (Caller { namespace, .. }, supervisor) = (Caller::of(&request)?, self.0.clone());
        let id = request.into_inner().container_id;
        let exit = in_its_own_task(async move { delete::delete(&supervisor, &namespace, &id).await }).await?;
        Ok(Response::new(told(exit, String::new())))
    }

    async fn delete_process(&self, request: Request<DeleteProcessRequest>) -> Result<Response<DeleteResponse>, Status> {
        let Caller { namespace, .. } = Caller::of(&request)?;
        let DeleteProcessRequest { container_id, exec_id } = request.into_inner();
        let exit = delete::delete_process(&self.0, &namespace, container_id, exec_id.clone()).await?;
        Ok(Response::new(told(exit, exec_id)))
    }

    async fn get(&self, request: Request<GetRequest>) -> Result<Response<GetResponse>, Status> {
        let Caller { namespace, .. } = Caller::of(&request)?;
        let GetRequest { container_id, exec_id } = request.into_inner();
        let process = list::get(&self.0, &namespace, &container_id, &exec_id).await?;
        Ok(Response::new(GetResponse { process: Some(process) }))
    }

    async fn list(&self, request: Request<ListTasksRequest>) -> Result<Response<ListTasksResponse>, Status> {
        let Caller { namespace, .. } = Caller::of(&request)?;
        Ok(Response::new(ListTasksResponse { tasks: list::list(&self.0, &namespace).await }))
    }

    async fn kill(&self, request: Request<KillRequest>) -> Result<Response<()>, Status> {
        let Caller { namespace, .. } = Caller::of(&request)?;
        Ok(Response::new(verbs::kill(&self.0, &namespace, request.into_inner()).await?))
    }

    async fn exec(&self, request: Request<ExecProcessRequest>) -> Result<Response<()>, Status> {
        let Caller { namespace, .. } = Caller::of(&request)?;
        Ok(Response::new(verbs::exec(&self.0, &namespace, request.into_inner()).await?))
    }

    async fn resize_pty(&self, request: Request<ResizePtyRequest>) -> Result<Response<()>, Status> {
        let Caller { namespace, .. } = Caller::of(&request)?;
        Ok(Response::new(verbs::resize_pty(&self.0, &namespace, request.into_inner()).await?))
    }

    async fn close_io(&self, request: Request<CloseIoRequest>) -> Result<Response<()>, Status> {
        let Caller { namespace, .. } = Caller::of(&request)?;
        Ok(Response::new(verbs::close_io(&self.0, &namespace, request.into_inner()).await?))
    }

    async fn pause(&self, request: Request<PauseTaskRequest>) -> Result<Response<()>, Status> {
        let Caller { namespace, .. } = Caller::of(&request)?;
        Ok(Response::new(verbs::pause(&self.0, &namespace, request.into_inner().container_id).await?))
    }

    async fn resume(&self, request: Request<ResumeTaskRequest>) -> Result<Response<()>, Status> {
        let Caller { namespace, .. } = Caller::of(&request)?;
        Ok(Response::new(verbs::resume(&self.0, &namespace, request.into_inner().container_id).await?))
    }

    async fn list_pids(&self, request: Request<ListPidsRequest>) -> Result<Response<ListPidsResponse>, Status> {
        let Caller { namespace, .. } = Caller::of(&request)?;
        let processes = verbs::list_pids(&self.0, &namespace, request.into_inner().container_id).await?;
        Ok(Response::new(ListPidsResponse { processes }))
    }

    async fn checkpoint(&self, _: Request<CheckpointTaskRequest>) -> Result<Response<CheckpointTaskResponse>, Status> {
        Err(Error::unimplemented("checkpoint: not supported yet").into())
    }

    async fn update(&self, request: Request<UpdateTaskRequest>) -> Result<Response<()>, Status> {
        let Caller { namespace, .. } = Caller::of(&request)?;
        Ok(Response::new(verbs::update(&self.0, &namespace, request.into_inner()).await?))
    }

    async fn metrics(&self, request: Request<MetricsRequest>) -> Result<Response<MetricsResponse>, Status> {
        let Caller { namespace, .. } = Caller::of(&request)?;
        let metrics = list::metrics(&self.0, &namespace, &request.into_inner().filters).await?;
        Ok(Response::new(MetricsResponse { metrics }))
    }

    async fn wait(&self, request: Request<WaitRequest>) -> Result<Response<WaitResponse>, Status> {
        let Caller { namespace, .. } = Caller::of(&request)?;
        Ok(Response::new(verbs::wait(&self.0, &namespace, request.into_inner()).await?))
    }
}

fn told(exit: Exit, id: String) -> DeleteResponse {
    DeleteResponse { id, pid: exit.pid, exit_status: exit.exit_status, exited_at: exit.exited_at }
}
