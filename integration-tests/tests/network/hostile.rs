//! Containers that administer their own network, and use that against others.

use std::{
    net::{Ipv4Addr, Ipv6Addr, UdpSocket},
    time::Duration,
};

use corten_network::plan::{Family, GatewayMode, Sandbox};
use integration_tests::{DEADLINE, sh, wait_for};

use crate::{
    firewalls::{HOST, WORLD},
    host::{Host, bridge, inside, on_host, sh_in},
};

/// Where strikes are waited for.
const STRUCK: u16 = 9009;

/// A datagram is awaited at every address of this thread's network namespace, or of a sandbox's.
fn wait_in(sandbox: Option<&Sandbox>) -> UdpSocket {
    let bind = || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, STRUCK)).unwrap();
    let socket = sandbox.map_or_else(bind, |sandbox| inside(sandbox, bind));
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket
}

/// Sends a datagram to `target` after `preparations`, which are undone; that it cannot be sent is as good as lost.
fn strike(attacker: &Sandbox, preparations: &str, target: Ipv4Addr) {
    let interface = "ip -4 addr show dev eth0 | sed -n 's/^ *inet \\([^ ]*\\).*/\\1/p'";
    let (address, mac) = (sh_in(attacker, interface), sh_in(attacker, &mac_of("eth0")));
    let default = sh_in(attacker, "ip route show default");
    sh_in(attacker, preparations);
    inside(attacker, || {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        socket.set_broadcast(true).unwrap();
        let _ = socket.send_to(preparations.as_bytes(), (target, STRUCK));
    });
    sh_in(
        attacker,
        &format!(
            "ip link set eth0 down; ip link set eth0 address {}; ip neigh flush all; ip addr flush dev eth0; \
             ip addr flush dev lo; ip addr add 127.0.0.1/8 dev lo; ip addr add {} dev eth0; ip link set eth0 up; \
             [ -z '{2}' ] || ip route replace {2}",
            mac.trim(),
            address.trim(),
            default.trim()
        ),
    );
}

/// The command that prints an interface's address on the wire.
fn mac_of(interface: &str) -> String {
    format!("ip -o link show dev {interface} | sed -n 's/.*link.ether \\([^ ]*\\).*/\\1/p'")
}

/// What arrived: the strikes that went through, before `last` was told to arrive.
#[track_caller]
fn assert_untouched(waiting: &UdpSocket, last: impl FnOnce()) {
    last();
    let mut struck = [0; 1000];
    let (length, sender) = waiting.recv_from(&mut struck).expect("what may arrive arrives");
    assert_eq!(String::from_utf8_lossy(&struck[..length]), "last", "{sender} strikes");
}

/// That the strike is one, where there are no rules.
#[track_caller]
fn assert_strikes(waiting: &UdpSocket, attacker: &Sandbox, preparations: &str, target: Ipv4Addr) {
    sh("nft flush ruleset");
    strike(attacker, preparations, target);
    let mut struck = [0; 1000];
    let (length, _) = waiting.recv_from(&mut struck).expect("without rules it arrives");
    assert_eq!(String::from_utf8_lossy(&struck[..length]), preparations);
}

/// Sends the datagram that may arrive.
fn tell(from: &Sandbox, target: Ipv4Addr) {
    inside(from, || UdpSocket::bind("0.0.0.0:0").unwrap().send_to(b"last", (target, STRUCK)).unwrap());
}

#[test]
fn a_container_that_administers_its_network_reaches_no_other() {
    on_host(|host| {
        host.world();
        let [open, other, closed] =
            [1, 2, 3].map(|number| host.network(number, |network| bridge(network).icc = number != 3));
        let attacker = host.container(&open, 2).sandbox;
        let (victim, neighbour) = (host.container(&other, 2), host.container(&other, 3));
        let waiting = wait_in(Some(&victim.sandbox));
        for preparations in [
            "ip route replace 10.88.2.2 via 10.88.1.1",
            "ip addr add 10.88.2.9/24 dev eth0; ip route replace 10.88.2.2 via 10.88.1.1 src 10.88.2.9",
            "ip addr add 10.88.2.1/32 dev lo; ip route replace 10.88.2.2 via 10.88.1.1 src 10.88.2.1",
            "ip addr add 203.0.113.2/32 dev lo; ip route replace 10.88.2.2 via 10.88.1.1 src 203.0.113.2",
            "ip addr add 127.9.9.9/32 dev lo; ip route replace 10.88.2.2 via 10.88.1.1 src 127.9.9.9",
            "ip addr flush dev eth0; ip addr add 10.88.2.9/24 dev eth0",
        ] {
            strike(&attacker, preparations, victim.address);
            strike(&attacker, preparations, Ipv4Addr::new(10, 88, 2, 255));
        }
        assert_untouched(&waiting, || tell(&neighbour.sandbox, victim.address));

        // Of a bridge whose containers do not reach each other.
        let (attacker, victim) = (host.container(&closed, 2).sandbox, host.container(&closed, 3));
        let [a, b, c, d, e, f] = victim.endpoint.mac;
        let mac = format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}");
        let bridge_mac = sh(&mac_of("br-3"));
        let waiting = wait_in(Some(&victim.sandbox));
        for preparations in [
            "true".to_owned(),
            format!("ip neigh replace 10.88.3.3 lladdr {mac} dev eth0"),
            "ip route replace 10.88.3.3 via 10.88.3.1".to_owned(),
            format!("ip neigh replace 10.88.3.3 lladdr {} dev eth0", bridge_mac.trim()),
            "ip neigh replace 10.88.3.3 lladdr ff:ff:ff:ff:ff:ff dev eth0".to_owned(),
            "ip link set eth0 down; ip link set eth0 address 02:00:00:00:00:07; ip link set eth0 up".to_owned(),
            "ip addr add 203.0.113.2/32 dev lo; ip route replace 10.88.3.3 via 10.88.3.1 src 203.0.113.2".to_owned(),
        ] {
            strike(&attacker, &preparations, victim.address);
            strike(&attacker, &preparations, Ipv4Addr::new(10, 88, 3, 255));
        }
        assert_untouched(&waiting, || {
            // The host is nobody's neighbour.
            UdpSocket::bind("0.0.0.0:0").unwrap().send_to(b"last", (victim.address, STRUCK)).unwrap();
        });
        let by_the_host = "ip route replace 10.88.3.3 via 10.88.3.1";
        assert_strikes(&waiting, &attacker, by_the_host, victim.address);
        assert_strikes(
            &waiting,
            &attacker,
            &format!("ip neigh replace 10.88.3.3 lladdr {mac} dev eth0"),
            victim.address,
        );
    });
}

