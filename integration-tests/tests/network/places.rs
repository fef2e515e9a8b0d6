//! Sandboxes, macvlan, sizes: what containers find in their place.

use std::net::{IpAddr, Ipv4Addr};

use corten_network::plan::{DefaultRoute, DefaultRoutes, Driver, Macvlan, MacvlanMode, Port, Protocol};
use integration_tests::{DEADLINE, sh, wait_for};

use crate::host::{SERVED, ask, ask_from, bridge_network, endpoint, on_host, serve, sh_in};

const WORLD: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);

#[test]
fn a_macvlan_container_is_on_its_parents_wire() {
    on_host(|host| {
        let world = host.world();
        let mut network = bridge_network(1);
        network.driver = Driver::Macvlan(Macvlan { parent: "wan".to_owned(), mode: MacvlanMode::Bridge });
        let family = network.v4.as_mut().unwrap();
        family.subnet = "203.0.113.0/24".parse().unwrap();
        host.kernel.make_network(&network).unwrap();
        host.desired.networks.push(network.clone());
        let (one, two) = (host.sandbox(), host.sandbox());
        let first = host.join(&one, &network, 50, "eth0");
        host.join(&two, &network, 51, "eth0");
        let route = DefaultRoute { interface: "eth0".to_owned(), via: Some(WORLD) };
        host.kernel.route(&one, &DefaultRoutes { v4: Some(route), v6: None }).unwrap();
        assert!(sh_in(&one, "ip route").contains("default via 203.0.113.2 dev eth0"));
        assert_eq!(ask_from(&one, (WORLD, SERVED)), first.address);
        serve(&two);
        assert_eq!(ask_from(&one, ([203, 0, 113, 51], SERVED)), first.address);
        host.kernel.join(&one, &network, &first.endpoint).unwrap();
        assert_eq!(host.kernel.check(&host.desired).unwrap(), []);
        host.kernel.leave(&one, &network, &first.endpoint).unwrap();
        assert!(!sh_in(&one, "ip -o link").contains("eth0"));
        drop(world);
        let mut lost = network.clone();
        lost.driver = Driver::Macvlan(Macvlan { parent: "none".to_owned(), mode: MacvlanMode::Bridge });
        let error = host.kernel.make_network(&lost).unwrap_err();
        assert_eq!(error.to_string(), "network net1: there is no interface none");
    });
}

#[test]
fn a_container_finds_the_size_the_addresses_and_the_settings_it_was_given() {
    on_host(|host| {
        let network = host.network(1, |network| network.mtu = Some(1400));
        let sandbox = host.sandbox();
        let mut place = endpoint(&network, 2, "net7");
        place.link_local.push("169.254.7.7".parse().unwrap());
        place.sysctls.insert("net/ipv4/conf/net7/forwarding".to_owned(), "1".to_owned());
        host.kernel.join(&sandbox, &network, &place).unwrap();
        let seen = sh_in(&sandbox, "ip addr show net7; cat /proc/sys/net/ipv4/conf/net7/forwarding; ip addr show lo");
        for part in
            ["mtu 1400", "02:42:0a:58:01:02", "10.88.1.2/24 brd 10.88.1.255", "169.254.7.7/16", "\n1\n", "127.0.0.1/8"]
        {
            assert!(seen.contains(part), "{part:?} is not in {seen}");
        }
        assert!(sh("ip link show br-1").contains("mtu 1400"));
        assert!(!sh_in(&sandbox, "ip route").contains("default"));
        let routes = |via: [u8; 4]| DefaultRoutes {
            v4: Some(DefaultRoute { interface: "net7".to_owned(), via: Some(via.into()) }),
            v6: None,
        };
        host.kernel.route(&sandbox, &routes([10, 88, 1, 1])).unwrap();
        host.kernel.route(&sandbox, &routes([10, 88, 1, 9])).unwrap();
        assert_eq!(sh_in(&sandbox, "ip route | grep default").trim(), "default via 10.88.1.9 dev net7");
        host.kernel.route(&sandbox, &DefaultRoutes::default()).unwrap();
        assert!(!sh_in(&sandbox, "ip route").contains("default"));
    });
}

