//! Clients that are handed over to the hub.

use std::{
    io::{Read, Write},
    net::Shutdown,
    os::{fd::AsFd, unix::net::UnixStream},
};

use corten_stdio::{AttachRequest, Framing, StdinMode, Stream, attach::FORMAT, framing, hand_over};
use integration_tests::{DEADLINE, wait_for};

use crate::driver::{Shim, Supervisor};

fn request(stdin: bool, framing: Framing) -> AttachRequest {
    AttachRequest { format: FORMAT, stdin, stdout: true, stderr: true, framing, detach_keys: None }
}

/// Hands a client over and keeps its end.
fn attach(shim: &Shim<'_>, request: &AttachRequest, read_ahead: &[u8]) -> UnixStream {
    let (ours, theirs) = UnixStream::pair().unwrap();
    hand_over(&shim.bundle.join("attach.sock"), request, read_ahead, theirs.as_fd()).unwrap();
    ours.set_read_timeout(Some(DEADLINE)).unwrap();
    ours
}

fn read_to_end(mut client: UnixStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    client.read_to_end(&mut bytes).unwrap();
    bytes
}

/// Takes Docker's frames apart: everything of either stream.
fn demultiplex(mut bytes: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    while let Some((header, rest)) = bytes.split_first_chunk::<{ framing::HEADER_BYTES }>() {
        let (stream, length) = framing::parse(*header).unwrap();
        let (piece, rest) = rest.split_at(length as usize);
        match stream {
            Stream::Stdout => stdout.extend(piece),
            Stream::Stderr => stderr.extend(piece),
        }
        bytes = rest;
    }
    (stdout, stderr)
}

#[test]
fn a_client_attached_before_start_gets_everything_and_then_the_end() {
    let supervisor = Supervisor::new();
    let shim = supervisor.shim("web", "echo out; echo err >&2; exit 5");
    shim.create(&shim.ours(StdinMode::Closed)).unwrap();
    let client = attach(&shim, &request(false, Framing::Multiplexed), b"");
    shim.start("").unwrap();
    assert_eq!(demultiplex(&read_to_end(client)), (b"out\n".to_vec(), b"err\n".to_vec()));
    assert_eq!(shim.wait(""), 5);
    shim.delete("").unwrap();
    assert!(!shim.bundle.join("attach.sock").exists());
}

#[test]
fn the_input_of_a_client_reaches_the_process_and_ends_with_stdin_once() {
    let supervisor = Supervisor::new();
    let shim = supervisor.shim("web", "cat; echo end");
    shim.create(&shim.ours(StdinMode::Once)).unwrap();
    let mut client = attach(&shim, &request(true, Framing::Multiplexed), b"read ahead ");
    shim.start("").unwrap();
    client.write_all(b"and typed\n").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(demultiplex(&read_to_end(client)).0, b"read ahead and typed\nend\n");
    assert_eq!(shim.wait(""), 0);
}

#[test]
fn open_input_outlives_its_clients() {
    let supervisor = Supervisor::new();
    let shim = supervisor.shim("web", "cat");
    shim.run(&shim.ours(StdinMode::Open));
    for text in ["one\n", "two\n"] {
        let mut client = attach(&shim, &request(true, Framing::Raw), b"");
        client.write_all(text.as_bytes()).unwrap();
        let mut answer = vec![0; text.len()];
        client.read_exact(&mut answer).unwrap();
        assert_eq!(answer, text.as_bytes());
    }
    assert_eq!(shim.logged(), "one\ntwo\n");
    shim.kill("", 9).unwrap();
    assert_eq!(shim.wait(""), 137);
}

