//! Who reaches whom, judged by connections.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use corten_network::Kernel;
use corten_network::plan::{GatewayMode, Protocol, Settings};
use integration_tests::{in_own_network, sh};

use crate::host::{
    Host, SERVED, ask, ask_from, assert_closed, assert_closed_from, bridge, inside, on_host, port, settings, sh_in,
};

const WORLD: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);
const HOST: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);

/// With frames within a bridge seen by the packet filter or not, where the kernel can do that.
fn with_and_without_bridge_filter(test: impl Fn(&mut Host) + Send + Copy) {
    for value in ["0", "1"] {
        on_host(move |host| {
            if std::fs::write("/proc/sys/net/bridge/bridge-nf-call-iptables", value).is_ok() || value == "0" {
                test(host);
            }
        });
    }
}

#[test]
fn a_container_reaches_the_world_with_the_hosts_address_and_is_not_reached() {
    with_and_without_bridge_filter(|host| {
        let world = host.world();
        let network = host.network(1, |_| {});
        let container = host.container(&network, 2);
        assert_eq!(ask_from(&container.sandbox, (WORLD, SERVED)), HOST);
        assert_closed_from(&world, (container.address, SERVED));
        assert_eq!(ask((container.address, SERVED)).unwrap(), Ipv4Addr::new(10, 88, 1, 1));
    });
}

#[test]
fn a_published_port_is_reached_from_everywhere() {
    with_and_without_bridge_filter(|host| {
        let world = host.world();
        let (network, other) = (host.network(1, |_| {}), host.network(2, |_| {}));
        let (container, neighbour) = (host.container(&network, 2), host.container(&network, 3));
        let stranger = host.container(&other, 2);
        host.publish(&network, &container, "0.0.0.0:8081");
        let gateway = IpAddr::from([10, 88, 1, 1]);
        assert_eq!(ask(([127, 0, 0, 1], 8081)).unwrap(), gateway);
        assert_eq!(ask((HOST, 8081)).unwrap(), HOST);
        assert_eq!(ask_from(&world, (HOST, 8081)), WORLD);
        // By the host's address: from the same bridge, itself among them, and from another.
        assert_eq!(ask_from(&neighbour.sandbox, (HOST, 8081)), gateway);
        assert_eq!(ask_from(&container.sandbox, (HOST, 8081)), gateway);
        assert_eq!(ask_from(&stranger.sandbox, (HOST, 8081)), gateway);
        // And by its own address only from its own network.
        assert_eq!(ask_from(&neighbour.sandbox, (container.address, SERVED)), neighbour.address);
        assert_closed_from(&world, (container.address, SERVED));
        assert_closed_from(&stranger.sandbox, (container.address, SERVED));
        host.kernel.unpublish(&host.desired.ports).unwrap();
        assert!(ask((HOST, 8081)).is_err());
        host.kernel.unpublish(&host.desired.ports).unwrap();
    });
}

#[test]
fn a_port_of_one_address_is_at_no_other() {
    on_host(|host| {
        let world = host.world();
        let network = host.network(1, |_| {});
        let container = host.container(&network, 2);
        host.publish(&network, &container, "127.0.0.1:8081");
        host.publish(&network, &container, "203.0.113.1:8082");
        assert!(ask(([127, 0, 0, 1], 8081)).is_ok());
        assert!(ask((HOST, 8081)).is_err());
        assert!(ask(([127, 0, 0, 1], 8082)).is_err());
        assert_eq!(ask_from(&world, (HOST, 8082)), WORLD);
        assert!(inside(&world, || ask((HOST, 8081))).is_err());
    });
}

#[test]
fn a_loopback_port_is_not_for_neighbours_nor_containers() {
    on_host(|host| {
        let world = host.world();
        let network = host.network(1, |_| {});
        let (container, neighbour) = (host.container(&network, 2), host.container(&network, 3));
        host.publish(&network, &container, "127.0.0.1:8081");
        // Both would send there, if they may: packets for 127.0.0.1 that leave by the wire.
        for (sandbox, via) in [(&world, HOST), (&neighbour.sandbox, Ipv4Addr::new(10, 88, 1, 1))] {
            sh_in(
                sandbox,
                &format!(
                    "echo 1 > /proc/sys/net/ipv4/conf/eth0/route_localnet; ip addr del 127.0.0.1/8 dev lo; \
                     ip route del local 127.0.0.0/8 dev lo table local 2>/dev/null || true; \
                     ip route add 127.0.0.1 via {via} dev eth0 onlink"
                ),
            );
            assert_closed_from(sandbox, ([127, 0, 0, 1], 8081));
        }
        assert!(ask(([127, 0, 0, 1], 8081)).is_ok());
    });
}

