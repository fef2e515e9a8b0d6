//! Commands that change a container's or an image's state.

use crate::pair::Pair;
use integration_tests::Kind;

#[test]
fn changes_on_dockerd_are_docker_s() {
    compare(Kind::Original);
}

#[test]
fn changes_on_cortend_are_docker_s() {
    compare(Kind::Ours);
}

/// A running container `c1` that does not heed TERM, so every stop takes as long as it is given.
const RUNNING: &[&[&str]] =
    &[&["rm", "-f", "c1", "c2"], &["run", "-d", "--name", "c1", "--network", "none", "busybox", "sleep", "1000"]];

const STOPPED: &[&[&str]] = &[
    &["rm", "-f", "c1", "c2"],
    &["run", "--name", "c1", "--network", "none", "busybox", "sh", "-c", "echo again; echo err >&2; exit 7"],
];

const TAGGED: &[&[&str]] = &[&["tag", "busybox", "other:1"]];

fn compare(kind: Kind) {
    let mut pair = Pair::start(kind);
    for command in [
        &["stop", "-t", "0", "c1"][..],
        &["stop", "-t", "0", "c1", "nope"],
        &["stop", "--time", "0", "c1"],
        &["restart", "-t", "0", "c1"],
        &["kill", "c1"],
        &["kill", "-s", "9", "c1"],
        &["kill", "-s", "BOGUS", "c1"],
        &["pause", "c1"],
        &["unpause", "c1"],
        &["rename", "c1", "c2"],
        &["rename", "c1", "c1"],
        &["rm", "c1"],
        &["rm", "-f", "c1"],
        &["rm", "-fv", "c1", "nope"],
        &["update", "--pids-limit", "100", "c1"],
        &["update", "--restart", "always", "c1"],
        &["start", "c1"],
        &["start", "c1", "nope"],
    ] {
        pair.same_after(RUNNING, command);
    }
    for command in [
        &["start", "-a", "c1"][..],
        &["start", "-ai", "c1"],
        &["start", "c1"],
        &["wait", "c1"],
        &["wait", "c1", "nope"],
        &["attach", "c1"],
        &["rm", "c1"],
        &["kill", "c1"],
        &["pause", "c1"],
        &["restart", "c1"],
        &["stop", "c1"],
    ] {
        pair.same_after(STOPPED, command);
    }
    pair.prepare(&["create", "--name", "user", "busybox"]);
    let _ = pair.docker.run(&["rm", "-f", "c1", "c2"]);
    pair.same(&["rmi", "busybox"]);
    for verb in ["start", "stop", "restart", "kill", "pause", "unpause", "wait", "rm", "attach", "rmi"] {
        pair.same(&[verb, "nope"]);
    }
    pair.same(&["rm", "-f", "nope"]);
    pair.same(&["rmi", "-f", "nope"]);
    pair.same(&["rename", "nope", "x"]);
    pair.same(&["update", "--memory", "100m", "nope"]);
    pair.same(&["start", "-a", "nope"]);
    pair.same(&["tag", "nope", "b"]);
    pair.same(&["tag", "busybox", "other:1"]);
    pair.same_after(TAGGED, &["rmi", "other:1"]);
    pair.same_after(TAGGED, &["image", "rm", "other:1", "nope"]);
    pair.finish();
}
