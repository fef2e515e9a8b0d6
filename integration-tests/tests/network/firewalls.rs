//! Beside firewalls of others: what they drop by default they let pass for containers, and theirs stays theirs.

use std::net::{Ipv4Addr, TcpListener, TcpStream};

use corten_network::{Kernel, plan::Sandbox};
use integration_tests::{DEADLINE, TempRoot, in_own_network, programs, sh};

use crate::host::{DROPPED, Host, SERVED, ask_from, assert_closed_from, inside, on_host, settings};

pub const WORLD: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);
pub const HOST: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);

/// Traffic of containers passes, that of others does not, and what containers are kept from stays so. The container and
/// the world go on.
pub fn judge(host: &mut Host) -> (Sandbox, Sandbox) {
    let world = host.world();
    let network = host.network(1, |_| {});
    let container = host.container(&network, 2);
    host.publish(&network, &container, "0.0.0.0:8081");
    assert_eq!(ask_from(&container.sandbox, (WORLD, SERVED)), HOST);
    assert_eq!(ask_from(&world, (HOST, 8081)), WORLD);
    assert_closed_from(&world, (container.address, SERVED));
    assert_eq!(host.kernel.check(&host.desired).unwrap(), []);
    (container.sandbox, world)
}

#[test]
fn a_policy_of_dropping_does_not_concern_containers() {
    for program in ["iptables-nft", "iptables-legacy"] {
        in_own_network(|| {
            sh(&format!(
                "{program} -P FORWARD DROP; {program} -N DOCKER-USER; {program} -A FORWARD -j DOCKER-USER; \
                 {program} -A DOCKER-USER -s 203.0.113.9 -j DROP; {program} -A FORWARD -j REJECT"
            ));
            let mut host = Host::new();
            judge(&mut host);
            let listed = sh(&format!("{program} -S FORWARD"));
            let rules: Vec<&str> = listed.lines().collect();
            let expected = [
                "-P FORWARD DROP",
                "-A FORWARD -j DOCKER-USER",
                "-A FORWARD -j CORTEN-FORWARD",
                "-A FORWARD -j REJECT --reject-with icmp-port-unreachable",
            ];
            assert_eq!(rules, expected);
            // Somebody makes his rules anew.
            sh(&format!("{program} -F FORWARD; {program} -A FORWARD -j REJECT"));
            let found = host.kernel.check(&host.desired).unwrap();
            assert!(
                found.iter().any(|difference| difference.what.ends_with("does not let the bridges' traffic pass")),
                "{found:?}"
            );
            host.kernel.repair(&host.desired).unwrap();
            let (_, container) = &host.desired.endpoints[0];
            let _ = container;
            let sandbox = host.desired.endpoints[0].0.clone();
            assert_eq!(ask_from(&sandbox, (WORLD, SERVED)), HOST);
            assert_eq!(host.kernel.check(&host.desired).unwrap(), []);
        });
    }
}

/// ufw with its settings and locks in `directory` alone.
fn ufw(directory: &std::path::Path, arguments: &str) -> String {
    let directory = directory.display();
    sh(&format!(
        "unshare --mount sh -ec 'mount --make-rprivate /; mount --bind {directory} /etc/ufw; mount -t tmpfs none /run; \
         exec ufw {arguments}'"
    ))
}

#[test]
fn ufw_guards_the_host_and_lets_containers_be() {
    let _installed = programs::original("ufw");
    in_own_network(|| {
        let root = TempRoot::new();
        let settings = root.path().join("ufw");
        sh(&format!("cp -a /etc/ufw {}", settings.display()));
        let said = ufw(&settings, "--force enable");
        assert!(said.contains("Firewall is active"), "{said}");
        let mut host = Host::new();
        let (container, world) = judge(&mut host);
        // What ufw is for.
        let _server = TcpListener::bind((HOST, 9090)).unwrap();
        let reaches = |patience| inside(&world, || TcpStream::connect_timeout(&(HOST, 9090).into(), patience).is_ok());
        assert!(!reaches(DROPPED));
        ufw(&settings, "allow 9090/tcp");
        assert!(reaches(DEADLINE));
        ufw(&settings, "reload");
        assert_eq!(host.kernel.check(&host.desired).unwrap(), []);
        assert_eq!(ask_from(&container, (WORLD, SERVED)), HOST);
        assert_eq!(ask_from(&world, (HOST, 8081)), WORLD);
        // Made anew by somebody who makes everything anew.
        ufw(&settings, "disable");
        ufw(&settings, "--force enable");
        host.kernel.repair(&host.desired).unwrap();
        assert_eq!(ask_from(&container, (WORLD, SERVED)), HOST);
        assert_eq!(ask_from(&world, (HOST, 8081)), WORLD);
    });
}

#[test]
fn whoever_had_forwarding_off_is_no_router_for_strangers() {
    for (keeps_open, closed) in [(false, true), (true, false)] {
        in_own_network(|| {
            let mut settings = settings();
            settings.ip_forward_no_drop = keeps_open;
            std::fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap();
            let mut host = Host::with(Kernel::open(settings).unwrap());
            assert_eq!(sh("cat /proc/sys/net/ipv4/ip_forward").trim(), "1");
            assert_eq!(sh("nft list ruleset").contains("policy drop"), closed);
            judge(&mut host);
        });
    }
}

#[test]
fn another_engine_on_the_same_machine_is_left_alone() {
    on_host(|host| {
        let other = Kernel::open(settings()).unwrap();
        let theirs = crate::host::bridge_network(9);
        other.make_network(&theirs).unwrap();
        judge(host);
        let desired = corten_network::plan::Desired { networks: vec![theirs.clone()], ..Default::default() };
        host.kernel.repair(&host.desired).unwrap();
        assert_eq!(other.check(&desired).unwrap(), []);
        assert!(host.kernel.make_network(&theirs).is_err());
        other.remove_network(&theirs).unwrap();
    });
}

#[test]
fn rules_of_others_that_only_pass_start_no_program() {
    in_own_network(|| {
        sh(
            "nft add table ip filter; nft 'add chain ip filter FORWARD { type filter hook forward priority 0; policy accept; }'",
        );
        let mut host = Host::new();
        judge(&mut host);
        assert!(!sh("nft list ruleset").contains("CORTEN-FORWARD"));
    });
}
