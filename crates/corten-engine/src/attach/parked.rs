//! Clients that attached before the start, and wait for the shim's hub.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use corten_stdio::AttachRequest;
use tokio::sync::oneshot;
use tracing::{debug, warn};

use super::Farewell;
use super::client::Client;
use crate::errors::{EngineError, Result};

/// Most clients that wait for one start; each is a descriptor.
const MAX_PARKED: usize = 64;

/// Time an answer may take to be written to a client that has asked for it.
const ARRIVAL_DEADLINE: Duration = Duration::from_secs(10);

/// Clients that attached before the start.
#[derive(Default)]
pub struct Parked(Mutex<Vec<Waiting>>);

/// One client that waits.
pub struct Waiting {
    /// What it attaches to.
    pub request: AttachRequest,
    client: Arrival,
}

enum Arrival {
    /// Its 101 is on its way.
    Expected(oneshot::Receiver<Client>),
    Here(Client),
}

impl Waiting {
    /// A client that arrives through `client`.
    pub fn new(request: AttachRequest, client: oneshot::Receiver<Client>) -> Self {
        Self { request, client: Arrival::Expected(client) }
    }

    /// Whether it left, or never came.
    fn is_gone(&mut self) -> bool {
        if let Arrival::Expected(expected) = &mut self.client {
            match expected.try_recv() {
                Ok(client) => self.client = Arrival::Here(client),
                Err(oneshot::error::TryRecvError::Empty) => return false,
                Err(oneshot::error::TryRecvError::Closed) => return true,
            }
        }
        matches!(&self.client, Arrival::Here(client) if client.is_gone())
    }
}

impl Parked {
    /// Lets a client wait for the start. Those that have left meanwhile are let go.
    ///
    /// # Errors
    /// 409 when as many wait as may.
    pub fn park(&self, waiting: Waiting) -> Result<()> {
        let mut parked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        parked.retain_mut(|waiting| !waiting.is_gone());
        if parked.len() >= MAX_PARKED {
            return Err(EngineError::conflict(format!("{MAX_PARKED} clients wait for this container's start already")));
        }
        parked.push(waiting);
        Ok(())
    }

    /// Lets every waiting client go: its connection is closed.
    pub fn release(&self) {
        self.take().clear();
    }

    fn take(&self) -> Vec<Waiting> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Passes every waiting client to the hub at `socket`. One that cannot be passed is let go: it
    /// sees its connection end, and the start goes on without it. Answers how the others will leave.
    pub async fn hand_over(&self, socket: &Path) -> Vec<Farewell> {
        let mut farewells = Vec::new();
        for Waiting { request, client } in self.take() {
            let client = match client {
                Arrival::Here(client) => Some(client),
                Arrival::Expected(expected) => {
                    tokio::time::timeout(ARRIVAL_DEADLINE, expected).await.ok().and_then(std::result::Result::ok)
                }
            };
            let Some(client) = client else {
                debug!("a client left before the start");
                continue;
            };
            match super::pass(Arc::new(client), request, socket.to_owned()).await {
                Ok(farewell) => farewells.push(farewell),
                Err(error) => warn!(%error, socket = %socket.display(), "the shim did not take an attached client"),
            }
        }
        farewells
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use corten_stdio::Framing;

    use super::*;

    fn request() -> AttachRequest {
        AttachRequest {
            format: corten_stdio::attach::FORMAT,
            stdin: false,
            stdout: true,
            stderr: true,
            framing: Framing::Raw,
            detach_keys: None,
        }
    }

    fn park(parked: &Parked) -> (Result<()>, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (sender, receiver) = oneshot::channel();
        sender.send(Client::from(theirs)).unwrap();
        (parked.park(Waiting::new(request(), receiver)), ours)
    }

    #[tokio::test]
    async fn as_many_wait_as_may_and_those_who_left_make_room() {
        let parked = Parked::default();
        let mut clients: Vec<_> = (0..MAX_PARKED).map(|_| park(&parked)).collect();
        assert!(clients.iter().all(|(parked, _)| parked.is_ok()));
        assert!(park(&parked).0.is_err());
        clients.pop();
        assert!(park(&parked).0.is_ok());
    }

    #[tokio::test]
    async fn a_client_that_is_released_sees_the_end() {
        use std::io::Read;
        let parked = Parked::default();
        let (outcome, mut client) = park(&parked);
        outcome.unwrap();
        parked.release();
        assert_eq!(client.read(&mut [0; 1]).unwrap(), 0);
    }

    #[tokio::test]
    async fn a_client_that_nobody_takes_sees_the_end() {
        use std::io::Read;
        let parked = Parked::default();
        let (_, mut client) = park(&parked);
        parked.hand_over(Path::new("/nonexistent/attach.sock")).await;
        assert_eq!(client.read(&mut [0; 1]).unwrap(), 0);
    }
}
