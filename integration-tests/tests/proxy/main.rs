//! corten-proxy in docker-proxy's place. What docker-proxy does as well is asked of both.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod called;
mod datagrams;
mod handed_over;
mod limits;
mod served;
mod streams;
mod under_dockerd;

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket},
    path::{Path, PathBuf},
    thread::{self, JoinHandle},
};

use integration_tests::{DEADLINE, PortProxy, ProxiedPort, programs};

/// Ours.
fn ours() -> PathBuf {
    programs::path("corten-proxy")
}

/// Ours, and the original.
fn both() -> [PathBuf; 2] {
    [ours(), programs::original("docker-proxy")]
}

/// `program` in front of `container`.
#[track_caller]
fn start(program: &Path, port: ProxiedPort) -> PortProxy {
    PortProxy::start(program, port).unwrap_or_else(|said| panic!("{}: {said}", program.display()))
}

/// A listener in the container's place.
fn container() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// A connection that does not wait for ever.
#[track_caller]
fn connect(address: SocketAddr) -> TcpStream {
    patient(TcpStream::connect(address).unwrap_or_else(|error| panic!("connect to {address}: {error}")))
}

fn patient(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_write_timeout(Some(DEADLINE)).unwrap();
    stream
}

fn accept(listener: &TcpListener) -> TcpStream {
    patient(listener.accept().unwrap().0)
}

/// Serves `listener` for as long as the test runs: whatever comes is sent back, and the end as well.
fn serve_echo(listener: TcpListener) {
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || echo(patient(stream.unwrap())));
        }
    });
}

fn echo(mut stream: TcpStream) {
    let mut piece = vec![0; 1 << 16];
    while let Ok(length @ 1..) = stream.read(&mut piece) {
        if stream.write_all(&piece[..length]).is_err() {
            return;
        }
    }
    let _ = stream.shutdown(Shutdown::Write); // the client may be gone
}

/// Sends `bytes` and their end from a thread of its own.
fn send_all(stream: &TcpStream, bytes: Vec<u8>) -> JoinHandle<()> {
    let mut stream = stream.try_clone().unwrap();
    thread::spawn(move || {
        stream.write_all(&bytes).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
    })
}

/// Asks and is answered with the same.
#[track_caller]
fn ask(address: SocketAddr, question: &[u8]) {
    let mut stream = connect(address);
    stream.write_all(question).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, question);
}

/// A socket of datagrams that does not wait for ever.
fn datagrams(address: &str) -> UdpSocket {
    patient_datagrams(UdpSocket::bind(address).unwrap())
}

fn patient_datagrams(socket: UdpSocket) -> UdpSocket {
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket
}

/// Serves `socket` for as long as the test runs: each datagram is sent back.
fn serve_datagrams(socket: UdpSocket) {
    socket.set_read_timeout(None).unwrap();
    thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        while let Ok((length, sender)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(&buffer[..length], sender); // the proxy may be gone
        }
    });
}
