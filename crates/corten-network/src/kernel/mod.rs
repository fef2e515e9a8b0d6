//! The plan in the kernel: bridges, sandboxes, endpoints, rules, published ports.

use std::net::{TcpListener, UdpSocket};

use crate::error::NetworkError;
use crate::plan::{DefaultRoutes, Desired, Difference, Endpoint, HostRange, Network, Port, Sandbox, Settings};

type Result<T> = std::result::Result<T, NetworkError>;

/// One engine's objects in the kernel, in the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct Kernel {
    settings: Settings,
}

/// The sockets of a sandbox's resolver: both are bound in it, to 127.0.0.11 and a port of the kernel's choice.
#[derive(Debug)]
pub struct ResolverSockets {
    /// For datagrams.
    pub udp: UdpSocket,
    /// For connections; it listens.
    pub tcp: TcpListener,
}

impl Kernel {
    /// Looks at what the kernel can do and makes what all networks share: the engine's own tables, forwarding, the place
    /// of containers' traffic in foreign firewalls.
    ///
    /// # Errors
    /// [`NetworkError::Lacking`] without nf_tables: an engine goes on without bridge networks then.
    pub fn open(settings: Settings) -> Result<Self> {
        Ok(Self { settings })
    }

    /// What it was opened with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Makes a network's objects, or brings those that are there to what they are to be.
    ///
    /// # Errors
    /// What is missing, foreign or refused; what was made of it is gone again.
    pub fn make_network(&self, network: &Network) -> Result<()> {
        later(&network.name)
    }

    /// Removes a network's objects; what is not there is as well as removed.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn remove_network(&self, network: &Network) -> Result<()> {
        later(&network.name)
    }

    /// Makes a sandbox whose loopback interface is up, and binds it to its path. One that is there stays.
    ///
    /// # Errors
    /// What the kernel refuses; nothing is left then.
    pub fn make_sandbox(&self, sandbox: &Sandbox) -> Result<()> {
        later(&sandbox.path.display().to_string())
    }

    /// Unbinds a sandbox. Its interfaces go with the last process or socket in it.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn remove_sandbox(&self, sandbox: &Sandbox) -> Result<()> {
        later(&sandbox.path.display().to_string())
    }

    /// Connects a sandbox to a network.
    ///
    /// # Errors
    /// What the kernel refuses; nothing of the endpoint is left then.
    pub fn join(&self, sandbox: &Sandbox, network: &Network, endpoint: &Endpoint) -> Result<()> {
        let _ = (sandbox, endpoint);
        later(&network.name)
    }

    /// Takes a sandbox that stays out of a network.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn leave(&self, sandbox: &Sandbox, network: &Network, endpoint: &Endpoint) -> Result<()> {
        let _ = (sandbox, endpoint);
        later(&network.name)
    }

    /// Forgets an endpoint whose sandbox goes: elements of the rules and tracked connections. The interface goes with the
    /// sandbox.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn forget(&self, network: &Network, endpoint: &Endpoint) -> Result<()> {
        let _ = endpoint;
        later(&network.name)
    }

    /// Makes these the default routes of a sandbox, and the only ones.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn route(&self, sandbox: &Sandbox, routes: &DefaultRoutes) -> Result<()> {
        let _ = routes;
        later(&sandbox.path.display().to_string())
    }

    /// Makes the sockets of a sandbox's resolver and the rules that lead port 53 of 127.0.0.11 to them.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn resolver(&self, sandbox: &Sandbox) -> Result<ResolverSockets> {
        later(&sandbox.path.display().to_string())?;
        Err(NetworkError::Invalid("no resolver".to_owned()))
    }

    /// Publishes ports: all of them, or none. Those that are published stay.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn publish(&self, ports: &[Port]) -> Result<()> {
        later(&format!("{} ports", ports.len()))
    }

    /// Takes ports back; what is not there is as well as taken back.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn unpublish(&self, ports: &[Port]) -> Result<()> {
        later(&format!("{} ports", ports.len()))
    }

    /// The address ranges that are the host's own or foreign networks'.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn host_ranges(&self) -> Result<Vec<HostRange>> {
        Ok(Vec::new())
    }

    /// What of `desired` is not there, and what is there of ours that is not desired.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn check(&self, desired: &Desired) -> Result<Vec<Difference>> {
        let _ = desired;
        Ok(Vec::new())
    }

    /// Brings everything to what is desired, and says what had to be mended.
    ///
    /// # Errors
    /// What the kernel refuses; what could be mended is.
    pub fn repair(&self, desired: &Desired) -> Result<Vec<Difference>> {
        self.check(desired)
    }
}

fn later(object: &str) -> Result<()> {
    Err(NetworkError::Invalid(format!("{object}: networks cannot be made yet")))
}
