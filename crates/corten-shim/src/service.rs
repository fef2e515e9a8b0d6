//! The task service: decode, one call, encode. Versions 2 and 3 differ in their name only.
//!
//! What changes something runs in a task of its own: a client that gives up, or a deadline that passes,
//! never leaves it half done.

use std::{future::Future, sync::Arc};

use corten_proto::{
    containerd::task::v2::{
        CloseIoRequest, ConnectRequest, CreateTaskRequest, CreateTaskResponse, DeleteRequest, ExecProcessRequest,
        KillRequest, PauseRequest, PidsRequest, PidsResponse, ResizePtyRequest, ResumeRequest, StartRequest,
        StartResponse, StateRequest, StatsRequest, StatsResponse, UpdateTaskRequest, WaitRequest,
    },
    google::rpc::Status,
};
use corten_shim_api::{
    Call, Service, code, status,
    task::{TASK_V2, TASK_V3},
};
use prost::Message;

use crate::{
    error::TaskError,
    shim::Shim,
    task::{
        close_io::close_io, connect::connect, create::create, delete::delete, exec::exec, kill::kill, pause::pause,
        pids::pids, resize_pty::resize_pty, resume::resume, shutdown::shutdown, start::start, state::state,
        stats::stats, update::update, wait::wait,
    },
};

impl Service for Shim {
    async fn call(self: Arc<Self>, call: Call) -> Result<Vec<u8>, Status> {
        if call.service != TASK_V2 && call.service != TASK_V3 {
            return Err(call.unimplemented(false));
        }
        tracing::debug!(method = call.method, trace = call.traceparent(), "called");
        let shim = self;
        match call.method.as_str() {
            "Create" => {
                let request: CreateTaskRequest = call.decode()?;
                encode(apart(async move { create(&shim, request).await }).await?.map(|pid| CreateTaskResponse { pid }))
            }
            "Start" => {
                let StartRequest { id, exec_id } = call.decode()?;
                encode(apart(async move { start(&shim, &id, &exec_id).await }).await?.map(|pid| StartResponse { pid }))
            }
            "Delete" => {
                let DeleteRequest { id, exec_id } = call.decode()?;
                encode(apart(async move { delete(&shim, &id, &exec_id).await }).await?)
            }
            "Exec" => {
                let request: ExecProcessRequest = call.decode()?;
                encode(apart(async move { exec(&shim, request).await }).await?)
            }
            "Kill" => {
                let request: KillRequest = call.decode()?;
                encode(apart(async move { kill(&shim, &request).await }).await?)
            }
            "Pause" => {
                let PauseRequest { id } = call.decode()?;
                encode(apart(async move { pause(&shim, &id).await }).await?)
            }
            "Resume" => {
                let ResumeRequest { id } = call.decode()?;
                encode(apart(async move { resume(&shim, &id).await }).await?)
            }
            "Update" => {
                let request: UpdateTaskRequest = call.decode()?;
                encode(apart(async move { update(&shim, &request).await }).await?)
            }
            "State" => {
                let StateRequest { id, exec_id } = call.decode()?;
                encode(state(&shim, &id, &exec_id))
            }
            "Pids" => {
                let PidsRequest { id } = call.decode()?;
                encode(pids(&shim, &id).map(|processes| PidsResponse { processes }))
            }
            "Wait" => {
                let WaitRequest { id, exec_id } = call.decode()?;
                encode(wait(&shim, &id, &exec_id).await)
            }
            "Stats" => {
                let StatsRequest { id } = call.decode()?;
                encode(stats(&shim, &id).map(|stats| StatsResponse { stats: Some(stats) }))
            }
            "ResizePty" => encode(resize_pty(&shim, &call.decode::<ResizePtyRequest>()?)),
            "CloseIO" => encode(close_io(&shim, &call.decode::<CloseIoRequest>()?)),
            "Connect" => {
                let ConnectRequest { id } = call.decode()?;
                Ok(connect(&shim, &id).encode_to_vec())
            }
            "Shutdown" => {
                shutdown(&shim);
                Ok(Vec::new())
            }
            "Checkpoint" => {
                let text = "checkpointing a container: not supported yet".to_owned();
                Err(TaskError::Unsupported(text).into())
            }
            _ => Err(call.unimplemented(true)),
        }
    }
}

fn encode<M: Message>(result: Result<M, TaskError>) -> Result<Vec<u8>, Status> {
    result.map(|answer| answer.encode_to_vec()).map_err(Status::from)
}

/// Runs `work` in a task of its own and waits for it.
async fn apart<F>(work: F) -> Result<F::Output, Status>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::spawn(work).await.map_err(|error| status(code::INTERNAL, error.to_string()))
}
