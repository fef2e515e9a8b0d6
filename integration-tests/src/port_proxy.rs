//! corten-proxy or docker-proxy in front of a server of the test's own, started as dockerd starts it.

use std::{
    fs,
    io::Read,
    net::{IpAddr, SocketAddr},
    os::fd::OwnedFd,
    path::Path,
    process::{Child, Command, Stdio},
};

use crate::{Ran, random_id, send_signal, wait::DEADLINE, wait::wait_for_some};

/// One port to be proxied.
#[derive(Debug)]
pub struct ProxiedPort {
    /// `tcp` or `udp`.
    pub protocol: &'static str,
    /// The host's side.
    pub host: SocketAddr,
    /// The container's side.
    pub container: SocketAddr,
    /// The socket that dockerd 28 hands over; 20.10 hands over none.
    pub listener: Option<OwnedFd>,
    /// The most descriptors the proxy may have, when not the test's own limit.
    pub open_files: Option<u32>,
}

impl ProxiedPort {
    /// Of an address that nobody else has: one of the 16 million of loopback.
    #[must_use]
    pub fn of(protocol: &'static str, container: SocketAddr) -> ProxiedPort {
        ProxiedPort { protocol, host: own_loopback_address(), container, listener: None, open_files: None }
    }

    /// Of a socket that is handed over.
    #[must_use]
    pub fn handed_over(
        protocol: &'static str,
        listener: OwnedFd,
        host: SocketAddr,
        container: SocketAddr,
    ) -> ProxiedPort {
        ProxiedPort { protocol, host, container, listener: Some(listener), open_files: None }
    }

    /// dockerd's command line for it.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments: Vec<String> = ["-proto", self.protocol].map(str::to_owned).into();
        for (side, address) in [("host", self.host), ("container", self.container)] {
            arguments.extend([format!("-{side}-ip"), address.ip().to_string()]);
            arguments.extend([format!("-{side}-port"), address.port().to_string()]);
        }
        if self.listener.is_some() {
            arguments.push("-use-listen-fd".to_owned());
        }
        arguments
    }
}

/// A running proxy. Dropped, it is killed.
#[derive(Debug)]
pub struct PortProxy {
    child: Child,
    host: SocketAddr,
}

impl PortProxy {
    /// Starts `program` for `port` and waits for its word on descriptor 3, which it then closes.
    ///
    /// # Errors
    /// What it says there when it is not `0`.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(program: &Path, port: ProxiedPort) -> Result<PortProxy, String> {
        let limit = port.open_files.map_or_else(String::new, |limit| format!("ulimit -n {limit}; "));
        let handed_over = if port.listener.is_some() { "4<&0 " } else { "" };
        let script = format!("{limit}exec \"$0\" \"$@\" 3>&1 1>/dev/null {handed_over}0</dev/null");
        let mut command = Command::new("sh");
        command.args(["-c", &script]).arg(program).args(port.arguments());
        command.stdin(port.listener.map_or_else(Stdio::null, Stdio::from));
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("start {}: {error}", program.display()));
        let mut said = String::new();
        let mut status = child.stdout.take().expect("it is piped");
        status.read_to_string(&mut said).expect("it speaks UTF-8 and closes the descriptor");
        let mut proxy = PortProxy { child, host: port.host };
        if said == "0\n" {
            return Ok(proxy);
        }
        let code = proxy.wait();
        Err(format!("{code} {said}"))
    }

    /// Where it listens.
    #[must_use]
    pub fn host(&self) -> SocketAddr {
        self.host
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How many descriptors it has open.
    ///
    /// # Panics
    /// When it has ended.
    #[must_use]
    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("the proxy runs").count()
    }

    /// Sends `signal` (`TERM`, `INT`), waits for its end and returns its exit status, -1 for a signal.
    ///
    /// # Panics
    /// When it does not end.
    pub fn end(&mut self, signal: &str) -> i32 {
        let _ = send_signal(self.pid(), signal);
        self.wait()
    }

    fn wait(&mut self) -> i32 {
        let ended = || self.child.try_wait().expect("the child is ours");
        wait_for_some("the proxy's end", DEADLINE, ended).code().unwrap_or(-1)
    }
}

impl Drop for PortProxy {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs `program` with `arguments` and without an engine.
#[must_use]
pub fn run_port_proxy(program: &Path, arguments: &[&str]) -> Ran {
    Ran::of(Command::new(program).args(arguments))
}

/// A port below those the kernel gives away, on a random address of 127.0.0.0/8.
fn own_loopback_address() -> SocketAddr {
    let bits = u32::from_str_radix(&random_id(6), 16).expect("they are hexadecimal digits");
    let [_, high, middle, low] = bits.to_be_bytes();
    SocketAddr::new(IpAddr::from([127, high | 1, middle, low.clamp(1, 254)]), 7007)
}
