//! The calls of the journey by name; the rest goes through [`Client::send`].

use super::{Client, ClientError, Hijacked, Payload, Query, Response, encode_segment};
use crate::containers::ContainerCreated;
use hyper::Method;

/// What an attach takes part in.
#[derive(Debug, Clone, Default)]
pub struct AttachStreams {
    /// Send input.
    pub stdin: bool,
    /// Receive standard output.
    pub stdout: bool,
    /// Receive standard error.
    pub stderr: bool,
    /// Key sequence that detaches; empty means the daemon's default.
    pub detach_keys: String,
}

impl Client {
    /// Creates a container from a create body.
    ///
    /// # Errors
    /// Status 404 when the image is missing, 409 when the name is taken.
    pub async fn container_create(
        &self,
        name: &str,
        platform: &str,
        body: Vec<u8>,
    ) -> Result<ContainerCreated, ClientError> {
        let query = Query::new().non_empty("name", name).non_empty("platform", platform);
        let target = format!("/containers/create{}", query.as_str());
        self.send(Method::POST, &target, Payload::Json(body)).await?.json().await
    }

    /// Starts a created or stopped container.
    ///
    /// # Errors
    /// The runtime's reason stands in the message.
    pub async fn container_start(&self, id: &str, detach_keys: &str) -> Result<(), ClientError> {
        let query = Query::new().non_empty("detachKeys", detach_keys);
        self.post(&format!("/containers/{}/start{}", encode_segment(id), query.as_str())).await
    }

    /// Attaches to a container, before or after its start.
    ///
    /// # Errors
    /// [`ClientError::NotUpgraded`] when the daemon refuses.
    pub async fn container_attach(&self, id: &str, streams: &AttachStreams) -> Result<Hijacked, ClientError> {
        let query = Query::new()
            .non_empty("detachKeys", &streams.detach_keys)
            .flag("stderr", streams.stderr)
            .flag("stdin", streams.stdin)
            .flag("stdout", streams.stdout)
            .flag("stream", true);
        self.hijack(&format!("/containers/{}/attach{}", encode_segment(id), query.as_str()), Payload::Empty).await
    }

    /// Registers a waiter; the head arrives at once, the body when the condition holds.
    ///
    /// # Errors
    /// Status 404 when no such container exists.
    pub async fn container_wait(&self, id: &str, condition: &str) -> Result<Response, ClientError> {
        let query = Query::new().non_empty("condition", condition);
        self.send(Method::POST, &format!("/containers/{}/wait{}", encode_segment(id), query.as_str()), Payload::Empty)
            .await
    }

    /// A POST whose answer has no content of interest.
    ///
    /// # Errors
    /// The daemon's refusal.
    pub async fn post(&self, target: &str) -> Result<(), ClientError> {
        self.send(Method::POST, target, Payload::Empty).await?.bytes().await.map(drop)
    }

    /// A GET.
    ///
    /// # Errors
    /// The daemon's refusal.
    pub async fn get(&self, target: &str) -> Result<Response, ClientError> {
        self.send(Method::GET, target, Payload::Empty).await
    }
}
