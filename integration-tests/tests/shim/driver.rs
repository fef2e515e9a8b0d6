//! A supervisor for tests: starts a shim for a busybox bundle, calls it, and collects its events.

use std::{
    fs,
    future::Future,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use corten_proto::{
    any,
    containerd::{
        runc::v1::Options,
        services::events::ttrpc::v1::ForwardRequest,
        task::v2::{
            CreateTaskRequest, DeleteRequest, DeleteResponse, ExecProcessRequest, KillRequest, StartRequest,
            StateRequest, StateResponse, WaitRequest,
        },
        types::Envelope,
    },
    google::rpc::Status,
};
use corten_shim_api::{
    Call, CallError, Client, Service, server, socket,
    start::{SpawnArgs, parse_answer},
};
use corten_stdio::{Driver, StdinMode, StdioFile, stdio_file};
use integration_tests::{DEADLINE, TempRoot, busybox, programs, wait_for};
use prost_types::Any;
use serde_json::{Value, json};

/// Time of one call; far beyond what any takes.
const CALL: Option<Duration> = Some(Duration::from_secs(60));

/// The supervisor: an event loop and the events socket.
pub struct Supervisor {
    runtime: tokio::runtime::Runtime,
    events: Arc<Events>,
    pub root: TempRoot,
    /// The loop of the events socket: it goes away with all its connections.
    serving: Option<tokio::runtime::Runtime>,
}

/// The events that came, in order.
#[derive(Default)]
struct Events(Mutex<Vec<Envelope>>);

impl Service for Events {
    async fn call(self: Arc<Self>, call: Call) -> Result<Vec<u8>, Status> {
        let request: ForwardRequest = call.decode()?;
        self.0.lock().unwrap().extend(request.envelope);
        Ok(Vec::new())
    }
}

impl Supervisor {
    pub fn new() -> Self {
        let mut supervisor =
            Self { runtime: event_loop(), events: Arc::default(), root: TempRoot::new(), serving: None };
        supervisor.come_back();
        supervisor
    }

    /// The events socket disappears.
    pub fn go_away(&mut self) {
        self.serving.take().unwrap().shutdown_timeout(Duration::from_secs(5));
        fs::remove_file(self.events_socket()).unwrap();
    }

    /// The events socket is there again.
    pub fn come_back(&mut self) {
        let serving = event_loop();
        let events = Arc::clone(&self.events);
        let listener = serving.block_on(async { socket::bind(&self.events_socket()).unwrap() });
        serving.spawn(server::serve(listener, events));
        self.serving = Some(serving);
    }

    fn events_socket(&self) -> PathBuf {
        self.root.join("events.sock")
    }

    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// Topics and the ids they are about, in the order they came: `/tasks/exit e1`.
    pub fn topics(&self) -> Vec<String> {
        self.events.0.lock().unwrap().iter().map(describe).collect()
    }

    /// Waits until an event came.
    #[track_caller]
    pub fn wait_for_topic(&self, topic: &str) {
        wait_for(topic, DEADLINE, || self.topics().iter().any(|came| came == topic));
    }

    /// Starts a shim for a container `id` that runs `sh -c script`.
    pub fn shim(&self, id: &str, script: &str) -> Shim<'_> {
        self.shim_with(id, script, |_| {})
    }

    /// The same, with a changed config.json.
    pub fn shim_with(&self, id: &str, script: &str, change: impl FnOnce(&mut Value)) -> Shim<'_> {
        let bundle = busybox::bundle(&self.root, id, &["/bin/sh", "-c", script], change);
        let command = self.command(id, &bundle, "start");
        self.start_shim(id, bundle, command)
    }

    /// The same, told another binary to publish with and another ttrpc address.
    pub fn shim_told(&self, id: &str, script: &str, publisher: &Path, ttrpc: &str) -> Shim<'_> {
        let bundle = busybox::bundle(&self.root, id, &["/bin/sh", "-c", script], |_| {});
        let mut command = self.command_told(id, &bundle, "start", publisher);
        command.env("TTRPC_ADDRESS", ttrpc);
        self.start_shim(id, bundle, command)
    }

    fn start_shim(&self, id: &str, bundle: PathBuf, mut command: Command) -> Shim<'_> {
        let output = command.stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let address = parse_answer(&output.stdout).unwrap();
        let client = self.block_on(Client::connect(address.path())).unwrap();
        Shim { supervisor: self, id: id.to_owned(), bundle, client, runtime: runtime("corten-runtime") }
    }

    fn command(&self, id: &str, bundle: &Path, action: &str) -> Command {
        self.command_told(id, bundle, action, &programs::path("corten-shim"))
    }

    fn command_told(&self, id: &str, bundle: &Path, action: &str, publisher: &Path) -> Command {
        let events = self.events_socket();
        let spawn = SpawnArgs {
            namespace: self.root.name(),
            id,
            address: "/nowhere",
            ttrpc_address: events.to_str().unwrap(),
            publish_binary: publisher,
            bundle,
            debug: true,
        };
        let mut command = Command::new(programs::path("corten-shim"));
        // A socket of the test's own; those of one group share it.
        let socket = self.root.join(format!("{}.sock", self.group(bundle).unwrap_or_else(|| id.to_owned())));
        command.arg("-socket").arg(socket).args(if action == "start" { spawn.start() } else { spawn.delete() });
        command.envs(spawn.environment()).env("CORTEN_TEST_ROOT", self.root.name()).current_dir(bundle);
        command
    }

    fn group(&self, bundle: &Path) -> Option<String> {
        let config: Value = serde_json::from_slice(&fs::read(bundle.join("config.json")).unwrap()).unwrap();
        config["annotations"]["io.containerd.runc.v2.group"].as_str().map(str::to_owned)
    }
}

