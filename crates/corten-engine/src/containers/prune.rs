//! `docker container prune`.

use std::sync::Arc;

use corten_docker_api::Filters;
use corten_docker_api::containers::ContainersPruned;

use super::delete::{self, Running};
use super::list_filter::moment;
use crate::clock::Moment;
use crate::engine::Engine;
use crate::errors::{EngineError, Result};

/// Removes every container that does not run and that `filters` allow: `until`, `label`, `label!`.
///
/// # Errors
/// 400 for a filter that cannot be read. One that cannot be removed is left out of the answer.
pub async fn prune(engine: &Arc<Engine>, filters: &Filters) -> Result<ContainersPruned> {
    filters.allow(&["until", "label", "label!"])?;
    let mut until = None;
    for text in filters.values("until") {
        if until.is_some() {
            return Err(EngineError::invalid("more than one until filter specified"));
        }
        let parsed = moment(text, Moment::now());
        until = Some(parsed.ok_or_else(|| EngineError::invalid(format!("invalid until filter {text:?}")))?);
    }
    let mut pruned = ContainersPruned::default();
    for container in engine.containers.all() {
        let view = container.view();
        let too_young = until.is_some_and(|until| view.record.created > until);
        if view.state.running || too_young || !filters.match_labels(&view.record.labels()) {
            continue;
        }
        if delete::delete(engine, &container.id, Running::Refuse).await.is_ok() {
            pruned.containers_deleted.get_or_insert_default().push(container.id.clone());
        }
    }
    let attributes = std::collections::BTreeMap::from([("reclaimed".to_owned(), "0".to_owned())]);
    engine.events.publish(crate::events::Kind::Container, "prune", "", attributes);
    Ok(pruned)
}
