//! Adding an exec: its streams are open, and clients can attach, before it is started.

use std::sync::Arc;

use corten_proto::containerd::{events::TaskExecAdded, task::v2::ExecProcessRequest};
use corten_types::TaskStatus;

use crate::{
    error::TaskError,
    hub::{self, Hold, Owner, StdioNames},
    process::Process,
    shim::Shim,
};

/// Longest exec id: it names files.
const MAX_ID_BYTES: usize = 128;

/// Adds the exec of `request`.
///
/// # Errors
/// [`TaskError`]; nothing is left open.
pub async fn exec(shim: &Arc<Shim>, request: ExecProcessRequest) -> Result<(), TaskError> {
    let container = shim.container(&request.id)?;
    check_id(&request.exec_id)?;
    match container.status() {
        TaskStatus::Running => {}
        status => return Err(TaskError::State { verb: "exec in", state: status.as_str(), noun: "container" }),
    }
    let names =
        StdioNames { stdin: request.stdin, stdout: request.stdout, stderr: request.stderr, terminal: request.terminal };
    let spec = request.spec.ok_or_else(|| TaskError::Invalid("an exec without a process".to_owned()))?;
    let spec = with_terminal(&spec.value, request.terminal)?;
    let process = Process::new(&request.exec_id, names, spec);
    container.add_exec(Arc::clone(&process))?;
    let owner = Owner { uid: container.options.io_uid, gid: container.options.io_gid };
    let opened = hub::open(&shim.hub, &process.stdio, owner, Hold::UntilStarted)
        .await
        .inspect_err(|_| container.remove_exec(&request.exec_id))?;
    process.set_streams(opened.streams, None);
    process.set_child_ends(opened.child);
    let event = TaskExecAdded { container_id: container.id.clone(), exec_id: request.exec_id };
    shim.events.publish("/tasks/exec-added", &event);
    Ok(())
}

/// The id becomes part of file names; `init` names init's.
fn check_id(id: &str) -> Result<(), TaskError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let begins_well = id.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if !begins_well || id.len() > MAX_ID_BYTES || id == "init" || !id.bytes().all(is_plain) {
        return Err(TaskError::Invalid(format!("exec id {id:?} is not valid")));
    }
    Ok(())
}

/// Whether there is a terminal says the request, not the process.
fn with_terminal(spec: &[u8], terminal: bool) -> Result<Vec<u8>, TaskError> {
    let invalid = |error: &dyn std::fmt::Display| TaskError::Invalid(format!("the process of an exec: {error}"));
    let mut spec: serde_json::Value = serde_json::from_slice(spec).map_err(|error| invalid(&error))?;
    let process = spec.as_object_mut().ok_or_else(|| invalid(&"not an object"))?;
    process.insert("terminal".to_owned(), terminal.into());
    serde_json::to_vec(&spec).map_err(|error| invalid(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_would_lead_elsewhere_are_refused() {
        for id in ["", "init", "..", ".x", "a/b", "a b", "-x", &"x".repeat(129)] {
            assert!(check_id(id).is_err(), "{id:?}");
        }
        for id in ["e", "0123abc", "a-b_c.d"] {
            assert!(check_id(id).is_ok(), "{id:?}");
        }
    }

    #[test]
    fn the_request_decides_about_the_terminal() {
        let spec = with_terminal(br#"{"terminal":true,"args":["x"]}"#, false).unwrap();
        let spec: serde_json::Value = serde_json::from_slice(&spec).unwrap();
        assert_eq!(spec, serde_json::json!({"terminal": false, "args": ["x"]}));
        assert!(with_terminal(b"[]", false).is_err());
    }
}