#[test]
fn a_relayed_port_is_translated_but_on_loopback() {
    on_host(|host| {
        let world = host.world();
        let network = host.network(1, |_| {});
        let container = host.container(&network, 2);
        let mut relayed = port(&network, &container, "0.0.0.0:8081");
        relayed.loopback = false;
        host.kernel.publish(std::slice::from_ref(&relayed)).unwrap();
        assert!(ask(([127, 0, 0, 1], 8081)).is_err());
        assert_eq!(ask_from(&world, (HOST, 8081)), WORLD);
    });
}

#[test]
fn containers_of_a_closed_bridge_reach_the_world_and_not_each_other() {
    with_and_without_bridge_filter(|host| {
        host.world();
        let network = host.network(1, |network| bridge(network).icc = false);
        let (one, two) = (host.container(&network, 2), host.container(&network, 3));
        assert_eq!(ask_from(&one.sandbox, (WORLD, SERVED)), HOST);
        assert_closed_from(&one.sandbox, (two.address, SERVED));
        // Nor by way of the host.
        sh_in(&one.sandbox, "ip route add 10.88.1.3 via 10.88.1.1");
        assert_closed_from(&one.sandbox, (two.address, SERVED));
        // But by what is published.
        host.publish(&network, &two, "0.0.0.0:8081");
        assert_eq!(ask_from(&one.sandbox, (HOST, 8081)), Ipv4Addr::new(10, 88, 1, 1));
        assert!(host.kernel.check(&host.desired).unwrap().is_empty());
    });
}

#[test]
fn nothing_goes_in_or_out_of_an_internal_network() {
    with_and_without_bridge_filter(|host| {
        let world = host.world();
        let network = host.network(1, |network| network.internal = true);
        let other = host.network(2, |_| {});
        let (one, two) = (host.container(&network, 2), host.container(&network, 3));
        let stranger = host.container(&other, 2);
        assert_eq!(ask_from(&one.sandbox, (two.address, SERVED)), one.address);
        assert!(ask((one.address, SERVED)).is_ok());
        // Also with a route that somebody in it makes.
        sh_in(&one.sandbox, "ip route add default via 10.88.1.1");
        for to in [WORLD, stranger.address] {
            assert_closed_from(&one.sandbox, (to, SERVED));
        }
        assert_closed_from(&world, (one.address, SERVED));
        assert_closed_from(&stranger.sandbox, (one.address, SERVED));
    });
}

#[test]
fn networks_do_not_reach_each_other() {
    with_and_without_bridge_filter(|host| {
        let (one, two) = (host.network(1, |_| {}), host.network(2, |_| {}));
        let (first, second) = (host.container(&one, 2), host.container(&two, 2));
        assert_closed_from(&first.sandbox, (second.address, SERVED));
        assert_closed_from(&second.sandbox, (first.address, SERVED));
        // A container in both is reached by both.
        let both = host.join(&first.sandbox, &two, 9, "eth1");
        assert_eq!(ask_from(&second.sandbox, (both.address, SERVED)), second.address);
        host.kernel.leave(&both.sandbox, &two, &both.endpoint).unwrap();
        assert!(inside(&first.sandbox, || !sh("ip link").contains("eth1")));
        host.kernel.leave(&both.sandbox, &two, &both.endpoint).unwrap();
    });
}

