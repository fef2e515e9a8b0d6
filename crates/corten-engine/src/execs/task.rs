//! The calls of containerd's task service that concern one exec.

use std::future::Future;
use std::time::Duration;

use corten_proto::any;
use corten_proto::containerd::services::containers::v1::GetContainerRequest;
use corten_proto::containerd::services::tasks::v1::{
    DeleteProcessRequest, ExecProcessRequest, GetRequest, StartRequest,
};
use corten_proto::containerd::v1::types::{Process, Status};
use corten_types::ErrorKind;
use serde_json::Value;

use super::{Exec, Exit};
use crate::clock::Moment;
use crate::engine::Engine;
use crate::errors::{EngineError, Result};

/// The process of the container's own specification.
///
/// # Errors
/// What containerd answers, or that its record holds no specification.
pub async fn container_process(engine: &Engine, container_id: &str) -> Result<Value> {
    let mut containers = engine.containerd.containers();
    let request = GetContainerRequest { id: container_id.to_owned() };
    let answer = engine.containerd.step("look up container", containers.get(request)).await?;
    let spec = answer.container.and_then(|container| container.spec).unwrap_or_default();
    let mut spec: Value = serde_json::from_slice(&spec.value).map_err(|error| {
        EngineError::internal(format!("understand the specification of container {container_id}")).caused_by(error)
    })?;
    Ok(spec["process"].take())
}

/// Adds the process to the task; it does not run yet.
///
/// # Errors
/// What containerd, the shim or the runtime answers.
pub async fn exec(engine: &Engine, exec: &Exec, process: &Value, stdio: String) -> Result<()> {
    let json = serde_json::to_vec(process)
        .map_err(|error| EngineError::internal("write the process specification").caused_by(error))?;
    let request = ExecProcessRequest {
        container_id: exec.container_id.clone(),
        exec_id: exec.id.clone(),
        stdin: String::new(),
        stdout: stdio.clone(),
        // A terminal has one stream; containerd's shim refuses a second.
        stderr: if exec.config.tty { String::new() } else { stdio },
        terminal: exec.config.tty,
        spec: Some(any::pack_json(any::PROCESS, json)),
    };
    let mut tasks = engine.containerd.tasks();
    launch(tasks.exec(request)).await.map(drop)
}

/// Starts the process, and returns its pid.
///
/// # Errors
/// What containerd, the shim or the runtime answers.
pub async fn start(engine: &Engine, exec: &Exec) -> Result<u32> {
    let mut tasks = engine.containerd.tasks();
    let request = StartRequest { container_id: exec.container_id.clone(), exec_id: exec.id.clone() };
    Ok(launch(tasks.start(request)).await?.pid)
}

/// Time a launch may take: it starts processes on a busy host.
const LAUNCH_DEADLINE: Duration = Duration::from_secs(120);

/// Makes a call whose complaint is shown to people as it is: it says itself what failed.
async fn launch<T>(call: impl Future<Output = std::result::Result<tonic::Response<T>, tonic::Status>>) -> Result<T> {
    match tokio::time::timeout(LAUNCH_DEADLINE, call).await {
        Ok(answer) => Ok(answer?.into_inner()),
        Err(_) => Err(EngineError::new(
            ErrorKind::Unavailable,
            format!("containerd has not launched the exec for {} s", LAUNCH_DEADLINE.as_secs()),
        )),
    }
}

/// What containerd knows of an exec.
#[derive(Clone, Copy, Debug)]
pub enum Reality {
    /// Nothing.
    Absent,
    /// It was added and not started.
    Created,
    /// It runs.
    Running {
        /// On the host.
        pid: u32,
    },
    /// It has ended.
    Stopped(Exit),
}

/// Looks at an exec.
///
/// # Errors
/// What containerd answers.
pub async fn look(engine: &Engine, exec: &Exec) -> Result<Reality> {
    let mut tasks = engine.containerd.tasks();
    let request = GetRequest { container_id: exec.container_id.clone(), exec_id: exec.id.clone() };
    match engine.containerd.step("look up exec", tasks.get(request)).await {
        Ok(answer) => Ok(answer.process.map_or(Reality::Absent, |process| match process.status() {
            Status::Created => Reality::Created,
            Status::Stopped => Reality::Stopped(exit(process)),
            _ => Reality::Running { pid: process.pid },
        })),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Reality::Absent),
        Err(error) => Err(error),
    }
}

fn exit(process: Process) -> Exit {
    Exit {
        pid: process.pid,
        status: process.exit_status,
        at: process.exited_at.as_ref().map_or_else(Moment::now, Moment::from_proto),
    }
}

/// Forgets an exec that has ended or never came up.
///
/// # Errors
/// What containerd answers; one that is not there is no error.
pub async fn delete(engine: &Engine, container_id: &str, exec_id: &str) -> Result<()> {
    let mut tasks = engine.containerd.tasks();
    let request = DeleteProcessRequest { container_id: container_id.to_owned(), exec_id: exec_id.to_owned() };
    match engine.containerd.step("delete exec", tasks.delete_process(request)).await {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
