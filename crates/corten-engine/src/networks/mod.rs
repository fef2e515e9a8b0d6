//! Networks: what they are ([`record`], [`options`], [`store`]), the calls about them, and how containers are connected.
//!
//! A network is written down before the kernel is touched, and so is a container's place in it
//! ([`attachment`], in the container's state). Everything in the kernel, every address in use and every name follows from
//! these two, so that a start after a crash does what a start does. The kernel is spoken to in threads that may block.

pub mod announce;
pub mod attachment;
pub mod connect;
pub mod create;
pub mod default_bridge;
pub mod delete;
pub mod disconnect;
pub mod endpoint;
pub mod finish;
pub mod flags;
pub mod heal;
mod index;
pub mod inspect;
pub mod links;
pub mod list;
pub mod moving;
pub mod names;
pub mod options;
pub mod ports;
pub mod prune;
pub mod record;
pub mod relay;
pub mod restore;
pub mod sandbox;
pub mod store;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use corten_network::ipam::{IpamError, Pools};
use corten_network::kernel::Seen;
use corten_network::plan::Settings;
use corten_network::{Kernel, NetworkError};
use corten_types::error::chain;
use sha2::{Digest, Sha256};

use crate::engine::Engine;
use crate::errors::{EngineError, Result};
use crate::events::Kind;
use flags::Flags;
use record::Record;

/// The networks every engine has, with their drivers.
pub const PREDEFINED: [(&str, &str); 3] = [("bridge", "bridge"), ("host", "host"), ("none", "null")];

/// How long whoever makes a network waits for firewalld, which builds its rules anew within about a second.
const BUS_PATIENCE: Duration = Duration::from_secs(5);

/// Everything an engine keeps about networks.
pub struct Networks {
    /// The networks.
    pub index: index::Index,
    /// Where subnets come from.
    pub pools: Pools,
    /// The program that holds ports and answers names.
    pub relay: relay::Keeper,
    /// Host ports that are given to who names none.
    pub ephemeral: ports::Ephemeral,
    /// Shared by whoever changes a container's place and its state together; alone for who compares the two.
    pub work: tokio::sync::RwLock<()>,
    /// Held while links are looked for and made, or taken back.
    pub links: Mutex<()>,
    settings: Settings,
    kernel: Mutex<Option<Arc<Kernel>>>,
    /// Whether somebody watches the kernel's side.
    is_watched: std::sync::atomic::AtomicBool,
    /// Why there is no default bridge, when there should be one.
    no_bridge: Mutex<Option<String>>,
}

impl Networks {
    /// Those of the engine `id`, without any network yet.
    pub fn new(id: &str, flags: &Flags, relay: relay::Keeper) -> Self {
        let hash = Sha256::digest(id.as_bytes());
        let host = [hash[0], hash[1], hash[2], hash[3], hash[4]];
        Self {
            index: index::Index::default(),
            pools: Pools::new(&flags.pools, host),
            relay,
            ephemeral: ports::Ephemeral::default(),
            work: tokio::sync::RwLock::default(),
            links: Mutex::default(),
            settings: Settings {
                owner: id.to_owned(),
                ip_forward: flags.ip_forward,
                ip_forward_no_drop: flags.ip_forward_no_drop,
                rules_v4: flags.iptables,
                rules_v6: flags.ip6tables,
                system_bus: system_bus(),
                bus_patience: BUS_PATIENCE,
                accept_mark: flags.accept_mark,
            },
            kernel: Mutex::default(),
            is_watched: std::sync::atomic::AtomicBool::new(false),
            no_bridge: Mutex::default(),
        }
    }

    /// The kernel's side, opened by the first who needs it: an engine without bridge networks leaves the host as it is.
    /// Blocks.
    ///
    /// # Errors
    /// What keeps it from being opened; the next one tries again.
    pub fn kernel(&self) -> std::result::Result<Arc<Kernel>, NetworkError> {
        let mut kernel = self.kernel.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kernel) = &*kernel {
            return Ok(Arc::clone(kernel));
        }
        let opened = Arc::new(Kernel::open(self.settings.clone())?);
        *kernel = Some(Arc::clone(&opened));
        Ok(opened)
    }

    /// What was seen of firewalld, if anybody has needed the kernel's side yet. Opens nothing and waits for nobody.
    pub fn firewalld(&self) -> Seen {
        // Whoever opens it holds the lock meanwhile.
        let kernel = self.kernel.try_lock().ok().and_then(|kernel| kernel.clone());
        kernel.map(|kernel| kernel.firewalld()).unwrap_or_default()
    }

    /// Why there is no default bridge, when there should be one.
    pub fn no_bridge(&self) -> Option<String> {
        self.no_bridge.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether nobody watches the kernel's side yet; from now on somebody does.
    fn begin_watching(&self) -> bool {
        !self.is_watched.swap(true, std::sync::atomic::Ordering::AcqRel)
    }

    fn set_no_bridge(&self, reason: Option<String>) {
        *self.no_bridge.lock().unwrap_or_else(PoisonError::into_inner) = reason;
    }
}

/// Where the system's message bus is.
fn system_bus() -> String {
    let chosen = std::env::var("DBUS_SYSTEM_BUS_ADDRESS").ok().filter(|address| !address.is_empty());
    chosen.unwrap_or_else(|| corten_network::kernel::SYSTEM_BUS.to_owned())
}

/// Speaks to the kernel in a thread that may block.
///
/// # Errors
/// What the kernel refuses, with its sentence.
pub async fn with_kernel<T: Send + 'static>(
    engine: &Arc<Engine>,
    work: impl FnOnce(&Kernel) -> std::result::Result<T, NetworkError> + Send + 'static,
) -> Result<T> {
    let own = Arc::clone(engine);
    blocking(move || {
        let kernel = own.networks.kernel()?;
        if own.networks.begin_watching() {
            heal::start(&own);
        }
        Ok(work(&kernel)?)
    })
    .await
}

/// Does `work` in a thread that may block.
///
/// # Errors
/// What it answers.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| EngineError::internal("work on networks").caused_by(error))?
}

/// A predefined network's id, and other ids that must not change: the same as long as the data root is the same.
pub fn id_of(engine_id: &str, name: &str) -> String {
    let hash = Sha256::digest(format!("{engine_id}/{name}").as_bytes());
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether every engine has a network of that name.
pub fn is_predefined(name: &str) -> bool {
    name == "default" || PREDEFINED.iter().any(|(known, _)| *known == name)
}

/// Tells of what happened to a network.
pub fn publish(engine: &Engine, network: &Record, action: &str, container: Option<&str>) {
    let mut attributes =
        BTreeMap::from([("name".to_owned(), network.name.clone()), ("type".to_owned(), network.driver.clone())]);
    attributes.extend(container.map(|id| ("container".to_owned(), id.to_owned())));
    engine.events.publish(Kind::Network, action, &network.id, attributes);
}

impl From<NetworkError> for EngineError {
    fn from(error: NetworkError) -> Self {
        Self::new(error.kind(), chain(&error))
    }
}

impl From<IpamError> for EngineError {
    fn from(error: IpamError) -> Self {
        Self::new(error.kind(), error.to_string())
    }
}