fn event_loop() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// The runtime called `name`, ours or an original.
pub fn runtime(name: &str) -> PathBuf {
    if name.starts_with("corten-") { programs::path(name) } else { programs::original(name) }
}

fn describe(envelope: &Envelope) -> String {
    use corten_proto::containerd::events as wire;
    let event = envelope.event.as_ref().unwrap();
    let id = match envelope.topic.as_str() {
        "/tasks/exit" => any::unpack::<wire::TaskExit>(event).unwrap().unwrap().id,
        "/tasks/exec-added" => any::unpack::<wire::TaskExecAdded>(event).unwrap().unwrap().exec_id,
        "/tasks/exec-started" => any::unpack::<wire::TaskExecStarted>(event).unwrap().unwrap().exec_id,
        "/tasks/create" => any::unpack::<wire::TaskCreate>(event).unwrap().unwrap().container_id,
        "/tasks/start" => any::unpack::<wire::TaskStart>(event).unwrap().unwrap().container_id,
        "/tasks/delete" => any::unpack::<wire::TaskDelete>(event).unwrap().unwrap().container_id,
        "/tasks/oom" => any::unpack::<wire::TaskOom>(event).unwrap().unwrap().container_id,
        _ => String::new(),
    };
    format!("{} {id}", envelope.topic)
}

/// Where output goes.
#[derive(Debug, Clone, Default)]
pub struct Streams {
    pub stdin: String,
    pub stdout: String,
    pub stderr: String,
    pub terminal: bool,
}

impl Streams {
    /// Both outputs into one file.
    pub fn file(path: &Path) -> Self {
        let uri = format!("file://{}", path.display());
        Self { stdout: uri.clone(), stderr: uri, ..Self::default() }
    }

    /// What a `stdio.json` at `path` says.
    pub fn ours(path: &Path, file: &StdioFile) -> Self {
        file.save(path).unwrap();
        let uri = stdio_file::uri(path);
        Self { stdout: uri.clone(), stderr: uri, terminal: file.terminal, ..Self::default() }
    }
}

/// A running shim.
pub struct Shim<'a> {
    pub supervisor: &'a Supervisor,
    pub id: String,
    pub bundle: PathBuf,
    pub client: Client,
    pub runtime: PathBuf,
}

