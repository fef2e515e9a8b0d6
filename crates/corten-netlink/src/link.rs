//! Interfaces (rtnetlink(7), "RTM_NEWLINK").

use std::os::fd::{AsRawFd, BorrowedFd};

use crate::{Batch, Result, Socket, attributes::Attributes, batch::flag, reply::Message, socket};

const NEW: u16 = 16;
const DELETE: u16 = 17;
const GET: u16 = 18;

/// Bytes of `struct ifinfomsg`.
const FIXED_BYTES: usize = 16;
const FLAG_UP: u32 = 1;

mod attribute {
    pub(super) const ADDRESS: u16 = 1;
    pub(super) const NAME: u16 = 3;
    pub(super) const MTU: u16 = 4;
    pub(super) const LINK: u16 = 5;
    pub(super) const MASTER: u16 = 10;
    pub(super) const LINK_INFO: u16 = 18;
    pub(super) const ALIAS: u16 = 20;
    pub(super) const GROUP: u16 = 27;
    pub(super) const NETNS_FD: u16 = 28;
    pub(super) const INFO_KIND: u16 = 1;
    pub(super) const INFO_DATA: u16 = 2;
    pub(super) const VETH_PEER: u16 = 1;
    pub(super) const MACVLAN_MODE: u16 = 1;
    pub(super) const INFO_PORT_KIND: u16 = 4;
    pub(super) const INFO_PORT_DATA: u16 = 5;
    pub(super) const PORT_HAIRPIN: u16 = 4;
    pub(super) const BRIDGE_FILTER_V4: u16 = 36;
    pub(super) const BRIDGE_FILTER_V6: u16 = 37;
}

/// What is known or wanted of an interface beyond its kind. What is `None` stays as it is.
#[derive(Debug, Default, Clone, Copy)]
pub struct Settings<'a> {
    /// Its hardware address.
    pub mac: Option<[u8; 6]>,
    /// The largest packet.
    pub mtu: Option<u32>,
    /// The index of the bridge it is a port of; 0 for none.
    pub master: Option<u32>,
    /// The group it is in (`devgroup` of iptables).
    pub group: Option<u32>,
    /// Whether it is up.
    pub up: Option<bool>,
    /// The namespace it is made in, where that is not the socket's.
    pub namespace: Option<BorrowedFd<'a>>,
}

/// How interfaces of one parent see each other (ip-link(8), "MACVLAN").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MacvlanMode {
    /// Not at all.
    Private = 1,
    /// Through the switch outside.
    Vepa = 2,
    /// Directly.
    Bridge = 4,
    /// One has the parent to itself.
    Passthru = 8,
}

/// An interface as the kernel tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// `bridge`, `veth`, …; empty for hardware and loopback.
    pub kind: String,
    /// Its alias.
    pub alias: Option<String>,
    /// Its hardware address, where it has one of six bytes.
    pub mac: Option<[u8; 6]>,
    /// The largest packet.
    pub mtu: u32,
    /// The index of the bridge it is a port of; 0 for none.
    pub master: u32,
    /// The index of its parent or peer; 0 for none.
    pub parent: u32,
    /// Its group.
    pub group: u32,
    /// Whether it is up.
    pub up: bool,
    /// Whether it is a bridge that shows the packet filter what passes from port to port, whatever the system's setting.
    pub filters: bool,
}

impl Batch {
    /// Makes a bridge.
    pub fn new_bridge(&mut self, name: &str, settings: Settings<'_>) {
        self.new_link(name, "bridge", settings, |_| {});
    }

    /// Has a bridge show the packet filter what passes from port to port, or leaves that to the system's setting
    /// (`bridge-nf-call-iptables`). Without the module br_netfilter it does not matter.
    pub fn set_bridge_filter(&mut self, name: &str, on: bool) {
        self.add(format!("set the filter of bridge {name}"), NEW, 0, &fixed(0, None), |batch| {
            batch.text(attribute::NAME, name);
            batch.nest(attribute::LINK_INFO, |batch| {
                batch.text(attribute::INFO_KIND, "bridge");
                batch.nest(attribute::INFO_DATA, |batch| {
                    batch.bytes(attribute::BRIDGE_FILTER_V4, &[u8::from(on)]);
                    batch.bytes(attribute::BRIDGE_FILTER_V6, &[u8::from(on)]);
                });
            });
        });
    }

