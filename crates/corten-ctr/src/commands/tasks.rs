//! `ctr tasks`.

use corten_containerd_api::{Client, Snapshotter};
use corten_proto::any;
use corten_proto::containerd::runc::v1::Options;
use corten_proto::containerd::services::containers::v1::Container;
use corten_proto::containerd::services::tasks::v1 as wire;
use corten_types::Signal;
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};

use super::containers::load;
use crate::json::process_details;
use crate::session::{Failure, Outcome, Session, api, log_error, sentence, warn};
use crate::stdio::Streams;
use crate::table;
use crate::user::Names;

/// Signals that go on to the process; the rest act on this program.
const FORWARDED: [i32; 8] = [1, 2, 3, 10, 12, 15, 18, 23];
/// SIGWINCH.
const RESIZED: i32 = 28;

/// Lists tasks.
pub async fn list(session: &Session) -> Outcome {
    let tasks = session.client.tasks().list(wire::ListTasksRequest::default()).await.map_err(api)?.into_inner().tasks;
    if session.is_set("quiet") {
        tasks.iter().for_each(|task| println!("{}", task.id));
        return Ok(());
    }
    let mut lines = String::from("TASK\tPID\tSTATUS\t\n");
    for task in &tasks {
        lines.push_str(&format!("{}\t{}\t{}\n", task.id, task.pid, task.status().as_str_name()));
    }
    table::print(&lines, table::WIDE);
    Ok(())
}

/// Lists a task's processes.
pub async fn ps(session: &Session) -> Outcome {
    let container_id = session.first("container id must be provided")?;
    load(session, &container_id).await?;
    let request = wire::ListPidsRequest { container_id };
    let processes = session.client.tasks().list_pids(request).await.map_err(api)?.into_inner().processes;
    let mut lines = String::from("PID\tINFO\n");
    for process in processes {
        lines.push_str(&format!("{}\t{}\n", process.pid, process_details(process.info.as_ref())));
    }
    table::print(&lines, table::PROCESSES);
    Ok(())
}

/// Pauses a task.
pub async fn pause(session: &Session) -> Outcome {
    let container_id = session.first("container id must be provided")?;
    load(session, &container_id).await?;
    session.client.tasks().pause(wire::PauseTaskRequest { container_id }).await.map_err(api)?;
    Ok(())
}

/// Resumes a paused task.
pub async fn resume(session: &Session) -> Outcome {
    let container_id = session.first("container id must be provided")?;
    load(session, &container_id).await?;
    session.client.tasks().resume(wire::ResumeTaskRequest { container_id }).await.map_err(api)?;
    Ok(())
}

/// Sends a signal: the one asked for, the container's stop signal, or SIGTERM.
pub async fn kill(session: &Session) -> Outcome {
    let container_id = session.first("container id must be provided")?;
    let (all, exec_id) = (session.is_set("all"), session.value("exec-id").to_owned());
    if all && !exec_id.is_empty() {
        return Err(sentence("specify an exec-id or all; not both"));
    }
    let container = load(session, &container_id).await?;
    let stop = container.labels.get("io.containerd.image.config.stop-signal").map_or("SIGTERM", String::as_str);
    let signal: Signal = session.given("signal").unwrap_or(stop).parse()?;
    let request = wire::KillRequest { container_id, exec_id, signal: u32::from(signal.number()), all };
    session.client.tasks().kill(request).await.map_err(api)?;
    Ok(())
}

/// Removes tasks, or one exec of a task; `--force` kills first.
pub async fn delete(session: &Session) -> Outcome {
    let exec_id = session.value("exec-id").to_owned();
    if !exec_id.is_empty() {
        let container_id = session.first("container id must be provided")?;
        load(session, &container_id).await?;
        if session.is_set("force") {
            kill_and_wait(&session.client, &container_id, &exec_id).await?;
        }
        let request = wire::DeleteProcessRequest { container_id, exec_id };
        let status = session.client.tasks().delete_process(request).await.map_err(api)?.into_inner().exit_status;
        return exit(status);
    }
    let mut failure = None;
    for id in session.words() {
        match delete_one(session, &id).await {
            Ok(0) => {}
            Ok(status) => warn(format!("task {id} exit with non-zero exit code {status}")),
            Err(error) => {
                log_error(format!("unable to delete {id}"), &error);
                failure.get_or_insert(error);
            }
        }
    }
    failure.map_or(Ok(()), Err)
}

