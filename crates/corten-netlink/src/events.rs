//! What others changed: interfaces, addresses, routes, rules.

use crate::{Result, Socket, reply::Message};

/// Interfaces (`RTNLGRP_LINK`).
pub const GROUP_LINK: u32 = 1;
/// IPv4 addresses (`RTNLGRP_IPV4_IFADDR`).
pub const GROUP_ADDRESS_V4: u32 = 5;
/// IPv6 addresses (`RTNLGRP_IPV6_IFADDR`).
pub const GROUP_ADDRESS_V6: u32 = 9;
/// IPv4 routes (`RTNLGRP_IPV4_ROUTE`).
pub const GROUP_ROUTE_V4: u32 = 7;
/// IPv6 routes (`RTNLGRP_IPV6_ROUTE`).
pub const GROUP_ROUTE_V6: u32 = 11;
/// The packet filter (`NFNLGRP_NFTABLES`).
pub const GROUP_RULES: u32 = 7;

/// What changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// An interface was made or changed.
    Link,
    /// An interface was removed.
    LinkGone,
    /// An address came or went.
    Address,
    /// A route was removed.
    RouteGone,
    /// The packet filter: something was removed, or a generation was completed.
    Rules {
        /// The process that did it, where the kernel says so.
        process: Option<u32>,
    },
}

/// A socket that hears of interfaces, addresses and routes.
///
/// # Errors
/// [`crate::Error::Socket`].
pub fn links() -> Result<Socket> {
    let socket = Socket::route()?;
    for group in [GROUP_LINK, GROUP_ADDRESS_V4, GROUP_ADDRESS_V6, GROUP_ROUTE_V4, GROUP_ROUTE_V6] {
        socket.subscribe(group)?;
    }
    Ok(socket)
}

/// A socket that hears of the packet filter.
///
/// # Errors
/// [`crate::Error::Socket`], also where the kernel has no nf_tables.
pub fn rules() -> Result<Socket> {
    let socket = Socket::netfilter()?;
    socket.subscribe(GROUP_RULES)?;
    Ok(socket)
}

/// Reads an event; `None` for what says nothing new. Of rules only the end of a change is told
/// (`NFT_MSG_NEWGEN`), which names the process.
#[must_use]
pub fn read(message: &Message<'_>) -> Option<Change> {
    const NEW_GENERATION: u16 = (10 << 8) | 15;
    const GENERATION_PROCESS: u16 = 2;
    match message.kind {
        16 => Some(Change::Link),
        17 => Some(Change::LinkGone),
        20 | 21 => Some(Change::Address),
        25 => Some(Change::RouteGone),
        NEW_GENERATION => Some(Change::Rules { process: message.attributes(4).big(GENERATION_PROCESS) }),
        _ => None,
    }
}
