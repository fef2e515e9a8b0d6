//! `POST /exec/{id}/start`.

use std::path::Path;
use std::sync::Arc;

use corten_docker_api::ApiVersion;
use corten_docker_api::exec::ExecStart;
use corten_stdio::attach::FORMAT;
use corten_stdio::{AttachRequest, Framing, Stream, framing};
use tracing::{debug, warn};

use super::{Exec, Exit, create, files, process, record, task};
use crate::attach::{self, Arriving, Client, Of};
use crate::clock::Moment;
use crate::containers::{Container, View, require};
use crate::engine::Engine;
use crate::errors::{EngineError, Result};
use crate::events::Kind;
use crate::http::{Answer, Request};
use crate::spec::{apparmor, capabilities};
use crate::tasks::launch_error;

/// From this version on a client may say its terminal's size.
const CONSOLE_SIZE_SINCE: ApiVersion = ApiVersion::new(1, 42);

/// Starts the exec; unless it is detached, the connection becomes its streams.
///
/// # Errors
/// 404 for an unknown exec, 409 when it has run or its container does not, and when it is detached,
/// why it could not be launched. Attached, that comes in the stream: the 101 has gone by then.
pub async fn start(engine: Arc<Engine>, exec: Arc<Exec>, options: ExecStart, mut request: Request) -> Result<Answer> {
    let container = engine.containers.find(&exec.container_id)?;
    let view = container.view();
    require::active(&view, &exec.container_id)?;
    exec.claim_start()?;
    let job = Job {
        console_size: console_size(&exec, &options, request.version),
        engine: Arc::clone(&engine),
        exec: Arc::clone(&exec),
        container: Arc::clone(&container),
        view,
    };
    if options.detach {
        return job.run(None).await.map(|()| Answer::empty(hyper::StatusCode::OK));
    }
    let (framing, content_type) = attach::framing(request.version, options.tty);
    let upgrade = request.wants_upgrade().then(|| request.take_upgrade()).flatten();
    let (answer, arriving) = Arriving::open(upgrade, content_type).map_err(|error| {
        exec.set_ended(0, i64::from(UNKNOWN_EXIT));
        EngineError::internal(format!("open the streams of exec {}", exec.id)).caused_by(error)
    })?;
    tokio::spawn(attached(job, arriving, framing));
    Ok(answer)
}

/// What is left of an exec whose client could not be served.
const UNKNOWN_EXIT: u8 = 126;

fn console_size(exec: &Exec, options: &ExecStart, version: ApiVersion) -> Option<[u32; 2]> {
    let asked = options.console_size.filter(|_| version >= CONSOLE_SIZE_SINCE && options.tty);
    asked.or(exec.config.console_size)
}

async fn attached(job: Job, arriving: Arriving, framing: Framing) {
    let client = match arriving.client().await {
        Ok(client) => Arc::new(client),
        Err(error) => {
            debug!(exec_id = job.exec.id, %error, "a client left before its exec was started");
            job.exec.set_ended(0, i64::from(UNKNOWN_EXIT));
            return;
        }
    };
    let config = &job.exec.config;
    let keys = attach::parse_detach_keys(&config.detach_keys).unwrap_or_default();
    let keys = if keys.is_empty() { attach::DEFAULT_DETACH_KEYS.to_vec() } else { keys };
    let request = AttachRequest {
        format: FORMAT,
        stdin: config.attach_stdin,
        stdout: config.attach_stdout,
        stderr: config.attach_stderr && !config.tty,
        framing,
        detach_keys: (config.attach_stdin && config.tty).then_some(keys),
    };
    if let Err(error) = job.run(Some((Arc::clone(&client), request))).await {
        complain(client, &error, framing).await;
    }
}

/// Tells an attached client why its command does not run, as a line of its output.
async fn complain(client: Arc<Client>, error: &EngineError, framing: Framing) {
    let text = format!("{}\r\n", error.message());
    let mut bytes = Vec::new();
    if framing == Framing::Multiplexed {
        bytes.extend_from_slice(&framing::header(Stream::Stdout, u32::try_from(text.len()).unwrap_or(u32::MAX)));
    }
    bytes.extend_from_slice(text.as_bytes());
    // The client may be gone, and then nobody wants to know.
    if let Some(mut client) = Arc::into_inner(client) {
        let _ = client.write(&bytes).await;
    }
}

/// One start.
struct Job {
    engine: Arc<Engine>,
    exec: Arc<Exec>,
    container: Arc<Container>,
    view: Arc<View>,
    console_size: Option<[u32; 2]>,
}

impl Job {
    /// Adds the process, passes the client to its hub, starts it. On failure nothing of it is left.
    async fn run(&self, client: Option<(Arc<Client>, AttachRequest)>) -> Result<()> {
        let (engine, exec) = (&self.engine, &self.exec);
        let mut attributes = self.view.record.event_attributes();
        attributes.insert("execID".to_owned(), exec.id.clone());
        engine.events.publish(Kind::Container, &exec.action("exec_start"), &exec.container_id, attributes);
        let directory = files::directory(&self.container, &exec.id);
        match self.launch(&directory, client).await {
            Ok(pid) => {
                exec.set_running(pid);
                self.note(record::running(&self.container, &exec.id, pid));
                Ok(())
            }
            Err(error) => {
                let (status, error) = launch_error::classify(error);
                self.undo(&directory).await;
                super::end(engine, exec, Exit { pid: 0, status, at: Moment::now() });
                Err(error)
            }
        }
    }

    async fn launch(&self, directory: &Path, client: Option<(Arc<Client>, AttachRequest)>) -> Result<u32> {
        let (engine, exec) = (&self.engine, &self.exec);
        let user = create::resolve_user(&self.view, &exec.config)?;
        let of_container = task::container_process(engine, &exec.container_id).await?;
        if of_container["apparmorProfile"] == apparmor::DEFAULT {
            let loaded = tokio::task::spawn_blocking(apparmor::load_default_if_missing).await;
            loaded.map_err(|error| EngineError::internal("load the default AppArmor profile").caused_by(error))??;
        }
        let process = process::build(&of_container, &exec.config, user, self.console_size, capabilities::available()?);
        let stdio = files::make(directory, &exec.config)
            .map_err(|error| EngineError::internal(format!("make {}", directory.display())).caused_by(error))?;
        self.note(record::started(&self.container, &exec.id, &exec.config));
        task::exec(engine, exec, &process, stdio).await?;
        if let Some((client, request)) = client {
            let passed = attach::pass(client, request, files::socket(directory)).await.map_err(|error| {
                EngineError::internal(format!("pass the client of exec {} to the shim", exec.id)).caused_by(error)
            })?;
            passed.announce(engine, &exec.container_id, Of::Exec(exec.id.clone()));
        }
        task::start(engine, exec).await
    }

    /// An exec that could not be written down runs all the same; the next engine will not know it.
    fn note(&self, written: std::io::Result<()>) {
        match written {
            // Forgotten meanwhile: its container has ended.
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                warn!(id = self.container.id, exec_id = self.exec.id, %error, "an exec is not written down");
            }
            _ => {}
        }
    }

    async fn undo(&self, directory: &Path) {
        if let Err(error) = task::delete(&self.engine, &self.exec.container_id, &self.exec.id).await {
            warn!(exec_id = self.exec.id, error = error.message(), "an exec that failed is left in its shim");
        }
        if let Err(error) = files::remove(directory) {
            warn!(exec_id = self.exec.id, %error, path = %directory.display(), "a directory was left behind");
        }
    }
}
