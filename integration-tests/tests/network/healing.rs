//! What somebody else damages is found and mended, judged by traffic; and what is repeated changes nothing.

use std::{net::Ipv4Addr, time::Duration};

use corten_netlink::{Socket, nft};
use corten_network::{
    NetworkError,
    plan::{Network, Sandbox},
};
use integration_tests::sh;

use crate::host::{Container, Host, SERVED, ask, ask_from, bridge, bridge_network, endpoint, inside, on_host, sh_in};

const WORLD: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);
const HOST: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);

/// Two networks, containers, ports: something of everything.
fn furnish(host: &mut Host) -> (Network, Container, Sandbox) {
    let world = host.world();
    let network = host.network(1, |_| {});
    let closed = host.network(2, |network| bridge(network).icc = false);
    let container = host.container(&network, 2);
    let other = host.container(&closed, 2);
    host.publish(&network, &container, "0.0.0.0:8081");
    host.publish(&closed, &other, "203.0.113.1:8082");
    (network, container, world)
}

#[track_caller]
fn assert_works(container: &Container, world: &Sandbox) {
    assert_eq!(ask_from(&container.sandbox, (WORLD, SERVED)), HOST);
    assert_eq!(ask_from(world, (HOST, 8081)), WORLD);
    assert_eq!(ask_from(world, (HOST, 8082)), WORLD);
    assert_eq!(ask(([127, 0, 0, 1], 8081)).unwrap(), Ipv4Addr::new(10, 88, 1, 1));
}

/// What a container sees of its place: the interface's name, hardware address, addresses and routes.
fn place(container: &Container) -> String {
    sh_in(
        &container.sandbox,
        "ip -o link show eth0 | grep -o 'link/ether [0-9a-f:]*'; ip -o addr show eth0 | awk '{ print $2, $3, $4 }'; ip route",
    )
}

fn generation() -> u32 {
    nft::generation(&mut Socket::netfilter().unwrap()).unwrap()
}

#[test]
fn damage_is_heard_of_named_and_mended_by_one_batch() {
    on_host(|host| {
        let (_, container, world) = furnish(host);
        assert_works(&container, &world);
        let veth = container.endpoint.host_interface();
        let table = corten_network::plan::table(&host.kernel.settings().owner);
        let damages = [
            ("ip link del br-1".to_owned(), "bridge br-1 is missing"),
            ("ip addr del 10.88.1.1/24 dev br-1".to_owned(), "bridge br-1 lacks the address 10.88.1.1/24"),
            ("ip addr flush dev br-2; ip link set br-1 down".to_owned(), "bridge br-1 is down"),
            (
                "ip route del 10.88.1.0/24".to_owned(),
                "the route to the subnet of 10.88.1.1/24 on bridge br-1 is missing",
            ),
            (format!("ip link del {veth}"), "is missing"),
            (format!("ip link set {veth} nomaster"), "is no port of bridge br-1"),
            ("nft flush ruleset".to_owned(), "it is missing"),
            (format!("nft flush chain inet {table} forward"), "its rules were changed"),
            (format!("nft flush map inet {table} any4"), "1 elements of set any4 are missing"),
            (format!("nft add element inet {table} isolated '{{ br-1 }}'"), "1 elements of set isolated do not belong"),
        ];
        let mut watch = host.kernel.watch().unwrap();
        let before_all = place(&container);
        assert!(before_all.contains("eth0 inet 10.88.1.2/24") && before_all.contains("default via 10.88.1.1"));
        for (damage, named) in damages {
            sh(&damage);
            assert!(watch.wait(Some(integration_tests::DEADLINE)).unwrap(), "{damage} is not heard of");
            let found = host.kernel.check(&host.desired).unwrap();
            assert!(found.iter().any(|difference| difference.what.contains(named)), "{damage}: {found:?}");
            let before = generation();
            let mended = host.kernel.repair(&host.desired).unwrap();
            assert!(!mended.is_empty());
            let batches = generation() - before;
            assert!(batches <= 1, "{damage}: {batches} batches");
            assert_eq!(host.kernel.check(&host.desired).unwrap(), [], "after {damage}");
            assert_works(&container, &world);
            assert_eq!(place(&container), before_all, "after {damage}");
            assert_eq!(sh(&format!("ip -o link show {veth}")).lines().count(), 1, "its host's side has its name");
            // What the repair did is not told to who waits for others.
            assert!(!watch.wait(Some(Duration::ZERO)).unwrap(), "the repair after {damage} is heard of");
            assert_eq!((host.kernel.repair(&host.desired).unwrap(), generation()), (Vec::new(), before + batches));
        }
    });
}

#[test]
fn what_is_lost_in_a_crowd_of_events_is_looked_for() {
    on_host(|host| {
        let (network, container, world) = furnish(host);
        let mut watch = host.kernel.watch().unwrap();
        let quiet = |watch: &mut corten_network::kernel::Watch| !watch.wait(Some(Duration::ZERO)).unwrap();
        let crowd =
            |count: u32| sh(&format!("seq {count} | sed 's/^/link set crowd alias /' | ip -batch - > /dev/null"));
        let _ = sh("ip link add crowd type bridge; ip link set crowd up");
        let _ = crowd(10);
        assert!(quiet(&mut watch), "somebody else's interface is nobody's concern");
        // More than the kernel keeps for who does not read: what comes then is not told.
        let _ = crowd(8_000);
        let late = host.container(&network, 9);
        assert!(!quiet(&mut watch), "what was lost may have been anything");
        while !quiet(&mut watch) {}
        assert_eq!(host.kernel.check(&host.desired).unwrap(), []);
        // All interfaces were looked at: also one that was made unheard is known.
        let _ = sh(&format!("ip link del {}", late.endpoint.host_interface()));
        assert!(watch.wait(Some(integration_tests::DEADLINE)).unwrap(), "the loss of it is not heard of");
        host.kernel.repair(&host.desired).unwrap();
        assert_works(&container, &world);
        assert_eq!(ask_from(&world, (HOST, 8081)), WORLD);
    });
}

