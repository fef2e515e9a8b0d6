//! A machine of the test's own: a network namespace with [`Kernel`] in it, containers that answer, and a world outside.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    thread,
    time::Duration,
};

use corten_network::{
    Kernel, NetworkError,
    kernel::sandbox,
    plan::{
        Bridge, DefaultRoute, DefaultRoutes, Desired, Driver, Endpoint, Family, Network, Port, Protocol, Sandbox,
        Settings,
    },
};
use integration_tests::{DEADLINE, TempRoot, in_own_network, random_id, sh};

/// How long a packet that is dropped is waited for. One that is late passes for dropped, never the other way.
pub const DROPPED: Duration = Duration::from_millis(400);

/// A machine. Dropping it takes away what is bound outside of its namespace.
pub struct Host {
    pub kernel: Kernel,
    pub desired: Desired,
    root: TempRoot,
}

/// A container: its sandbox, its first address, and a server in it that tells whom it sees.
pub struct Container {
    pub sandbox: Sandbox,
    pub endpoint: Endpoint,
    pub address: Ipv4Addr,
}

/// The port every container answers at.
pub const SERVED: u16 = 8080;

/// Runs `test` on a machine without any network but loopback, with forwarding off.
pub fn on_host(test: impl FnOnce(&mut Host) + Send) {
    in_own_network(|| {
        let mut host = Host::new();
        test(&mut host);
    });
}

pub fn settings() -> Settings {
    let owner = random_id(16);
    let (system_bus, bus_patience) = (String::new(), integration_tests::DEADLINE);
    let (ip_forward, ip_forward_no_drop, rules_v4, rules_v6) = (true, true, true, true);
    Settings { owner, ip_forward, ip_forward_no_drop, rules_v4, rules_v6, system_bus, bus_patience, accept_mark: None }
}

impl Host {
    /// One in this thread's namespace, which did not forward before.
    pub fn new() -> Self {
        fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap();
        Self::with(Kernel::open(settings()).unwrap())
    }

    pub fn with(kernel: Kernel) -> Self {
        Self { kernel, desired: Desired::default(), root: TempRoot::new() }
    }

    /// A network 10.88.`number`.0/24 with a bridge, changed by `change` and made.
    pub fn network(&mut self, number: u8, change: impl FnOnce(&mut Network)) -> Network {
        let mut network = bridge_network(number);
        change(&mut network);
        self.kernel.make_network(&network).unwrap();
        self.desired.networks.push(network.clone());
        network
    }

    /// A container with the address of that number, which answers at [`SERVED`].
    pub fn container(&mut self, network: &Network, number: u8) -> Container {
        let sandbox = self.sandbox();
        let container = self.join(&sandbox, network, number, "eth0");
        let family = network.v4.as_ref().unwrap();
        let via = family.default_route.or(family.gateway).filter(|_| !network.internal);
        let v4 = via.map(|via| DefaultRoute { interface: "eth0".to_owned(), via: Some(via) });
        let v6 = network.v6.as_ref().and_then(|family| family.gateway);
        let v6 = v6.map(|via| DefaultRoute { interface: "eth0".to_owned(), via: Some(via) });
        let routes = DefaultRoutes { v4, v6 };
        self.kernel.route(&sandbox, &routes).unwrap();
        self.desired.routes.push((sandbox.clone(), routes));
        serve(&sandbox);
        container
    }

    pub fn sandbox(&self) -> Sandbox {
        let sandbox = Sandbox { path: self.root.path().join("netns").join(random_id(12)) };
        self.kernel.make_sandbox(&sandbox).unwrap();
        sandbox
    }

    pub fn join(&mut self, sandbox: &Sandbox, network: &Network, number: u8, interface: &str) -> Container {
        let endpoint = endpoint(network, number, interface);
        self.kernel.join(sandbox, network, &endpoint).unwrap();
        self.desired.endpoints.push((sandbox.clone(), endpoint.clone()));
        let address = endpoint.v4.unwrap().addr();
        Container { sandbox: sandbox.clone(), endpoint, address }
    }

    /// Publishes the container's port at that one of the host.
    pub fn publish(&mut self, network: &Network, container: &Container, host: &str) -> Port {
        let port = port(network, container, host);
        self.kernel.publish(std::slice::from_ref(&port)).unwrap();
        self.desired.ports.push(port.clone());
        port
    }

    /// Another machine, 203.0.113.2, with the host at 203.0.113.1; it routes to containers by the host.
    pub fn world(&self) -> Sandbox {
        let world = self.sandbox();
        let path = world.path.display();
        sh(&format!(
            "ip link add wan type veth peer name eth0 netns {path}; ip addr add 203.0.113.1/24 dev wan; ip link set wan up"
        ));
        sandbox::inside(&world, || {
            sh("ip addr add 203.0.113.2/24 dev eth0; ip link set eth0 up; ip route add 10.88.0.0/16 via 203.0.113.1");
            Ok(())
        })
        .unwrap();
        serve(&world);
        world
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Ok(entries) = fs::read_dir(self.root.path().join("netns")) {
            for entry in entries.flatten() {
                let _ = self.kernel.remove_sandbox(&Sandbox { path: entry.path() }); // the root is checked for mounts
            }
        }
    }
}

