//! Half a gibibyte through a published port: corten-proxy beside docker-proxy, both in front of the same server.

use std::{
    fs,
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    path::Path,
    thread,
    time::Duration,
};

use integration_tests::{PortProxy, ProxiedPort, programs};

use crate::{
    compare::{Report, median, timed},
    memory::pss_mib,
};

const ROUNDS: usize = 10;
const BYTES: usize = 1 << 29;
const PIECE: usize = 1 << 20;
const CONNECTIONS: usize = 500;

/// Measures it: how long it takes, and what it costs the proxy.
pub fn measure(report: &mut Report) {
    let server = serve("127.0.0.1:0");
    let start = |program: &Path| {
        PortProxy::start(program, ProxiedPort::of("tcp", server)).unwrap_or_else(|said| panic!("the proxy says {said}"))
    };
    let (ours, theirs) = (start(&programs::path("corten-proxy")), start(&programs::original("docker-proxy")));
    let bulk = rounds([&ours, &theirs], |host| transfer(host, BYTES));
    report.ratio("512 MiB through the proxy of a port", bulk[0].0, bulk[1].0, 1.0);
    report.ratio("CPU of the proxy for it", bulk[0].1, bulk[1].1, 0.8);
    let short = rounds([&ours, &theirs], |host| (0..CONNECTIONS).for_each(|_| ask(host)));
    report.ratio("500 short connections through it", short[0].0, short[1].0, 1.0);
    report.ratio("CPU of the proxy for them", short[0].1, short[1].1, 0.8);
    report.bound("proxy of a port, PSS", pss_mib(ours.pid()), Some(pss_mib(theirs.pid())), 1.0, "MiB");
}

/// Medians of time and of the proxies' CPU, after one round that does not count.
fn rounds(proxies: [&PortProxy; 2], mut work: impl FnMut(SocketAddr)) -> [(Duration, Duration); 2] {
    let mut samples = [(); 2].map(|()| (Vec::new(), Vec::new()));
    for round in 0..=ROUNDS {
        for (proxy, sample) in proxies.into_iter().zip(&mut samples) {
            let before = cpu(proxy.pid());
            let took = timed(&mut || work(proxy.host()));
            if round > 0 {
                sample.0.push(took);
                sample.1.push(cpu(proxy.pid()) - before);
            }
        }
    }
    samples.map(|(times, cpu)| (median(times), median(cpu)))
}

/// Takes whatever comes, and says when it has seen its end.
pub fn serve(at: &str) -> SocketAddr {
    let listener = TcpListener::bind(at).expect("nobody else is there");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        let mut buffer = vec![0; PIECE];
        for stream in listener.incoming() {
            let mut stream = stream.expect("a client of ours");
            while stream.read(&mut buffer).expect("a client of ours") > 0 {}
            stream.write_all(b"k").expect("a client of ours");
        }
    });
    address
}

/// Sends `bytes` and waits until the server has them all.
pub fn transfer(host: SocketAddr, bytes: usize) {
    let piece = vec![7; PIECE];
    let mut stream = TcpStream::connect(host).expect("somebody listens");
    for _ in 0..bytes / PIECE {
        stream.write_all(&piece).expect("it is taken");
    }
    end(stream);
}

fn ask(host: SocketAddr) {
    let mut stream = TcpStream::connect(host).expect("the proxy listens");
    stream.write_all(b"question").expect("the proxy takes it");
    end(stream);
}

/// Both sides have done the same when the server says that it has seen the end.
fn end(mut stream: TcpStream) {
    stream.shutdown(Shutdown::Write).expect("it is connected");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("the server answers");
    assert_eq!(answer, b"k");
}

/// What all threads of a process have used (proc(5), "schedstat").
pub fn cpu(pid: u32) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the proxy runs");
    let of_task = |task: fs::DirEntry| {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    };
    Duration::from_nanos(tasks.flatten().filter_map(of_task).sum())
}
