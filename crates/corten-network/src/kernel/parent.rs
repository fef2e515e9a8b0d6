//! The parents of macvlan networks: interfaces of the host, or one that is made for a network whose maker named none.
//! Nothing but the network's own containers is on that.

use corten_netlink::{
    Batch,
    link::{self, Settings},
};

use super::{Kernel, Result, refused};
use crate::error::NetworkError;
use crate::plan::{Macvlan, Network, alias};

/// Makes the network's own parent, or finds the one that was named.
pub fn make(kernel: &Kernel, network: &Network, macvlan: &Macvlan) -> Result<()> {
    let object = format!("network {}", network.name);
    let parent = &macvlan.parent;
    let mut socket = kernel.route_socket();
    let found = link::named(&mut socket, parent).map_err(refused(&object))?;
    let mut batch = Batch::new();
    match (found, network.own_parent()) {
        (None, None) => return Err(NetworkError::Invalid(format!("{object}: there is no interface {parent}"))),
        (Some(_), None) => return Ok(()),
        (Some(link), Some(_)) => batch.set_link(link.index, Settings { up: Some(true), ..Settings::default() }),
        (None, Some(name)) => {
            batch.new_plain(name, "dummy", Settings { up: Some(true), mtu: network.mtu, ..Settings::default() });
            batch.set_alias(name, &alias(&kernel.settings.owner, &network.id));
        }
    }
    socket.run(batch).map_err(|error| match error.is_lacking() {
        true => {
            let what = "a macvlan network without a parent interface".to_owned();
            NetworkError::Lacking { what, option: "CONFIG_DUMMY" }
        }
        false => refused(&object)(error),
    })
}

/// Removes the network's own parent, if it has one.
pub fn remove(kernel: &Kernel, network: &Network) -> Result<()> {
    let Some(name) = network.own_parent() else { return Ok(()) };
    let object = format!("network {}", network.name);
    let mut socket = kernel.route_socket();
    let found = link::named(&mut socket, name).map_err(refused(&object))?;
    let mark = alias(&kernel.settings.owner, &network.id);
    let Some(link) = found.filter(|link| link.alias.as_ref() == Some(&mark)) else { return Ok(()) };
    let mut batch = Batch::new();
    batch.delete_link(link.index);
    match socket.run(batch) {
        Err(error) if error.is_missing() => Ok(()),
        other => other.map_err(refused(&object)),
    }
}
