//! Debian's dockerd with `--userland-proxy-path`, in a network namespace of its own. The server is a thread of the test in
//! the container's namespace, so that the container needs nothing but to be there.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, UdpSocket},
    thread,
};

use integration_tests::{
    Containerd, DEADLINE, DockerCli, Dockerd, DockerdNetwork, DockerdOptions, Process, TempRoot, busybox,
    in_network_of, processes, wait_for,
};

use crate::{accept, ask, connect, ours, patient, send_all, serve_datagrams, serve_echo};

/// A dockerd and what it stands on, dropped in that order.
struct Docker {
    dockerd: Dockerd,
    _containerd: Containerd,
    root: TempRoot,
}

impl Docker {
    fn start() -> Docker {
        let root = TempRoot::new();
        let containerd = Containerd::start(&root);
        let options = DockerdOptions {
            arguments: vec!["--userland-proxy-path".to_owned(), ours().display().to_string()],
            network: DockerdNetwork::Private,
            ..DockerdOptions::default()
        };
        let dockerd = Dockerd::start_with(&root, &containerd.address(), options);
        let docker = Docker { dockerd, _containerd: containerd, root };
        let archive = busybox::docker_archive_file(&docker.root, &["busybox:latest"]);
        let _ = docker.cli().run(&["load", "--input", &archive.display().to_string()]).ok();
        docker
    }

    fn cli(&self) -> DockerCli {
        DockerCli::newest(&self.dockerd.socket())
    }

    /// Runs a container that publishes `ports` and does nothing, and returns its pid.
    fn run(&self, name: &str, ports: &[&str]) -> u32 {
        let publish = ports.iter().flat_map(|port| ["-p", *port]);
        let flags: Vec<&str> = ["run", "-d", "--name", name].into_iter().chain(publish).collect();
        let _ = self.cli().run(&[&flags[..], &["busybox", "sleep", "1000"]].concat()).ok();
        let inspected = self.cli().run(&["inspect", "--format", "{{.State.Pid}}", name]).ok();
        inspected.out().parse().expect("inspect prints a pid")
    }

    /// The network namespace in which dockerd is.
    fn pid(&mut self) -> u32 {
        self.dockerd.daemon().pid()
    }

    /// The proxies it has started.
    fn proxies(&mut self) -> Vec<Process> {
        let dockerd = self.pid();
        processes().into_iter().filter(|process| process.parent == dockerd && process.name == "corten-proxy").collect()
    }
}

fn descriptors(proxies: &[Process]) -> usize {
    let of = |proxy: &Process| std::fs::read_dir(format!("/proc/{}/fd", proxy.pid)).expect("the proxy runs").count();
    proxies.iter().map(of).sum()
}

#[test]
fn dockerd_relays_published_ports_through_it_and_shows_why_one_cannot_be() {
    let mut docker = Docker::start();
    let host = docker.pid();
    let container = docker.run("web", &["127.0.0.1:7001:7/tcp", "127.0.0.1:7001:7/udp", "7002:8/tcp"]);
    // One for each port and family: the last one is published on every address of both.
    let proxies = docker.proxies();
    assert_eq!(proxies.len(), 4, "{proxies:#?}");
    let before = descriptors(&proxies);

    let (echo, quiet) = in_network_of(container, || {
        serve_datagrams(UdpSocket::bind("0.0.0.0:7").unwrap());
        (TcpListener::bind("0.0.0.0:7").unwrap(), TcpListener::bind("0.0.0.0:8").unwrap())
    });
    serve_echo(echo);
    let loopback: SocketAddr = "127.0.0.1:7001".parse().unwrap();
    in_network_of(host, || {
        a_hundred_megabytes(loopback);
        for _ in 0..1000 {
            ask(loopback, b"short");
        }
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.set_read_timeout(Some(DEADLINE)).unwrap();
        for length in [1, 1400, 9000] {
            client.send_to(&vec![5; length], loopback).unwrap();
            assert_eq!(client.recv_from(&mut vec![0; 1 << 16]).unwrap(), (length, loopback));
        }
    });

    // IPv6 to a container of IPv4; the client ends first, and is answered.
    half_close(&quiet, || in_network_of(host, || connect("[::1]:7002".parse().unwrap())), None);
    // An address of the host from within a container: dockerd leaves that to the proxy, which comes from there.
    let gateway = docker.cli().run(&["inspect", "--format", "{{.NetworkSettings.Gateway}}", "web"]).ok();
    let address: SocketAddr = format!("{}:7002", gateway.out()).parse().unwrap();
    half_close(&quiet, || in_network_of(container, || connect(address)), Some(address));

    // Empty pipes are kept, sixteen at most for each; the client of datagrams is remembered.
    wait_for("the descriptors of all connections to be closed", DEADLINE, || {
        descriptors(&proxies) <= before + proxies.len() * 32 + 1
    });
    let _ = docker.cli().run(&["rm", "--force", "web"]).ok();
    assert!(docker.proxies().is_empty(), "{:?}", docker.proxies());
    a_taken_port_is_told(&mut docker);
    let log = docker.dockerd.daemon().log();
    assert!(!log.contains("exited early"), "{log}");
}

/// What dockerd says of a port of its namespace that somebody else has.
fn a_taken_port_is_told(docker: &mut Docker) {
    let _taken = in_network_of(docker.pid(), || TcpListener::bind("127.0.0.1:7001").unwrap());
    let flags = ["run", "-d", "--name", "late", "-p", "127.0.0.1:7001:7", "busybox", "sleep", "1000"];
    let ran = docker.cli().run(&flags).code(125);
    let why = "rror starting userland proxy: listen tcp4 127.0.0.1:7001: bind: address already in use";
    assert!(ran.stderr.contains(why), "{}", ran.stderr);
    assert!(docker.proxies().is_empty(), "{:?}", docker.proxies());
}

fn a_hundred_megabytes(address: SocketAddr) {
    let bytes: Vec<u8> = (0..100_000_000_u32).map(|number| (number ^ (number >> 9)) as u8).collect();
    let mut stream = connect(address);
    let sender = send_all(&stream, bytes.clone());
    let mut received = Vec::with_capacity(bytes.len());
    stream.read_to_end(&mut received).unwrap();
    sender.join().unwrap();
    assert!(received == bytes, "{} bytes came back, or others than were sent", received.len());
}

/// The client sends its all, and is answered after that by a server which sees it come from `seen`, if that is given.
fn half_close(server: &TcpListener, client: impl FnOnce() -> std::net::TcpStream, seen: Option<SocketAddr>) {
    thread::scope(|scope| {
        let served = scope.spawn(|| {
            let mut stream = accept(server);
            let peer = stream.peer_addr().unwrap().ip();
            let mut question = Vec::new();
            stream.read_to_end(&mut question).unwrap();
            stream.write_all(&question).unwrap();
            peer
        });
        let mut client = patient(client());
        client.write_all(b"all of it").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "all of it");
        let peer = served.join().unwrap();
        assert!(seen.is_none_or(|address| address.ip() == peer), "the server sees {peer}");
    });
}
