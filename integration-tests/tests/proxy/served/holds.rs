//! What is held, told, and let go.

use std::{
    fs,
    io::ErrorKind,
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::{fd::AsFd, unix::fs::PermissionsExt},
    process::Command,
    time::Duration,
};

use corten_relay::{HeldPort, Hold, PortSocket, Protocol, Relay, RelayError, Subject, reserve};
use corten_sys::{inet, pidfd, poll};
use integration_tests::{DEADLINE, Ran, TempRoot, in_own_network, wait_for};

use super::{Container, Served, id, port, reserved};
use crate::ours;

#[test]
fn a_reserved_port_is_nobody_elses_until_it_is_dropped() {
    in_own_network(|| {
        let mut served = Served::new();
        let container = Container::new("web");
        let ports: Vec<PortSocket> = [(Protocol::Tcp, "0.0.0.0"), (Protocol::Tcp, "::1"), (Protocol::Udp, "127.0.0.1")]
            .map(|(protocol, ip)| reserved(protocol, ip, None))
            .into();
        let names: Vec<_> = ports.iter().map(|held| held.port).collect();
        served.hold_ports(&container, ports);
        for name in &names {
            assert_eq!(reserve(*name).unwrap_err().kind(), ErrorKind::AddrInUse, "{name}");
        }
        assert_eq!(TcpListener::bind(("127.0.0.1", names[0].host.port())).unwrap_err().kind(), ErrorKind::AddrInUse);
        let dropped = inet::begin_connect(SocketAddr::from(([127, 0, 0, 1], names[0].host.port()))).unwrap();
        let mut told = served.relay.list().unwrap();
        assert_eq!((told.len(), &told[0].container, told[0].has_resolver), (1, &container.id, false));
        told[0].ports.sort();
        let mut expected: Vec<_> = names.iter().map(|port| HeldPort { port: *port, target: None }).collect();
        expected.sort();
        assert_eq!(told[0].ports, expected);

        served.relay.drop_ports(&container.id, vec![names[0]]).unwrap();
        drop(reserve(names[0]).unwrap());
        assert_eq!(reserve(names[1]).unwrap_err().kind(), ErrorKind::AddrInUse);
        let answered = poll::writable(&[dropped.as_fd()], Some(Duration::ZERO)).unwrap();
        assert!(!answered[0] || dropped.take_error().unwrap().is_some(), "nobody has accepted");
        served.relay.drop_container(&container.id).unwrap();
        served.relay.drop_container(&container.id).unwrap();
        for name in names {
            reserve(name).unwrap();
        }
        assert_eq!(served.relay.list().unwrap(), []);
    });
}

#[test]
fn five_hundred_ports_of_both_families_are_held_and_told() {
    in_own_network(|| {
        let mut served = Served::new();
        let container = Container::new("many");
        let reserve_all = || {
            let addresses = (20_000..20_500_u16).flat_map(|number| ["0.0.0.0", "::"].map(|ip| (ip, number)));
            let ports = addresses.map(|(ip, number)| port(Protocol::Tcp, SocketAddr::new(ip.parse().unwrap(), number)));
            ports.map(|port| PortSocket { port, target: None, socket: reserve(port).unwrap() }).collect::<Vec<_>>()
        };
        served.hold_ports(&container, reserve_all());
        let told = served.relay.list().unwrap();
        assert_eq!((told.len(), told[0].ports.len()), (1, 1000));
        served.relay.drop_container(&container.id).unwrap();
        drop(reserve_all());
    });
}

#[test]
fn what_cannot_be_held_is_refused_with_a_sentence() {
    in_own_network(|| {
        let mut served = Served::new();
        let container = Container::new("web");
        let refused = |error: RelayError| match error {
            RelayError::Refused(why) => why,
            other => panic!("{other:?}"),
        };
        let tcp = port(Protocol::Tcp, "127.0.0.1:7".parse().unwrap());
        let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
        let ports = vec![PortSocket { port: tcp, target: None, socket: datagrams.into() }];
        let error = served.relay.hold(Hold { ports, ..container.hold() }).unwrap_err();
        assert_eq!(
            refused(error),
            "hold tcp 127.0.0.1:7 of container web: what came for tcp 127.0.0.1:7 is no socket of that kind"
        );
        let resolver = Some(container.resolver());
        let error = served.relay.hold(Hold { resolver, ..container.hold() }).unwrap_err();
        assert_eq!(refused(error), "there is no file of names for container web");
        fs::create_dir_all(served.root.join("names/hosts/front")).unwrap();
        fs::write(served.root.join("names/hosts/front/web"), "nonsense").unwrap();
        served.relay.refresh(vec![Subject::Network(id("front"))]).unwrap(); // nobody sees it
        assert_eq!(served.relay.list().unwrap().len(), 1, "the connection is of use still");
    });
}

#[test]
fn it_greets_alone_and_with_the_right_only() {
    in_own_network(|| {
        let served = Served::new();
        let hello = served.relay.hello();
        assert_eq!(hello.version, corten_relay::VERSION);
        let said = Ran::of(Command::new(ours()).arg("-v")).ok().out().trim().to_owned();
        assert_eq!(said.rsplit(' ').next(), hello.version.split('+').next());
        assert!(pidfd::lives(hello.pid));
        assert_eq!(fs::metadata(served.socket()).unwrap().permissions().mode() & 0o777, 0o600);
        let session = fs::read_to_string(format!("/proc/{}/stat", hello.pid)).unwrap();
        let numbers: Vec<&str> = session.rsplit(") ").next().unwrap().split(' ').collect();
        assert_eq!(numbers[3], hello.pid.to_string(), "a session of its own");
    });
}

#[test]
fn with_nothing_to_do_it_ends() {
    in_own_network(|| {
        let root = TempRoot::new();
        let socket = root.join("proxy.sock");
        let start = || {
            let mut command = Command::new(ours());
            command.arg("serve").arg("-socket").arg(&socket).arg("-names").arg(root.join("names"));
            let _ = Ran::of(command.args(["-linger", "0"])).ok();
        };
        // At once, so that an engine may be too late.
        start();
        let path = root.join("proxy.sock.lock");
        let lock = fs::File::open(&path).unwrap();
        wait_for("the lock of a program that has ended", DEADLINE, || lock.try_lock().is_ok());
        drop(lock);
        assert!(matches!(Relay::connect(&socket).unwrap_err(), RelayError::Connect { .. }), "nobody listens");
        let refused = TcpStream::connect("127.0.0.1:1").unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    });
}
