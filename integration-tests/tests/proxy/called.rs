//! How it is called, what it tells the engine, how it ends.

use std::{
    io::Read,
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
};

use integration_tests::{DEADLINE, PortProxy, ProxiedPort, run_port_proxy, wait_for};

use crate::{ask, both, connect, container, ours, serve_echo, start};

#[test]
fn a_port_that_is_taken_is_told_in_docker_s_words() {
    let (_listener, target) = container();
    for program in both() {
        let port = ProxiedPort::of("tcp", target);
        let host = port.host;
        let _taken = TcpListener::bind(host).unwrap();
        let said = PortProxy::start(&program, port).expect_err("the port is taken");
        assert_eq!(said, format!("1 1\nlisten tcp4 {host}: bind: address already in use"), "{}", program.display());
    }
}

#[test]
fn a_signal_ends_it_with_success_and_frees_the_port() {
    let (listener, target) = container();
    serve_echo(listener);
    for program in both() {
        for signal in ["TERM", "INT"] {
            let mut proxy = start(&program, ProxiedPort::of("tcp", target));
            ask(proxy.host(), b"still there?");
            assert_eq!(proxy.end(signal), 0, "{} after {signal}", program.display());
            TcpListener::bind(proxy.host()).expect("the port is free");
        }
    }
}

#[test]
fn what_is_not_done_is_refused_by_name() {
    let port = ["-host-ip", "127.0.0.1", "-host-port", "1", "-container-ip", "127.0.0.1", "-container-port", "1"];
    for (more, code, said) in [
        (&["-proto", "sctp"][..], 2, "unsupported protocol sctp: tcp and udp are relayed"),
        (&["-nonsense"], 2, "flag provided but not defined: -nonsense"),
        (&["--container-port=x"], 2, "invalid value \"x\" for flag -container-port"),
        (&["word"], 2, "unexpected argument \"word\""),
        (&["-use-listen-fd"], 1, "take the listening socket on descriptor 4 (-use-listen-fd): Bad file descriptor"),
    ] {
        let ran = run_port_proxy(&ours(), &[&port[..], more].concat()).code(code);
        assert!(ran.stderr.contains(said), "{more:?}: {}", ran.stderr);
    }
}

#[test]
fn the_engine_is_told_what_is_refused() {
    let (_listener, target) = container();
    let said = PortProxy::start(&ours(), ProxiedPort::of("sctp", target)).expect_err("sctp is not relayed");
    assert_eq!(said, "2 1\nunsupported protocol sctp: tcp and udp are relayed");
}

#[test]
fn it_goes_on_when_nobody_reads_what_it_complains_of() {
    // An address of the test's own, where nobody listens.
    let target = ProxiedPort::of("tcp", container().1).host;
    let port = ProxiedPort::of("tcp", target);
    let mut command = Command::new(ours());
    let mut child = command.args(port.arguments()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stderr.take());
    wait_for("the port to be served", DEADLINE, || TcpStream::connect(port.host).is_ok());
    for _ in 0..3 {
        assert_eq!(connect(port.host).read(&mut [0]).unwrap(), 0);
    }
    let ended = child.try_wait().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(ended, None);
}

#[test]
fn it_says_its_version_and_its_flags() {
    for flag in ["-v", "--version"] {
        let version = format!("corten-proxy version {}", env!("CARGO_PKG_VERSION"));
        assert_eq!(run_port_proxy(&ours(), &[flag]).ok().out(), version);
    }
    let help = run_port_proxy(&ours(), &["-help"]).ok();
    for flag in ["proto", "host-ip", "host-port", "container-ip", "container-port", "use-listen-fd", "version"] {
        assert!(help.stdout.contains(&format!("-{flag}")), "{flag}: {}", help.stdout);
    }
}
