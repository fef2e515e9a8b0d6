//! Forwarding what a shim sends: an envelope that already carries its time and namespace.

use corten_proto::{any, containerd::events::TaskExit, containerd::types::Envelope};

use super::publish::check_topic;
use crate::{
    Supervisor,
    error::{Error, Result},
    identifier,
};

/// Publishes a shim's envelope as it is. An exit that was published before (on adoption, or because
/// the shim did not see the acknowledgement and sent it again) is acknowledged and dropped.
///
/// # Errors
/// `InvalidArgument` when namespace, topic or time are missing or malformed.
pub fn forward(supervisor: &Supervisor, envelope: Option<Envelope>) -> Result<()> {
    let envelope = envelope.ok_or_else(|| Error::invalid("envelope must be set"))?;
    identifier::validate(&envelope.namespace).map_err(|error| error.within("event envelope has invalid namespace"))?;
    check_topic(&envelope.topic).map_err(|error| error.within(format!("envelope topic {:?}", envelope.topic)))?;
    if envelope.timestamp.is_none() {
        return Err(Error::invalid("timestamp must be set on forwarded event"));
    }
    if envelope.topic == EXIT
        && let Some(Ok(Some(exit))) = envelope.event.as_ref().map(any::unpack::<TaskExit>)
    {
        if exit.id == exit.container_id
            && let Some(shim) = supervisor.tasks.find(&envelope.namespace, &exit.container_id)
        {
            shim.note_exit(&exit);
        }
        supervisor.tasks.exits.publish_once(&supervisor.events, &envelope, &exit);
    } else {
        supervisor.events.send(&envelope);
    }
    Ok(())
}

/// Topic of the exit of a container's process.
pub const EXIT: &str = "/tasks/exit";
/// Topic of the end of a task.
pub const DELETE: &str = "/tasks/delete";
