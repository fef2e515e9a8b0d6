//! What the kernel takes for a container's network: sandbox, pair of interfaces, addresses, routes, one port. It is
//! measured without the daemons, in a network namespace of its own.

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use corten_network::{
    Kernel,
    plan::{
        Bridge, DefaultRoute, DefaultRoutes, Driver, Endpoint, Family, GatewayMode, Network, Port, Protocol, Sandbox,
        Settings,
    },
};
use integration_tests::{TempRoot, in_own_network, random_id};

use crate::compare::{Report, median};

const ROUNDS: u8 = 60;
const PORTS: u16 = 500;
const SUBNET: [u8; 3] = [10, 88, 1];

/// Measures it.
pub fn measure(report: &mut Report) {
    let figures = in_own_network(|| {
        let root = TempRoot::new();
        let kernel = Kernel::open(settings()).expect("a kernel with nf_tables");
        let network = network();
        kernel.make_network(&network).expect("a network is made");
        let set_up = (0..ROUNDS).map(|round| one(&kernel, &network, &root, round)).collect();
        let ports: Vec<Port> = (20_000..20_000 + PORTS).map(|number| port(&network, 2, number)).collect();
        let many: (Vec<_>, Vec<_>) =
            (0..ROUNDS).map(|_| (timed(|| kernel.publish(&ports)), timed(|| kernel.unpublish(&ports)))).unzip();
        [median(set_up), median(many.0), median(many.1)].map(|time| time.as_secs_f64() * 1000.0)
    });
    report.bound("network of a container with one port, set up", figures[0], None, 3.0, "ms");
    report.bound("500 ports published in the kernel", figures[1], None, 20.0, "ms");
    report.bound("500 ports taken back in the kernel", figures[2], None, 20.0, "ms");
}

#[expect(clippy::disallowed_methods, reason = "nothing announces that the kernel has cleaned up")]
fn one(kernel: &Kernel, network: &Network, root: &TempRoot, round: u8) -> Duration {
    let sandbox = Sandbox { path: root.path().join("netns").join(random_id(12)) };
    let endpoint = endpoint(network, round + 2);
    let via = Some(Ipv4Addr::from([SUBNET[0], SUBNET[1], SUBNET[2], 1]));
    let routes = DefaultRoutes { v4: Some(DefaultRoute { interface: endpoint.interface.clone(), via }), v6: None };
    let port = port(network, round + 2, 8080);
    let took = timed(|| {
        kernel.make_sandbox(&sandbox)?;
        kernel.join(&sandbox, network, &endpoint)?;
        kernel.route(&sandbox, &routes)?;
        kernel.publish(std::slice::from_ref(&port))
    });
    kernel.unpublish(&[port]).expect("a port is taken back");
    kernel.forget(network, &endpoint).expect("an endpoint is forgotten");
    kernel.remove_sandbox(&sandbox).expect("a sandbox is removed");
    // The kernel cleans up behind; who comes meanwhile waits, which is measured by nobody here.
    std::thread::sleep(Duration::from_millis(100));
    took
}

fn timed(work: impl FnOnce() -> Result<(), corten_network::NetworkError>) -> Duration {
    let begun = Instant::now();
    work().expect("the kernel does as it is told");
    begun.elapsed()
}

fn settings() -> Settings {
    let (owner, system_bus) = (random_id(16), String::new());
    let (ip_forward, ip_forward_no_drop, rules_v4, rules_v6) = (true, true, true, true);
    Settings {
        owner,
        ip_forward,
        ip_forward_no_drop,
        rules_v4,
        rules_v6,
        system_bus,
        bus_patience: Duration::from_secs(5),
        accept_mark: None,
    }
}

fn network() -> Network {
    let v4 = Family {
        subnet: "10.88.1.0/24".parse().expect("a subnet"),
        gateway: Some(Ipv4Addr::new(10, 88, 1, 1)),
        on_bridge: true,
        default_route: None,
        masquerade: true,
        leave_as: None,
        mode: GatewayMode::Nat,
    };
    Network {
        id: random_id(64),
        name: "bench".to_owned(),
        driver: Driver::Bridge(Bridge {
            interface: "br-bench".to_owned(),
            adopted: false,
            icc: true,
            trusted_interfaces: Vec::new(),
        }),
        v4: Some(v4),
        v6: None,
        mtu: None,
        internal: false,
    }
}

fn address(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(SUBNET[0], SUBNET[1], SUBNET[2], number)
}

fn endpoint(network: &Network, number: u8) -> Endpoint {
    Endpoint {
        id: random_id(64),
        network: network.id.clone(),
        container: random_id(64),
        interface: "eth0".to_owned(),
        mac: [2, 0x42, SUBNET[0], SUBNET[1], SUBNET[2], number],
        v4: format!("{}/24", address(number)).parse().ok(),
        v6: None,
        link_local: Vec::new(),
        sysctls: std::collections::BTreeMap::new(),
    }
}

fn port(network: &Network, container: u8, number: u16) -> Port {
    Port {
        protocol: Protocol::Tcp,
        host: ([0, 0, 0, 0], number).into(),
        container: (address(container), number).into(),
        network: network.id.clone(),
        loopback: true,
    }
}
