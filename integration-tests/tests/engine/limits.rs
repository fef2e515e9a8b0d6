//! Open files: the daemons take what they may have, containers get what the daemons were given.

use std::os::unix::fs::PermissionsExt;

use integration_tests::{Kind, Stack, StackOptions, TempRoot, parent_of, programs};

use crate::state;

/// The soft and the hard limit of a process.
fn open_files(pid: u32) -> (String, String) {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let mut words = line.split_whitespace().skip(3).map(str::to_owned);
    (words.next().unwrap(), words.next().unwrap())
}

#[test]
fn daemons_raise_their_limit_of_open_files_and_containers_have_the_one_before() {
    let root = TempRoot::new();
    let directory = root.make("programs");
    let wrapper = directory.join("cortend");
    let script = format!("#!/bin/sh\nulimit -Sn 517\nexec {} \"$@\"\n", programs::path("cortend").display());
    std::fs::write(&wrapper, script).unwrap();
    std::fs::set_permissions(&wrapper, std::fs::Permissions::from_mode(0o755)).unwrap();
    let options = StackOptions { programs: Some(directory), ..StackOptions::default() };
    let mut stack = Stack::start_with(root, Kind::Ours, options);
    stack.load_busybox();

    let docker = stack.docker();
    let _ = docker.run(&["run", "-d", "--name", "web", "--network", "none", "busybox", "sleep", "1000"]).ok();
    assert_eq!(docker.run(&["exec", "web", "sh", "-c", "ulimit -Sn"]).ok().out(), "517");
    let pid = u32::try_from(state(&stack, "web")["Pid"].as_u64().unwrap()).unwrap();
    let (soft, hard) = open_files(pid);
    assert_eq!(soft, "517");
    let shim = parent_of(pid).unwrap();
    assert_eq!(open_files(shim), (soft, hard.clone()));
    for daemon in [stack.engine_pid(), stack.supervisor_pid()] {
        assert_eq!(open_files(daemon), (hard.clone(), hard.clone()));
    }
    let _ = docker.run(&["rm", "-f", "web"]).ok();
}
