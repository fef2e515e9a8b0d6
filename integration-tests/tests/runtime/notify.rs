//! What systemd hands over: the notification socket and listening descriptors, through to the container.

use std::{
    fs,
    io::Write,
    os::unix::net::UnixDatagram,
    process::Command,
    thread::{self, JoinHandle},
};

use integration_tests::{DEADLINE, TempRoot, programs};

use crate::{Host, push, text};

/// A systemd that hears three messages and closes the barrier's pipe.
fn listen(root: &TempRoot) -> (std::path::PathBuf, JoinHandle<Vec<String>>) {
    let path = root.join("host.sock");
    let socket = UnixDatagram::bind(&path).expect("the root is writable");
    socket.set_read_timeout(Some(DEADLINE)).expect("a timeout can be set");
    let heard = thread::spawn(move || {
        let mut heard = Vec::new();
        while !heard.last().is_some_and(|last: &String| last.starts_with("BARRIER")) {
            let mut message = [0; 512];
            // The descriptor that comes with the barrier is closed here, which acknowledges it.
            let (length, _) = corten_sys::scm::receive(&socket, &mut message).expect("the runtime speaks");
            heard.push(String::from_utf8_lossy(&message[..length]).trim().to_owned());
        }
        heard
    });
    (path, heard)
}

/// A container that waits for its directory's file `go` before it says that it is ready.
fn bundle(host: &Host, then: &str) -> std::path::PathBuf {
    let shared = host.root.make("shared");
    let script = format!("ls -l $NOTIFY_SOCKET >/shared/seen; until test -e /shared/go; do usleep 10000; done; {then}");
    host.bundle("web", &["sh", "-c", &script], |config| {
        let mount =
            serde_json::json!({"destination": "/shared", "type": "bind", "source": text(&shared), "options": ["bind"]});
        push(config, "/mounts", mount);
    })
}

/// Says what the container's process would say, through its own mount.
fn say(host: &Host, message: &[u8]) {
    let pid = host.state_of("web")["pid"].to_string();
    let socket = UnixDatagram::unbound().expect("a socket");
    socket
        .send_to(message, format!("/proc/{pid}/root/run/notify/notify.sock"))
        .expect("the container's socket is there");
}

#[test]
fn start_returns_when_the_container_is_ready_and_tells_systemd() {
    let host = Host::new();
    let (path, heard) = listen(&host.root);
    let bundle = bundle(&host, "sleep 1000");
    let log = fs::File::create(host.root.join("out")).expect("the root is writable");
    let command = |verb: &[&str]| {
        let mut command = host.command(verb);
        command.env("NOTIFY_SOCKET", &path).stdout(log.try_clone().expect("a descriptor"));
        command.stderr(log.try_clone().expect("a descriptor"));
        command
    };
    assert!(command(&["create", "--bundle", text(&bundle), "web"]).status().expect("it starts").success());
    let mut start = command(&["start", "web"]).spawn().expect("it starts");
    integration_tests::wait_for("the container to run", DEADLINE, || host.root.join("shared/seen").exists());
    say(&host, b"STATUS=warming up");
    assert!(start.try_wait().expect("ours").is_none(), "start waits for READY");
    say(&host, b"READY=1");
    assert!(start.wait().expect("ours").success(), "{:?}", fs::read_to_string(host.root.join("out")));
    let pid = host.state_of("web")["pid"].to_string();
    let said = heard.join().expect("heard");
    assert_eq!(said, ["READY=1".to_owned(), format!("MAINPID={pid}"), "BARRIER=1".to_owned()]);
    let _ = host.run(&["delete", "--force", "web"]).ok();
    host.assert_clean();
}

#[test]
fn a_container_that_ends_before_it_is_ready_ends_the_wait() {
    let host = Host::new();
    let (path, _heard) = listen(&host.root);
    let bundle = bundle(&host, "exit 0");
    fs::write(host.root.join("shared/go"), "").expect("the root is writable");
    let out = fs::File::create(host.root.join("out")).expect("the root is writable");
    let mut run = host.command(&["run", "--detach", "--bundle", text(&bundle), "web"]);
    let status = run.env("NOTIFY_SOCKET", &path).stdout(out).status().expect("it starts");
    assert!(status.success());
    let _ = host.run(&["delete", "--force", "web"]).ok();
    host.assert_clean();
    UnixDatagram::unbound().expect("a socket").send_to(b"BARRIER=1", &path).expect("the listener is let go");
}

#[test]
fn a_foreground_run_is_the_process_systemd_watches() {
    let host = Host::new();
    let (path, heard) = listen(&host.root);
    let bundle = bundle(&host, "exit 7");
    let mut run = host.command(&["run", "--bundle", text(&bundle), "web"]);
    let mut run = run.env("NOTIFY_SOCKET", &path).spawn().expect("it starts");
    integration_tests::wait_for("the container to run", DEADLINE, || host.root.join("shared/seen").exists());
    say(&host, b"READY=1");
    let said = heard.join().expect("heard");
    assert_eq!(said[1], format!("MAINPID={}", run.id()));
    fs::write(host.root.join("shared/go"), "").expect("the root is writable");
    assert_eq!(run.wait().expect("ours").code(), Some(7));
    host.assert_clean();
}

#[test]
fn listening_descriptors_come_before_the_preserved_ones() {
    let host = Host::new();
    let script = "echo $LISTEN_FDS $LISTEN_PID; cat <&3; cat <&4; ls /proc/self/fd | wc -l";
    let bundle = host.bundle("web", &["sh", "-c", script], |_| {});
    let files = ["three", "four"].map(|name| {
        let path = host.root.join(name);
        fs::File::create(&path).and_then(|mut file| writeln!(file, "{name}")).expect("the root is writable");
        path
    });
    // The shell becomes the runtime, so LISTEN_PID is known: its own.
    let line = "exec 3<\"$3\" 4<\"$4\"; export LISTEN_PID=$$ LISTEN_FDS=1; \
                exec \"$0\" --root \"$1\" run --preserve-fds 1 --bundle \"$2\" web";
    let mut shell = Command::new("sh");
    shell.args(["-c", line]).arg(programs::path("corten-runtime")).arg(host.state()).arg(&bundle).args(&files);
    let out = shell.output().expect("it starts");
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    // 0 to 2, the two given, and the directory that ls itself has open.
    assert_eq!(said, "1 1\nthree\nfour\n6\n", "{}", String::from_utf8_lossy(&out.stderr));
    // Without LISTEN_PID they are somebody else's.
    let mut ran = host.command(&["run", "--bundle", text(&bundle), "web"]);
    let out = ran.env("LISTEN_FDS", "1").env("LISTEN_PID", "1").output().expect("it starts");
    assert!(String::from_utf8_lossy(&out.stdout).starts_with("\n"), "{out:?}");
    host.assert_clean();
}
