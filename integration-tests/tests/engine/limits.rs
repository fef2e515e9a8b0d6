//! Limits: open files, of which the daemons take what they may have and containers get what the daemons were given; block
//! devices; real time.

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

/// What a cgroup of the kernel's says to a container that may read it.
const RATES: &str = "cd /sys/fs/cgroup/blkio; cat blkio.throttle.read_bps_device blkio.throttle.write_iops_device";

#[test]
fn block_devices_are_limited_by_their_paths() {
    // The disk that holds the root: its number is in the table of partitions.
    let table = std::fs::read_to_string("/proc/partitions").unwrap();
    let disk = table.lines().skip(2).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let is_whole =
        |words: &Vec<&str>| words.len() == 4 && words[1] == "0" && std::path::Path::new("/dev").join(words[3]).exists();
    let Some(disk) = disk.into_iter().find(is_whole) else { panic!("no disk in {table}") };
    let (number, path) = (format!("{}:{}", disk[0], disk[1]), format!("/dev/{}", disk[3]));
    let stack = crate::engine();
    let docker = stack.docker();
    let run = |flags: &[&str], script: &str| {
        let before = ["run", "--rm", "--network", "none"].as_slice();
        docker.run(&[before, flags, &["busybox", "sh", "-c", script]].concat())
    };

    let (reads, writes) = (format!("--device-read-bps={path}:1mb"), format!("--device-write-iops={path}:10"));
    let ran = run(&[&reads, &writes], RATES);
    if !std::path::Path::new("/sys/fs/cgroup/blkio/blkio.throttle.read_bps_device").exists() {
        assert!(ran.err().contains("BPS Block I/O read limit or the cgroup is not mounted"), "{ran:?}");
        return;
    }
    assert_eq!(ran.ok().out(), format!("{number} 1048576\n{number} 10"));
    let ran = run(&["--device-read-bps=/dev/nope:1mb"], "true");
    // dockerd's status for whatever is not there at the start.
    assert!(ran.code == 127 && ran.err().contains("stat /dev/nope: no such file or directory"), "{ran:?}");
    let has_weight = ["blkio.weight", "blkio.bfq.weight"].map(|name| format!("/sys/fs/cgroup/blkio/{name}"));
    if !has_weight.iter().any(|path| std::path::Path::new(path).exists()) {
        let ran = run(&["--blkio-weight=300"], "echo run").ok();
        assert!(ran.out() == "run" && ran.err().contains("Block I/O weight or the cgroup is not mounted"), "{ran:?}");
    }
    let ran = run(&["--cpu-rt-period=1000", "--cpu-rt-runtime=2000"], "true");
    let said = ["higher than cpu real-time period", "does not support CPU real-time scheduler"];
    assert!(ran.code == 125 && said.iter().any(|said| ran.err().contains(said)), "{ran:?}");
}