impl Shim<'_> {
    /// A `stdio.json` for this container: json-file log, attach socket, and that input.
    pub fn stdio_file(&self, stdin: StdinMode) -> StdioFile {
        StdioFile {
            format: stdio_file::FORMAT,
            driver: Driver::JsonFile,
            log_path: self.bundle.join("x-json.log"),
            max_size_bytes: 0,
            max_files: 1,
            compress: false,
            attrs: Default::default(),
            stdin,
            terminal: false,
            attach_socket: self.bundle.join("attach.sock"),
        }
    }

    /// Streams through the log and attached clients.
    pub fn ours(&self, stdin: StdinMode) -> Streams {
        Streams::ours(&self.bundle.join("stdio.json"), &self.stdio_file(stdin))
    }

    pub fn create(&self, streams: &Streams) -> Result<u32, CallError> {
        self.create_with(streams, |_| {})
    }

    pub fn create_with(
        &self,
        streams: &Streams,
        change: impl FnOnce(&mut CreateTaskRequest),
    ) -> Result<u32, CallError> {
        let options = Options {
            binary_name: self.runtime.display().to_string(),
            root: self.supervisor.root.join("runtime").display().to_string(),
            ..Options::default()
        };
        let mut request = CreateTaskRequest {
            id: self.id.clone(),
            bundle: self.bundle.display().to_string(),
            stdin: streams.stdin.clone(),
            stdout: streams.stdout.clone(),
            stderr: streams.stderr.clone(),
            terminal: streams.terminal,
            options: Some(any::pack(&options)),
            ..CreateTaskRequest::default()
        };
        change(&mut request);
        self.supervisor.block_on(self.client.create(&request, CALL)).map(|answer| answer.pid)
    }

    pub fn start(&self, exec_id: &str) -> Result<u32, CallError> {
        let request = StartRequest { id: self.id.clone(), exec_id: exec_id.to_owned() };
        self.supervisor.block_on(self.client.start(&request, CALL)).map(|answer| answer.pid)
    }

    /// Creates and starts it.
    #[track_caller]
    pub fn run(&self, streams: &Streams) -> u32 {
        let pid = self.create(streams).unwrap();
        assert_eq!(self.start("").unwrap(), pid);
        pid
    }

    /// The exit status.
    #[track_caller]
    pub fn wait(&self, exec_id: &str) -> u32 {
        let request = WaitRequest { id: self.id.clone(), exec_id: exec_id.to_owned() };
        self.supervisor.block_on(self.client.wait(&request, CALL)).unwrap().exit_status
    }

    pub fn state(&self, exec_id: &str) -> Result<StateResponse, CallError> {
        let request = StateRequest { id: self.id.clone(), exec_id: exec_id.to_owned() };
        self.supervisor.block_on(self.client.state(&request, CALL))
    }

    pub fn kill(&self, exec_id: &str, signal: u32) -> Result<(), CallError> {
        let request = KillRequest { id: self.id.clone(), exec_id: exec_id.to_owned(), signal, all: false };
        self.supervisor.block_on(self.client.kill(&request, CALL))
    }

    pub fn delete(&self, exec_id: &str) -> Result<DeleteResponse, CallError> {
        let request = DeleteRequest { id: self.id.clone(), exec_id: exec_id.to_owned() };
        self.supervisor.block_on(self.client.delete(&request, CALL))
    }

    /// Adds an exec of `sh -c script`.
    pub fn exec(&self, exec_id: &str, script: &str, streams: &Streams) -> Result<(), CallError> {
        let process = json!({
            "args": ["/bin/sh", "-c", script], "cwd": "/", "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0},
        });
        let request = ExecProcessRequest {
            id: self.id.clone(),
            exec_id: exec_id.to_owned(),
            terminal: streams.terminal,
            stdin: streams.stdin.clone(),
            stdout: streams.stdout.clone(),
            stderr: streams.stderr.clone(),
            spec: Some(Any { type_url: any::PROCESS.to_owned(), value: process.to_string().into_bytes() }),
        };
        self.supervisor.block_on(self.client.exec(&request, CALL))
    }

    /// Ends the shim, and waits until it has.
    pub fn shutdown(&self) {
        let _ = self.supervisor.block_on(self.client.shutdown(&Default::default(), CALL));
        self.supervisor.block_on(async {
            tokio::time::timeout(DEADLINE, self.client.closed()).await.expect("the shim ends after shutdown");
        });
    }

    /// The shim's own pid.
    pub fn pid(&self) -> u32 {
        self.client.peer_pid().unwrap().unsigned_abs()
    }

    /// What `corten-shim delete` answers.
    pub fn delete_after_death(&self) -> DeleteResponse {
        let output = self.supervisor.command(&self.id, &self.bundle, "delete").stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        corten_shim_api::start::parse_delete_answer(&output.stdout).unwrap()
    }

    /// The lines in its log.
    pub fn logged(&self) -> String {
        let stop = corten_stdio::logs::Stop::new().unwrap();
        let options = corten_stdio::logs::Options::default();
        let reader = corten_stdio::logs::Reader::open(&self.bundle.join("x-json.log"), options, stop).unwrap();
        let lines = reader.flat_map(|record| record.unwrap().line).collect();
        String::from_utf8(lines).unwrap()
    }
}

impl Shim<'_> {
    /// The pid of init, as the runtime wrote it.
    pub fn state_pid(&self) -> u32 {
        fs::read_to_string(self.bundle.join("init.pid")).unwrap().trim().parse().unwrap()
    }
}
