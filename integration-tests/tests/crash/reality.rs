//! The API held against the machine.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use integration_tests::{Answer, EngineApi, Leaks, Stack, process, random_id, try_for};
use serde_json::{Value, json};

use crate::{
    operation::{LARGE_BYTES, Operation, Subject},
    victim::Victim,
};

/// How long the daemons may take to settle what the kill left half done.
const SETTLE: Duration = Duration::from_secs(20);

/// What does not belong to one container: counted before the rounds and after them.
#[derive(Debug)]
pub struct Before {
    root: PathBuf,
    mounts: usize,
    snapshots: usize,
    containers: usize,
}

impl Before {
    pub fn look(stack: &Stack) -> Before {
        let root = stack.root().path().to_owned();
        let mounts = Leaks::of(stack.root()).counts().mounts;
        Before { mounts, snapshots: snapshots(&root), containers: containers(&stack.api()), root }
    }

    /// What is more than it was.
    pub fn compare(&self, stack: &Stack) -> Vec<String> {
        let no_more = || {
            remove_late_images(&stack.api());
            let now = Before::look(stack);
            now.mounts <= self.mounts && now.snapshots <= self.snapshots && now.containers <= self.containers
        };
        if try_for(SETTLE, no_more) {
            return Vec::new();
        }
        let now = Before::look(stack);
        vec![format!(
            "after all rounds: mounts {} were {}, snapshot directories {} were {}, containers {} were {}",
            now.mounts, self.mounts, now.snapshots, self.snapshots, now.containers, self.containers
        )]
    }
}

/// What does not hold after the kill, before anything is removed.
pub fn check(
    api: &EngineApi,
    victim: Victim,
    operation: Operation,
    subject: &Subject,
    answer: Option<&Answer>,
) -> Vec<String> {
    let acknowledged = answer.is_some_and(Answer::is_ok);
    let mut faults = Vec::new();
    // The container's own shim takes it along: that is no loss.
    let survives = victim != Victim::Shim;
    let wrong = match operation {
        Operation::Create => {
            (acknowledged && id(api, &subject.name).is_none()).then_some("the created container is gone")
        }
        Operation::Start => {
            (acknowledged && survives && !is_running(api, subject)).then_some("the started container does not run")
        }
        Operation::Stop => (acknowledged && is_running(api, subject)).then_some("the stopped container runs"),
        Operation::Rm => (acknowledged && id(api, &subject.name).is_some()).then_some("the removed container is there"),
        Operation::Copy => {
            (acknowledged && size_of_large(api, subject) != Some(LARGE_BYTES)).then_some("the copied file is not whole")
        }
        Operation::Exec | Operation::Commit => None,
    };
    faults.extend(wrong.map(str::to_owned));
    if !matches!(operation, Operation::Rm | Operation::Create) && id(api, &subject.name).is_none() {
        faults.push("the container is gone".to_owned());
    }
    if operation == Operation::Commit {
        faults.extend(check_commit(api, subject, acknowledged));
    }
    if operation == Operation::Exec && survives && !is_running(api, subject) {
        faults.push("the container no longer runs".to_owned());
    }
    if !try_for(SETTLE, || agrees(api, subject)) {
        let said = api.get(&format!("/containers/{}/json", subject.name)).map(|answer| answer.json()["State"].clone());
        faults.push(format!("the API says {said:?}, and the machine has {}", marked(subject)));
    }
    faults
}

/// The image that was acknowledged, or is listed, is whole; the container is not left frozen.
fn check_commit(api: &EngineApi, subject: &Subject, acknowledged: bool) -> Vec<String> {
    let mut faults = Vec::new();
    let listed = definite(api, &format!("/images/{}/json", subject.name)).is_some_and(|answer| answer.status == 200);
    if acknowledged && !listed {
        faults.push("the image was acknowledged and is gone".to_owned());
    }
    if listed {
        faults.extend(run_image(api, &subject.name).err());
    }
    let status = || {
        let answer = api.get(&format!("/containers/{}/json", subject.name));
        answer.map(|answer| answer.json()["State"]["Status"].clone()).unwrap_or_default()
    };
    if !try_for(SETTLE, || status() == json!("running")) {
        faults.push(format!("the container is {}", status()));
    }
    faults
}

/// The size of the file that was copied into the container.
fn size_of_large(api: &EngineApi, subject: &Subject) -> Option<usize> {
    let answer = definite(api, &format!("/containers/{}/archive?path=/large", subject.name))?;
    // Header and two blocks of zeroes around it, all in blocks of 512 bytes.
    (answer.status == 200).then(|| answer.body.len().saturating_sub(3 * 512))
}

/// Removes what is left of the subject and looks for anything that stayed.
pub fn remove_and_look(api: &EngineApi, operation: Operation, subject: &Subject, before: &Before) -> Vec<String> {
    let mut faults = Vec::new();
    if !remove(api, operation, subject) {
        faults.push("rm -f does not work".to_owned());
    }
    if let Some(id) = &subject.id {
        let left = || Leaks::marked(&[id]).without_files(|file| Path::new(file).starts_with(before.root.join("logs")));
        if !try_for(SETTLE, || left().is_empty()) {
            faults.push(format!("after rm -f there is left: {}", left()));
        }
    }
    faults
}

