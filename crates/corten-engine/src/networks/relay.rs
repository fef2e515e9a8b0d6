//! The program that holds published ports and answers names, as the engine keeps it: found by its socket, started where
//! nobody listens, watched by its pidfd, and given everything again when it has died.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use corten_relay::names::Directory;
use corten_relay::{Held, Hold, PortSocket, Relay, RelayError, Resolver};
use corten_sys::pidfd::PidFd;
use corten_sys::poll;
use corten_types::Identifier;
use corten_types::error::chain;
use tracing::{info, warn};

use super::attachment::Networking;
use super::ports::{Reserved, relay_port};
use super::{names, sandbox};
use crate::containers::View;
use crate::engine::Engine;
use crate::errors::{EngineError, Result};

/// Keeps the program.
pub struct Keeper {
    socket: PathBuf,
    /// Where the network namespaces of containers are bound.
    sandboxes: PathBuf,
    /// The files of names.
    pub names: Directory,
    /// Held by whoever looks at what names there are and writes them.
    pub writing: Mutex<()>,
    program: Option<PathBuf>,
    connection: Mutex<Option<Relay>>,
    /// How often it has died.
    deaths: AtomicU64,
    /// Whom to tell when it has died; set once the engine is there.
    engine: Mutex<Weak<Engine>>,
}

impl Keeper {
    /// A keeper below the exec root; the program is looked for when it is needed.
    pub fn new(exec_root: &std::path::Path, program: Option<PathBuf>) -> Self {
        Self {
            socket: exec_root.join("proxy.sock"),
            sandboxes: sandbox::directory(exec_root),
            names: Directory::at(&exec_root.join("names")),
            writing: Mutex::default(),
            program,
            connection: Mutex::default(),
            deaths: AtomicU64::default(),
            engine: Mutex::default(),
        }
    }

    /// From now on a death of the program is noticed.
    pub fn watch_for(&self, engine: &Arc<Engine>) {
        *self.engine.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(engine);
    }

    /// Speaks to the program, which is started where it does not run. Blocks.
    ///
    /// # Errors
    /// When it cannot be started, or refuses.
    pub fn speak<T>(&self, mut work: impl FnMut(&mut Relay) -> std::result::Result<T, RelayError>) -> Result<T> {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        if connection.is_none() {
            *connection = Some(self.connect()?);
        }
        let relay = connection.as_mut().ok_or_else(|| EngineError::internal("no connection to corten-proxy"))?;
        match work(relay) {
            Err(error @ (RelayError::Refused(_) | RelayError::Connect { .. })) => Err(failed(&error)),
            Err(error) => {
                // What it had not acknowledged is told once more to the next one.
                warn!(error = chain(&error), "corten-proxy does not answer");
                *connection = None;
                let relay = connection.insert(self.connect()?);
                work(relay).map_err(|error| failed(&error))
            }
            Ok(done) => Ok(done),
        }
    }

