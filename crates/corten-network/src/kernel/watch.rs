//! Hearing of what others do to the engine's objects.

use std::collections::HashMap;
use std::os::fd::AsFd;
use std::time::Duration;

use corten_netlink::{Error, Socket, address, events, link, reply::Message};
use corten_sys::poll;

use super::{Kernel, Result, refused};
use crate::error::NetworkError;

/// Two subscriptions, read by one thread. What it says is a hint: what is wrong [`Kernel::check`] finds out.
#[derive(Debug)]
pub struct Watch {
    links: Socket,
    rules: Socket,
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
        let mut watch = Self { links, rules, own, mark, ours: HashMap::new() };
        watch.look_again()?;
        Ok(watch)
    }

    /// Waits until somebody else changed what may be the engine's; `false` when the time ran out before.
    ///
    /// # Errors
    /// What the kernel refuses. Lost events are none: then everything may have changed.
    pub fn wait(&mut self, timeout: Option<Duration>) -> Result<bool> {
        loop {
            let ready = poll::readable(&[self.links.as_fd(), self.rules.as_fd()], timeout);
            let ready = ready.map_err(|source| NetworkError::Kernel {
                object: "changes of interfaces and rules".to_owned(),
                step: "wait".to_owned(),
                source,
            })?;
            if !ready.contains(&true) {
                return Ok(false);
            }
            if self.read()? {
                return Ok(true);
            }
        }
    }

    /// The descriptors that are readable when [`Self::wait`] has something to look at.
    pub fn descriptors(&self) -> [std::os::fd::BorrowedFd<'_>; 2] {
        [self.links.as_fd(), self.rules.as_fd()]
    }

    fn read(&mut self) -> Result<bool> {
        let (mark, ours, own) = (&self.mark, &mut self.ours, self.own);
        let mut touched = false;
        let of_links = self.links.events(|message| touched |= concerns(message, mark, ours, own[0]));
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
        Ok(touched || lost)
    }

    /// Finds out which interfaces are the engine's now.
    fn look_again(&mut self) -> Result<()> {
        let all = || -> std::result::Result<Vec<link::Link>, Error> { link::all(&mut Socket::route()?) };
        let links = all().map_err(refused("interfaces"))?;
        let marked = |link: &link::Link| link.alias.as_ref().is_some_and(|alias| alias.starts_with(&self.mark));
        self.ours = links.iter().filter(|link| marked(link)).map(|link| (link.index, link.up)).collect();
        Ok(())
    }
}

/// Whether an event may mean that something of ours is not as it was left.
fn concerns(message: &Message<'_>, mark: &str, ours: &mut HashMap<u32, bool>, own: u32) -> bool {
    /// A bridge tells of its ports in the same way.
    const FAMILY_BRIDGE: u8 = 7;
    const ADDRESS_GONE: u16 = 21;
    let of_port = message.body.first() == Some(&FAMILY_BRIDGE);
    let damaged = match events::read(message) {
        Some(events::Change::Link) if !of_port => {
            let Some(link) = link::read(message) else { return false };
            let marked = link.alias.as_ref().is_some_and(|alias| alias.starts_with(mark));
            if marked {
                ours.entry(link.index).or_insert(link.up);
            }
            let Some(was_up) = ours.get_mut(&link.index) else { return false };
            let down = *was_up && !link.up;
            *was_up |= link.up;
            down || !marked || (link.kind == "veth" && link.master == 0)
        }
        Some(events::Change::LinkGone) => {
            let Some(link) = link::read(message) else { return false };
            if of_port { ours.contains_key(&link.index) } else { ours.remove(&link.index).is_some() }
        }
        Some(events::Change::Address) => {
            let found = address::read(message);
            message.kind == ADDRESS_GONE && found.is_some_and(|found| ours.contains_key(&found.link))
        }
        _ => false,
    };
    damaged && message.port != own
}