#[test]
fn a_slow_client_loses_nothing_and_the_log_has_it_first() {
    const LINES: usize = 60_000;
    let supervisor = Supervisor::new();
    let shim = supervisor.shim("web", &format!("seq -f %0100.0f 1 {LINES} 2>/dev/null || i=0; while [ ${{i:-{LINES}}} -lt {LINES} ]; do i=$((i+1)); printf '%0100d\\n' $i; done"));
    shim.create(&shim.ours(StdinMode::Closed)).unwrap();
    let client = attach(&shim, &request(false, Framing::Raw), b"");
    shim.start("").unwrap();
    // It does not read until the process is held back: megabytes are produced, the client gets one.
    let log = shim.bundle.join("x-json.log");
    wait_for("a megabyte in the log", DEADLINE, || std::fs::metadata(&log).unwrap().len() > 1 << 20);
    let bytes = read_to_end(client);
    let text = String::from_utf8(bytes).unwrap();
    let numbers: Vec<usize> = text.lines().map(|line| line.trim_start_matches('0').parse().unwrap()).collect();
    assert!(numbers.iter().copied().eq(1..=LINES), "{} lines", numbers.len());
    assert_eq!(shim.wait(""), 0);
    assert_eq!(shim.logged(), text);
}

#[test]
fn a_terminal_is_served_raw_resized_and_detached_from() {
    let supervisor = Supervisor::new();
    let shim = supervisor.shim_with("web", "stty size; read line; stty size; sleep 1000", |config| {
        config["process"]["terminal"] = true.into();
    });
    let mut file = shim.stdio_file(StdinMode::Open);
    file.terminal = true;
    let streams = crate::driver::Streams::ours(&shim.bundle.join("stdio.json"), &file);
    shim.create(&streams).unwrap();
    let resize = |width, height| {
        let request = corten_proto::containerd::task::v2::ResizePtyRequest {
            id: "web".into(),
            width,
            height,
            ..Default::default()
        };
        supervisor.block_on(shim.client.resize_pty(&request, None)).unwrap();
    };
    resize(100, 30);
    let keys = AttachRequest { detach_keys: Some(vec![0x10, 0x11]), ..request(true, Framing::Raw) };
    let mut client = attach(&shim, &keys, b"");
    shim.start("").unwrap();
    expect(&mut client, "30 100");
    resize(80, 24);
    client.write_all(b"go\n").unwrap();
    expect(&mut client, "24 80");
    client.write_all(b"\x10\x11").unwrap();
    // Detached: the client's socket ends, the container goes on.
    read_to_end(client);
    assert_eq!(shim.state("").unwrap().status, corten_proto::containerd::v1::types::Status::Running as i32);
    shim.kill("", 9).unwrap();
    assert_eq!(shim.wait(""), 137);
}

#[track_caller]
fn expect(client: &mut UnixStream, text: &str) {
    let mut seen = String::new();
    while !seen.contains(text) {
        let mut piece = [0; 256];
        let count = client.read(&mut piece).unwrap_or_else(|error| panic!("{error} after {seen:?}, not {text:?}"));
        assert!(count > 0, "the end after {seen:?}, not {text:?}");
        seen.push_str(&String::from_utf8_lossy(&piece[..count]));
    }
}

#[test]
fn a_client_of_an_exec_is_let_go_although_a_child_holds_the_output() {
    let supervisor = Supervisor::new();
    let shim = supervisor.shim("web", "sleep 1000");
    shim.run(&crate::driver::Streams::default());
    let mut file = shim.stdio_file(StdinMode::Closed);
    (file.driver, file.log_path) = (corten_stdio::Driver::None, std::path::PathBuf::new());
    let streams = crate::driver::Streams::ours(&shim.bundle.join("exec.json"), &file);
    shim.exec("e1", "sleep 1000 & echo done", &streams).unwrap();
    let client = attach(&shim, &request(false, Framing::Multiplexed), b"");
    shim.start("e1").unwrap();
    assert_eq!(shim.wait("e1"), 0);
    assert_eq!(demultiplex(&read_to_end(client)).0, b"done\n");
    shim.delete("e1").unwrap();
    shim.kill("", 9).unwrap();
    assert_eq!(shim.wait(""), 137);
}
