//! `network` and `port`: the same bytes as docker's command line; `network check`, which is ours.

use integration_tests::{CortendNetwork, Kind, sh};

use crate::pair::Pair;

#[test]
fn networks_on_dockerd_are_docker_s() {
    compare(Kind::Original);
}

#[test]
fn networks_on_cortend_are_docker_s() {
    compare(Kind::Ours);
}

fn compare(kind: Kind) {
    let mut pair = Pair::start_with_network(kind, CortendNetwork::Private);
    pair.same(&["network", "ls"]);
    pair.prepare(&["network", "create", "--subnet", "10.91.0.0/16", "--label", "a=b", "-o", "x.y=z", "web"]);
    pair.prepare(&["network", "create", "--internal", "--attachable", "closed"]);
    pair.prepare(&[
        "run",
        "-d",
        "--name",
        "one",
        "--network",
        "web",
        "-p",
        "80",
        "-p",
        "81:81/udp",
        "busybox",
        "sleep",
        "1000",
    ]);
    pair.prepare(&["create", "--name", "two", "--network", "closed", "busybox", "true"]);
    let listings: [&[&str]; 18] = [
        &["ls"],
        &["list", "-q"],
        &["ls", "--no-trunc"],
        &["ls", "--format", "json"],
        &["ls", "--format", "raw"],
        &[
            "ls",
            "--format",
            "{{.ID}} {{.Name}} {{.Driver}} {{.Scope}} {{.IPv6}} {{.Internal}} {{.Labels}} {{.Label \"a\"}}",
        ],
        &["ls", "--format", "table {{.Name}}\\t{{.Driver}}"],
        &["ls", "--format", "{{.Nope}}"],
        &["ls", "-f", "name=we"],
        &["ls", "-f", "driver=bridge", "-q"],
        &["ls", "-f", "type=custom"],
        &["ls", "-f", "label=a=b"],
        &["ls", "-f", "bogus=1"],
        &["inspect", "web"],
        &["inspect", "web", "nope", "closed"],
        &["inspect", "-f", "{{.Name}} {{json .IPAM.Config}} {{len .Containers}} {{index .Options \"x.y\"}}", "web"],
        &["inspect"],
        &["inspect", "-f", "{{.Nope}}", "web"],
    ];
    for arguments in listings {
        pair.same(&[&["network"], arguments].concat());
    }
    pair.same(&["inspect", "--type", "network", "closed"]);
    for arguments in [
        &["port", "one"][..],
        &["port", "one", "80"],
        &["port", "one", "81/udp"],
        &["port", "one", "82"],
        &["port", "two"],
        &["port", "nope"],
        &["port"],
        &["ps", "--format", "{{.Names}} {{.Ports}} {{.Networks}}"],
    ] {
        pair.same(arguments);
    }
    pair.finish();
}

#[test]
fn mistakes_about_networks_on_dockerd_are_docker_s() {
    mistakes(Kind::Original);
}

#[test]
fn mistakes_about_networks_on_cortend_are_docker_s() {
    mistakes(Kind::Ours);
}

fn mistakes(kind: Kind) {
    let mut pair = Pair::start_with_network(kind, CortendNetwork::Private);
    pair.prepare(&["network", "create", "--subnet", "10.92.0.0/16", "web"]);
    pair.prepare(&["run", "-d", "--name", "one", "--network", "web", "busybox", "sleep", "1000"]);
    for arguments in [
        &["network", "create"][..],
        &["network", "create", "bridge"],
        &["network", "create", "web"],
        &["network", "create", "--subnet", "10.92.3.0/24", "other"],
        &["network", "create", "--subnet", "nonsense", "other"],
        &["network", "create", "-d", "nope", "other"],
        &["network", "rm"],
        &["network", "connect", "web"],
        &["network", "connect", "web", "nope"],
        &["network", "connect", "nope", "one"],
        &["network", "connect", "web", "one"],
        &["network", "disconnect", "bridge", "one"],
        &["network", "disconnect", "web", "nope"],
        &["network", "disconnect", "nope", "one"],
        &["network", "bogus"],
        &["network", "prune", "-f", "--filter", "bogus=1"],
        &["run", "--rm", "--network", "nope", "busybox", "true"],
        &["run", "--rm", "-p", "99999:80", "busybox", "true"],
        &["run", "--rm", "-p", "a:80", "busybox", "true"],
    ] {
        pair.same(arguments);
    }
    pair.finish();
}

#[test]
fn what_is_done_to_networks_on_dockerd_is_docker_s() {
    changes(Kind::Original);
}

#[test]
fn what_is_done_to_networks_on_cortend_is_docker_s() {
    changes(Kind::Ours);
}

fn changes(kind: Kind) {
    let mut pair = Pair::start_with_network(kind, CortendNetwork::Private);
    pair.prepare(&["network", "create", "web"]);
    pair.prepare(&["run", "-d", "--name", "one", "busybox", "sleep", "1000"]);
    let gone: &[&str] = &["network", "rm", "made"];
    let made: &[&str] = &["network", "create", "made"];
    let apart: &[&str] = &["network", "disconnect", "-f", "web", "one"];
    let together: &[&str] = &["network", "connect", "web", "one"];
    pair.same_after(&[gone], &["network", "create", "--subnet", "10.93.0.0/24", "--gateway", "10.93.0.9", "made"]);
    pair.same_after(&[gone, made], &["network", "rm", "made"]);
    pair.same_after(&[gone, made], &["network", "remove", "-f", "made", "nope"]);
    pair.same_after(&[gone, apart, made, together], &["network", "prune", "-f"]);
    pair.same_after(&[apart], &["network", "connect", "--alias", "x", "web", "one"]);
    pair.same_after(&[apart, together], &["network", "disconnect", "web", "one"]);
    pair.same_after(&[apart, together], &["exec", "one", "ifconfig", "eth1", "up"]);
    pair.finish();
}

#[test]
fn check_tells_what_is_damaged_and_mends_it() {
    let mut pair = Pair::start_with_network(Kind::Ours, CortendNetwork::Private);
    pair.prepare(&["network", "create", "--subnet", "10.94.0.0/24", "web"]);
    let clean = pair.corten.run(&["network", "check"]).ok();
    assert_eq!((clean.out(), clean.err()), ("", ""));
    // Nobody hears of this one, so nobody mends it before it is asked for.
    let id = pair.prepare(&["network", "inspect", "-f", "{{.Id}}", "web"]).out()[..12].to_owned();
    let damage = format!("echo 0 > /proc/sys/net/ipv4/conf/br-{id}/route_localnet");
    drop(pair.stack.cortend().network().enter(|| sh(&damage)));
    let line = format!("network web: /proc/sys/net/ipv4/conf/br-{id}/route_localnet is 0, not 1");
    let found = pair.corten.run(&["network", "check"]).code(1);
    assert_eq!(found.out(), line);
    assert!(found.err().contains("network check --fix mends them"), "{}", found.err());
    assert_eq!(pair.corten.run(&["network", "check", "--fix"]).ok().out(), format!("{line} (mended)"));
    assert_eq!(pair.corten.run(&["network", "check"]).ok().out(), "");
}
