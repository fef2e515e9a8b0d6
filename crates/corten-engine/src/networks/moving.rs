//! Published ports follow the way out: when a running container joins or leaves a network and another one becomes its way
//! out, its ports lead to its address there. A port keeps its number of the host.

use std::net::SocketAddr;
use std::sync::Arc;

use corten_network::plan;

use super::attachment::PublishedPort;
use super::ports::{self, Reserved, Targets, Wanted, relay_port};
use super::record::Record;
use super::{blocking, relay, sandbox};
use crate::containers::{Turn, View};
use crate::engine::Engine;
use crate::errors::Result;

/// Makes the published ports of a running container what its places make of them.
///
/// # Errors
/// When a port cannot be had any more; those that can be are not published then either.
pub async fn settle(engine: &Arc<Engine>, turn: &Turn<'_>) -> Result<()> {
    let view = turn.view();
    let wanted = ports::wanted(&view.record)?;
    if wanted.is_empty() {
        return Ok(());
    }
    let old = view.state.networking.ports.clone();
    let (own, seen) = (Arc::clone(engine), Arc::clone(&view));
    let before = old.clone();
    let moves = blocking(move || {
        let networks: Vec<Arc<Record>> =
            sandbox::networks_of(&seen.state.networking).iter().filter_map(|id| own.networks.index.get(id)).collect();
        let targets = sandbox::targets(&seen.state.networking, &networks);
        plan_moves(&own, &wanted, &targets, before)
    });
    let moves = moves.await?;
    if moves.iter().all(Move::is_nothing) && moves.iter().map(|one| one.kept.len()).sum::<usize>() == old.len() {
        return Ok(());
    }
    let kept: Vec<PublishedPort> = moves.iter().flat_map(|one| one.kept.iter().cloned()).collect();
    let gone: Vec<PublishedPort> = old.into_iter().filter(|port| !kept.contains(port)).collect();
    // What the state says is what is taken back, should this end half way.
    let (own, seen) = (Arc::clone(engine), Arc::clone(&view));
    let dropped = gone.clone();
    let reserved = blocking(move || {
        let held: Vec<corten_relay::Port> = moves.iter().flat_map(|one| one.held.iter().copied()).collect();
        take_back(&own, &seen, &dropped, &held)?;
        moves.into_iter().map(|one| one.reserve(&own, &seen.record.id)).collect::<Result<Vec<_>>>()
    });
    let reserved = match reserved.await {
        Ok(reserved) => reserved,
        Err(error) => {
            turn.change(|state| state.networking.ports.retain(|port| !gone.contains(port)));
            return Err(error);
        }
    };
    let ports = reserved.iter().flatten().map(|one| one.port.clone()).collect();
    turn.change(|state| state.networking.ports = ports);
    let (own, seen) = (Arc::clone(engine), turn.view());
    blocking(move || publish(&own, &seen, reserved.into_iter().flatten().collect())).await
}

/// Whether ports of a container lead to another network than its way out: a kill came between.
pub fn is_behind(engine: &Engine, view: &View) -> bool {
    let networking = &view.state.networking;
    let networks: Vec<Arc<Record>> =
        sandbox::networks_of(networking).iter().filter_map(|id| engine.networks.index.get(id)).collect();
    let targets = sandbox::targets(networking, &networks);
    let leads_out = |port: &PublishedPort| {
        [targets.v4, targets.v6].into_iter().flatten().any(|(network, _)| network.id == port.network)
    };
    !networking.ports.iter().all(leads_out)
}

/// What becomes of one binding.
struct Move {
    wanted: Wanted,
    /// What there is to be, with the number of the host that it had.
    ports: Vec<PublishedPort>,
    /// Those of `ports` that are there.
    kept: Vec<PublishedPort>,
    /// Sockets that corten-proxy has and keeps.
    held: Vec<corten_relay::Port>,
    has_number: bool,
}