async fn delete_one(session: &Session, id: &str) -> Result<u32, Failure> {
    load(session, id).await?;
    if session.is_set("force") {
        kill_and_wait(&session.client, id, "").await?;
    }
    let request = wire::DeleteTaskRequest { container_id: id.to_owned() };
    Ok(session.client.tasks().delete(request).await.map_err(api)?.into_inner().exit_status)
}

async fn kill_and_wait(client: &Client, id: &str, exec_id: &str) -> Outcome {
    let (container_id, exec_id) = (id.to_owned(), exec_id.to_owned());
    let all = exec_id.is_empty();
    let kill = wire::KillRequest { container_id: container_id.clone(), exec_id: exec_id.clone(), signal: 9, all };
    match client.tasks().kill(kill).await {
        // It has exited already.
        Err(status) if matches!(status.code(), tonic::Code::NotFound | tonic::Code::FailedPrecondition) => {}
        result => drop(result.map_err(api)?),
    }
    client.tasks().wait(wire::WaitRequest { container_id, exec_id }).await.map_err(api)?;
    Ok(())
}

fn exit(status: u32) -> Outcome {
    if status == 0 { Ok(()) } else { Err(Failure::Exit(u8::try_from(status).unwrap_or(u8::MAX))) }
}

/// Starts the task of a container that exists.
pub async fn start(session: &Session) -> Outcome {
    let id = session.first("container id must be provided")?;
    let container = load(session, &id).await?;
    let spec: Value = serde_json::from_slice(&container.spec.clone().unwrap_or_default().value)?;
    let terminal = spec["process"]["terminal"] == true;
    run_task(session, &container, terminal).await
}

/// Makes and starts a container's task and, unless detached, stays with it to its end.
pub async fn run_task(session: &Session, container: &Container, terminal: bool) -> Outcome {
    let directory = session.value("fifo-dir");
    let null = session.is_set("null-io");
    let mut streams = Streams::prepare(&container.id, terminal, null, session.value("log-uri"), directory)?;
    let rootfs = if container.snapshot_key.is_empty() {
        Vec::new()
    } else {
        let store = session.client.with_snapshotter(&container.snapshotter);
        store.mounts(&container.snapshot_key).await.map_err(api)?
    };
    let [stdin, stdout, stderr] = streams.paths();
    let options = session.is_set("no-pivot").then(|| {
        let asked = container.runtime.as_ref().and_then(|runtime| runtime.options.as_ref());
        let mut options: Options = asked.and_then(|asked| any::unpack(asked).ok().flatten()).unwrap_or_default();
        options.no_pivot_root = true;
        any::pack(&options)
    });
    let request = wire::CreateTaskRequest {
        container_id: container.id.clone(),
        rootfs,
        stdin,
        stdout,
        stderr,
        terminal,
        options,
        ..Default::default()
    };
    let pid = session.client.tasks().create(request).await.map_err(api)?.into_inner().pid;
    let detached = session.is_set("detach");
    let ran = attend(session, &container.id, "", terminal, detached, pid, &mut streams).await;
    if detached && ran.is_ok() {
        return Ok(());
    }
    let deleted = session.client.tasks().delete(wire::DeleteTaskRequest { container_id: container.id.clone() }).await;
    let status = ran?;
    deleted.map_err(api)?;
    exit(status)
}

/// Starts a process that was made and, unless detached, waits for its end while its streams are carried.
async fn attend(
    session: &Session,
    id: &str,
    exec_id: &str,
    terminal: bool,
    detached: bool,
    pid: u32,
    streams: &mut Streams,
) -> Result<u32, Failure> {
    let (container_id, exec_id) = (id.to_owned(), exec_id.to_owned());
    // Asked before the start, so that no exit can be missed.
    let waiting = (!detached).then(|| {
        let (client, request) = (
            session.client.clone(),
            wire::WaitRequest { container_id: container_id.clone(), exec_id: exec_id.clone() },
        );
        tokio::spawn(async move { client.tasks().wait(request).await })
    });
    if let Ok(Some(path)) = session.arguments.try_get_one::<String>("pid-file")
        && !path.is_empty()
    {
        std::fs::write(path, pid.to_string()).map_err(|error| sentence(format!("write {path}: {error}")))?;
    }
    let request = wire::StartRequest { container_id: container_id.clone(), exec_id: exec_id.clone() };
    session.client.tasks().start(request).await.map_err(api)?;
    streams.connected();
    let Some(waiting) = waiting else { return Ok(0) };
    let helper =
        tokio::spawn(accompany(session.client.clone(), container_id, exec_id, terminal, streams.input_ended()));
    let status = waiting.await.map_err(|error| sentence(error.to_string()))?.map_err(api)?.into_inner().exit_status;
    streams.drain().await;
    helper.abort();
    Ok(status)
}

