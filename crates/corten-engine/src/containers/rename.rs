//! `docker rename`.

use std::sync::Arc;

use super::names;
use super::record::Record;
use crate::engine::Engine;
use crate::errors::{EngineError, Result};
use crate::events::Kind;

/// Gives a container another name; it survives a power cut once this returns.
///
/// # Errors
/// 400 for a name that is not allowed, 409 for one in use.
pub async fn rename(engine: &Arc<Engine>, wanted: &str, name: &str) -> Result<()> {
    let name = name.trim();
    if wanted.trim_start_matches('/').is_empty() || name.trim_start_matches('/').is_empty() {
        return Err(EngineError::invalid("Neither old nor new names may be empty"));
    }
    let container = engine.containers.find(wanted)?;
    let turn = container.turn().await;
    let view = turn.view();
    let while_naming = |error: EngineError| error.while_doing("Error when allocating new name");
    let slashed = format!("/{}", name.trim_start_matches('/'));
    let name = names::check(&slashed).map_err(while_naming)?;
    let old = view.record.name.clone();
    if name == old {
        return Err(EngineError::invalid("Renaming a container with the same name as its current name"));
    }
    engine.containers.claim_name(name, &turn.id).map_err(while_naming)?;
    let record = Record { name: name.to_owned(), ..Record::clone(&view.record) };
    if let Err(error) = turn.replace_record(record) {
        engine.containers.release_name(name, &turn.id);
        return Err(EngineError::internal("write the container down").caused_by(error));
    }
    engine.containers.release_name(&old, &turn.id);
    let mut attributes = turn.view().record.event_attributes();
    attributes.insert("oldName".to_owned(), format!("/{old}"));
    engine.events.publish(Kind::Container, "rename", &turn.id, attributes);
    Ok(())
}
