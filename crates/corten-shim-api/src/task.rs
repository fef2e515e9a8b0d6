//! The task service of a shim, typed: one method of [`Client`] per method of the service.
//!
//! The two versions of the service differ in the package name only, so the messages are those of
//! version 2. containerd's events service, which shims forward to, stands at the end.

use std::time::Duration;

use corten_proto::containerd::{
    services::events::ttrpc::v1::ForwardRequest,
    task::v2::{
        CheckpointTaskRequest, CloseIoRequest, ConnectRequest, ConnectResponse, CreateTaskRequest, CreateTaskResponse,
        DeleteRequest, DeleteResponse, ExecProcessRequest, KillRequest, PauseRequest, PidsRequest, PidsResponse,
        ResizePtyRequest, ResumeRequest, ShutdownRequest, StartRequest, StartResponse, StateRequest, StateResponse,
        StatsRequest, StatsResponse, UpdateTaskRequest, WaitRequest, WaitResponse,
    },
};

use crate::{client::Client, error::CallError};

/// Name of the task service up to containerd 2.0, and of every fallback.
pub const TASK_V2: &str = "containerd.task.v2.Task";
/// Name of the task service of containerd 2.x.
pub const TASK_V3: &str = "containerd.task.v3.Task";
/// Name of the events service on a supervisor's ttrpc socket.
pub const EVENTS: &str = "containerd.services.events.ttrpc.v1.Events";

/// Which name the task service is called by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TaskVersion {
    /// [`TASK_V2`]; every shim serves it.
    #[default]
    V2,
    /// [`TASK_V3`].
    V3,
}

impl TaskVersion {
    /// The full name of the service.
    pub const fn service(self) -> &'static str {
        match self {
            Self::V2 => TASK_V2,
            Self::V3 => TASK_V3,
        }
    }
}

/// Writes one typed method per line.
macro_rules! methods {
    ($($(#[$doc:meta])* $name:ident = $wire:literal: $request:ty => $answer:ty;)*) => {
        impl Client {$(
            $(#[$doc])*
            ///
            /// # Errors
            /// The status the shim answered, or what kept the answer from coming.
            pub async fn $name(&self, request: &$request, timeout: Option<Duration>) -> Result<$answer, CallError> {
                self.call(self.task_version.service(), $wire, request, timeout).await
            }
        )*}
    };
}

methods! {
    /// Asks for the state of the init process, or of an exec.
    state = "State": StateRequest => StateResponse;
    /// Creates the container; its init process then waits for [`Client::start`].
    create = "Create": CreateTaskRequest => CreateTaskResponse;
    /// Starts the init process, or an exec.
    start = "Start": StartRequest => StartResponse;
    /// Removes a stopped container, or a stopped exec, and tells its exit.
    delete = "Delete": DeleteRequest => DeleteResponse;
    /// Lists the processes of the container.
    pids = "Pids": PidsRequest => PidsResponse;
    /// Freezes the container.
    pause = "Pause": PauseRequest => ();
    /// Thaws the container.
    resume = "Resume": ResumeRequest => ();
    /// Writes the container's processes to an image.
    checkpoint = "Checkpoint": CheckpointTaskRequest => ();
    /// Sends a signal.
    kill = "Kill": KillRequest => ();
    /// Adds an exec, to be started with [`Client::start`].
    exec = "Exec": ExecProcessRequest => ();
    /// Sets the size of a terminal.
    resize_pty = "ResizePty": ResizePtyRequest => ();
    /// Closes the standard input.
    close_io = "CloseIO": CloseIoRequest => ();
    /// Changes the resource limits.
    update = "Update": UpdateTaskRequest => ();
    /// Waits for the exit of the init process, or of an exec.
    wait = "Wait": WaitRequest => WaitResponse;
    /// Reads the container's cgroup statistics.
    stats = "Stats": StatsRequest => StatsResponse;
    /// Asks who serves the container; the ping after a restart.
    connect_task = "Connect": ConnectRequest => ConnectResponse;
    /// Ends a shim that holds no container any more.
    shutdown = "Shutdown": ShutdownRequest => ();
}

impl Client {
    /// Forwards an event to a supervisor's ttrpc socket.
    ///
    /// # Errors
    /// The status the supervisor answered, or what kept the answer from coming.
    pub async fn forward(&self, request: &ForwardRequest, timeout: Option<Duration>) -> Result<(), CallError> {
        self.call(EVENTS, "Forward", request, timeout).await
    }
}
