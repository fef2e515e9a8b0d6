//! Archives on their way through our supervisor: the work is its own, and ends when the client leaves.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use integration_tests::{DEADLINE, ImageFiles, Kind, Stack, busybox, docker_archive, wait_for};

use crate::{expect, get};

/// More than sockets, pipe and queues hold together.
const NOISE_BYTES: usize = 32 << 20;

/// The leases of `operation` that the supervisor itself holds.
fn held(stack: &Stack, operation: &str) -> usize {
    let leases = stack.ctr().run(&["leases", "ls"]).ok();
    let is_its = |line: &&str| line.starts_with(operation) && line.contains("com.corten.lease=supervisor");
    leases.stdout.lines().filter(is_its).count()
}

#[test]
fn a_save_is_the_supervisors_and_ends_with_its_client() {
    let stack = Stack::start(Kind::Ours);
    let image = ImageFiles::new(busybox::layer_with(&[("noise", &vec![7; NOISE_BYTES])]), &["true"]);
    let archive = docker_archive(&image, &["large:latest"]);
    expect(stack.api().send("POST", "/images/load", "application/x-tar", &archive).unwrap(), 200);

    let mut client = UnixStream::connect(stack.socket()).unwrap();
    write!(client, "GET /images/large/get HTTP/1.1\r\nHost: d\r\n\r\n").unwrap();
    client.read_exact(&mut [0; 100_000]).unwrap();
    assert_eq!(held(&stack, "save-"), 1);
    drop(client);
    wait_for("the lease of a save nobody takes to be ended", DEADLINE, || held(&stack, "save-") == 0);
    // The same image is saved whole afterwards.
    let saved = expect(get(&stack, "/images/large/get"), 200).body;
    assert!(saved.len() > NOISE_BYTES && saved.ends_with(&[0; 1024]), "{} bytes", saved.len());
}

#[test]
fn an_import_is_the_supervisors_and_ends_with_its_client() {
    let stack = Stack::start(Kind::Ours);
    // An answer about images waits for the supervisor.
    expect(get(&stack, "/images/json"), 200);
    let before = stack.ctr().run(&["content", "ls", "-q"]).ok().stdout;
    let layer = busybox::layer_with(&[("noise", &vec![7; NOISE_BYTES])]);
    let mut client = UnixStream::connect(stack.socket()).unwrap();
    write!(client, "POST /images/create?fromSrc=-&repo=half HTTP/1.1\r\nHost: d\r\n").unwrap();
    write!(client, "Content-Type: application/x-tar\r\nContent-Length: {}\r\n\r\n", layer.len()).unwrap();
    client.write_all(&layer[..layer.len() / 2]).unwrap();
    wait_for("the supervisor to import", DEADLINE, || held(&stack, "import-") == 1);
    drop(client);
    wait_for("the lease of an import nobody sends to be ended", DEADLINE, || held(&stack, "import-") == 0);
    assert_eq!(stack.ctr().run(&["content", "ls", "-q"]).ok().stdout, before);
    assert_eq!(stack.ctr().run(&["content", "active"]).ok().stdout.lines().count(), 1, "ingests left");
    expect(get(&stack, "/images/half/json"), 404);
}
