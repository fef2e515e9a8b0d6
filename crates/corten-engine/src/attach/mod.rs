//! Clients on a container's streams.
//!
//! Attaching is passing a descriptor: after its 101 a client's own socket goes to the hub in the
//! container's shim ([`corten_stdio::attach`]), which speaks Docker's framing to it. No byte of
//! output passes the engine, and the client stays attached when the engine dies. Clients attach
//! before the start; they wait in [`Parked`], and [`hand_over`] passes them on between the task's
//! creation and its start.

mod client;
mod detach_keys;
mod farewell;
mod parked;
pub(crate) mod replay;

use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;

use corten_docker_api::ApiVersion;
use corten_stdio::{AttachRequest, Framing};

pub use client::{Arriving, Client};
pub use detach_keys::{DEFAULT as DEFAULT_DETACH_KEYS, parse as parse_detach_keys};
pub use farewell::{Farewell, Of};
pub use parked::{Parked, Waiting};

use crate::containers::{Container, logging};
use crate::engine::Engine;
use crate::errors::Result;
use crate::http::answer::{MULTIPLEXED_STREAM, RAW_STREAM};

/// Where the hub of a container's init listens for clients.
pub fn socket(container: &Container) -> PathBuf {
    logging::attach_socket(container.directory())
}

/// Passes every parked client's connection to the shim, which acknowledges before the task starts.
///
/// # Errors
/// None: a client the shim does not take sees its connection end, and the start goes on without it.
pub async fn hand_over(engine: &Arc<Engine>, container: &Container) -> Result<()> {
    for farewell in container.parked.hand_over(&socket(container)).await {
        farewell.announce(engine, &container.id, Of::Container);
    }
    Ok(())
}

/// Passes one client to the hub at `socket`. Who keeps no other handle on the client lets it go here.
///
/// # Errors
/// When the hub does not take it.
pub(crate) async fn pass(client: Arc<Client>, request: AttachRequest, socket: PathBuf) -> io::Result<Farewell> {
    let can_detach = request.detach_keys.is_some();
    // The call waits for the hub's acknowledgement, so it has a thread of the pool for short work.
    let passed = tokio::task::spawn_blocking(move || {
        corten_stdio::hand_over(&socket, &request, client.read_ahead(), client.as_fd())
    });
    let hub = passed.await.unwrap_or_else(|defect| Err(io::Error::other(defect)))?;
    Ok(Farewell::expected_from(can_detach.then_some(hub)))
}

/// The framing of a stream, and the media type that announces it to a client of that version.
pub(crate) fn framing(version: ApiVersion, has_terminal: bool) -> (Framing, &'static str) {
    match has_terminal {
        true => (Framing::Raw, RAW_STREAM),
        false if version >= MULTIPLEXED_SINCE => (Framing::Multiplexed, MULTIPLEXED_STREAM),
        false => (Framing::Multiplexed, RAW_STREAM),
    }
}

/// The version from which frames have a media type of their own.
const MULTIPLEXED_SINCE: ApiVersion = ApiVersion::new(1, 42);

/// Lets go of parked clients: there will be no task for them.
pub fn abandon(container: &Container) {
    container.parked.release();
}
