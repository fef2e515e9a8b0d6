//! Names of networks, asked for by what people's containers have.

use std::process::Command;

use corten_relay::Subject;
use corten_relay::names::{ContainerNames, Forward, Link, SeenNetwork};
use integration_tests::{Ran, TempRoot, in_own_network, programs, sh};

use super::{Container, Served, id};

/// A container in the networks `front` and `back`.
fn set_up() -> (Served, Container) {
    let mut served = Served::new();
    let container = Container::new("client");
    served.name_network(
        "front",
        &[
            ("web www 0123456789ab", &["10.1.0.2", "fd00::2"]),
            ("db", &["10.1.0.3"]),
            ("a app", &["10.1.0.4"]),
            ("b app", &["10.1.0.5"]),
        ],
    );
    served.name_network("back", &[("db", &["10.2.0.3"])]);
    served.name_network("foreign", &[("secret", &["10.3.0.2"])]);
    served.name_container(&container, &["front", "back"], Forward::Nowhere, Vec::new());
    served.resolve_for(&container);
    (served, container)
}

#[test]
fn dig_finds_names_aliases_short_ids_and_addresses() {
    in_own_network(|| {
        let (_served, container) = set_up();
        let none: &[&str] = &[];
        let expected = [
            ("web", "NOERROR", &["10.1.0.2"][..]),
            ("WWW", "NOERROR", &["10.1.0.2"]),
            ("0123456789ab", "NOERROR", &["10.1.0.2"]),
            ("web.front", "NOERROR", &["10.1.0.2"]),
            ("web AAAA", "NOERROR", &["fd00::2"]),
            ("db", "NOERROR", &["10.1.0.3"]),
            ("db.back", "NOERROR", &["10.2.0.3"]),
            ("db AAAA", "NOERROR", none),
            ("web MX", "NOERROR", none),
            ("app", "NOERROR", &["10.1.0.4", "10.1.0.5"]),
            ("-x 10.1.0.2", "NOERROR", &["web.front."]),
            ("-x fd00::2", "NOERROR", &["web.front."]),
            ("-x 10.2.0.3", "NOERROR", &["db.back."]),
            // Not forwarded, and so a failure: docker's answer.
            ("secret", "SERVFAIL", none),
            ("web.back", "SERVFAIL", none),
            ("web TXT", "SERVFAIL", none),
            // Of services alone, which only a swarm has.
            ("_http._tcp.web SRV", "SERVFAIL", none),
            ("-x 10.3.0.2", "SERVFAIL", none),
        ];
        let questions = expected.map(|(question, _, _)| question);
        for option in ["+notcp", "+tcp", "+noedns"] {
            let found = container.ask_all(option, &questions);
            for ((question, status, answers), expected) in found.iter().zip(expected) {
                let answers: Vec<&str> = answers.iter().map(String::as_str).collect();
                assert_eq!((*question, status.as_str(), answers.as_slice()), expected, "{option}");
            }
        }
        let said = container.dig(&format!("+short {}", ["app"; 20].join(" ")));
        let firsts: std::collections::HashSet<&str> = said.lines().step_by(2).collect();
        assert_eq!(firsts.len(), 2, "each is the first one in its turn");
    });
}