fn plan_moves(
    engine: &Engine,
    wanted: &[Wanted],
    targets: &Targets<'_>,
    mut old: Vec<PublishedPort>,
) -> Result<Vec<Move>> {
    let host_has_v6 = ports::host_has_v6();
    let mut moves = Vec::new();
    for one in wanted {
        let candidates = ports::candidates(&engine.config.networks, one, targets, host_has_v6)?;
        let is_of = |port: &PublishedPort| {
            port.container.port() == one.container_port()
                && port.kind() == one.protocol()
                && one.takes(port.host)
                && (candidates.is_empty() || candidates.iter().any(|candidate| candidate.host.ip() == port.host.ip()))
        };
        let number = old.iter().find(|port| is_of(port) && port.bound).map(|port| port.host.port());
        let (own, others): (Vec<_>, Vec<_>) =
            old.into_iter().partition(|port| is_of(port) && number.is_none_or(|number| port.host.port() == number));
        old = others;
        let numbered = candidates.into_iter().map(|candidate| match number.filter(|_| candidate.bound) {
            Some(number) => PublishedPort { host: SocketAddr::new(candidate.host.ip(), number), ..candidate },
            None => candidate,
        });
        let ports: Vec<PublishedPort> = numbered.collect();
        let kept = ports.iter().filter(|port| own.contains(port)).cloned().collect();
        let stays = |port: &&PublishedPort| own.iter().any(|had| holds_on(had, port));
        let held = ports.iter().filter(stays).map(|port| relay_port(port.kind(), port.host)).collect();
        moves.push(Move { wanted: one.clone(), ports, kept, held, has_number: number.is_some() });
    }
    Ok(moves)
}

/// Whether what corten-proxy holds of one port will do for the other: the socket of one that it does not relay.
fn holds_on(had: &PublishedPort, port: &PublishedPort) -> bool {
    had == port || (had.bound && port.bound && had.host == port.host && !had.relayed && !port.relayed)
}

impl Move {
    fn is_nothing(&self) -> bool {
        self.kept.len() == self.ports.len()
    }

    fn reserve(self, engine: &Engine, container: &str) -> Result<Vec<Reserved>> {
        if !self.has_number && self.ports.iter().any(|port| port.bound) {
            return ports::reserve_one(engine, container, &self.wanted, &self.ports);
        }
        let mut all = Vec::new();
        for port in self.ports {
            let socket = match port.bound && !self.held.contains(&relay_port(port.kind(), port.host)) {
                true => Some(ports::reserve_port(engine, container, &port)?),
                false => None,
            };
            all.push(Reserved { port, socket });
        }
        Ok(all)
    }
}

/// Takes ports back from the kernel, and from corten-proxy those whose sockets will not do again.
fn take_back(engine: &Engine, view: &View, gone: &[PublishedPort], held: &[corten_relay::Port]) -> Result<()> {
    let planned: Vec<plan::Port> = gone.iter().filter_map(PublishedPort::plan).collect();
    if !planned.is_empty() {
        engine.networks.kernel()?.unpublish(&planned)?;
    }
    let id = relay::identifier(&view.record.id)?;
    let bound = gone.iter().filter(|port| port.bound).map(|port| relay_port(port.kind(), port.host));
    let sockets: Vec<_> = bound.filter(|port| !held.contains(port)).collect();
    if sockets.is_empty() {
        return Ok(());
    }
    engine.networks.relay.speak(|relay| relay.drop_ports(&id, sockets.clone()))
}

fn publish(engine: &Arc<Engine>, view: &View, reserved: Vec<Reserved>) -> Result<()> {
    let planned: Vec<plan::Port> = view.state.networking.ports.iter().filter_map(PublishedPort::plan).collect();
    if !planned.is_empty() {
        engine.networks.kernel()?.publish(&planned)?;
    }
    if reserved.iter().all(|one| one.socket.is_none()) {
        return Ok(());
    }
    relay::hold(engine, &view.record.id, view.state.pid, &reserved, None)
}
