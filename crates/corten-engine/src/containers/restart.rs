//! `docker restart`: an end and a start; the container is not removed in between.

use std::sync::Arc;

use super::start;
use super::stop::{self, Reason, StopOptions};
use crate::engine::Engine;
use crate::errors::Result;
use crate::events::Kind;

/// Stops the container if it runs, and starts it.
///
/// # Errors
/// As stop and start, named as docker names it.
pub async fn restart(engine: &Arc<Engine>, wanted: &str, options: &StopOptions) -> Result<()> {
    let container = engine.containers.find(wanted)?;
    let hold = container.hold_removal();
    let restarted = async {
        if container.view().state.running {
            stop::end(engine, &container, options, Reason::ByUser).await?;
        }
        start::start(engine, &container.id).await
    };
    restarted.await.map_err(|error| error.while_doing(format!("Cannot restart container {wanted}")))?;
    drop(hold);
    engine.events.publish(Kind::Container, "restart", &container.id, container.view().record.event_attributes());
    Ok(())
}
