//! What the kernel is told and asked about networks: interfaces, addresses, routes ([`link`], [`address`], [`route`]),
//! packet filter ([`nft`]) and tracked connections ([`conntrack`]).
//!
//! Messages are written into a [`Batch`] and read from replies without a system call; [`Socket`] carries them. It is
//! synchronous: the kernel has done what it was told when a send returns.

pub mod address;
pub mod attributes;
pub mod batch;
pub mod conntrack;
pub mod error;
pub mod events;
pub mod link;
pub mod nft;
pub mod reply;
pub mod route;
pub mod socket;

pub use batch::Batch;
pub use error::Error;
pub use socket::Socket;

/// What every call of this crate returns.
pub type Result<T> = std::result::Result<T, Error>;
