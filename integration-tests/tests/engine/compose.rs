//! docker-compose 1.29, as Debian has it: networks, aliases, addresses and ports, a project's whole life.

use std::{fs, process::Command};

use integration_tests::{Ran, Stack, programs, sh};
use serde_json::json;

use crate::networks::{inspect, networked};
use crate::{expect, get};

const PROJECT: &str = r#"
version: "2.4"
services:
  web:
    image: busybox
    command: sh -c "echo web > /tmp/index.html; exec httpd -f -p 80 -h /tmp"
    ports: ["80"]
    networks: {front: {aliases: [www]}, back: {}}
    stop_grace_period: 0s
  db:
    image: busybox
    command: sleep 1000
    networks: {back: {ipv4_address: 10.77.0.9}}
    stop_grace_period: 0s
  client:
    image: busybox
    depends_on: [web, db]
    command: sleep 1000
    networks: [front, back]
    stop_grace_period: 0s
networks:
  front: {}
  back: {ipam: {config: [{subnet: 10.77.0.0/24, gateway: 10.77.0.1}]}}
"#;

/// What `client` sees of the others; the server may still be starting.
const LOOK: &str = "i=0; until wget -qO- http://www/ 2>/dev/null || [ $i = 400 ]; do i=$((i+1)); sleep 0.05; done; \
                    ping -c 1 db | head -n 1 | cut -d' ' -f3";

fn compose(stack: &Stack, arguments: &[&str]) -> Ran {
    let file = stack.root().join("docker-compose.yml");
    fs::write(&file, PROJECT).unwrap();
    let mut command = Command::new(programs::original("docker-compose"));
    command.args(["--no-ansi", "--project-name", "p", "--file"]).arg(file).args(arguments);
    command.env("DOCKER_HOST", format!("unix://{}", stack.socket().display())).env("HOME", stack.root().path());
    Ran::of(&mut command)
}

#[test]
fn a_project_comes_up_is_made_anew_and_goes() {
    let mut stack = networked();
    let _ = compose(&stack, &["up", "-d"]).ok();
    let seen = "web\n(10.77.0.9):";
    assert_eq!(compose(&stack, &["exec", "-T", "client", "sh", "-c", LOOK]).ok().out(), seen);
    let before = inspect(&stack, "p_web_1")["Id"].clone();
    assert!(compose(&stack, &["up", "-d"]).ok().err().contains("p_web_1 is up-to-date"), "nothing has changed");
    assert_eq!(inspect(&stack, "p_web_1")["Id"], before);

    let _ = compose(&stack, &["up", "-d", "--force-recreate"]).ok();
    assert_ne!(inspect(&stack, "p_web_1")["Id"], before);
    assert_eq!(compose(&stack, &["exec", "-T", "client", "sh", "-c", LOOK]).ok().out(), seen);
    let place = compose(&stack, &["port", "web", "80"]).ok().out().replace("0.0.0.0", "127.0.0.1");
    let fetch = format!("curl -s --max-time 20 http://{place}/");
    assert_eq!(stack.cortend().network().enter(|| sh(&fetch)), "web\n");
    let listed = compose(&stack, &["ps", "--services", "--filter", "status=running"]).ok();
    let mut services: Vec<_> = listed.out().lines().collect();
    services.sort_unstable();
    assert_eq!(services, ["client", "db", "web"]);

    let _ = compose(&stack, &["down"]).ok();
    assert_eq!(expect(get(&stack, "/containers/json?all=1"), 200).json(), json!([]));
    let left = expect(get(&stack, "/networks"), 200).json();
    assert_eq!(left.as_array().unwrap().len(), 3, "{left}");
}
