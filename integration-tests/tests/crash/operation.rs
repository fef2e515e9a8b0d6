//! The operations of the matrix, as requests to the Engine API.

use std::io;

use integration_tests::{Answer, DEADLINE, EngineApi, child_processes, random_id, wait_for};
use serde_json::{Value, json};

/// What is going on when the victim dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Create,
    Start,
    Exec,
    Stop,
    Rm,
    Commit,
    Copy,
}

/// One container an operation is done to.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The container's name.
    pub name: String,
    /// The container's id, when there is a container already.
    pub id: Option<String>,
    /// The archive to copy.
    archive: Vec<u8>,
}

impl Subject {
    /// Brings about what the operation needs: no container, a created one, a running one.
    pub fn prepare(api: &EngineApi, operation: Operation) -> Subject {
        let name = format!("crash-{}", random_id(12));
        let mut subject = Subject { name, id: None, archive: Vec::new() };
        match operation {
            Operation::Create => {}
            Operation::Start => subject.create(api),
            Operation::Copy => {
                subject.create(api);
                subject.archive = large_file();
            }
            Operation::Commit => {
                subject.create(api);
                expect("start", api.post(&format!("/containers/{}/start", subject.name), &Value::Null));
                expect("copy", api.send("PUT", &archive_path(&subject.name), "application/x-tar", &large_file()));
            }
            Operation::Exec | Operation::Stop | Operation::Rm => {
                subject.create(api);
                let path = format!("/containers/{}/start", subject.name);
                expect("start", api.post(&path, &Value::Null));
                let inspected = expect("inspect", api.get(&format!("/containers/{}/json", subject.name))).json();
                let pid = inspected["State"]["Pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()).unwrap_or(0);
                // Before its trap is set the shell, process 1, is deaf to SIGTERM.
                wait_for("the container's shell to wait for its sleep", DEADLINE, || !child_processes(pid).is_empty());
            }
        }
        subject
    }

    fn create(&mut self, api: &EngineApi) {
        let answer = expect("create", api.post(&create_path(&self.name), &configuration()));
        self.id = answer.json()["Id"].as_str().map(str::to_owned);
    }

    /// Does it; the error is the connection's: nobody knows then whether it was done.
    pub fn perform(&self, api: &EngineApi, operation: Operation) -> io::Result<Answer> {
        let name = &self.name;
        match operation {
            Operation::Create => api.post(&create_path(name), &configuration()),
            Operation::Start => api.post(&format!("/containers/{name}/start"), &Value::Null),
            Operation::Exec => {
                let command = json!({"Cmd": ["touch", "/executed"]});
                let created = api.post(&format!("/containers/{name}/exec"), &command)?;
                let id = created.json()["Id"].as_str().unwrap_or("unknown").to_owned();
                api.post(&format!("/exec/{id}/start"), &json!({"Detach": true}))
            }
            Operation::Stop => api.post(&format!("/containers/{name}/stop?t=20"), &Value::Null),
            Operation::Rm => api.delete(&format!("/containers/{name}?force=1")),
            Operation::Commit => {
                let change = "CMD%20%5B%22true%22%5D";
                api.post(&format!("/commit?container={name}&repo={name}&changes={change}"), &Value::Null)
            }
            Operation::Copy => api.send("PUT", &archive_path(name), "application/x-tar", &self.archive),
        }
    }
}

/// The answer of a step that must work for a round to begin.
pub fn expect(what: &str, answer: io::Result<Answer>) -> Answer {
    match answer {
        Ok(answer) if answer.is_ok() => answer,
        other => panic!("{what}: {other:?}"),
    }
}

fn create_path(name: &str) -> String {
    format!("/containers/create?name={name}")
}

fn archive_path(name: &str) -> String {
    format!("/containers/{name}/archive?path=/")
}

/// The size of the file that is copied or committed.
pub const LARGE_BYTES: usize = 24 << 20;

/// An archive of one file that takes a while.
fn large_file() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(LARGE_BYTES as u64);
    header.set_mode(0o644);
    header.set_cksum();
    tar.append_data(&mut header, "large", vec![7; LARGE_BYTES].as_slice()).expect("memory takes it");
    tar.into_inner().expect("memory takes it")
}

/// A container that runs until it is told to stop, and then ends at once with 7.
fn configuration() -> Value {
    let script = "trap 'exit 7' TERM; while :; do sleep 1000 & wait $!; done";
    json!({"Image": "busybox", "Cmd": ["sh", "-c", script], "HostConfig": {"NetworkMode": "none"}})
}
