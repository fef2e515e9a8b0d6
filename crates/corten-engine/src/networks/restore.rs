//! Networks after a start of the engine: read back, and brought into the kernel again.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use corten_network::plan::{Desired, Difference, Port};
use tracing::{info, warn};

use super::attachment::{self, PublishedPort};
use super::{blocking, default_bridge, relay, sandbox, store};
use crate::engine::Engine;
use crate::errors::Result;

/// Takes the networks of the data root in, and the addresses that its running containers have.
///
/// # Errors
/// When the directory of networks cannot be read.
pub fn load(engine: &Engine) -> Result<()> {
    let while_loading = |error| crate::errors::EngineError::internal("read the networks").caused_by(error);
    for record in default_bridge::predefined(&engine.id, engine.born) {
        engine.networks.index.put(record);
    }
    let wants_bridge = engine.config.networks.bridge != super::flags::DefaultBridge::None;
    for record in store::load(&engine.config.data_root).map_err(while_loading)? {
        if wants_bridge || !record.is_predefined() {
            engine.networks.index.put(record);
        }
    }
    for container in engine.containers.all() {
        let view = container.view();
        for place in view.state.networking.attachments.values() {
            let addresses: Vec<IpAddr> = place.addresses();
            engine.networks.index.take(&place.network, &view.record.id, |_| Ok(((), addresses)))?;
        }
    }
    Ok(())
}

/// Brings all networks into the kernel, before any container is looked at. A network that cannot be brought there is
/// named, and its containers are refused as long as it is so.
pub async fn settle(engine: &Arc<Engine>) {
    engine.networks.relay.watch_for(engine);
    default_bridge::settle(engine).await;
    let networks: Vec<_> = engine
        .networks
        .index
        .all()
        .into_iter()
        .filter(|network| network.has_kernel_objects() && !network.is_predefined())
        .collect();
    if networks.is_empty() {
        return;
    }
    let own = Arc::clone(engine);
    let settled = blocking(move || {
        let kernel = own.networks.kernel()?;
        for network in networks {
            let made = network.plan().and_then(|plan| match plan {
                Some(plan) => Ok(kernel.make_network(&plan)?),
                None => Ok(()),
            });
            if let Err(error) = made {
                warn!(id = network.id, name = network.name, error = error.message(), "a network cannot be made");
            }
        }
        Ok(())
    });
    if let Err(error) = settled.await {
        warn!(error = error.message(), "networks cannot be made");
    }
}

/// Brings everything in the kernel to what the records say, once every container was looked at.
pub async fn settle_containers(engine: &Arc<Engine>) {
    let own = Arc::clone(engine);
    let settled = blocking(move || {
        let alone = own.networks.work.blocking_write();
        let desired = desired(&own)?;
        if !desired.networks.is_empty() {
            for difference in own.networks.kernel()?.repair(&desired)? {
                info!(object = difference.object, what = difference.what, "mended");
            }
        }
        drop(alone);
        relay::settle(&own);
        Ok(())
    });
    if let Err(error) = settled.await {
        warn!(error = error.message(), "networks are not as they should be");
    }
}

/// What is not as it should be.
///
/// # Errors
/// What the kernel refuses.
pub async fn check(engine: &Arc<Engine>, mend: Mend) -> Result<Vec<Difference>> {
    let own = Arc::clone(engine);
    blocking(move || {
        let _alone = own.networks.work.blocking_write();
        let desired = desired(&own)?;
        if desired.networks.is_empty() {
            return Ok(Vec::new());
        }
        let kernel = own.networks.kernel()?;
        let found = match mend {
            Mend::No => kernel.check(&desired)?,
            Mend::Yes => kernel.repair(&desired)?,
        };
        Ok(found)
    })
    .await
}

/// Whether what is found is mended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mend {
    /// It is.
    Yes,
    /// It is only told.
    No,
}

/// Everything that is to be in the kernel, from the records alone.
///
/// # Errors
/// For a record that somebody has changed.
pub fn desired(engine: &Engine) -> Result<Desired> {
    let mut desired = Desired::default();
    let mut networks = BTreeMap::new();
    for network in engine.networks.index.all() {
        if let Some(plan) = network.plan()? {
            desired.networks.push(plan);
            networks.insert(network.id.clone(), network);
        }
    }
    for container in engine.containers.all() {
        let view = container.view();
        let (id, networking) = (&view.record.id, &view.state.networking);
        // Also of one that is about to run.
        if !networking.sandbox {
            continue;
        }
        let own = sandbox::of(engine, id);
        let mut pairs = Vec::new();
        for place in networking.attachments.values() {
            let Some(network) = networks.get(&place.network) else { continue };
            desired.endpoints.push((own.clone(), place.plan(id)?));
            pairs.push((&**network, place));
        }
        desired.routes.push((own, attachment::default_routes(pairs.into_iter())));
        let ports: Vec<Port> = networking.ports.iter().filter_map(PublishedPort::plan).collect();
        desired.ports.extend(ports);
    }
    desired.links = super::links::all(engine);
    Ok(desired)
}
