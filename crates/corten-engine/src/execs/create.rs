//! `POST /containers/{id}/exec`.

use std::path::PathBuf;
use std::sync::Arc;

use corten_docker_api::exec::ExecCreate;

use super::Exec;
use crate::attach;
use crate::containers::{View, require};
use crate::engine::Engine;
use crate::errors::{EngineError, Result};
use crate::events::Kind;
use crate::snapshots::layers;
use crate::spec::user::{self, ResolvedUser};

/// Most bytes of a container's passwd or group file.
const USERS_LIMIT_BYTES: u64 = 4 * 1024 * 1024;

/// Sets up an exec in the container `wanted` and returns its id; nothing runs yet.
///
/// # Errors
/// 404 for an unknown container, 409 for one that does not run or is paused, 400 for a user, key or
/// command that cannot be used.
pub fn create(engine: &Arc<Engine>, wanted: &str, config: ExecCreate) -> Result<String> {
    if config.cmd.as_ref().is_none_or(Vec::is_empty) {
        return Err(EngineError::invalid("No exec command specified"));
    }
    let container = engine.containers.find(wanted)?;
    let view = container.view();
    require::active(&view, wanted)?;
    attach::parse_detach_keys(&config.detach_keys)?;
    // Looked up again at the start; here it is refused early.
    resolve_user(&view, &config)?;
    let id = new_id()?;
    let exec = Arc::new(Exec::new(id.clone(), container.id.clone(), config));
    engine.execs.add(Arc::clone(&exec))?;
    let mut attributes = view.record.event_attributes();
    attributes.insert("execID".to_owned(), id.clone());
    engine.events.publish(Kind::Container, &exec.action("exec_create"), &container.id, attributes);
    Ok(id)
}

/// Whose rights the exec has, by the files in the container as it runs; `None` for the container's own.
///
/// # Errors
/// 400 for a name that is not in the files.
pub(super) fn resolve_user(view: &View, config: &ExecCreate) -> Result<Option<ResolvedUser>> {
    if config.user.is_empty() {
        return Ok(None);
    }
    let root = [PathBuf::from(format!("/proc/{}/root", view.state.pid))];
    let read = |path: &str| {
        let content = layers::read_file(&root, path, USERS_LIMIT_BYTES).map_err(|error| {
            EngineError::internal(format!("read /{path} of container {}", view.record.id)).caused_by(error)
        })?;
        Ok::<_, EngineError>(content.unwrap_or_default())
    };
    let extra = view.record.host_config.group_add.clone().unwrap_or_default();
    user::resolve(&config.user, &extra, &read("etc/passwd")?, &read("etc/group")?).map(Some)
}

/// 64 random hexadecimal digits.
fn new_id() -> Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| EngineError::internal("make an id").caused_by(error))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
