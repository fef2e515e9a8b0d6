//! `--link` in a default network whose containers do not reach each other: who is linked to another reaches the ports
//! that one exposes, as docker has it. Everything follows from records and states; nothing is kept.

use std::sync::{Arc, PoisonError};

use corten_network::plan::Link;
use tracing::warn;

use super::endpoint::split_link;
use super::ports;
use crate::containers::View;
use crate::engine::Engine;
use crate::errors::Result;

/// The network whose containers are linked.
const NETWORK: &str = "bridge";

/// All links of running containers.
pub fn all(engine: &Engine) -> Vec<Link> {
    if !is_closed(engine) {
        return Vec::new();
    }
    let views: Vec<Arc<View>> = engine.containers.all().iter().map(|container| container.view()).collect();
    let mut links = Vec::new();
    for view in views.iter().filter(|view| view.state.networking.sandbox) {
        links.extend(to_others(engine, view));
    }
    links.sort();
    links.dedup();
    links
}

/// Makes the links from and to a container that has just joined the network. Blocks.
///
/// # Errors
/// What the kernel refuses.
pub fn make(engine: &Engine, view: &View) -> Result<()> {
    if !is_closed(engine) {
        return Ok(());
    }
    // Whoever leaves meanwhile has said so in its state, or takes back what is made here.
    let _alone = engine.networks.links.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(engine.networks.kernel()?.link(&of(engine, view))?)
}

/// Takes back the links from and to a container that leaves the network. Blocks.
pub fn remove(engine: &Engine, view: &View) {
    if !is_closed(engine) {
        return;
    }
    let _alone = engine.networks.links.lock().unwrap_or_else(PoisonError::into_inner);
    let links = of(engine, view);
    let removed = engine.networks.kernel().and_then(|kernel| kernel.unlink(&links));
    if let Err(error) = removed {
        warn!(id = view.record.id, error = corten_types::error::chain(&error), "take a container's links back");
    }
}

fn is_closed(engine: &Engine) -> bool {
    let network = engine.networks.index.find(NETWORK);
    network.is_ok_and(|network| network.bridge.is_some() && network.driver_options().is_ok_and(|options| !options.icc))
}

/// Those from and to one container.
fn of(engine: &Engine, view: &View) -> Vec<Link> {
    let mut links = to_others(engine, view);
    for other in engine.containers.all() {
        let other = other.view();
        if other.record.id == view.record.id || !other.state.networking.sandbox {
            continue;
        }
        for (name, _) in other.record.host_config.links.iter().flatten().filter_map(|link| split_link(link)) {
            if engine.containers.find(name).is_ok_and(|linked| linked.id == view.record.id) {
                links.extend(between(&other, view));
            }
        }
    }
    links.sort();
    links.dedup();
    links
}

fn to_others(engine: &Engine, view: &View) -> Vec<Link> {
    let mut links = Vec::new();
    for (name, _) in view.record.host_config.links.iter().flatten().filter_map(|link| split_link(link)) {
        let Ok(other) = engine.containers.find(name) else { continue };
        let other = other.view();
        if other.state.networking.sandbox {
            links.extend(between(view, &other));
        }
    }
    links
}

/// What `from` reaches of `to`, when both are in the network.
fn between(from: &View, to: &View) -> Vec<Link> {
    let address = |view: &View| Some(view.state.networking.attachments.get(NETWORK)?.v4?.addr());
    let (Some(from), Some(address)) = (address(from), address(to)) else { return Vec::new() };
    ports::exposed(&to.record.config)
        .into_iter()
        .map(|(port, protocol)| Link { from, to: address, protocol, port })
        .collect()
}
