//! Routes of the main table (rtnetlink(7), "RTM_NEWROUTE").

use std::net::IpAddr;

use crate::{
    Batch, Result, Socket,
    address::{family, ip},
    batch::flag,
    reply::Message,
    socket,
};

const NEW: u16 = 24;
const DELETE: u16 = 25;
const GET: u16 = 26;
/// Bytes of `struct rtmsg`.
const FIXED_BYTES: usize = 12;
const ATTRIBUTE_DESTINATION: u16 = 1;
const ATTRIBUTE_LINK: u16 = 4;
const ATTRIBUTE_GATEWAY: u16 = 5;
const TABLE_MAIN: u8 = 254;
const PROTOCOL_BOOT: u8 = 3;
const SCOPE_UNIVERSE: u8 = 0;
const SCOPE_LINK: u8 = 253;
const SCOPE_NOWHERE: u8 = 255;
const KIND_UNICAST: u8 = 1;

/// A route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// Where it leads to; a prefix of no bits is the default route.
    pub destination: IpAddr,
    /// How many bits of that count.
    pub prefix: u8,
    /// The next hop; none when the destination is on the interface's own wire.
    pub gateway: Option<IpAddr>,
    /// The index of the interface; 0 when it has several or none.
    pub link: u32,
}

impl Batch {
    /// Makes a route, in the place of one to the same destination.
    pub fn replace_route(&mut self, route: Route) {
        let what = format!("make the route to {}/{}", route.destination, route.prefix);
        self.add(what, NEW, flag::CREATE | flag::REPLACE, &fixed(&route, PROTOCOL_BOOT), |batch| batch.route(&route));
    }

    /// Removes a route.
    pub fn delete_route(&mut self, route: Route) {
        let what = format!("remove the route to {}/{}", route.destination, route.prefix);
        let mut fixed = fixed(&route, 0);
        fixed[6] = SCOPE_NOWHERE;
        self.add(what, DELETE, 0, &fixed, |batch| batch.route(&route));
    }

    fn route(&mut self, route: &Route) {
        if route.prefix > 0 {
            self.ip(ATTRIBUTE_DESTINATION, route.destination);
        }
        if let Some(gateway) = route.gateway {
            self.ip(ATTRIBUTE_GATEWAY, gateway);
        }
        if route.link > 0 {
            self.number(ATTRIBUTE_LINK, route.link);
        }
    }
}

/// Every route of the main table to another host, default routes among them.
///
/// # Errors
/// What the kernel refuses.
pub fn all(socket: &mut Socket) -> Result<Vec<Route>> {
    socket.dump(&socket::dump("list routes", GET, &[0; FIXED_BYTES]), read)
}

/// Reads a route of the main table to another host; `None` for anything else.
#[must_use]
pub fn read(message: &Message<'_>) -> Option<Route> {
    let &[family, prefix, _, _, table, _, _, kind, ..] = message.body else { return None };
    if !matches!(message.kind, NEW | DELETE) || table != TABLE_MAIN || kind != KIND_UNICAST {
        return None;
    }
    let attributes = message.attributes(FIXED_BYTES);
    let unspecified: &[u8] = if family == 2 { &[0; 4] } else { &[0; 16] };
    Some(Route {
        destination: ip(attributes.value(ATTRIBUTE_DESTINATION).unwrap_or(unspecified))?,
        prefix,
        gateway: attributes.value(ATTRIBUTE_GATEWAY).and_then(ip),
        link: attributes.number(ATTRIBUTE_LINK).unwrap_or_default(),
    })
}

/// `struct rtmsg`.
fn fixed(route: &Route, protocol: u8) -> [u8; FIXED_BYTES] {
    // IPv6 knows one scope.
    let on_link = route.gateway.is_none() && route.destination.is_ipv4();
    let scope = if on_link { SCOPE_LINK } else { SCOPE_UNIVERSE };
    let mut fixed = [0; FIXED_BYTES];
    fixed[..8].copy_from_slice(&[
        family(route.destination),
        route.prefix,
        0,
        0,
        TABLE_MAIN,
        protocol,
        scope,
        KIND_UNICAST,
    ]);
    fixed
}