/// Removes the container, and the image made of it; whether it is gone.
pub fn remove(api: &EngineApi, operation: Operation, subject: &Subject) -> bool {
    let path = format!("/containers/{}?force=1", subject.name);
    // Something else may be at it still (409): it is asked again.
    let gone =
        |path: &str| try_for(SETTLE, || api.delete(path).is_ok_and(|answer| answer.is_ok() || answer.status == 404));
    let image = format!("/images/{}?force=1", subject.name);
    gone(&path) && (operation != Operation::Commit || gone(&image))
}

/// Removes the images of the rounds that are listed: what a killed engine asked for last, the supervisor may have done
/// after the round had looked for it.
fn remove_late_images(api: &EngineApi) {
    let listed = api.get("/images/json").map(|answer| answer.json()).unwrap_or_default();
    let tags = listed.as_array().into_iter().flatten().flat_map(|image| image["RepoTags"].as_array().cloned());
    for tag in tags.flatten() {
        if let Some(name) = tag.as_str().filter(|tag| tag.starts_with("crash-")) {
            // Asked again until nothing is left.
            let _ = api.delete(&format!("/images/{name}?force=1"));
        }
    }
}

/// The id of the container of that name.
pub fn id(api: &EngineApi, name: &str) -> Option<String> {
    let answer = definite(api, &format!("/containers/{name}/json"))?;
    answer.json()["Id"].as_str().map(str::to_owned)
}

/// The answer to `GET path` once it is one: an engine whose supervisor is just coming back says 5xx.
fn definite(api: &EngineApi, path: &str) -> Option<Answer> {
    let mut last = None;
    let _ = try_for(SETTLE, || {
        last = api.get(path).ok();
        last.as_ref().is_some_and(|answer| answer.status < 500)
    });
    last
}

fn is_running(api: &EngineApi, subject: &Subject) -> bool {
    let answer = api.get(&format!("/containers/{}/json", subject.name));
    answer.is_ok_and(|answer| answer.json()["State"]["Running"] == json!(true))
}

/// Whether a container that is said to run has its process, and one that is not has none.
fn agrees(api: &EngineApi, subject: &Subject) -> bool {
    let Ok(answer) = api.get(&format!("/containers/{}/json", subject.name)) else { return false };
    let state = answer.json()["State"].clone();
    if state["Running"] == json!(true) {
        let pid = state["Pid"].as_u64().and_then(|pid| u32::try_from(pid).ok());
        return pid.and_then(process).is_some_and(|process| process.state != 'Z');
    }
    match &subject.id {
        Some(id) => Leaks::marked(&[id]).counts().processes == 0,
        None => true,
    }
}

fn marked(subject: &Subject) -> String {
    subject.id.as_ref().map_or_else(String::new, |id| Leaks::marked(&[id]).without_files(|_| true).to_string())
}

fn containers(api: &EngineApi) -> usize {
    let answer = api.get("/containers/json?all=1").ok();
    answer.and_then(|answer| answer.json().as_array().map(Vec::len)).unwrap_or(0)
}

/// Runs the image: one that is listed must be whole.
pub fn run_image(api: &EngineApi, name: &str) -> Result<(), String> {
    let container = format!("run-{}", random_id(12));
    let body = json!({"Image": name, "HostConfig": {"NetworkMode": "none"}});
    let step = |what: &str, answer: std::io::Result<Answer>| match answer {
        Ok(answer) if answer.is_ok() => Ok(answer),
        other => Err(format!("the listed image is not whole: {what}: {other:?}")),
    };
    step("create", api.post(&format!("/containers/create?name={container}"), &body))?;
    let started = step("start", api.post(&format!("/containers/{container}/start"), &Value::Null));
    let waited = started.and_then(|_| step("wait", api.post(&format!("/containers/{container}/wait"), &Value::Null)));
    let removed = step("rm", api.delete(&format!("/containers/{container}?force=1")));
    let code = waited?.json()["StatusCode"].clone();
    removed?;
    if code == json!(0) { Ok(()) } else { Err(format!("the listed image is not whole: true exited with {code}")) }
}

/// Directories that hold layers, of ours and of dockerd.
fn snapshots(root: &Path) -> usize {
    let mut count = 0;
    let mut next = vec![root.to_owned()];
    while let Some(directory) = next.pop() {
        let holds_layers = directory.ends_with("io.containerd.snapshotter.v1.overlayfs/snapshots")
            || directory.ends_with("data/overlay2");
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            if holds_layers {
                count += 1;
            } else if entry.file_name() != "rootfs" && entry.file_name() != "merged" {
                next.push(entry.path());
            }
        }
    }
    count
}