#[test]
fn a_container_that_administers_its_network_does_not_leave_an_isolated_one() {
    on_host(|host| {
        let world = host.world();
        let isolated = host.network(1, |network| {
            network.internal = true;
            network.v4.as_mut().unwrap().mode = GatewayMode::Isolated;
        });
        let internal = host.network(2, |network| network.internal = true);
        let open = host.network(3, |_| {});
        let victim = host.container(&open, 2);
        let at_host = wait_in(None);
        let in_world = wait_in(Some(&world));
        let in_container = wait_in(Some(&victim.sandbox));
        for (network, number) in [(&isolated, 1), (&internal, 2)] {
            let attacker = host.container(network, 2).sandbox;
            let mac = sh(&mac_of(&format!("br-{number}")));
            let gateway = format!("10.88.{number}.1");
            let knows = format!("ip neigh replace {gateway} lladdr {} dev eth0", mac.trim());
            for target in [HOST, WORLD, victim.address] {
                if target == HOST && number == 2 {
                    // An internal network's host is its containers' neighbour, as with docker.
                    continue;
                }
                let route = format!("ip route replace {target} via {gateway} onlink dev eth0");
                for preparations in [
                    format!("{knows}; {route}"),
                    format!("{knows}; ip addr add 203.0.113.2/32 dev lo; {route} src 203.0.113.2"),
                    format!("{knows}; ip addr add 10.88.3.1/32 dev lo; {route} src 10.88.3.1"),
                    format!("ip route replace {target} dev eth0"),
                    format!(
                        "ip neigh replace {target} lladdr {} dev eth0; ip route replace {target} dev eth0",
                        mac.trim()
                    ),
                ] {
                    strike(&attacker, &preparations, target);
                }
            }
        }
        assert_untouched(&at_host, || tell(&world, HOST));
        assert_untouched(&in_world, || tell(&victim.sandbox, WORLD));
        assert_untouched(&in_container, || {
            UdpSocket::bind("0.0.0.0:0").unwrap().send_to(b"last", (victim.address, STRUCK)).unwrap();
        });
        let attacker = host.container(&isolated, 3).sandbox;
        let mac = sh(&mac_of("br-1"));
        let knows = format!("ip neigh replace 10.88.1.1 lladdr {} dev eth0", mac.trim());
        for (waiting, target) in [(&at_host, HOST), (&in_world, WORLD), (&in_container, victim.address)] {
            let preparations = format!("{knows}; ip route replace {target} via 10.88.1.1 onlink dev eth0");
            assert_strikes(waiting, &attacker, &preparations, target);
        }
    });
}

/// Says that its sender is everybody's router, and where one lives.
const ADVERTISEMENT: &str = "python3 - <<'END'
import socket, struct
s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
i = socket.if_nametoindex('eth0')
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, i)
prefix = struct.pack('!BBBBIII', 3, 4, 64, 0xc0, 86400, 14400, 0) + socket.inet_pton(socket.AF_INET6, '2001:db8:bad::')
s.sendto(struct.pack('!BBHBBHII', 134, 0, 0, 64, 0, 1800, 0, 0) + prefix, ('ff02::1', 0, 0, i))
END";

#[test]
fn nobody_believes_a_container_that_calls_itself_a_router() {
    on_host(|host: &mut Host| {
        let network = host.network(1, |network| {
            network.v6 = Some(Family {
                subnet: "fd00:88:1::/64".parse().unwrap(),
                gateway: Some(Ipv6Addr::new(0xfd00, 0x88, 1, 0, 0, 0, 0, 1)),
                on_bridge: true,
                default_route: None,
                masquerade: true,
                leave_as: None,
                mode: GatewayMode::Nat,
            });
        });
        let [attacker, victim, credulous] = [2, 3, 4].map(|number| host.container(&network, number).sandbox);
        sh_in(&credulous, "echo 2 > /proc/sys/net/ipv6/conf/eth0/accept_ra");
        let routes = "ip -6 route show default; ip -6 addr show";
        let believes = |said: &str| said.contains("proto ra") || said.contains("2001:db8:bad:");
        wait_for("somebody to believe it", DEADLINE, || {
            sh_in(&attacker, ADVERTISEMENT);
            corten_sys::poll::readable(&[], Some(Duration::from_millis(50))).unwrap();
            believes(&sh_in(&credulous, routes))
        });
        for said in [sh_in(&victim, routes), sh(routes)] {
            assert!(!believes(&said), "{said}");
        }
    });
}
