//! Terminals: the console socket, and run and exec on the caller's own terminal.

use std::{
    fs::File,
    io::{Read, Write},
    os::unix::net::UnixListener,
};

use corten_sys::termios::{self, WindowSize};
use integration_tests::Terminal;
use serde_json::json;

use crate::{Host, set, text};

#[test]
fn the_console_socket_gets_the_terminal_of_create() {
    let host = Host::new();
    let bundle = host.bundle("web", &["sh", "-c", "tty; stty size; read line; echo got $line"], |config| {
        set(config, "/process/terminal", json!(true));
        config["process"]["consoleSize"] = json!({"height": 33, "width": 77});
    });
    let socket = host.root.join("console.sock");
    let listener = UnixListener::bind(&socket).expect("the root is writable");
    let arguments = ["create", "--bundle", text(&bundle), "--console-socket", text(&socket), "web"];
    let _ = host.run(&arguments).ok();
    let (stream, _) = listener.accept().expect("it connected");
    let mut name = [0; 64];
    let (length, mut received) = corten_sys::scm::receive(&stream, &mut name).expect("a message");
    assert_eq!(&name[..length], b"/dev/pts/0");
    let mut master = File::from(received.remove(0));
    let _ = host.run(&["start", "web"]).ok();
    master.write_all(b"hello\n").expect("the terminal takes it");
    let mut out = String::new();
    let mut piece = [0; 256];
    while !out.contains("got hello") {
        let length = master.read(&mut piece).expect("the terminal is open");
        out += &String::from_utf8_lossy(&piece[..length]);
    }
    assert!(out.contains("/dev/pts/0") && out.contains("33 77"), "{out}");
    host.wait_for_status("web", "stopped");
    let _ = host.run(&["delete", "web"]).ok();
    host.assert_clean();
}

#[test]
fn a_terminal_needs_a_socket_when_nobody_stays_and_a_socket_needs_a_terminal() {
    let host = Host::new();
    let with = host.bundle("with", &["true"], |config| set(config, "/process/terminal", json!(true)));
    let without = host.bundle("without", &["true"], |_| {});
    let ran = host.run(&["create", "--bundle", text(&with), "with"]);
    assert!(ran.stderr.contains("cannot allocate tty if runc will detach without setting console socket"), "{ran:?}");
    let ran = host.run(&["create", "--console-socket", "/nope", "--bundle", text(&without), "without"]);
    assert!(ran.stderr.contains("cannot use console socket if runc will not detach or allocate tty"), "{ran:?}");
    let ran = host.run(&["create", "--console-socket", "/nope", "--bundle", text(&with), "with"]);
    assert!(ran.stderr.contains("connect to console socket /nope"), "{ran:?}");
    host.assert_clean();
}

#[test]
fn run_joins_the_callers_terminal_to_the_containers() {
    let host = Host::new();
    let bundle = host.bundle("web", &["sh"], |config| set(config, "/process/terminal", json!(true)));
    let mut terminal = Terminal::spawn(host.command(&["run", "--bundle", text(&bundle), "web"]));
    terminal.send("tty; stty size; ls /dev/console\n");
    for text in ["/dev/pts/0", "24 80", "/dev/console"] {
        terminal.expect(text);
    }
    terminal.resize(30, 90);
    terminal.send("stty size\n");
    terminal.expect("30 90");
    terminal.send("exit 5\n");
    assert_eq!(terminal.wait(), 5);
    assert!(terminal.echoes(), "the caller's terminal is as it was");
    host.assert_clean();
}

#[test]
fn exec_has_a_terminal_of_its_own() {
    let host = Host::new();
    let _ = host.sleeping("web", |_| {});
    let mut terminal = Terminal::spawn(host.command(&["exec", "--tty", "web", "sh"]));
    terminal.send("tty; echo $((6*7)); exit 3\n");
    terminal.expect("/dev/pts/0");
    terminal.expect("42");
    assert_eq!(terminal.wait(), 3);
    let socket = host.root.join("console.sock");
    let listener = UnixListener::bind(&socket).expect("the root is writable");
    let _ = host.run(&["exec", "--tty", "--detach", "--console-socket", text(&socket), "web", "sleep", "100"]).ok();
    let (stream, _) = listener.accept().expect("it connected");
    let (_, received) = corten_sys::scm::receive(&stream, &mut [0; 64]).expect("a message");
    termios::set_window_size(&received[0], WindowSize { rows: 1, columns: 2 }).expect("it is a terminal");
    let _ = host.run(&["delete", "-f", "web"]).ok();
    host.assert_clean();
}

#[test]
fn the_pidfd_socket_gets_a_handle_on_the_process() {
    let host = Host::new();
    let bundle = host.bundle("web", &["sleep", "1000"], |_| {});
    let socket = host.root.join("pidfd.sock");
    let listener = UnixListener::bind(&socket).expect("the root is writable");
    let mut create = host.command(&["create", "--bundle", text(&bundle), "--pidfd-socket", text(&socket), "web"]);
    let mut create =
        create.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().expect("it starts");
    let (stream, _) = listener.accept().expect("it connected");
    let (_, mut received) = corten_sys::scm::receive(&stream, &mut [0; 64]).expect("a message");
    assert!(create.wait().expect("the child is ours").success());
    let process = corten_sys::pidfd::PidFd::from_owned(received.remove(0));
    assert!(process.exists());
    process.send(corten_types::Signal::KILL).expect("it runs");
    host.wait_for_status("web", "stopped");
    let _ = host.run(&["delete", "web"]).ok();
    host.assert_clean();
}

#[test]
fn lines_end_as_the_container_wrote_them() {
    let host = Host::new();
    let bundle = host.bundle("web", &["sh", "-c", "echo one; echo two"], |config| {
        set(config, "/process/terminal", json!(true));
    });
    // Into a pipe, which unlike a terminal adds nothing.
    assert_eq!(host.run(&["run", "--bundle", text(&bundle), "web"]).ok().stdout, "one\ntwo\n");
    let _ = host.sleeping("other", |_| {});
    assert_eq!(host.run(&["exec", "--tty", "other", "echo", "three"]).ok().stdout, "three\n");
    let _ = host.run(&["delete", "-f", "other"]).ok();
    host.assert_clean();
}
