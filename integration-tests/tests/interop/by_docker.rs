//! Docker's CLIs drive each stack through one container's life.

use integration_tests::{DEADLINE, DockerCli, Kind, Leaks, Stack, Terminal, busybox, parent_of, process, wait_for};

#[test]
fn docker_drives_the_original() {
    prove(Kind::Original);
}

#[test]
fn docker_drives_cortend() {
    prove(Kind::Ours);
}

#[test]
fn docker_drives_cortend_on_debians_containerd() {
    prove(Kind::OursOnContainerd);
}

#[test]
fn docker_drives_dockerd_on_our_supervisor() {
    prove(Kind::OriginalOnSupervisor);
}

fn prove(kind: Kind) {
    let stack = Stack::start(kind);
    let archive = busybox::docker_archive_file(stack.root(), &["busybox:latest"]).display().to_string();
    for docker in DockerCli::originals(&stack.socket()) {
        let before = Leaks::of(stack.root());
        loads_and_lists(&docker, &archive);
        gives_exit_codes(&docker);
        lives_a_whole_life(&stack, &docker);
        let _ = docker.run(&["rmi", "--force", "busybox"]).ok();
        // What daemons keep for themselves: logs, databases, empty parents.
        let left = || Leaks::of(stack.root()).since(&before).without_files(|_| true).counts();
        wait_for("all of the containers to be gone", DEADLINE, || left().mounts == 0 && left().processes == 0);
    }
}

#[test]
fn docker_brings_images_in_each_way_and_follows_a_container() {
    let stack = Stack::start(Kind::Ours);
    let layout = busybox::oci_layout_file(stack.root(), "layout:1").display().to_string();
    let tree = busybox::layer_file(stack.root()).display().to_string();
    for docker in DockerCli::originals(&stack.socket()) {
        assert_eq!(docker.run(&["load", "--input", &layout]).ok().out(), "Loaded image: layout:1", "{}", docker.label);
        let _ = docker.run(&["import", "--change", "CMD [\"sh\"]", &tree, "tree:1"]).ok();
        for image in ["layout:1", "tree:1"] {
            let flags = ["run", "--rm", "--network", "none", image, "sh", "-c", "echo from $0; exit 3", image];
            assert_eq!(docker.run(&flags).code(3).out(), format!("from {image}"));
        }
        let script = "echo first; while [ ! -e /go ]; do usleep 10000; done; echo last; exec sleep 1000";
        let flags = ["run", "-d", "--init=false", "--name", "web", "--network", "none", "tree:1", "sh", "-c", script];
        let _ = docker.run(&flags).ok();
        let mut follower = Terminal::spawn(docker.command(&["logs", "-f", "web"]));
        follower.expect("first");
        let mut inside = Terminal::spawn(docker.command(&["exec", "-it", "web", "sh"]));
        inside.send("tty; touch /go; exit 6\n");
        inside.expect("/dev/pts/0");
        assert_eq!(inside.wait(), 6);
        follower.expect("last");
        let _ = docker.run(&["stop", "-t", "1", "web"]).ok();
        assert_eq!(follower.wait(), 0);
        assert_eq!(docker.run(&["inspect", "--format", "{{.State.ExitCode}}", "web"]).ok().out(), "137");
        assert_eq!(docker.run(&["rm", "web", "web2"]).code(1).out(), "web");
        let _ = docker.run(&["rmi", "tree:1", "layout:1"]).ok();
        assert_eq!(docker.run(&["images", "-q"]).ok().out(), "");
    }
}

fn loads_and_lists(docker: &DockerCli, archive: &str) {
    let loaded = docker.run(&["load", "--input", archive]).ok();
    assert_eq!(loaded.out(), "Loaded image: busybox:latest", "{}", docker.label);
    let listed = docker.run(&["images", "--format", "{{.Repository}}:{{.Tag}}"]).ok();
    assert_eq!(listed.out(), "busybox:latest");
}

fn gives_exit_codes(docker: &DockerCli) {
    let run = |arguments: &[&str]| {
        let mut all = vec!["run", "--rm", "--network", "none", "busybox"];
        all.extend(arguments);
        docker.run(&all)
    };
    assert_eq!(run(&["true"]).code, 0);
    assert_eq!(run(&["sh", "-c", "exit 42"]).code, 42);
    assert_eq!(run(&["/etc/passwd"]).code, 126);
    assert_eq!(run(&["/no/such/program"]).code, 127);
    assert_eq!(docker.run(&["run", "--no-such-flag", "busybox"]).code, 125);
    let both = run(&["sh", "-c", "echo out; echo err >&2"]);
    assert_eq!((both.out(), both.err()), ("out", "err"));
}

fn lives_a_whole_life(stack: &Stack, docker: &DockerCli) {
    let started = docker
        .run(&["run", "-d", "--name", "web", "--network", "none", "busybox", "sh", "-c", "echo begun; exec sleep 1000"])
        .ok();
    let id = started.out().to_owned();
    assert_eq!(id.len(), 64, "{started:?}");
    let pid: u32 = docker.run(&["inspect", "--format", "{{.State.Pid}}", "web"]).ok().out().parse().expect("a pid");
    wait_for("the container to run sleep", DEADLINE, || {
        process(pid).is_some_and(|one| one.arguments == ["sleep", "1000"])
    });
    let shim = parent_of(pid).and_then(process).expect("the process has a parent");
    assert!(shim.arguments.contains(&id), "the container is not under its shim: {shim:?}");
    let tasks = stack.ctr().run(&["tasks", "ls"]).ok();
    let row = tasks.stdout.lines().find(|row| row.starts_with(&id)).expect("ctr shows the task");
    assert_eq!(row.split_whitespace().nth(1), Some(pid.to_string().as_str()), "{row}");

    let listed = docker.run(&["ps", "--format", "{{.Names}} {{.Image}} {{.State}}"]).ok();
    assert_eq!(listed.out(), "web busybox running");
    assert_eq!(docker.run(&["exec", "web", "sh", "-c", "echo inside; exit 5"]).code(5).out(), "inside");
    wait_for("the line in the log", DEADLINE, || docker.run(&["logs", "web"]).ok().out() == "begun");
    let _ = docker.run(&["pause", "web"]).ok();
    assert_eq!(docker.run(&["inspect", "--format", "{{.State.Status}}", "web"]).ok().out(), "paused");
    let _ = docker.run(&["unpause", "web"]).ok();
    let _ = docker.run(&["rename", "web", "net"]).ok();
    let _ = docker.run(&["kill", "net"]).ok();
    assert_eq!(docker.run(&["wait", "net"]).ok().out(), "137");
    let _ = docker.run(&["rm", "net"]).ok();
    assert_eq!(docker.run(&["ps", "-aq"]).ok().out(), "");
    assert_eq!(docker.run(&["inspect", "net"]).code, 1);
}