pub fn bridge_network(number: u8) -> Network {
    let id = format!("{number:02x}{}", &"0123456789abcdef".repeat(4)[2..]);
    let v4 = Family {
        subnet: format!("10.88.{number}.0/24").parse().unwrap(),
        gateway: Some(Ipv4Addr::new(10, 88, number, 1)),
        on_bridge: true,
        default_route: None,
        masquerade: true,
        leave_as: None,
        mode: Default::default(),
    };
    let bridge =
        Bridge { interface: format!("br-{number}"), adopted: false, icc: true, trusted_interfaces: Vec::new() };
    Network {
        id,
        name: format!("net{number}"),
        driver: Driver::Bridge(bridge),
        v4: Some(v4),
        v6: None,
        mtu: None,
        internal: false,
    }
}

pub fn bridge(network: &mut Network) -> &mut Bridge {
    match &mut network.driver {
        Driver::Bridge(bridge) => bridge,
        Driver::Macvlan(_) => panic!("network {} has no bridge", network.name),
    }
}

pub fn endpoint(network: &Network, number: u8, interface: &str) -> Endpoint {
    let subnet = network.v4.as_ref().unwrap().subnet;
    let [a, b, c, _] = subnet.network().octets();
    let v6 = network.v6.as_ref().map(|family| {
        let mut octets = family.subnet.network().octets();
        octets[15] = number;
        ipnet::Ipv6Net::new(octets.into(), family.subnet.prefix_len()).unwrap()
    });
    let address = Ipv4Addr::new(a, b, c, number);
    Endpoint {
        id: format!("{c:02x}{number:02x}{}", "0123456789abcdef".repeat(4)),
        network: network.id.clone(),
        container: format!("{number:02x}{}", "0123456789abcdef".repeat(4)),
        interface: interface.to_owned(),
        mac: [2, 0x42, a, b, c, number],
        v4: Some(ipnet::Ipv4Net::new(address, subnet.prefix_len()).unwrap()),
        v6,
        link_local: Vec::new(),
        sysctls: BTreeMap::new(),
    }
}

pub fn port(network: &Network, container: &Container, host: &str) -> Port {
    Port {
        protocol: Protocol::Tcp,
        host: host.parse().unwrap(),
        container: SocketAddr::from((container.address, SERVED)),
        network: network.id.clone(),
        loopback: true,
    }
}

/// Answers in the sandbox at [`SERVED`], for as long as it lasts, with the address of whoever asks; by TCP and UDP.
pub fn serve(sandbox: &Sandbox) {
    let (tcp, udp) = sandbox::inside(sandbox, || {
        let any = if fs::exists("/proc/net/if_inet6").unwrap() { "[::]" } else { "0.0.0.0" };
        let tcp = TcpListener::bind(format!("{any}:{SERVED}")).unwrap();
        Ok((tcp, UdpSocket::bind(format!("{any}:{SERVED}")).unwrap()))
    })
    .unwrap();
    thread::spawn(move || {
        for mut stream in tcp.incoming().flatten() {
            let peer = stream.peer_addr().map(|peer| peer.ip().to_canonical().to_string()).unwrap_or_default();
            let _ = io::Write::write_all(&mut stream, peer.as_bytes()); // the client may be gone
        }
    });
    thread::spawn(move || {
        let mut buffer = [0; 64];
        while let Ok((_, sender)) = udp.recv_from(&mut buffer) {
            let _ = udp.send_to(sender.ip().to_canonical().to_string().as_bytes(), sender);
        }
    });
}

/// Whom the server at `to` sees when this thread's namespace connects.
pub fn ask(to: impl Into<SocketAddr>) -> io::Result<IpAddr> {
    ask_within(to.into(), DEADLINE)
}

fn ask_within(to: SocketAddr, patience: Duration) -> io::Result<IpAddr> {
    let mut stream = TcpStream::connect_timeout(&to, patience)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    answer.parse().map_err(|_| io::Error::other(format!("{to} answers {answer:?}")))
}

/// Whether this thread's namespace gets no answer from there.
#[track_caller]
pub fn assert_closed(to: impl Into<SocketAddr>) {
    let to = to.into();
    assert!(ask_within(to, DROPPED).is_err(), "{to} is reached");
}

/// [`ask`] from within a sandbox.
#[track_caller]
pub fn ask_from(sandbox: &Sandbox, to: impl Into<SocketAddr>) -> IpAddr {
    let to = to.into();
    inside(sandbox, || ask(to)).unwrap_or_else(|error| panic!("{to} from {}: {error}", sandbox.path.display()))
}

/// [`assert_closed`] from within a sandbox.
#[track_caller]
pub fn assert_closed_from(sandbox: &Sandbox, to: impl Into<SocketAddr>) {
    let to = to.into();
    assert!(inside(sandbox, || ask_within(to, DROPPED)).is_err(), "{to} is reached");
}

/// Does `work` in the sandbox.
pub fn inside<T: Send>(at: &Sandbox, work: impl FnOnce() -> T + Send) -> T {
    sandbox::inside(at, || Ok::<T, NetworkError>(work())).unwrap()
}

/// The lines of `ip neigh`, `ip addr`, …: what `command` prints in the sandbox.
pub fn sh_in(sandbox: &Sandbox, command: &str) -> String {
    inside(sandbox, || sh(command))
}
