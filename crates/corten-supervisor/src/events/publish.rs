//! Publishing what a client sends: its namespace, a topic, any event.

use corten_proto::containerd::types::Envelope;
use prost_types::Any;

use super::Bus;
use crate::{
    error::{Error, Result},
    identifier, moment,
};

/// Publishes `event` under `topic` in `namespace`, now.
///
/// # Errors
/// `InvalidArgument` when the topic is not `/word/word…`.
pub fn publish(bus: &Bus, namespace: &str, topic: &str, event: Option<Any>) -> Result<()> {
    check_topic(topic).map_err(|error| error.within(format!("envelope topic {topic:?}")))?;
    bus.send(&Envelope {
        timestamp: Some(moment::now()),
        namespace: namespace.to_owned(),
        topic: topic.to_owned(),
        event,
    });
    Ok(())
}

/// A topic is a path of identifiers.
pub(super) fn check_topic(topic: &str) -> Result<()> {
    if topic.is_empty() {
        return Err(Error::invalid("must not be empty"));
    }
    let path = topic.strip_prefix('/').ok_or_else(|| Error::invalid("must start with '/'"))?;
    if path.is_empty() {
        return Err(Error::invalid("must have at least one component"));
    }
    path.split('/')
        .try_for_each(|word| identifier::validate(word).map_err(|error| error.within(format!("component {word:?}"))))
}
