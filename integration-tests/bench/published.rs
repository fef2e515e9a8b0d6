//! Networks as a user of the whole engine has them: a run with a port, many ports on one container and beside others,
//! networks made and removed, and bytes through a published port. Each engine has a network namespace of its own.

use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use corten_sys::pidfd;
use integration_tests::{
    CortendNetwork, DEADLINE, Kind, Stack, StackOptions, TempRoot, in_network_of, processes, send_signal, wait_for,
};
use serde_json::{Value, json};

use crate::{
    compare::{Report, interleaved, median, timed},
    exec::request,
    proxy::{serve, transfer},
};

const ROUNDS: usize = 15;
/// As many as a range of ports that somebody really publishes.
const PORTS: &str = "20000-20499";
/// What flows through a port in a round: about a second and a half.
const BYTES: usize = 2 << 30;
const TRANSFERS: usize = 10;
/// Starts and stops of one container in each state of the engine.
const STARTS: usize = 12;
/// How often corten-proxy is killed.
const KILLS: usize = 7;

/// Measures it.
pub fn measure(report: &mut Report) {
    let [mut ours, mut theirs] = [Kind::Ours, Kind::Original].map(|kind| {
        let options = StackOptions { network: CortendNetwork::Private, ..StackOptions::default() };
        let stack = Stack::start_with(TempRoot::new(), kind, options);
        stack.load_busybox();
        stack
    });
    let run = |stack: &Stack| {
        let arguments = ["run", "--rm", "-p", "8080:80", "busybox", "true"];
        let _ = stack.docker().run(&arguments).ok();
    };
    let (mine, other) = interleaved(ROUNDS, || run(&ours), || run(&theirs));
    report.ratio("docker run --rm -p 8080:80 busybox true", mine, other, 0.3);
    networks(report, &ours, &theirs);
    let (mine, other) = (throughput(&mut ours), throughput(&mut theirs));
    let mut times = (Vec::new(), Vec::new());
    for round in 0..=TRANSFERS {
        let took = (mine.transfer(), other.transfer());
        if round > 0 {
            times.0.push(took.0);
            times.1.push(took.1);
        }
    }
    // Of the bytes in a second 0.95 times docker's is asked, so of the time for them its inverse.
    report.ratio("2 GiB to a published port, translated", median(times.0), median(times.1), 1.0 / 0.95);
    many_ports(report, &ours, &theirs);
}

/// How long a container has no names after the program that answers them was killed: until the engine has started another
/// and given it everything.
pub fn measure_return(report: &mut Report) {
    let options = StackOptions { network: CortendNetwork::Private, ..StackOptions::default() };
    let stack = Stack::start_with(TempRoot::new(), Kind::Ours, options);
    stack.load_busybox();
    report.bound("names again after corten-proxy was killed", names_again(&stack), None, 200.0, "ms");
}

/// In milliseconds.
fn names_again(stack: &Stack) -> f64 {
    let docker = stack.docker();
    let run = |arguments: &[&str]| docker.run(arguments).ok().out().to_owned();
    run(&["network", "create", "named"]);
    run(&["run", "-d", "--network", "named", "--name", "web", "-p", "9001:9001", "busybox", "sleep", "1000"]);
    let pid = run(&["inspect", "--format", "{{.State.Pid}}", "web"]).parse().expect("inspect prints a pid");
    let root = stack.root().path().display().to_string();
    let times = (0..KILLS).map(|_| {
        let proxy = processes().into_iter().find(|process| {
            let is_ours = process.arguments.iter().any(|argument| argument.starts_with(&root));
            process.name == "corten-proxy" && is_ours && process.state != 'Z'
        });
        let proxy = proxy.expect("corten-proxy runs").pid;
        in_network_of(pid, || {
            let begun = Instant::now();
            assert!(send_signal(proxy, "KILL"), "corten-proxy runs");
            wait_for("the end of corten-proxy", DEADLINE, || !pidfd::lives(proxy));
            wait_for("an answer", DEADLINE, || answers("web"));
            begun.elapsed()
        })
    });
    median(times.collect()).as_secs_f64() * 1e3
}

/// Whether a name is answered at 127.0.0.11, without much patience.
fn answers(name: &str) -> bool {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback has a port");
    socket.connect("127.0.0.11:53").expect("loopback is there");
    socket.set_read_timeout(Some(Duration::from_millis(5))).expect("a socket");
    let mut question = b"\0\x07\x01\0\0\x01\0\0\0\0\0\0".to_vec();
    question.push(name.len() as u8);
    question.extend_from_slice(name.as_bytes());
    question.extend_from_slice(b"\0\0\x01\0\x01");
    let mut answer = [0; 512];
    socket.send(&question).is_ok() && socket.recv(&mut answer).is_ok() && answer[7] == 1
}

