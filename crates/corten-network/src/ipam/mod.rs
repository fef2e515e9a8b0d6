//! Which subnets networks get, and which addresses their containers.
//!
//! Nothing is kept here: what is in use is told with each question, from the networks' and containers' records. So no
//! address can be forgotten as used, nor stay used without a user.

mod addresses;
mod numbers;
mod pools;
mod request;

pub use addresses::{Taken, free_address, gateway, static_address};
pub use pools::{Pool, Pools};
pub use request::{Asked, Subnet, check};

use corten_types::ErrorKind;

/// Why no subnet or address can be had; the texts are dockerd's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IpamError {
    /// What was asked for contradicts itself.
    #[error("invalid network config:\n{}", .0.join("\n"))]
    Config(Vec<String>),
    /// The subnet belongs to another network.
    #[error("invalid pool request: Pool overlaps with other one on this address space: network {network} has {range}")]
    Overlap {
        /// The network's name.
        network: String,
        /// Its subnet.
        range: String,
    },
    /// Every subnet of the pools is a network's or the host's.
    #[error("all predefined address pools have been fully subnetted{0}")]
    NoSubnet(String),
    /// No pool holds a subnet of the size asked for.
    #[error("invalid address pool")]
    NoSuchPool,
    /// Every address of a subnet is in use.
    #[error("no available IPv{version} addresses on this network's address pools: {network}")]
    NoAddress {
        /// 4 or 6.
        version: u8,
        /// `name (id)`.
        network: String,
    },
    /// An address that was asked for is in use.
    #[error("Address already in use: {address} belongs to {holder}")]
    InUse {
        /// The address.
        address: String,
        /// Who has it.
        holder: String,
    },
    /// An address that was asked for is of no subnet of the network.
    #[error("invalid address {0}: It does not belong to any of this network's subnets")]
    Outside(String),
    /// A word that is no range, pool or address.
    #[error("{0}")]
    Malformed(String),
}

impl IpamError {
    /// What kind of failure this is; dockerd's status follows from it.
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Config(_) | Self::NoSubnet(_) | Self::NoSuchPool | Self::Outside(_) | Self::Malformed(_) => {
                ErrorKind::InvalidArgument
            }
            Self::Overlap { .. } | Self::InUse { .. } => ErrorKind::PermissionDenied,
            Self::NoAddress { .. } => ErrorKind::Unavailable,
        }
    }
}
