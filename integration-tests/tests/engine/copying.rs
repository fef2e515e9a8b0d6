//! Copying files: what a container can make of it, and what is left when the engine dies in the middle.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::Duration;

use integration_tests::{Answer, DEADLINE, Leaks, Stack, busybox, wait_for};
use serde_json::{Value, json};

use crate::{busybox as body, create, engine, expect, get, post, refusal, start, wait_for_status};

fn put(stack: &Stack, id: &str, query: &str, archive: &[u8]) -> Answer {
    let path = format!("/containers/{id}/archive?{query}");
    stack.api().send("PUT", &path, "application/x-tar", archive).unwrap()
}

/// An archive of one file.
fn archive(name: &str, bytes: &[u8]) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join(name), bytes).unwrap();
    Command::new("tar").arg("-C").arg(directory.path()).args(["-cf", "-", name]).output().unwrap().stdout
}

#[test]
fn a_container_that_swaps_links_under_a_copy_reaches_nothing_of_the_host() {
    let stack = engine();
    let victim = stack.root().make("victim");
    fs::write(victim.join("secret"), "of the host").unwrap();
    let swap = format!(
        "while :; do rm -rf /d; mkdir -p /d; echo mine >/d/secret; rm -rf /d; ln -s {0} /d; rm -f /d; ln -s ../../../..{0} /d; done",
        victim.display()
    );
    // What the links lead to inside: the same path, of the container's own.
    let inside = format!("mkdir -p {0}; echo mine >{0}/secret; touch /ready; {swap}", victim.display());
    let id = start(&stack, "evil", &body(&["sh", "-c", &inside]));
    let ready = || get(&stack, &format!("/containers/{id}/archive?path=/ready")).status == 200;
    wait_for("the container to swap links", DEADLINE, ready);
    let (written, tree) = (archive("written", b"by a copy"), busybox::layer());
    let mut reached = [0; 2];
    for _ in 0..150 {
        // An answer is broken off when the file goes between the look at it and its archive.
        let out = stack.api().get(&format!("/containers/{id}/archive?path=/d/secret"));
        let text = out.map_or(String::new(), |answer| answer.text());
        assert!(!text.contains("of the host"), "{text}");
        reached[0] += usize::from(text.contains("mine"));
        reached[1] += usize::from(put(&stack, &id, "path=/d", &written).status == 200);
    }
    expect(put(&stack, &id, "path=/tmp", tree), 200);
    assert!(reached.iter().all(|count| *count > 0), "no copy came through: {reached:?}");
    let names: Vec<_> = fs::read_dir(&victim).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["secret"]);
    assert_eq!(fs::read_to_string(victim.join("secret")).unwrap(), "of the host");
}

#[test]
fn an_archive_cannot_leave_the_directory_by_its_links() {
    let stack = engine();
    let victim = stack.root().make("victim");
    let id = create(&stack, "plain", &body(&["true"]));
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let target = format!("{}", victim.display());
    std::os::unix::fs::symlink(&target, at("link")).unwrap();
    let link = Command::new("tar").arg("-C").arg(directory.path()).args(["-cf", "-", "link"]).output().unwrap().stdout;
    expect(put(&stack, &id, "path=/", &link), 200);
    fs::remove_file(at("link")).unwrap();
    fs::create_dir(at("link")).unwrap();
    fs::write(at("link/file"), "x").unwrap();
    let below = ["-cf", "-", "link/file"];
    let through = Command::new("tar").arg("-C").arg(directory.path()).args(below).output().unwrap().stdout;
    // The link leads to a place of the container's that is not there.
    assert!(put(&stack, &id, "path=/", &through).status >= 400);
    let rename = ["-P", "--transform", "s,^,../../../../../../../../..,", "-cf", "-", "link/file"];
    let above = Command::new("tar").arg("-C").arg(directory.path()).args(rename).output().unwrap().stdout;
    assert!(refusal(put(&stack, &id, "path=/", &above), 400).contains("leaves the root filesystem"));
    assert_eq!(fs::read_dir(&victim).unwrap().count(), 0);
}