#[test]
fn gateway_modes_decide_who_reaches_a_container_directly() {
    on_host(|host| {
        let world = host.world();
        let mode = |number, mode| {
            move |network: &mut corten_network::plan::Network| {
                let _: u8 = number;
                network.v4.as_mut().unwrap().mode = mode;
                network.v4.as_mut().unwrap().masquerade = mode != GatewayMode::Routed;
            }
        };
        let open = host.network(1, mode(1, GatewayMode::NatUnprotected));
        let routed = host.network(2, mode(2, GatewayMode::Routed));
        let (unprotected, published) = (host.container(&open, 2), host.container(&routed, 2));
        let quiet = host.container(&routed, 3);
        assert_eq!(ask_from(&world, (unprotected.address, SERVED)), WORLD);
        host.publish(&routed, &published, "0.0.0.0:8081");
        assert_eq!(ask_from(&world, (published.address, SERVED)), WORLD);
        assert!(inside(&world, || ask((HOST, 8081))).is_err());
        assert_closed_from(&world, (quiet.address, SERVED));
        // It leaves with its own address.
        assert_eq!(ask_from(&quiet.sandbox, (WORLD, SERVED)), quiet.address);
        assert!(sh_in(&world, &format!("busybox ping -c1 -W20 {}", quiet.address)).contains("1 packets received"));
    });
}

#[test]
fn an_isolated_network_has_no_host() {
    on_host(|host| {
        host.world();
        let network = host.network(1, |network| {
            network.internal = true;
            network.v4.as_mut().unwrap().mode = GatewayMode::Isolated;
        });
        let (one, two) = (host.container(&network, 2), host.container(&network, 3));
        assert_eq!(ask_from(&one.sandbox, (two.address, SERVED)), one.address);
        assert!(!sh("ip addr show br-1").contains("inet "));
        // The host answers for all of its addresses on every wire.
        let _listener = std::net::TcpListener::bind(SocketAddr::from((HOST, SERVED))).unwrap();
        sh_in(&one.sandbox, "ip route add 203.0.113.0/24 dev eth0");
        assert_closed_from(&one.sandbox, (HOST, SERVED));
    });
}

#[test]
fn a_trusted_interface_reaches_published_ports_directly() {
    on_host(|host| {
        let world = host.world();
        let network = host.network(1, |network| bridge(network).trusted_interfaces.push("wan".to_owned()));
        let (container, quiet) = (host.container(&network, 2), host.container(&network, 3));
        host.publish(&network, &container, "0.0.0.0:8081");
        assert_eq!(ask_from(&world, (container.address, SERVED)), WORLD);
        assert_closed_from(&world, (quiet.address, SERVED));
    });
}

#[test]
fn containers_leave_with_the_address_their_network_chose() {
    on_host(|host| {
        host.world();
        sh("ip addr add 203.0.113.77/24 dev wan");
        let chosen = Ipv4Addr::new(203, 0, 113, 77);
        let network = host.network(1, |network| network.v4.as_mut().unwrap().leave_as = Some(chosen));
        let container = host.container(&network, 2);
        assert_eq!(ask_from(&container.sandbox, (WORLD, SERVED)), chosen);
    });
}

#[test]
fn both_families_are_published_and_ipv4_alone_has_no_ipv6() {
    on_host(|host| {
        // Frames are shown to the packet filter of one family alone.
        for (name, value) in [("iptables", "0"), ("ip6tables", "1")] {
            let _ = std::fs::write(format!("/proc/sys/net/bridge/bridge-nf-call-{name}"), value); // the kernel may have none
        }
        let world = host.world();
        sh("ip -6 addr add 2001:db8::1/64 dev wan nodad");
        sh_in(&world, "ip -6 addr add 2001:db8::2/64 dev eth0 nodad; ip -6 route add fd00:88::/32 via 2001:db8::1");
        let network = host.network(1, |network| {
            network.v6 = Some(corten_network::plan::Family {
                subnet: "fd00:88:1::/64".parse().unwrap(),
                gateway: Some("fd00:88:1::1".parse().unwrap()),
                on_bridge: true,
                default_route: None,
                masquerade: true,
                leave_as: None,
                mode: GatewayMode::Nat,
            });
        });
        let container = host.container(&network, 2);
        let own = container.endpoint.v6.unwrap().addr();
        let mut six = port(&network, &container, "[::]:8081");
        six.container = SocketAddr::from((own, SERVED));
        host.kernel.publish(std::slice::from_ref(&six)).unwrap();
        let (world_six, host_six): (IpAddr, IpAddr) = ("2001:db8::2".parse().unwrap(), "2001:db8::1".parse().unwrap());
        assert_eq!(ask_from(&world, (host_six, 8081)), world_six);
        assert_eq!(ask((host_six, 8081)).unwrap(), host_six);
        assert_eq!(ask_from(&container.sandbox, (host_six, 8081)), "fd00:88:1::1".parse::<IpAddr>().unwrap());
        assert_eq!(ask_from(&container.sandbox, (world_six, SERVED)), host_six);
        assert_closed_from(&world, (own, SERVED));
        assert_closed(([0, 0, 0, 0, 0, 0, 0, 1], 8081));
        let four = host.network(2, |_| {});
        let plain = host.container(&four, 2);
        assert!(!sh_in(&plain.sandbox, "ip addr show eth0").contains("inet6"));
        assert!(!sh("ip addr show br-2").contains("inet6"));
    });
}

