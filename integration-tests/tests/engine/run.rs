//! `docker run` through both of docker's CLIs.

use integration_tests::{DockerCli, Leaks};

use crate::{engine, get};

#[test]
fn run_tells_the_exit_code_and_the_output() {
    let stack = engine();
    for docker in DockerCli::originals(&stack.socket()) {
        let run =
            |arguments: &[&str]| docker.run(&[&["run", "--rm", "--network", "none", "busybox"], arguments].concat());
        assert_eq!(run(&["true"]).code, 0, "{}", docker.label);
        assert_eq!(run(&["sh", "-c", "exit 42"]).code, 42);
        assert_eq!(run(&["/etc"]).code, 126);
        assert_eq!(run(&["/nope"]).code, 127);
        assert_eq!(run(&["sh", "-c", "sh -c 'kill -9 $$'; exit $?"]).code, 137);
        let bad = docker.run(&["run", "--rm", "--network", "none", "--memory", "1m", "busybox", "true"]);
        assert_eq!(bad.code, 125);
        let ran = run(&["sh", "-c", "echo out; echo err >&2"]);
        assert_eq!((ran.out(), ran.err()), ("out", "err"), "{}", docker.label);
        let fed = docker.run_with_input(&["run", "--rm", "-i", "--network", "none", "busybox", "cat"], b"through\n");
        assert_eq!(fed.out(), "through", "{}", docker.label);
    }
    assert_eq!(get(&stack, "/containers/json?all=1").text(), "[]\n");
}

#[test]
fn without_a_bridge_the_default_network_has_its_loopback_device_alone() {
    let stack = engine();
    let ran = stack.docker().run(&["run", "--rm", "busybox", "ls", "/sys/class/net"]);
    assert_eq!((ran.code, ran.out()), (0, "lo"), "{ran:?}");
    assert_eq!(ran.err(), "");
}

#[test]
fn many_at_once_each_get_their_own_end() {
    let stack = engine();
    let before = Leaks::of(stack.root());
    let runs: Vec<_> = (0..12)
        .map(|number| {
            let docker = stack.docker();
            std::thread::spawn(move || {
                let script = format!("echo {number}; exit {number}");
                (number, docker.run(&["run", "--rm", "--network", "none", "busybox", "sh", "-c", &script]))
            })
        })
        .collect();
    for run in runs {
        let (number, ran) = run.join().unwrap();
        assert_eq!((ran.code, ran.out()), (number, number.to_string().as_str()), "{ran:?}");
    }
    let after = Leaks::of(stack.root()).since(&before).without_files(|_| true).counts();
    assert_eq!((after.mounts, after.processes), (0, 0));
}
