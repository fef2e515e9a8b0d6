//! Hearing of what others do to the engine's objects.

use std::collections::HashMap;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use corten_netlink::{Error, Socket, address, events, link, reply::Message, route};
use corten_sys::poll;

use super::{Kernel, Result, bridge, firewalld::Ears, refused};
use crate::error::NetworkError;

/// Three subscriptions, read by one thread. What it says is a hint: what is wrong [`Kernel::check`] finds out.
#[derive(Debug)]
pub struct Watch {
    links: Socket,
    rules: Socket,
    firewalld: Ears,
    /// The sockets whose changes are the engine's own.
    own: [u32; 2],
    mark: String,
    /// The engine's interfaces by index, and whether each has been up.
    ours: HashMap<u32, bool>,
}

impl Watch {
    pub(super) fn open(kernel: &Kernel) -> Result<Self> {
        let links = events::links().map_err(refused("changes of interfaces"))?;
        let rules = events::rules().map_err(refused("changes of rules"))?;
        let own = [kernel.route_socket().port(), kernel.filter_socket().port()];
        let mark = format!("corten:{}/", kernel.settings.owner);
        let mut watch =
            Self { links, rules, firewalld: Ears::open(kernel.bus.clone()), own, mark, ours: HashMap::new() };
        watch.look_again()?;
        Ok(watch)
    }

    /// Waits until somebody else changed what may be the engine's; `false` when the time ran out before.
    ///
    /// # Errors
    /// What the kernel refuses. Lost events are none: then everything may have changed.
    pub fn wait(&mut self, timeout: Option<Duration>) -> Result<bool> {
        let end = timeout.map(|timeout| Instant::now() + timeout);
        loop {
            let sockets = [self.links.as_fd(), self.rules.as_fd()];
            let heard: Vec<_> = sockets.into_iter().chain(self.firewalld.descriptor()).collect();
            let next = end.into_iter().chain(self.firewalld.again()).min();
            let ready = poll::readable(&heard, next.map(|next| next.saturating_duration_since(Instant::now())));
            let ready = ready.map_err(|source| NetworkError::Kernel {
                object: "changes of interfaces and rules".to_owned(),
                step: "wait".to_owned(),
                source,
            })?;
            if self.read()? {
                return Ok(true);
            }
            if !ready.contains(&true) && end.is_some_and(|end| end <= Instant::now()) {
                return Ok(false);
            }
        }
    }

    fn read(&mut self) -> Result<bool> {
        let (mark, ours, own) = (&self.mark, &mut self.ours, self.own);
        let (mut touched, mut suspects, mut unrouted) = (false, Vec::new(), Vec::new());
        let of_links = self.links.events(|message| match concerns(message, mark, ours, own[0]) {
            Concern::None => {}
            Concern::Now(index) => suspects.push(index),
            Concern::Route(index) => unrouted.push(index),
            Concern::Gone => touched = true,
        });
        let of_rules = self.rules.events(|message| {
            let change = events::read(message);
            touched |= matches!(change, Some(events::Change::Rules { .. })) && message.port != own[1];
        });
        let mut lost = false;
        for result in [of_links, of_rules] {
            match result {
                Err(error) if error.is_overrun() => lost = true,
                other => other.map_err(refused("changes of interfaces and rules"))?,
            }
        }
        if lost {
            self.look_again()?;
        }
        let reloaded = self.firewalld.hear();
        Ok(touched || lost || reloaded || self.is_damaged(&suspects)? || is_unrouted(&unrouted)?)
    }

    /// Whether one of these interfaces is not as it should be. Events tell what was, and some come late.
    fn is_damaged(&self, suspects: &[u32]) -> Result<bool> {
        let look = || -> std::result::Result<bool, Error> {
            let mut socket = Socket::route()?;
            for &index in suspects {
                let link = link::numbered(&mut socket, index)?;
                let well = |link: &link::Link| link.up && is_marked(link, &self.mark) && !is_alone(link);
                if !link.as_ref().is_some_and(well) {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        if suspects.is_empty() { Ok(false) } else { look().map_err(refused("interfaces")) }
    }

    /// Finds out which interfaces are the engine's now.
    fn look_again(&mut self) -> Result<()> {
        let all = || -> std::result::Result<Vec<link::Link>, Error> { link::all(&mut Socket::route()?) };
        let links = all().map_err(refused("interfaces"))?;
        self.ours = links.iter().filter(|link| is_marked(link, &self.mark)).map(|link| (link.index, link.up)).collect();
        Ok(())
    }
}

/// Whether the subnet of an address of one of these interfaces is not reached by it. Where interface or address went as
/// well, that is told by itself.
fn is_unrouted(suspects: &[u32]) -> Result<bool> {
    if suspects.is_empty() {
        return Ok(false);
    }
    let look = || -> std::result::Result<bool, Error> {
        let mut socket = Socket::route()?;
        let present = bridge::Present::read(&mut socket)?;
        for address in present.addresses.iter().filter(|address| suspects.contains(&address.link)) {
            let is_up = link::numbered(&mut socket, address.link)?.is_some_and(|link| link.up);
            if is_up && !present.is_routed(address) {
                return Ok(true);
            }
        }
        Ok(false)
    };
    look().map_err(refused("routes"))
}

/// Whether an interface carries the engine's mark.
fn is_marked(link: &link::Link, mark: &str) -> bool {
    link.alias.as_ref().is_some_and(|alias| alias.starts_with(mark))
}

/// Whether it is one of a pair, and no port of a bridge.
fn is_alone(link: &link::Link) -> bool {
    link.kind == "veth" && link.master == 0
}

/// What an event means for the engine's objects.
enum Concern {
    /// Nothing.
    None,
    /// The interface with that index may not be as it was left.
    Now(u32),
    /// A route by the interface with that index is gone.
    Route(u32),
    /// Something is gone.
    Gone,
}

fn concerns(message: &Message<'_>, mark: &str, ours: &mut HashMap<u32, bool>, own: u32) -> Concern {
    /// A bridge tells of its ports in the same way.
    const FAMILY_BRIDGE: u8 = 7;
    const ADDRESS_GONE: u16 = 21;
    let of_port = message.body.first() == Some(&FAMILY_BRIDGE);
    let concern = match events::read(message) {
        Some(events::Change::Link) if !of_port => {
            let Some(link) = link::read(message) else { return Concern::None };
            if is_marked(&link, mark) {
                ours.entry(link.index).or_insert(link.up);
            }
            let Some(was_up) = ours.get_mut(&link.index) else { return Concern::None };
            let down = *was_up && !link.up;
            *was_up |= link.up;
            if down || !is_marked(&link, mark) || is_alone(&link) { Concern::Now(link.index) } else { Concern::None }
        }
        Some(events::Change::LinkGone) if !of_port => match link::read(message) {
            Some(link) if ours.remove(&link.index).is_some() => Concern::Gone,
            _ => Concern::None,
        },
        Some(events::Change::Address) if message.kind == ADDRESS_GONE => match address::read(message) {
            Some(found) if ours.contains_key(&found.link) => Concern::Gone,
            _ => Concern::None,
        },
        Some(events::Change::RouteGone) => match route::read(message) {
            Some(route) if ours.contains_key(&route.link) => Concern::Route(route.link),
            _ => Concern::None,
        },
        _ => Concern::None,
    };
    if message.port == own { Concern::None } else { concern }
}