    /// Whether it was ever needed by this engine or one before.
    pub fn is_needed(&self) -> bool {
        self.socket.exists() || self.connection.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn connect(&self) -> Result<Relay> {
        let is_ours = |relay: &Relay| relay.hello().version == corten_relay::VERSION;
        let relay = match Relay::connect(&self.socket).ok().filter(is_ours) {
            Some(relay) => relay,
            None => self.start()?,
        };
        info!(pid = relay.hello().pid, "linked to corten-proxy");
        self.watch(&relay);
        Ok(relay)
    }

    /// Starts the program; one of another release hands everything over to it and ends when nothing flows through it.
    fn start(&self) -> Result<Relay> {
        let program = match &self.program {
            Some(program) => program.clone(),
            None => crate::serve::find_program("corten-proxy")?,
        };
        corten_relay::start(&program, &self.socket, self.names.path(), &self.sandboxes)
            .map_err(|error| EngineError::internal(chain(&error)))?;
        let relay = Relay::connect(&self.socket).map_err(|error| failed(&error))?;
        let version = &relay.hello().version;
        if version != corten_relay::VERSION {
            let (program, wanted) = (program.display(), corten_relay::VERSION);
            return Err(EngineError::internal(format!("{program} is corten-proxy {version}: {wanted} is needed")));
        }
        Ok(relay)
    }

    /// A thread that ends with the program, or with us.
    fn watch(&self, relay: &Relay) {
        let engine = self.engine.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (Ok(process), Ok(handle)) =
            (relay.process().as_fd().try_clone_to_owned(), tokio::runtime::Handle::try_current())
        else {
            return;
        };
        let watched = std::thread::Builder::new().name("watch-proxy".to_owned()).spawn(move || {
            let ended = poll::readable(&[process.as_fd()], None);
            let Some(engine) = engine.upgrade() else { return };
            if ended.is_ok() {
                warn!("corten-proxy has ended: starting it again");
                handle.spawn_blocking(move || {
                    engine.networks.relay.lost();
                    settle(&engine);
                });
            }
        });
        if let Err(error) = watched {
            warn!(%error, "corten-proxy is not watched");
        }
    }

    /// How often the program has died. Where this is another number than before something was handed over, that may not
    /// be held any more.
    pub fn deaths(&self) -> u64 {
        self.deaths.load(Ordering::SeqCst)
    }

    /// Forgets the connection, when its program has died.
    fn lost(&self) {
        self.deaths.fetch_add(1, Ordering::SeqCst);
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let is_dead = |relay: &mut Relay| {
            poll::readable(&[relay.process().as_fd()], Some(std::time::Duration::ZERO))
                .is_ok_and(|ready| ready == [true])
        };
        if connection.as_mut().is_some_and(is_dead) {
            *connection = None;
        }
    }

    /// Removes a network's names.
    pub fn forget_network(&self, id: &str) {
        if let Ok(id) = id.parse::<Identifier>()
            && let Err(error) = self.names.remove_network(&id)
        {
            warn!(%id, %error, "remove the names of a network");
        }
    }
}

/// What the program says, as the engine's error.
fn failed(error: &RelayError) -> EngineError {
    EngineError::internal(chain(error))
}

/// An id in the words of the hand-over.
///
/// # Errors
/// Never for an id of ours.
pub fn identifier(id: &str) -> Result<Identifier> {
    id.parse().map_err(|_| EngineError::internal(format!("{id} is no identifier")))
}

/// Has everything of a container held whose init is `pid`. Blocks.
///
/// # Errors
/// What keeps corten-proxy from it.
pub fn hold(
    engine: &Engine,
    id: &str,
    pid: u32,
    reserved: &[Reserved],
    resolver: Option<&corten_network::kernel::ResolverSockets>,
) -> Result<()> {
    let container = identifier(id)?;
    let path = sandbox::path(engine, id);
    engine.networks.relay.speak(|relay| {
        let copy = |fd: std::os::fd::BorrowedFd<'_>| fd.try_clone_to_owned().map_err(RelayError::Speak);
        let init = PidFd::open(pid).map_err(RelayError::Speak)?;
        let mut hold = Hold::new(container.clone(), init);
        for one in reserved {
            let Some(socket) = &one.socket else { continue };
            hold.ports.push(PortSocket {
                port: relay_port(one.port.kind(), one.port.host),
                target: one.port.relayed.then_some(one.port.container),
                socket: copy(socket.as_fd())?,
            });
        }
        if let Some(sockets) = resolver {
            let namespace = File::open(&path).map_err(RelayError::Speak)?;
            hold.resolver = Some(Resolver {
                udp: copy(sockets.udp.as_fd())?,
                tcp: copy(sockets.tcp.as_fd())?,
                namespace: namespace.into(),
            });
        }
        relay.hold(hold)
    })
}

/// Lets go of everything that is held for a container. Blocks.
pub fn let_go(engine: &Engine, id: &str) {
    let keeper = &engine.networks.relay;
    let Ok(container) = identifier(id) else { return };
    if keeper.is_needed()
        && let Err(error) = keeper.speak(|relay| relay.drop_container(&container))
    {
        warn!(id, error = error.message(), "have corten-proxy let go of a container");
    }
    if let Err(error) = keeper.names.remove_container(&container) {
        warn!(id, %error, "remove what a container sees of its networks");
    }
}

/// Makes what the program holds what it should hold: after its death, and after the engine's. Blocks.
pub fn settle(engine: &Arc<Engine>) {
    // Nobody's networks are made or taken back meanwhile: what is looked at here is so until it is handed over.
    let _alone = engine.networks.work.blocking_write();
    let subjects = names::write_all(engine).unwrap_or_else(|error| {
        warn!(error = error.message(), "write the names of networks");
        Vec::new()
    });
    let views: Vec<_> = engine.containers.all().iter().map(|container| container.view()).collect();
    let needing: Vec<_> = views.iter().filter(|view| view.state.is_alive() && needs(&view.state.networking)).collect();
    if needing.is_empty() && !engine.networks.relay.is_needed() {
        return;
    }
    let held = match engine.networks.relay.speak(Relay::list) {
        Ok(held) => held,
        Err(error) => {
            warn!(error = error.message(), "published ports are not held, and names are not answered");
            return;
        }
    };
    for view in &needing {
        if let Err(error) = hold_missing(engine, view, &held) {
            warn!(id = view.record.id, error = error.message(), "hand a container's ports and names over again");
        }
    }
    if let Err(error) = engine.networks.relay.speak(|relay| relay.refresh(subjects.clone())) {
        warn!(error = error.message(), "have the names of networks read");
    }
    for one in held {
        let id = one.container.as_str();
        if !views.iter().any(|view| view.record.id == id && view.state.networking.sandbox) {
            let_go(engine, id);
        }
    }
}

fn needs(networking: &Networking) -> bool {
    networking.sandbox
        && (!networking.ports.is_empty() || networking.attachments.values().any(|place| !place.names.is_empty()))
}

fn hold_missing(engine: &Arc<Engine>, view: &View, held: &[Held]) -> Result<()> {
    let (id, networking) = (&view.record.id, &view.state.networking);
    let held = held.iter().find(|held| held.container.as_str() == id);
    let mut reserved = Vec::new();
    for port in networking.ports.iter().filter(|port| port.bound) {
        let wanted = relay_port(port.kind(), port.host);
        let is_held = held.is_some_and(|held| held.ports.iter().any(|one| one.port == wanted));
        if !is_held {
            let socket = corten_relay::reserve(wanted);
            let socket =
                socket.map_err(|error| EngineError::internal(format!("reserve {wanted} again")).caused_by(error))?;
            reserved.push(Reserved { port: port.clone(), socket: Some(socket) });
        }
    }
    let resolves = networking.attachments.values().any(|place| !place.names.is_empty());
    let resolver = match resolves && !held.is_some_and(|held| held.has_resolver) {
        true => Some(engine.networks.kernel()?.resolver(&sandbox::of(engine, id))?),
        false => None,
    };
    names::write_container(engine, view)?;
    if reserved.is_empty() && resolver.is_none() {
        return Ok(());
    }
    hold(engine, id, view.state.pid, &reserved, resolver.as_ref())
}