    /// Lets a port of a bridge be sent what came from it.
    pub fn set_hairpin(&mut self, name: &str) {
        self.add(format!("let port {name} reach itself"), NEW, 0, &fixed(0, None), |batch| {
            batch.text(attribute::NAME, name);
            batch.nest(attribute::LINK_INFO, |batch| {
                batch.text(attribute::INFO_PORT_KIND, "bridge");
                batch.nest(attribute::INFO_PORT_DATA, |batch| batch.bytes(attribute::PORT_HAIRPIN, &[1]));
            });
        });
    }

    /// Makes a pair of interfaces, the second of which is made in its own namespace and is down. (It cannot be up
    /// before the first is registered: `ENOTCONN`.)
    pub fn new_veth(&mut self, name: &str, settings: Settings<'_>, peer: &str, peer_settings: Settings<'_>) {
        self.new_link(name, "veth", settings, |batch| {
            batch.nest(attribute::INFO_DATA, |batch| {
                batch.nest_after(attribute::VETH_PEER, &fixed(0, None), |batch| {
                    batch.text(attribute::NAME, peer);
                    batch.link_settings(peer_settings);
                });
            });
        });
    }

    /// Makes an interface that shares the parent with that index.
    pub fn new_macvlan(&mut self, name: &str, settings: Settings<'_>, parent: u32, mode: MacvlanMode) {
        let what = format!("make interface {name}");
        self.add(what, NEW, flag::CREATE | flag::EXCL, &fixed(0, settings.up), |batch| {
            batch.text(attribute::NAME, name);
            batch.number(attribute::LINK, parent);
            batch.link_settings(settings);
            batch.nest(attribute::LINK_INFO, |batch| {
                batch.text(attribute::INFO_KIND, "macvlan");
                batch.nest(attribute::INFO_DATA, |batch| batch.number(attribute::MACVLAN_MODE, mode as u32));
            });
        });
    }

    /// Makes an interface of any kind that needs no data of its own.
    pub fn new_plain(&mut self, name: &str, kind: &str, settings: Settings<'_>) {
        self.new_link(name, kind, settings, |_| {});
    }

    /// Changes the interface with that index.
    pub fn set_link(&mut self, index: u32, settings: Settings<'_>) {
        let what = format!("change interface number {index}");
        self.add(what, NEW, 0, &fixed(index, settings.up), |batch| batch.link_settings(settings));
    }

    /// Renames the interface with that index, which is down.
    pub fn rename_link(&mut self, index: u32, name: &str) {
        let what = format!("rename interface number {index} to {name}");
        self.add(what, NEW, 0, &fixed(index, None), |batch| batch.text(attribute::NAME, name));
    }

    /// Gives the interface of that name an alias. It cannot be given while it is made: the kernel overlooks it there.
    pub fn set_alias(&mut self, name: &str, alias: &str) {
        self.add(format!("mark interface {name}"), NEW, 0, &fixed(0, None), |batch| {
            batch.text(attribute::NAME, name);
            batch.bytes(attribute::ALIAS, alias.as_bytes());
        });
    }

    /// Changes the interface of that name.
    pub fn set_link_named(&mut self, name: &str, settings: Settings<'_>) {
        self.add(format!("change interface {name}"), NEW, 0, &fixed(0, settings.up), |batch| {
            batch.text(attribute::NAME, name);
            batch.link_settings(settings);
        });
    }

    /// Removes the interface with that index.
    pub fn delete_link(&mut self, index: u32) {
        self.add(format!("remove interface number {index}"), DELETE, 0, &fixed(index, None), |_| {});
    }

