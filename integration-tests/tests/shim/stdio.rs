//! Fifos, with containerd's meaning.

use std::{
    fs::File,
    io::{Read, Write},
    path::Path,
};

use corten_proto::containerd::task::v2::CloseIoRequest;
use corten_sys::fifo;

use crate::driver::{Streams, Supervisor};

fn make(path: &Path) -> String {
    fifo::make(path, 0o600).unwrap();
    path.display().to_string()
}

#[test]
fn fifos_carry_input_and_both_outputs() {
    let supervisor = Supervisor::new();
    let shim = supervisor.shim("web", "cat; echo err >&2");
    let [stdin, stdout, stderr] = ["in", "out", "err"].map(|name| make(&supervisor.root.join(name)));
    let streams = Streams { stdin: stdin.clone(), stdout: stdout.clone(), stderr: stderr.clone(), terminal: false };
    let readers = [stdout, stderr].map(|path| {
        let reader = fifo::open_reader(Path::new(&path)).unwrap();
        fifo::set_nonblocking(&reader, false).unwrap();
        std::thread::spawn(move || read(reader))
    });
    shim.create(&streams).unwrap();
    shim.start("").unwrap();
    let mut input = File::options().write(true).open(&stdin).unwrap();
    input.write_all(b"typed\n").unwrap();
    drop(input);
    // A client that leaves ends nothing; closing does.
    let close = CloseIoRequest { id: "web".into(), stdin: true, ..Default::default() };
    supervisor.block_on(shim.client.close_io(&close, None)).unwrap();
    assert_eq!(shim.wait(""), 0);
    shim.delete("").unwrap();
    let [out, err] = readers.map(|reader| reader.join().unwrap());
    assert_eq!((out.as_str(), err.as_str()), ("typed\n", "err\n"));
}

/// Reads a fifo from its first byte to its end; it has no writer before the shim opens it.
fn read(mut reader: File) -> String {
    let mut text = String::new();
    integration_tests::wait_for("a line in a fifo", integration_tests::DEADLINE, || {
        reader.read_to_string(&mut text).unwrap();
        !text.is_empty()
    });
    text
}

#[test]
fn the_exit_does_not_wait_for_what_nobody_reads() {
    let supervisor = Supervisor::new();
    let shim = supervisor.shim("web", "echo lost; exit 4");
    let stdout = make(&supervisor.root.join("out"));
    let _reader = fifo::open_reader(Path::new(&stdout)).unwrap();
    shim.run(&Streams { stdout, ..Streams::default() });
    assert_eq!(shim.wait(""), 4);
    shim.delete("").unwrap();
}

#[test]
fn a_process_that_ends_at_once_waits_for_its_reader() {
    let supervisor = Supervisor::new();
    let shim = supervisor.shim("web", "echo kept");
    let stdout = make(&supervisor.root.join("out"));
    let late = {
        let path = stdout.clone();
        let pid_file = shim.bundle.join("init.pid");
        std::thread::spawn(move || {
            // The create is under way, and has not got past the fifo.
            let created = integration_tests::try_for(std::time::Duration::from_millis(200), || pid_file.exists());
            assert!(!created);
            std::fs::read_to_string(path).unwrap()
        })
    };
    shim.run(&Streams { stdout, ..Streams::default() });
    assert_eq!(shim.wait(""), 0);
    assert_eq!(late.join().unwrap(), "kept\n");
    shim.delete("").unwrap();
}