/// Making and removing networks, by the API alone: the command line takes longer than either engine.
fn networks(report: &mut Report, ours: &Stack, theirs: &Stack) {
    let create = |stack: &Stack| drop(api(stack, "POST", "networks/create", &json!({"Name": "bench"})));
    let remove = |stack: &Stack| drop(api(stack, "DELETE", "networks/bench", &Value::Null));
    let mut times = [const { Vec::new() }; 4];
    for round in 0..=ROUNDS {
        let took = [
            timed(&mut || create(ours)),
            timed(&mut || create(theirs)),
            timed(&mut || remove(ours)),
            timed(&mut || remove(theirs)),
        ];
        if round > 0 {
            times.iter_mut().zip(took).for_each(|(times, time)| times.push(time));
        }
    }
    let [made, made_there, removed, removed_there] = times.map(median);
    report.ratio("network create by the API", made, made_there, 0.2);
    report.ratio("network rm by the API", removed, removed_there, 0.33);
}

/// A container with 500 ports, and what it does to others. Docker's takes so long that it is measured once.
fn many_ports(report: &mut Report, ours: &Stack, theirs: &Stack) {
    let publish = format!("{PORTS}:{PORTS}");
    for stack in [ours, theirs] {
        for (name, ports) in [("many", publish.as_str()), ("other", "8080:80")] {
            let _ = stack.docker().run(&["create", "--name", name, "-p", ports, "busybox", "sleep", "1000"]).ok();
        }
    }
    let (started, removed) = (timed(&mut || start(theirs, "many")), timed(&mut || kill(theirs, "many")));
    let mut times = [const { Vec::new() }; 4];
    for _ in 0..3 {
        times[0].extend((0..STARTS).map(|_| start_and_kill(ours)));
        times[2].push(timed(&mut || start(ours, "many")));
        times[1].extend((0..STARTS).map(|_| start_and_kill(ours)));
        times[3].push(timed(&mut || kill(ours, "many")));
    }
    let [alone, beside, mine, mine_removed] = times.map(median);
    report.ratio("a container with 500 ports: start (theirs once)", mine, started, 0.02);
    report.ratio("a container with 500 ports: kill (theirs once)", mine_removed, removed, 0.02);
    report.ratio("start beside 500 ports, ours beside none", beside, alone, 1.1);
}

fn start(stack: &Stack, name: &str) {
    api(stack, "POST", &format!("containers/{name}/start"), &Value::Null);
}

/// Its ports are free again when it is answered that it has ended.
fn kill(stack: &Stack, name: &str) {
    api(stack, "POST", &format!("containers/{name}/kill"), &Value::Null);
    api(stack, "POST", &format!("containers/{name}/wait"), &Value::Null);
}

/// How long the start takes.
fn start_and_kill(stack: &Stack) -> Duration {
    let took = timed(&mut || start(stack, "other"));
    kill(stack, "other");
    took
}

fn api(stack: &Stack, method: &str, path: &str, body: &Value) -> Value {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    request(&stack.socket(), method, &format!("/v1.41/{path}"), &body)
}

/// A server in a container, reached from its engine's network namespace by an address of the host.
struct Throughput {
    engine: u32,
    host: SocketAddr,
}

fn throughput(stack: &mut Stack) -> Throughput {
    let engine = stack.engine_pid();
    let docker = stack.docker();
    let _ = docker.run(&["run", "-d", "--name", "sink", "-p", "9000:9000", "busybox", "sleep", "1000"]).ok();
    let inspect = |format: &str| docker.run(&["inspect", "--format", format, "sink"]).ok().out().to_owned();
    let pid = inspect("{{.State.Pid}}").parse().expect("inspect prints a pid");
    let gateway: IpAddr =
        inspect("{{.NetworkSettings.Gateway}}").parse().expect("inspect prints the gateway's address");
    in_network_of(pid, || serve("0.0.0.0:9000"));
    Throughput { engine, host: (gateway, 9000).into() }
}

impl Throughput {
    fn transfer(&self) -> Duration {
        in_network_of(self.engine, || {
            let begun = Instant::now();
            transfer(self.host, BYTES);
            begun.elapsed()
        })
    }
}
