//! Starting: the lock, a broken database, configuration, long paths.

use std::{fs, os::unix::fs::MetadataExt, process::Command};

use integration_tests::{DEADLINE, Ran, Supervisor, SupervisorOptions, TempRoot, programs, send_signal, wait_for};

use crate::{ctr, names};

#[test]
fn a_second_supervisor_on_the_same_root_is_refused() {
    let root = TempRoot::new();
    let mut supervisor = Supervisor::start(&root);
    let holder = supervisor.daemon().pid();
    let mut command = Command::new(programs::path("corten-supervisor"));
    command.arg("--root").arg(supervisor.root()).arg("--state").arg(root.join("state2"));
    let second = Ran::of(command.arg("--address").arg(root.join("s2.sock")));
    assert_eq!(second.code, 1);
    let expected = format!("is in use by another supervisor: process {holder} holds its lock");
    assert!(second.stderr.contains(&expected), "{second:?}");
    let _ = ctr(&supervisor, "version").ok();
}

/// A child that the dead one was starting has its lock until it has done its exec.
#[test]
fn a_lock_that_outlives_its_supervisor_is_waited_for() {
    let root = TempRoot::new();
    let mut supervisor = Supervisor::start(&root);
    supervisor.daemon().kill();
    let path = supervisor.root().join("lock");
    let left = fs::File::options().read(true).write(true).open(&path).expect("there");
    left.lock().expect("the dead one's lock is free");
    let inode = format!(":{} ", fs::metadata(&path).expect("there").ino());
    let letting_go = std::thread::spawn(move || {
        wait_for("the next supervisor to wait for the lock", DEADLINE, || {
            let locks = fs::read_to_string("/proc/locks").expect("readable");
            locks.lines().any(|line| line.contains("-> FLOCK") && line.contains(&inode))
        });
        drop(left);
    });
    supervisor.restart(&root);
    letting_go.join().expect("it waited");
    let _ = ctr(&supervisor, "version").ok();
}

#[test]
fn a_broken_database_is_set_aside_and_files_are_left_alone() {
    let root = TempRoot::new();
    let mut supervisor = crate::supervisor_with_image(&root);
    let blobs = supervisor.root().join("io.containerd.content.v1.content/blobs/sha256");
    wait_for("the import's garbage to go", DEADLINE, || names(&blobs).len() == 3);
    let before = names(&blobs);
    supervisor.daemon().kill();
    // The log alone would bring everything back.
    for file in ["metadata.db", "metadata.db-wal"] {
        fs::write(supervisor.root().join(file), "garbage, not a database").expect("writable");
    }
    supervisor.restart(&root);
    assert_eq!(ctr(&supervisor, "images ls -q").ok().out(), "");
    assert!(ctr(&supervisor, "plugins ls -d id==bolt").ok().stdout.contains("was set aside"));
    assert!(names(&supervisor.root()).iter().any(|name| name.contains("broken-")));
    assert!(supervisor.daemon().log().contains("broken metadata was set aside"));
    assert_eq!(names(&blobs), before);
    // And it works on: the same image is imported again.
    crate::import(&supervisor.ctr(), &root);
    assert_eq!(ctr(&supervisor, &format!("run --rm {} one echo hi", crate::IMAGE)).ok().out(), "hi");
}

#[test]
fn containerds_configuration_file_is_read_and_unknown_keys_warn() {
    let root = TempRoot::new();
    let config = root.join("config.toml");
    let text =
        "version = 2\noom_score = 0\n[debug]\nlevel = \"info\"\n[plugins.\"io.containerd.gc.v1.scheduler\"]\nx = 1\n";
    fs::write(&config, text).expect("writable");
    let arguments = vec!["--config".to_owned(), config.display().to_string()];
    let mut supervisor = Supervisor::start_with(&root, SupervisorOptions { arguments, ..SupervisorOptions::default() });
    let log = supervisor.daemon().log();
    assert!(log.contains("oom_score") && log.contains("plugins"), "{log}");
}

#[test]
fn a_socket_may_have_a_path_longer_than_an_address() {
    let root = TempRoot::new();
    let directory = root.make("d".repeat(120));
    let mut command = Command::new(programs::path("corten-supervisor"));
    command.arg("-root").arg(root.join("root")).arg("-state").arg(root.join("state"));
    command.arg("-address").arg(directory.join("s.sock"));
    let mut daemon = integration_tests::Daemon::spawn(&root, &mut command, &root.join("log"));
    daemon.wait_until_ready("a connection", || corten_sys::sockets::connect(&directory.join("s.sock")).is_ok());
    assert!(corten_sys::sockets::connect(&directory.join("s.sock.ttrpc")).is_ok());
    assert!(send_signal(daemon.pid(), "TERM"), "it runs");
    wait_for("the socket to be removed", DEADLINE, || !directory.join("s.sock").exists());
}