#[test]
fn damage_without_an_event_is_found_by_a_check() {
    on_host(|host| {
        let (_, container, world) = furnish(host);
        let damages = [
            ("echo 0 > /proc/sys/net/ipv4/conf/br-1/route_localnet", "route_localnet is 0, not 1"),
            ("echo 0 > /proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv4/ip_forward is 0"),
            ("ip link set br-1 group 0", "is in interface group 0"),
        ];
        for (damage, named) in damages {
            sh(damage);
            let found = host.kernel.check(&host.desired).unwrap();
            assert!(found.iter().any(|difference| difference.what.contains(named)), "{damage}: {found:?}");
            host.kernel.repair(&host.desired).unwrap();
            assert_eq!(host.kernel.check(&host.desired).unwrap(), [], "after {damage}");
            assert_works(&container, &world);
        }
    });
}

#[test]
fn everything_may_be_repeated_and_is_removed_by_name() {
    on_host(|host| {
        let (network, container, world) = furnish(host);
        for _ in 0..2 {
            host.kernel.make_network(&network).unwrap();
            host.kernel.make_sandbox(&container.sandbox).unwrap();
            host.kernel.join(&container.sandbox, &network, &container.endpoint).unwrap();
            host.kernel.publish(&host.desired.ports).unwrap();
        }
        assert_works(&container, &world);
        assert_eq!(host.kernel.check(&host.desired).unwrap(), []);
        // Whoever comes after a crash knows ids only.
        let again = corten_network::Kernel::open(host.kernel.settings().clone()).unwrap();
        again.unpublish(&host.desired.ports).unwrap();
        let sandboxes: Vec<_> = host.desired.endpoints.clone();
        let networks = host.desired.networks.clone();
        for (sandbox, endpoint) in &sandboxes {
            let network = networks.iter().find(|network| network.id == endpoint.network).unwrap();
            for _ in 0..2 {
                again.leave(sandbox, network, endpoint).unwrap();
                again.remove_sandbox(sandbox).unwrap();
            }
        }
        for network in networks.iter().chain(&networks) {
            again.remove_network(network).unwrap();
        }
        assert_eq!(again.check(&Default::default()).unwrap(), []);
        assert!(!sh("ip -o link").contains("br-") && !sh("ip -o link").contains("veth"));
        assert!(!sh("nft list ruleset").contains("elements"));
    });
}

#[test]
fn half_made_things_are_completed_and_left_over_ones_removed() {
    on_host(|host| {
        let network = host.network(1, |_| {});
        let sandbox = host.sandbox();
        let endpoint = endpoint(&network, 2, "eth0");
        // The pair of a maker that was killed, in whose sandbox nobody is any more.
        sh(&format!("ip link add {} type veth peer name eth0", endpoint.host_interface()));
        host.kernel.join(&sandbox, &network, &endpoint).unwrap();
        assert!(sh_in(&sandbox, "ip -4 addr show eth0").contains("10.88.1.2/24"));
        // And in it, without an address.
        sh_in(&sandbox, "ip addr flush dev eth0; ip link set eth0 down");
        host.kernel.join(&sandbox, &network, &endpoint).unwrap();
        assert!(sh_in(&sandbox, "ip -4 addr show up dev eth0").contains("10.88.1.2/24"));
        // Nobody wants any of it.
        let left_over = host.kernel.repair(&Default::default()).unwrap();
        assert!(left_over.iter().any(|difference| difference.object == "interface br-1"), "{left_over:?}");
        assert!(!sh("ip -o link").contains("br-1") && !sh("ip -o link").contains("veth"));
        assert!(!sh("nft list ruleset").contains("elements"));
    });
}

#[test]
fn what_fails_leaves_nothing() {
    on_host(|host| {
        let network = host.network(1, |_| {});
        let sandbox = host.sandbox();
        let mut bad = endpoint(&network, 2, "eth0");
        bad.sysctls.insert("net/ipv4/conf/eth0/no_such_setting".to_owned(), "1".to_owned());
        let error = host.kernel.join(&sandbox, &network, &bad).unwrap_err();
        assert!(error.to_string().contains("no_such_setting"), "{error}");
        bad.sysctls = [("../../kernel/panic".to_owned(), "1".to_owned())].into();
        assert!(matches!(host.kernel.join(&sandbox, &network, &bad), Err(NetworkError::Invalid(_))));
        assert!(!inside(&sandbox, || sh("ip -o link")).contains("eth0"));
        assert!(!sh("ip -o link").contains("veth"));
        let mut taken = bridge_network(3);
        taken.v4.as_mut().unwrap().gateway = Some(Ipv4Addr::new(10, 88, 3, 1));
        sh("ip link add br-3 type bridge");
        let error = host.kernel.make_network(&taken).unwrap_err();
        assert_eq!(error.to_string(), "bridge br-3 exists and is not ours");
        host.kernel.remove_network(&taken).unwrap();
        sh("ip link show br-3");
        // Taken over by name it is used as it is, and stays.
        sh("ip addr add 10.88.3.1/24 dev br-3; ip addr add 10.99.0.1/24 dev br-3");
        bridge(&mut taken).adopted = true;
        host.kernel.make_network(&taken).unwrap();
        host.kernel.remove_network(&taken).unwrap();
        assert!(sh("ip addr show br-3").contains("10.99.0.1/24"));
    });
}
