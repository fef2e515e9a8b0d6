//! `corten-supervisor publish`: what a shim without the events socket calls to tell an event.

use std::{path::Path, time::Duration};

use corten_containerd_api::Client;
use corten_proto::containerd::services::events::v1::PublishRequest;
use prost::Message;
use prost_types::Any;

/// How long the supervisor may take to be reached and to answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Publishes the encoded Any `event` under `topic` through the supervisor at `address`.
///
/// # Errors
/// A sentence for standard error.
pub async fn publish(address: &Path, namespace: &str, topic: &str, event: &[u8]) -> Result<(), String> {
    let event = Any::decode(event).map_err(|error| format!("standard input is no google.protobuf.Any: {error}"))?;
    let client = Client::connect(address, namespace).map_err(|error| error.to_string())?;
    let request = PublishRequest { topic: topic.to_owned(), event: Some(event) };
    let answered = tokio::time::timeout(TIMEOUT, client.events().publish(request)).await;
    match answered {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(status)) => Err(format!("publish {topic}: {}", status.message())),
        Err(_) => Err(format!("publish {topic}: no answer from {} within {TIMEOUT:?}", address.display())),
    }
}
