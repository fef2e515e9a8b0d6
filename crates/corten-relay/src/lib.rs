//! What the engine hands to `corten-proxy serve`, the one long-lived process beside it that holds reserved ports, relays
//! those that address translation does not reach, and answers names at 127.0.0.11, also while every daemon is dead.
//!
//! ```text
//! engine ──proxy.sock (SOCK_SEQPACKET, 0600)──> corten-proxy     hello hold drop refresh list takeover taken
//! engine ──files replaced by rename───────────> corten-proxy     names in networks, what containers see of them
//! ```
//!
//! Every message is one packet and is acknowledged, or refused with a sentence. Both ends ask who the other is
//! (`SO_PEERCRED`): root, or the own user. [`Relay`] is the engine's end; [`server`] has the other; [`reserve`] makes the
//! sockets; [`names`] are the files. [`start`] starts the program.
//!
//! A socket keeps its network namespace alive. So whoever hands one over closes the own copy after the acknowledgement,
//! and corten-proxy closes all of a container when it is told to, or when the container's init has ended.

mod client;
mod hold;
mod message;
pub mod names;
mod program;
mod reserve;
pub mod server;

/// What corten-proxy says of itself when it is greeted. An engine has one that says another exchanged for its own, which
/// takes over from it. The number at the end counts what a release changed of what the two say to each other.
pub const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "+2");

pub use client::{Hello, Relay, RelayError};
pub use hold::{Flow, Held, HeldPort, Hold, Port, PortSocket, Protocol, Resolver, Subject};
pub use message::{Answer, FORMAT, MAX_PACKET_BYTES, MessageError, Request};
pub use program::{StartError, start};
pub use reserve::reserve;