/// Passes signals, window sizes and the end of input on to a process.
async fn accompany(
    client: Client,
    container_id: String,
    exec_id: String,
    terminal: bool,
    input_ended: Option<tokio::sync::oneshot::Receiver<()>>,
) {
    let (sender, mut caught) = tokio::sync::mpsc::channel(16);
    let wanted: &[i32] = if terminal { &[RESIZED] } else { &FORWARDED };
    for number in wanted.iter().copied() {
        let Ok(mut stream) = signal(SignalKind::from_raw(number)) else { continue };
        let sender = sender.clone();
        tokio::spawn(async move { while stream.recv().await.is_some() && sender.send(number).await.is_ok() {} });
    }
    let closed = {
        let (client, container_id, exec_id) = (client.clone(), container_id.clone(), exec_id.clone());
        async move {
            if let Some(ended) = input_ended
                && ended.await.is_ok()
            {
                let request = wire::CloseIoRequest { container_id, exec_id, stdin: true };
                // A process that has ended has no input to close.
                let _ = client.tasks().close_io(request).await;
            }
            std::future::pending::<()>().await;
        }
    };
    let signals = async move {
        if terminal {
            resize(&client, &container_id, &exec_id).await;
        }
        while let Some(number) = caught.recv().await {
            if number == RESIZED {
                resize(&client, &container_id, &exec_id).await;
                continue;
            }
            let request = wire::KillRequest {
                container_id: container_id.clone(),
                exec_id: exec_id.clone(),
                signal: number.unsigned_abs(),
                all: false,
            };
            if let Err(status) = client.tasks().kill(request).await {
                log_error(format!("forward signal {number}"), &api(status));
            }
        }
    };
    tokio::join!(closed, signals);
}

async fn resize(client: &Client, container_id: &str, exec_id: &str) {
    let Some(size) = corten_terminal::window_size(std::io::stdin()) else { return };
    let request = wire::ResizePtyRequest {
        container_id: container_id.to_owned(),
        exec_id: exec_id.to_owned(),
        width: u32::from(size.columns),
        height: u32::from(size.rows),
    };
    if let Err(status) = client.tasks().resize_pty(request).await {
        log_error("resize pty", &api(status));
    }
}

/// Runs another process in a container.
pub async fn exec(session: &Session) -> Outcome {
    let id = session.first("container id must be provided")?;
    let exec_id = session.value("exec-id").to_owned();
    if exec_id.is_empty() {
        return Err(sentence("Required flag \"exec-id\" not set"));
    }
    let container = load(session, &id).await?;
    let mut spec: Value = serde_json::from_slice(&container.spec.clone().unwrap_or_default().value)?;
    let mut process = spec["process"].take();
    let terminal = session.is_set("tty");
    process["terminal"] = terminal.into();
    process["args"] = session.words().split_off(1).into();
    if let Some(cwd) = session.given("cwd") {
        process["cwd"] = cwd.into();
    }
    if let Some(user) = session.given("user") {
        let names = if container.snapshot_key.is_empty() {
            Names::in_directory(spec["root"]["path"].as_str().unwrap_or_default())
        } else {
            let store = session.client.with_snapshotter(&container.snapshotter);
            Names::of(&store.mounts(&container.snapshot_key).await.map_err(api)?)
        };
        let user = names.find(user)?;
        process["user"] = serde_json::json!({"uid": user.uid, "gid": user.gid, "additionalGids": user.groups});
    }
    let mut streams = Streams::prepare(&exec_id, terminal, false, session.value("log-uri"), session.value("fifo-dir"))?;
    let [stdin, stdout, stderr] = streams.paths();
    let request = wire::ExecProcessRequest {
        container_id: id.clone(),
        stdin,
        stdout,
        stderr,
        terminal,
        spec: Some(any::pack_json(any::PROCESS, process.to_string().into_bytes())),
        exec_id: exec_id.clone(),
    };
    session.client.tasks().exec(request).await.map_err(api)?;
    let detached = session.is_set("detach");
    let ran = attend(session, &id, &exec_id, terminal, detached, 0, &mut streams).await;
    if detached && ran.is_ok() {
        return Ok(());
    }
    let request = wire::DeleteProcessRequest { container_id: id, exec_id };
    let deleted = session.client.tasks().delete_process(request).await;
    let status = ran?;
    deleted.map_err(api)?;
    exit(status)
}