    fn new_link(&mut self, name: &str, kind: &str, settings: Settings<'_>, data: impl FnOnce(&mut Self)) {
        let what = format!("make interface {name}");
        self.add(what, NEW, flag::CREATE | flag::EXCL, &fixed(0, settings.up), |batch| {
            batch.text(attribute::NAME, name);
            batch.link_settings(settings);
            batch.nest(attribute::LINK_INFO, |batch| {
                batch.text(attribute::INFO_KIND, kind);
                data(batch);
            });
        });
    }

    fn link_settings(&mut self, settings: Settings<'_>) {
        if let Some(mac) = settings.mac {
            self.bytes(attribute::ADDRESS, &mac);
        }
        let namespace = settings.namespace.map(|namespace| namespace.as_raw_fd().cast_unsigned());
        let numbers = [
            (attribute::MTU, settings.mtu),
            (attribute::MASTER, settings.master),
            (attribute::GROUP, settings.group),
            (attribute::NETNS_FD, namespace),
        ];
        for (kind, value) in numbers {
            if let Some(value) = value {
                self.number(kind, value);
            }
        }
    }
}

/// Every interface.
///
/// # Errors
/// What the kernel refuses.
pub fn all(socket: &mut Socket) -> Result<Vec<Link>> {
    socket.dump(&socket::dump("list interfaces", GET, &fixed(0, None)), read)
}

/// The interface of that name.
///
/// # Errors
/// What the kernel refuses; that there is none is `None`.
pub fn named(socket: &mut Socket, name: &str) -> Result<Option<Link>> {
    let mut batch = Batch::new();
    batch.add(format!("find interface {name}"), GET, 0, &fixed(0, None), |batch| batch.text(attribute::NAME, name));
    match socket.dump(&batch, read) {
        Ok(found) => Ok(found.into_iter().next()),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}

/// The interface with that index.
///
/// # Errors
/// What the kernel refuses; that there is none is `None`.
pub fn numbered(socket: &mut Socket, index: u32) -> Result<Option<Link>> {
    let mut batch = Batch::new();
    batch.add(format!("find interface number {index}"), GET, 0, &fixed(index, None), |_| {});
    match socket.dump(&batch, read) {
        Ok(found) => Ok(found.into_iter().next()),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads an interface; `None` when the message is about something else.
#[must_use]
pub fn read(message: &Message<'_>) -> Option<Link> {
    if !matches!(message.kind, NEW | DELETE) {
        return None;
    }
    let word = |at: usize| Some(u32::from_ne_bytes(message.body.get(at..at + 4)?.try_into().ok()?));
    let attributes = message.attributes(FIXED_BYTES);
    Some(Link {
        index: word(4)?,
        up: word(8)? & FLAG_UP != 0,
        name: attributes.text(attribute::NAME)?.to_owned(),
        kind: kind(attributes).to_owned(),
        alias: attributes.text(attribute::ALIAS).map(str::to_owned),
        mac: attributes.value(attribute::ADDRESS).and_then(|bytes| bytes.try_into().ok()),
        mtu: attributes.number(attribute::MTU).unwrap_or_default(),
        master: attributes.number(attribute::MASTER).unwrap_or_default(),
        parent: attributes.number(attribute::LINK).unwrap_or_default(),
        group: attributes.number(attribute::GROUP).unwrap_or_default(),
        filters: kind(attributes) == "bridge"
            && attributes.nested(attribute::LINK_INFO).nested(attribute::INFO_DATA).value(attribute::BRIDGE_FILTER_V4)
                == Some(&[1]),
    })
}

fn kind(attributes: Attributes<'_>) -> &str {
    attributes.nested(attribute::LINK_INFO).text(attribute::INFO_KIND).unwrap_or_default()
}

/// `struct ifinfomsg`.
fn fixed(index: u32, up: Option<bool>) -> [u8; FIXED_BYTES] {
    let mut fixed = [0; FIXED_BYTES];
    fixed[4..8].copy_from_slice(&index.to_ne_bytes());
    if let Some(up) = up {
        fixed[8..12].copy_from_slice(&u32::from(up).to_ne_bytes());
        fixed[12..16].copy_from_slice(&FLAG_UP.to_ne_bytes());
    }
    fixed
}
