//! The thread that answers names: each container with a resolver asks at 127.0.0.11 in its own network namespace, on
//! sockets that the engine made there ([`corten_relay::Resolver`]). Names of its networks are answered from the engine's
//! files ([`zones`]); what no network knows is forwarded to servers, from the container's namespace or from the host's.
//!
//! ```text
//! query ──respond──> answer
//!            └─────> forward ──> server, after a second or a failure the next one too ──> the first good answer
//! ```

mod client;
mod forward;
mod forwarding;
pub mod handle;
pub mod message;
pub mod respond;
mod thread;
mod upstream;
pub mod zones;

use std::{
    net::{TcpListener, UdpSocket},
    os::fd::{AsFd, OwnedFd},
};

use corten_relay::Resolver;
use corten_sys::inet::{self, Kind};

/// What a container's resolver has of its network namespace. Both threads have it; when neither has it any more, the
/// namespace can go.
#[derive(Debug)]
pub struct Sockets {
    udp: UdpSocket,
    tcp: TcpListener,
    namespace: OwnedFd,
}

impl Sockets {
    /// Of what was handed over.
    ///
    /// # Errors
    /// A sentence, for descriptors of another kind.
    pub fn new(resolver: Resolver) -> Result<Sockets, String> {
        for (socket, kind) in [(&resolver.udp, Kind::Datagram), (&resolver.tcp, Kind::Stream)] {
            if !inet::kind_of(socket).is_ok_and(|found| found == Some(kind)) {
                return Err("what came for a resolver is no socket of that kind".to_owned());
            }
        }
        let sockets = Sockets { udp: resolver.udp.into(), tcp: resolver.tcp.into(), namespace: resolver.namespace };
        let prepared = sockets.udp.set_nonblocking(true).and_then(|()| sockets.tcp.set_nonblocking(true));
        prepared.map_err(|error| error.to_string())?;
        Ok(sockets)
    }

    /// Copies, to be handed over.
    ///
    /// # Errors
    /// `EMFILE`.
    pub fn copies(&self) -> std::io::Result<Resolver> {
        Ok(Resolver {
            udp: self.udp.as_fd().try_clone_to_owned()?,
            tcp: self.tcp.as_fd().try_clone_to_owned()?,
            namespace: self.namespace.as_fd().try_clone_to_owned()?,
        })
    }
}