#[test]
fn a_directory_that_holds_a_mount_is_not_replaced() {
    let stack = engine();
    let volume = stack.root().make("volume");
    fs::write(volume.join("kept"), "of the host").unwrap();
    let mut bound = body(&["true"]);
    bound["HostConfig"]["Binds"] = json!([format!("{}:/data/deep", volume.display())]);
    let id = create(&stack, "bound", &bound);
    let refused = refusal(put(&stack, &id, "path=/", &archive("data", b"a file")), 500);
    assert!(refused.contains("remove /data") || refused.contains("remove data"), "{refused}");
    assert_eq!(fs::read_to_string(volume.join("kept")).unwrap(), "of the host");
}

#[test]
fn the_user_s_files_become_the_user_s_when_that_is_asked() {
    let stack = engine();
    let mut with_user = body(&["sleep", "1000"]);
    with_user["User"] = json!("1234:77");
    let id = start(&stack, "user", &with_user);
    let file = archive("file", b"x");
    let owner = |path: &str| {
        let exec = post(
            &stack,
            &format!("/containers/{id}/exec"),
            &json!({ "Cmd": ["stat", "-c", "%u:%g", path], "AttachStdout": true, "Tty": true }),
        );
        let exec = expect(exec, 201).json()["Id"].as_str().unwrap().to_owned();
        expect(post(&stack, &format!("/exec/{exec}/start"), &json!({ "Tty": true })), 200).text().trim().to_owned()
    };
    expect(put(&stack, &id, "path=/tmp&copyUIDGID=true", &file), 200);
    assert_eq!(owner("/tmp/file"), "1234:77");
    expect(put(&stack, &id, "path=/tmp", &file), 200);
    assert_eq!(owner("/tmp/file"), "0:0");
}

/// A stopped container with a file that no buffer on the way to a client holds.
fn with_large_file(stack: &Stack) -> String {
    let id = create(stack, "large", &body(&["sleep", "1000"]));
    expect(put(stack, &id, "path=/", &archive("large", &vec![7; 32 << 20])), 200);
    id
}

/// A copy out of the container whose client has read the first bytes, and no more.
fn half_read(stack: &Stack, id: &str) -> UnixStream {
    let mut socket = UnixStream::connect(stack.socket()).unwrap();
    let request = format!("GET /containers/{id}/archive?path=/large HTTP/1.1\r\nHost: x\r\n\r\n");
    socket.write_all(request.as_bytes()).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut head = [0; 4096];
    socket.read_exact(&mut head).unwrap();
    assert!(head.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&head));
    socket
}

#[test]
fn what_a_copy_mounts_is_seen_by_nobody_and_gone_with_the_engine() {
    let mut stack = engine();
    let id = with_large_file(&stack);
    let before = Leaks::of(stack.root());
    let client = half_read(&stack, &id);
    assert_eq!(Leaks::of(stack.root()).since(&before).counts().mounts, 0);
    stack.kill_engine();
    drop(client);
    stack.restart_engine();
    // Were the overlay still mounted, this would be a second one.
    expect(post(&stack, &format!("/containers/{id}/start"), &Value::Null), 204);
    wait_for_status(&stack, &id, "running");
    expect(post(&stack, &format!("/containers/{id}/kill"), &Value::Null), 204);
    wait_for_status(&stack, &id, "exited");
    wait_for("nothing to be mounted", DEADLINE, || Leaks::of(stack.root()).since(&before).counts().mounts == 0);
}

#[test]
fn a_start_waits_for_a_copy_and_readers_do_not() {
    let stack = engine();
    let id = with_large_file(&stack);
    let client = half_read(&stack, &id);
    let mut starting = UnixStream::connect(stack.socket()).unwrap();
    let request = format!("POST /containers/{id}/start HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    starting.write_all(request.as_bytes()).unwrap();
    // The start has been read once a later request on its connection's engine is answered; it cannot have gone on.
    assert_eq!(get(&stack, &format!("/containers/{id}/json")).json()["State"]["Status"], "created");
    starting.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    assert!(starting.read(&mut [0; 16]).is_err(), "the start was answered while files were copied");
    drop(client);
    starting.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut head = [0; 12];
    starting.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 204");
}