#[test]
fn the_resolvers_of_glibc_musl_and_busybox_find_them() {
    in_own_network(|| {
        let (served, container) = set_up();
        // glibc asks for no address of a family that the container has none of.
        container.inside(|| {
            sh("ip link add eth0 type veth peer name eth1; ip addr add 10.1.0.9/24 dev eth0
                ip addr add fd00::9/64 dev eth0 nodad; ip link set eth0 up; ip link set eth1 up")
        });
        let resolv = served.root.join("resolv.conf");
        std::fs::write(&resolv, "nameserver 127.0.0.11\noptions ndots:0\n").unwrap();
        let run = |command: &str| {
            let script = format!("mount --bind {} /etc/resolv.conf && {command}", resolv.display());
            let mut shell = Command::new("unshare");
            shell.args(["-m", "sh", "-ec", &script]);
            container.inside(|| Ran::of(&mut shell)).ok().out().to_owned()
        };
        assert!(run("getent ahostsv4 web").starts_with("10.1.0.2"));
        assert!(run("getent ahostsv6 web").starts_with("fd00::2"));
        assert!(run("getent hosts 10.1.0.3").contains("db.front"));
        let said = run("busybox nslookup web 127.0.0.11");
        assert!(said.contains("10.1.0.2") && said.contains("fd00::2"), "{said}");
        let program = musl_resolver(&served.root);
        let sorted = |said: String| {
            let mut lines: Vec<String> = said.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        assert_eq!(sorted(run(&format!("{program} web"))), ["10.1.0.2", "fd00::2"]);
        assert_eq!(sorted(run(&format!("{program} app"))), ["10.1.0.4", "10.1.0.5"]);
        assert_eq!(sorted(run(&format!("{program} db.back"))), ["10.2.0.3"]);
        // Try again: what an answer of 2 means there.
        assert_eq!(sorted(run(&format!("{program} secret"))), ["EAI_AGAIN"]);
    });
}

/// A program with musl's resolver that prints the addresses of a name.
fn musl_resolver(root: &TempRoot) -> String {
    const SOURCE: &str = r#"
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
int main(int count, char **words) {
    struct addrinfo wanted = { .ai_socktype = SOCK_STREAM }, *found;
    int error = getaddrinfo(words[1], 0, &wanted, &found);
    if (error) { puts(error == EAI_AGAIN ? "EAI_AGAIN" : gai_strerror(error)); return 0; }
    for (; found; found = found->ai_next) {
        char text[100];
        getnameinfo(found->ai_addr, found->ai_addrlen, text, sizeof text, 0, 0, NI_NUMERICHOST);
        puts(text);
    }
    return 0;
}
"#;
    let (source, program) = (root.join("resolve.c"), root.join("resolve"));
    std::fs::write(&source, SOURCE).unwrap();
    let mut compiler = Command::new(programs::original("musl-gcc"));
    let _ = Ran::of(compiler.arg("-static").arg("-o").arg(&program).arg(&source)).ok();
    program.display().to_string()
}

#[test]
fn addresses_of_a_name_take_turns() {
    in_own_network(|| {
        let (_served, container) = set_up();
        let said = container.dig("+short app app app app app app app app");
        let answers: Vec<Vec<&str>> = said.lines().collect::<Vec<_>>().chunks(2).map(<[_]>::to_vec).collect();
        assert_eq!(answers.len(), 8, "{said}");
        for pair in answers.windows(2) {
            assert_eq!(pair[0].iter().rev().collect::<Vec<_>>(), pair[1].iter().collect::<Vec<_>>(), "{said}");
        }
    });
}

#[test]
fn too_many_addresses_come_by_a_stream() {
    in_own_network(|| {
        let (mut served, container) = set_up();
        let addresses: Vec<String> = (1..=100).map(|last| format!("10.9.0.{last}")).collect();
        let hosts: Vec<[&str; 1]> = addresses.iter().map(|address| [address.as_str()]).collect();
        let hosts: Vec<(&str, &[&str])> = hosts.iter().map(|address| ("crowd", address.as_slice())).collect();
        served.name_network("front", &hosts);
        let said = container.dig("crowd +noedns +ignore");
        assert!(said.contains(" tc ") && said.contains("ANSWER: 30,"), "{said}");
        let said = container.dig("crowd +noedns");
        assert!(said.contains("ANSWER: 100,") && said.contains("retrying in TCP mode"), "{said}");
        assert!(container.dig("crowd +bufsize=4096").contains("ANSWER: 100,"));
    });
}

#[test]
fn what_is_refreshed_is_seen_by_the_next_question() {
    in_own_network(|| {
        let (mut served, container) = set_up();
        for last in 10..15 {
            let address = format!("10.1.0.{last}");
            served.name_network("front", &[("web", &[&address])]);
            assert_eq!(container.ask("web"), [address]);
        }
        assert_eq!(container.status("www"), "SERVFAIL", "an alias that is gone");
        let link = Link { alias: "store".to_owned(), name: "db".to_owned() };
        let view = ContainerNames {
            id: container.id.clone(),
            networks: vec![
                SeenNetwork { id: id("foreign"), links: Vec::new() },
                SeenNetwork { id: id("back"), links: vec![link] },
            ],
            forward: Forward::Nowhere,
            keeps_single_labels: true,
            servers: Vec::new(),
        };
        served.names().write_container(&view).unwrap();
        served.relay.refresh(vec![Subject::Container(container.id.clone())]).unwrap();
        assert_eq!(container.ask("store"), ["10.2.0.3"]);
        assert_eq!(container.ask("secret"), ["10.3.0.2"]);
        assert_eq!(container.status("web"), "NOERROR", "nothing, so that the client goes on with its search list");
        assert_eq!(container.status("web.front"), "SERVFAIL");
        served.names().remove_network(&id("foreign")).unwrap();
        served.relay.refresh(vec![Subject::Network(id("foreign"))]).unwrap();
        assert_eq!(container.ask("secret"), [""; 0]);
    });
}
