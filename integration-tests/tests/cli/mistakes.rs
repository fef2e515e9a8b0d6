//! What is wrong with a command line, told in docker's words.

use crate::pair::Pair;
use integration_tests::{Kind, Stack};

#[test]
fn mistakes_are_told_in_docker_s_words() {
    let mut pair = Pair::start(Kind::Original);
    pair.prepare(&["create", "--name", "a1", "busybox"]);
    for arguments in [
        &["-X"][..],
        &["--bogus", "ps"],
        &["--log-level", "loud", "ps"],
        &["foo"],
        &["container", "foo"],
        &["image", "foo"],
        &["system", "foo"],
        &["ps", "extra"],
        &["ps", "--bogus"],
        &["ps", "-aZq"],
        &["ps", "--filter", "x"],
        &["ps", "-n"],
        &["ps", "-n", "x"],
        &["ps", "--last"],
        &["ps", "--all=maybe"],
        &["images", "a", "b"],
        &["inspect"],
        &["logs"],
        &["logs", "a", "b"],
        &["top"],
        &["rename", "a1"],
        &["rename", "a1", ""],
        &["tag", "a"],
        &["tag", "busybox", "A"],
        &["tag", "A", "b"],
        &["tag", "busybox", "a@sha256:0000000000000000000000000000000000000000000000000000000000000000"],
        &["rm"],
        &["rm", "/"],
        &["rmi"],
        &["rmi", "A"],
        &["exec"],
        &["exec", "x"],
        &["exec", "-Z", "a1"],
        &["attach"],
        &["update", "a1"],
        &["update", "--cpus", "x", "a1"],
        &["stop", "-t", "x", "y"],
        &["stop", "--time", "1", "--timeout", "1", "a1"],
        &["start", "-a", "a1", "a2"],
        &["wait"],
        &["pause"],
        &["kill"],
        &["version", "extra"],
        &["info", "extra"],
        &["load", "-i", "/nope"],
        &["load", "extra"],
        &["import"],
        &["import", "/nope"],
        &["import", "-", "A"],
        &["create"],
        &["create", "--bogus"],
        &["create", "--detach", "busybox"],
        &["run"],
        &["run", "-Z", "busybox"],
        &["run", "-itZ", "busybox"],
        &["run", "--name"],
        &["run", "-e"],
        &["run", "-d", "-a", "stdout", "busybox"],
        &["run", "--rm", "--restart", "always", "busybox"],
        &["run", "--pull", "x", "busybox"],
        &["run", "--rm", "UPPER"],
        &["run", "--rm", "-it", "busybox"],
        &["run", "--label-file", "/nope", "busybox"],
        &["run", "--env-file", "/nope", "busybox"],
        &["run", "--platform", "x/y/z/w", "busybox"],
    ] {
        pair.same(arguments);
    }
    pair.finish();
}

#[test]
fn bad_values_of_flags_are_told_in_docker_s_words() {
    let mut pair = Pair::start(Kind::Original);
    for line in [
        "-m x",
        "-m 5q",
        "--cpus abc",
        "--cpus 0.0000000001",
        "--rm=maybe",
        "--memory-swappiness x",
        "--memory-swappiness 101",
        "--memory-swap x",
        "-p abc",
        "-p 99999:80",
        "-p 1.2.3:1:2",
        "-p 80/foo",
        "-p 1-2:3-5",
        "--expose x",
        "--expose 1:2",
        "-v a:b:c:d",
        "-v ab::c",
        "-v ab:cd:ef:gh",
        "-e =",
        "-l =x",
        "--mount bogus",
        "--mount type=bind,src=/x",
        "--mount type=bind,dst=/x,foo=1",
        "--mount type=bind,dst=/x,volume-nocopy",
        "--mount type=tmpfs,dst=/x,tmpfs-size=y",
        "--mount type=bind,dst=/x,readonly=y",
        "--ulimit x",
        "--ulimit foo=1",
        "--ulimit nofile=2:1",
        "--ulimit nofile=1:2:3",
        "--restart :3",
        "--restart on-failure:x",
        "--health-interval 1",
        "--health-interval 1x",
        "--health-interval -1s",
        "--health-retries -1",
        "--no-healthcheck --health-cmd x",
        "--stop-timeout x",
        "--sysctl a.b=c",
        "--sysctl x",
        "--device a",
        "--device /a:/b:x",
        "--device /a:/b:c:d",
        "--device-cgroup-rule x",
        "--blkio-weight 70000",
        "--blkio-weight x",
        "--blkio-weight-device x",
        "--blkio-weight-device /dev/x:5000",
        "--device-read-bps x",
        "--device-read-bps /dev/x:y",
        "--device-write-iops /dev/x:y",
        "--device-write-iops x:1",
        "--dns x",
        "--dns-search -",
        "--add-host x",
        "--add-host x:y",
        "-a foo",
        "--gpus x",
        "--gpus count=1,count=2",
        "--security-opt x",
        "--security-opt seccomp=/nope",
        "--pid x",
        "--uts x",
        "--userns x",
        "--cgroupns x",
        "--storage-opt x",
        "--log-driver none --log-opt a=b",
        "--mac-address x",
        "--network-alias x",
        "--network a --network host",
        "--network name=a,foo=b",
        "--link a:b:c",
        "--pids-limit x",
        "--oom-score-adj x",
        "--shm-size x",
    ] {
        let mut command = vec!["run"];
        command.extend(line.split(' '));
        command.push("busybox");
        pair.same(&command);
        command[0] = "create";
        pair.same(&command);
    }
    pair.finish();
}

#[test]
fn what_is_sent_is_shown_when_asked_for_and_signatures_are_not_claimed_to_be_verified() {
    let stack = Stack::start(Kind::Ours);
    stack.load_busybox();
    let corten = stack.corten();
    for flags in [&["--debug"][..], &["-l", "debug"]] {
        let shown = corten.run(&[flags, &["ps", "-aq"]].concat()).ok();
        assert_eq!(shown.out(), "");
        assert!(shown.err().contains("] 200 OK for GET /v1.51/containers/json?all=1"), "{shown:?}");
    }
    assert_eq!(corten.run(&["--log-level", "error", "ps", "-q"]).ok().err(), "");
    let run = |trust: &str| corten.run(&["run", "--rm", trust, "--network", "none", "busybox", "true"]);
    let _ = run("--disable-content-trust").ok();
    let refused = run("--disable-content-trust=false").code(125);
    assert!(refused.err().contains("the verification of signatures is not supported yet"), "{refused:?}");
}