#[test]
fn datagrams_go_to_the_new_container_at_once() {
    on_host(|host| {
        let world = host.world();
        let network = host.network(1, |_| {});
        let (old, new) = (host.container(&network, 2), host.container(&network, 3));
        let mut first = port(&network, &old, "0.0.0.0:8081");
        first.protocol = Protocol::Udp;
        host.kernel.publish(std::slice::from_ref(&first)).unwrap();
        let client = inside(&world, || std::net::UdpSocket::bind("203.0.113.2:0").unwrap());
        client.set_read_timeout(Some(integration_tests::DEADLINE)).unwrap();
        let exchange = || {
            client.send_to(b"x", (HOST, 8081)).unwrap();
            client.recv_from(&mut [0; 64]).unwrap().1
        };
        assert_eq!(exchange(), SocketAddr::from((HOST, 8081)));
        host.kernel.unpublish(std::slice::from_ref(&first)).unwrap();
        let mut second = first.clone();
        second.container = SocketAddr::from((new.address, SERVED));
        host.kernel.publish(std::slice::from_ref(&second)).unwrap();
        // The old one is silent from now on.
        sh_in(&old.sandbox, "ip link set eth0 down");
        assert_eq!(exchange(), SocketAddr::from((HOST, 8081)));
    });
}

/// Marks what somebody sends to these addresses, as an administrator's own table does it.
fn mark(number: u8, to: &str) {
    let script = format!(
        "nft add table inet marks; nft 'add chain inet marks in {{ type filter hook prerouting priority mangle; }}'; \
         nft add rule inet marks in ip daddr {to} meta mark set {number}"
    );
    let _ = sh(&script);
}

#[test]
fn marked_packets_reach_what_is_not_published() {
    in_own_network(|| {
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap();
        let settings = Settings { accept_mark: Some("2/3".parse().unwrap()), ..settings() };
        let mut host = Host::with(Kernel::open(settings.clone()).unwrap());
        let world = host.world();
        let (open, shut) = (host.network(1, |_| {}), host.network(2, |network| network.internal = true));
        let apart = host.network(3, |network| bridge(network).icc = false);
        let (one, two) = (host.container(&open, 2), host.container(&shut, 2));
        let (three, four) = (host.container(&apart, 2), host.container(&apart, 3));
        for container in [&one, &two, &three] {
            assert_closed_from(&world, (container.address, SERVED));
        }
        assert_closed_from(&four.sandbox, (three.address, SERVED));
        // The lowest two bits count; another mark is none.
        mark(5, "10.88.0.0/16");
        assert_closed_from(&world, (one.address, SERVED));
        let _ = sh("nft flush chain inet marks in");
        mark(6, "10.88.0.0/16");
        assert_eq!(ask_from(&world, (one.address, SERVED)), WORLD);
        assert_eq!(ask_from(&world, (three.address, SERVED)), WORLD);
        // What is shut off stays so.
        assert_closed_from(&world, (two.address, SERVED));
        if std::path::Path::new("/proc/sys/net/bridge/bridge-nf-call-iptables").exists() {
            assert_eq!(ask_from(&four.sandbox, (three.address, SERVED)), four.address);
        }
        assert_eq!(host.kernel.check(&host.desired).unwrap(), []);

        // Another mark, or none any more, is a change of rules.
        let changed = Kernel::open(Settings { accept_mark: None, ..settings.clone() }).unwrap();
        changed.repair(&host.desired).unwrap();
        assert_closed_from(&world, (one.address, SERVED));
        let again = Kernel::open(settings).unwrap();
        again.repair(&host.desired).unwrap();
        assert_eq!(ask_from(&world, (one.address, SERVED)), WORLD);
    });
}
