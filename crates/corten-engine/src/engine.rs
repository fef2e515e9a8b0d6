//! The one value everything hangs on.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use corten_containerd_api::Client;
use corten_images::Catalog;

use crate::clock::Moment;
use crate::config::Config;
use crate::containerd::Containerd;
use crate::containers::{Container, Index};
use crate::errors::{EngineError, Result};
use crate::events::Bus;
use crate::images::pull::Pulls;
use crate::networks::{self, Networks, relay};
use crate::registry;
use crate::runtimes::Runtimes;
use crate::spec::DefaultFilter;
use crate::store;

/// The engine.
pub struct Engine {
    /// What it was asked to be.
    pub config: Config,
    /// Identifies the data root, for ever.
    pub id: String,
    /// When the data root was made.
    pub born: Moment,
    /// The way down.
    pub containerd: Containerd,
    /// All containers.
    pub containers: Index,
    /// All networks, and the kernel's side of them.
    pub networks: crate::networks::Networks,
    /// Processes added to them.
    pub execs: crate::execs::Execs,
    /// Who listens.
    pub events: Bus,
    /// The images, and what was read of them before.
    pub catalog: Catalog<Client>,
    /// How registries are reached now.
    pub registries: ArcSwap<registry::Options>,
    /// Pulls under way.
    pub pulls: Pulls,
    /// The programs a container's task needs.
    pub programs: Programs,
    /// What containers can ask to be run by.
    pub runtimes: Runtimes,
    /// The filter of system calls of containers that ask for none.
    pub default_filter: DefaultFilter,
}

/// The programs a container's task needs, by absolute path.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The shim.
    pub shim: PathBuf,
    /// The OCI runtime.
    pub runtime: PathBuf,
}

impl Engine {
    /// Reads the data root.
    ///
    /// # Errors
    /// When the data root cannot be read or made; a broken container is no error.
    pub fn open(config: Config, programs: Programs) -> Result<Self> {
        let while_opening = |error: std::io::Error| {
            EngineError::internal(format!("open the data root {}", config.data_root.display())).caused_by(error)
        };
        let loaded = store::load(&config.data_root).map_err(while_opening)?;
        let identity = store::identity(&config.data_root).map_err(while_opening)?;
        let containerd = Containerd::new(&config.containerd_address(), &config.containerd_namespace)?;
        // Only our own supervisor is known to put layers on top of one another.
        let client = containerd.client();
        let store = if config.containerd.is_none() { client.rebasing() } else { client.clone() };
        let catalog = Catalog::new(store);
        let containers = Index::default();
        for one in loaded {
            containers.adopt(Arc::new(Container::new(one.record, one.state, one.directory)));
        }
        let runtimes = Runtimes::new(
            config.default_runtime.clone(),
            config.runtimes.clone(),
            programs.runtime.clone(),
            config.data_root.join("runtimes"),
        )?;
        let keeper =
            relay::Keeper::new(&config.exec_root, config.networks.userland_proxy_path.clone().map(PathBuf::from));
        let engine = Self {
            networks: Networks::new(&identity.id, &config.networks, keeper),
            runtimes,
            id: identity.id,
            born: identity.born,
            containerd,
            containers,
            execs: crate::execs::Execs::default(),
            events: Bus::default(),
            catalog,
            registries: ArcSwap::from_pointee(config.registries.clone()),
            pulls: Pulls::default(),
            programs,
            default_filter: DefaultFilter::read(&config.seccomp_profile)?,
            config,
        };
        networks::restore::load(&engine)?;
        Ok(engine)
    }
}
