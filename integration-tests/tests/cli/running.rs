//! `run`, `create` and `exec`: output, exit codes, the daemon's refusals.

use crate::pair::Pair;
use integration_tests::Kind;

#[test]
fn runs_on_dockerd_are_docker_s() {
    compare(Kind::Original);
}

#[test]
fn runs_on_cortend_are_docker_s() {
    compare(Kind::Ours);
}

fn compare(kind: Kind) {
    let mut pair = Pair::start(kind);
    pair.prepare(&["run", "-d", "--name", "a1", "--network", "none", "busybox", "sleep", "1000"]);
    let _ = pair.docker.run(&["run", "--name", "a2", "--network", "none", "busybox", "false"]).code(1);
    for line in [
        &["echo", "hi"][..],
        &["sh", "-c", "echo out; echo err >&2; exit 42"],
        &["sh", "-c", "kill -9 $$"],
        &["nosuch"],
        &["/etc"],
        &["/etc/passwd"],
        &["sh", "-c", "seq 1 20000"],
    ] {
        let mut command = vec!["run", "--rm", "--network", "none", "busybox"];
        command.extend(line);
        pair.same(&command);
    }
    for line in [
        "--user nosuch",
        "-w /etc/passwd",
        "--network nosuch",
        "--memory 1k",
        "--cpus 99",
        "--restart foo",
        "--name a1",
        "--name -bad",
        "--pull never --name never nope",
        "--mount type=bind,src=/nope,dst=/x",
        "--stop-signal BOGUS",
        "--log-driver bogus",
        "--ipc bogus",
        "--runtime bogus",
        "--volumes-from nope",
        "--pid container:nope",
        "--cap-add BOGUS",
    ] {
        let mut command = vec!["run", "--rm"];
        command.extend(line.split(' '));
        command.extend(["busybox", "true"]);
        pair.same(&command);
    }
    pair.same(&["create", "nope"]);
    pair.same(&["run", "-a", "stderr", "--rm", "--network", "none", "busybox", "sh", "-c", "echo out; echo err >&2"]);
    pair.same_with_input(&["run", "--rm", "-i", "--network", "none", "busybox", "cat"], b"in\nput\n");
    pair.same_with_input(&["run", "--rm", "-i", "--network", "none", "busybox", "wc", "-c"], &vec![b'x'; 3 << 20]);
    let prepared: &[&[&str]] = &[&["rm", "-f", "b1"]];
    pair.same_after(prepared, &["run", "-d", "--name", "b1", "--network", "none", "busybox", "true"]);
    pair.same_after(prepared, &["create", "--name", "b1", "--network", "none", "busybox", "true"]);
    for line in [
        &["a1", "echo", "hi"][..],
        &["a1", "sh", "-c", "echo out; echo err >&2; exit 5"],
        &["a1", "nosuch"],
        &["a1", "/etc"],
        &["nope", "true"],
        &["a2", "true"],
        &["-it", "a1", "true"],
        &["-d", "a1", "true"],
        &["-e", "A=1", "-w", "/tmp", "-u", "1", "a1", "sh", "-c", "echo $A; pwd; id -u"],
        &["-w", "/nope", "a1", "true"],
        &["-u", "nosuch", "a1", "true"],
        &["a1", "-x"],
    ] {
        let mut command = vec!["exec"];
        command.extend(line);
        pair.same(&command);
    }
    pair.same_with_input(&["exec", "-i", "a1", "cat"], b"in\nput\n");
    pair.finish();
}
