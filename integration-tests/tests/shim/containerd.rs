//! Under Debian's containerd, with its ctr.

use integration_tests::{Containerd, Ctr, DEADLINE, Ran, TempRoot, Terminal, busybox, programs, wait_for};

struct Host {
    containerd: Containerd,
    root: TempRoot,
}

impl Host {
    fn new() -> Self {
        let root = TempRoot::new();
        busybox::rootfs(&root.join("rootfs"));
        Self { containerd: Containerd::start(&root), root }
    }

    fn ctr(&self) -> Ctr {
        self.containerd.ctr()
    }

    /// `ctr run` of `sh -c script` with our shim.
    fn run(&self, flags: &[&str], id: &str, script: &str) -> Ran {
        let shim = programs::path("corten-shim");
        let rootfs = self.root.join("rootfs");
        let mut words = vec!["run", "--runtime", shim.to_str().unwrap(), "--rootfs"];
        words.extend(flags);
        words.extend([rootfs.to_str().unwrap(), id, "/bin/sh", "-c", script]);
        self.ctr().run(&words)
    }

    fn tasks(&self) -> String {
        self.ctr().run(&["task", "ls"]).ok().stdout
    }
}

#[test]
fn ctr_runs_execs_pauses_kills_and_removes() {
    let host = Host::new();
    let ran = host.run(&["--rm"], "once", "echo out; echo err >&2; sleep 1; exit 42").code(42);
    assert!(ran.out() == "out" && ran.err().starts_with("err"), "{ran:?}");
    let _ = host.run(&["--detach"], "web", "while :; do sleep 1; done").ok();
    let ctr = host.ctr();
    let exec = |script: &str| ctr.run(&["task", "exec", "--exec-id", "e", "web", "/bin/sh", "-c", script]);
    assert_eq!(exec("echo inside; exit 9").code(9).out(), "inside");
    assert!(ctr.run(&["task", "metrics", "web"]).ok().stdout.contains("memory"));
    let _ = ctr.run(&["task", "pause", "web"]).ok();
    assert!(host.tasks().contains("PAUSED"));
    let _ = ctr.run(&["task", "resume", "web"]).ok();
    assert!(host.tasks().contains("RUNNING"));
    let _ = ctr.run(&["task", "kill", "--signal", "KILL", "web"]).ok();
    wait_for("the task to be stopped", DEADLINE, || host.tasks().contains("STOPPED"));
    let _ = ctr.run(&["task", "rm", "web"]);
    let _ = ctr.run(&["container", "rm", "web"]).ok();
    assert!(!host.tasks().contains("web"));
}

#[test]
fn a_container_outlives_a_killed_containerd_and_its_exit_is_found() {
    let mut host = Host::new();
    let script = "i=0; while [ ! -e /go ]; do sleep 0.05; done; exit 7";
    let _ = host
        .run(
            &[
                "--detach",
                "--mount",
                &format!("type=bind,src={},dst=/mnt,options=rbind:rw", host.root.make("shared").display()),
            ],
            "web",
            &script.replace("/go", "/mnt/go"),
        )
        .ok();
    host.containerd.daemon().kill();
    std::fs::write(host.root.join("shared/go"), "").unwrap();
    let Host { containerd, root } = &mut host;
    containerd.restart(root);
    wait_for("the task to be found stopped", DEADLINE, || host.tasks().contains("STOPPED"));
    let removed = host.ctr().run(&["task", "rm", "web"]);
    assert!(removed.stderr.contains("exit code 7") || removed.code == 7, "{removed:?}");
}

#[test]
fn a_killed_shim_takes_its_container_with_it_and_containerd_cleans_up() {
    let host = Host::new();
    let _ = host.run(&["--detach"], "web", "sleep 1000").ok();
    let shim = integration_tests::processes()
        .into_iter()
        .find(|process| {
            let line = std::fs::read(format!("/proc/{}/cmdline", process.pid)).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).into_owned();
            line.contains("corten-shim") && line.contains(host.root.name()) && line.contains("\0web\0")
        })
        .expect("the shim of the container runs");
    assert!(integration_tests::send_signal(shim.pid, "KILL"));
    wait_for("the task to be gone", DEADLINE, || !host.tasks().contains("web"));
    let bundle = host.containerd.state().join("io.containerd.runtime.v2.task").join(host.root.name()).join("web");
    wait_for("the bundle to be gone", DEADLINE, || !bundle.exists());
    let _ = host.ctr().run(&["container", "rm", "web"]).ok();
}

#[test]
fn a_terminal_is_typed_at_and_ends_with_its_exit_code() {
    let host = Host::new();
    let shim = programs::path("corten-shim");
    let rootfs = host.root.join("rootfs");
    let words = ["run", "--rm", "--tty", "--runtime", shim.to_str().unwrap(), "--rootfs", rootfs.to_str().unwrap()];
    let script = [
        "web",
        "/bin/sh",
        "-c",
        "until stty size 2>/dev/null | grep 24; do usleep 10000; done; read line; echo got $line; exit 7",
    ];
    let mut terminal = Terminal::spawn(host.ctr().command(&[words.as_slice(), script.as_slice()].concat()));
    terminal.expect("24 80");
    terminal.send("typed\n");
    terminal.expect("got typed");
    assert_eq!(terminal.wait(), 7);
}

#[test]
fn many_containers_at_once_all_come_and_go() {
    let host = Host::new();
    std::thread::scope(|scope| {
        for number in 0..8 {
            let host = &host;
            scope.spawn(move || {
                let id = format!("c{number}");
                let ran = host.run(&["--rm"], &id, &format!("echo {id}; exit {number}")).code(number);
                assert_eq!(ran.out(), id);
            });
        }
    });
    assert_eq!(host.tasks().lines().count(), 1, "{}", host.tasks());
}