#[test]
fn the_hosts_ranges_are_told_without_our_own() {
    on_host(|host| {
        host.world();
        host.network(1, |_| {});
        sh("ip route add 10.200.0.0/16 via 203.0.113.2");
        let ranges = host.kernel.host_ranges().unwrap();
        let has =
            |range: &str| ranges.iter().any(|found| found.range == range.parse().unwrap() && found.interface == "wan");
        assert!(has("203.0.113.0/24") && has("10.200.0.0/16"), "{ranges:?}");
        assert!(!ranges.iter().any(|found| found.range.contains(&IpAddr::from([10, 88, 1, 1]))), "{ranges:?}");
    });
}

#[test]
fn five_hundred_ports_come_and_go() {
    on_host(|host| {
        let network = host.network(1, |_| {});
        let container = host.container(&network, 2);
        let port = |number: u16| Port {
            protocol: if number.is_multiple_of(2) { Protocol::Tcp } else { Protocol::Udp },
            host: ([0, 0, 0, 0], number).into(),
            container: (container.address, if number == 20_498 { SERVED } else { number }).into(),
            network: network.id.clone(),
            loopback: true,
        };
        let ports: Vec<Port> = (20_000..20_500).map(port).collect();
        host.kernel.publish(&ports).unwrap();
        host.desired.ports.clone_from(&ports);
        assert_eq!(host.kernel.check(&host.desired).unwrap(), []);
        assert!(ask(([127, 0, 0, 1], 20_498)).is_ok());
        host.kernel.unpublish(&ports[..250]).unwrap();
        host.kernel.unpublish(&ports).unwrap();
        host.desired.ports.clear();
        assert_eq!(host.kernel.check(&host.desired).unwrap(), []);
        assert!(ask(([127, 0, 0, 1], 20_498)).is_err());
    });
}

#[test]
fn a_container_that_starts_again_does_not_wait_for_its_earlier_interface() {
    on_host(|host| {
        let network = host.network(1, |_| {});
        let again = endpoint(&network, 2, "eth0");
        for round in 0..60 {
            let sandbox = host.sandbox();
            // The kernel takes the pair of the round before away behind our back.
            host.kernel.join(&sandbox, &network, &again).unwrap_or_else(|error| panic!("round {round}: {error}"));
            host.kernel.forget(&network, &again).unwrap();
            host.kernel.remove_sandbox(&sandbox).unwrap();
        }
    });
}

#[test]
fn containers_that_come_and_go_leave_nothing() {
    on_host(|host| {
        let network = host.network(1, |_| {});
        let before = sh("ip -o link | wc -l");
        // The kernel takes its time for each namespace that goes, and whoever makes the next waits.
        let containers = std::env::var("CORTEN_NETWORK_CYCLES").map_or(60, |number| number.parse::<u32>().unwrap());
        for number in 0..containers {
            let sandbox = host.sandbox();
            let mut place = endpoint(&network, (number % 200) as u8 + 2, "eth0");
            place.id = format!("{number:07x}{}", place.id);
            host.kernel.join(&sandbox, &network, &place).unwrap();
            let port = Port {
                protocol: Protocol::Udp,
                host: ([0, 0, 0, 0], 20_000 + (number % 100) as u16).into(),
                container: (place.v4.unwrap().addr(), 53).into(),
                network: network.id.clone(),
                loopback: true,
            };
            host.kernel.publish(std::slice::from_ref(&port)).unwrap();
            host.kernel.unpublish(std::slice::from_ref(&port)).unwrap();
            host.kernel.forget(&network, &place).unwrap();
            host.kernel.remove_sandbox(&sandbox).unwrap();
        }
        wait_for("the containers' interfaces to go", DEADLINE, || sh("ip -o link | wc -l") == before);
        assert_eq!(host.kernel.check(&host.desired).unwrap(), []);
    });
}
