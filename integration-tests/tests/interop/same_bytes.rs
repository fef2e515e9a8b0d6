//! The same command through docker's newest CLI and through corten, on one daemon, prints the same bytes.

use integration_tests::{DEADLINE, DockerCli, Kind, Ran, Stack, wait_for};

/// Commands that change nothing, each on the containers that [`arrange`] made.
const COMMANDS: &[&[&str]] = &[
    &["ps"],
    &["ps", "-a"],
    &["ps", "-aq"],
    &["ps", "-a", "--no-trunc"],
    &["ps", "-a", "--size"],
    &["ps", "-n", "1"],
    &["ps", "-l"],
    &["ps", "-a", "--filter", "name=web"],
    &["ps", "-a", "--filter", "status=exited"],
    &["ps", "-a", "--format", "{{.ID}} {{.Names}} {{.Image}} {{.Command}} {{.State}}"],
    &["ps", "-a", "--format", "table {{.Names}}\t{{.Labels}}\t{{.Networks}}"],
    &["ps", "-a", "--format", "json"],
    &["ps", "--format", "{{.Nonsense}}"],
    &["container", "ls", "-a"],
    &["images"],
    &["images", "-q"],
    &["images", "--no-trunc"],
    &["images", "--digests"],
    &["images", "--format", "{{.Repository}} {{.Tag}} {{.ID}} {{.Size}}"],
    &["images", "nothing-like-it"],
    &["inspect", "web"],
    &["inspect", "--format", "{{.State.Status}} {{.Config.Cmd}} {{json .HostConfig.NetworkMode}}", "web"],
    &["inspect", "--size", "done"],
    &["inspect", "busybox"],
    &["inspect", "no-such-thing"],
    &["inspect", "web", "no-such-thing"],
    &["inspect", "--type", "container", "busybox"],
    &["image", "inspect", "busybox"],
    &["logs", "web"],
    &["logs", "--tail", "1", "web"],
    &["logs", "--timestamps", "web"],
    &["logs", "done"],
    &["logs", "no-such-thing"],
    &["top", "web"],
    &["top", "done"],
    &["wait", "done"],
    &["exec", "web", "echo", "inside"],
    &["exec", "web", "sh", "-c", "echo err >&2; exit 9"],
    &["exec", "-w", "/tmp", "-e", "A=b", "web", "sh", "-c", "pwd; echo $A"],
    &["exec", "-u", "nobody", "web", "id"],
    &["exec", "web", "/no/such/program"],
    &["exec", "done", "true"],
    &["exec", "no-such-thing", "true"],
    &["start", "no-such-thing"],
    &["stop", "no-such-thing"],
    &["restart", "no-such-thing"],
    &["kill", "no-such-thing"],
    &["kill", "done"],
    &["kill", "-s", "NOSUCH", "web"],
    &["pause", "done"],
    &["unpause", "web"],
    &["rm", "no-such-thing"],
    &["rm", "web"],
    &["rename", "no-such-thing", "other"],
    &["rename", "web", "done"],
    &["rename", "web", "web"],
    &["attach", "done"],
    &["update", "--memory", "nonsense", "web"],
    &["rmi", "no-such-image"],
    &["rmi", "busybox"],
    &["tag", "no-such-image", "other"],
    &["tag", "busybox", "UPPER/case"],
    &["load", "--input", "/no/such/file"],
    &["import", "/no/such/file"],
    &["create", "--name", "web", "busybox"],
    &["create", "--name", "bad/name", "busybox"],
    &["create", "--memory", "1", "busybox"],
    &["create", "--memory", "nonsense", "busybox"],
    &["create", "--pull", "never", "no-such-image"],
    &["run", "--rm", "--network", "none", "busybox", "echo", "hi"],
    &["run", "--rm", "--network", "none", "busybox", "sh", "-c", "exit 42"],
    &["run", "--rm", "--network", "none", "busybox", "/etc/passwd"],
    &["run", "--rm", "--network", "none", "busybox", "/no/such/program"],
    &["run", "--no-such-flag", "busybox"],
    &["run"],
    &["run", "--name", "web", "busybox"],
    &["no-such-command"],
    &["version", "--format", "{{.Server.Version}} {{.Server.APIVersion}}"],
    &["info", "--format", "{{.Containers}} {{.ContainersRunning}} {{.ServerVersion}} {{.Driver}} {{.CgroupVersion}}"],
    &["events", "--since", "2020-01-01T00:00:00", "--until", "2020-01-02T00:00:00"],
];

#[test]
fn corten_and_docker_agree_on_debians_dockerd() {
    compare(Kind::Original);
}

#[test]
fn corten_and_docker_agree_on_cortend() {
    compare(Kind::Ours);
}

fn compare(kind: Kind) {
    let stack = Stack::start(kind);
    stack.load_busybox();
    arrange(&stack.docker());
    let mut differences = Vec::new();
    for command in COMMANDS {
        if let Err(difference) = agree(&stack, command) {
            differences.push(difference);
        }
    }
    let count = differences.len();
    assert!(count == 0, "{count} of {} commands differ on {kind:?}\n{}", COMMANDS.len(), differences.join("\n"));
}

/// A running container with output, labels and options, and one that ended with 3.
fn arrange(docker: &DockerCli) {
    let script = "echo one; echo two; echo three >&2; exec sleep 1000";
    let labels = ["--label", "a=1", "--env", "KEY=value", "--hostname", "host"];
    let mut web = vec!["run", "-d", "--name", "web", "--network", "none"];
    web.extend(labels);
    web.extend(["busybox", "sh", "-c", script]);
    let _ = docker.run(&web).ok();
    let _ =
        docker.run(&["run", "--name", "done", "--network", "none", "busybox", "sh", "-c", "echo gone; exit 3"]).code(3);
    wait_for("the container's three lines", DEADLINE, || {
        let logs = docker.run(&["logs", "web"]);
        logs.stdout.lines().count() == 2 && logs.stderr.lines().count() == 1
    });
}

/// Whether both CLIs print the same and exit with the same code. Times pass meanwhile ("Up 3 seconds"), so docker is
/// asked before and after, until it agrees with itself.
fn agree(stack: &Stack, command: &[&str]) -> Result<(), String> {
    /// One boundary between two seconds may fall into a try, hardly three in a row.
    const TRIES: usize = 4;
    let mut difference = String::new();
    for _ in 0..TRIES {
        let before = seen(&stack.docker().run(command));
        let ours = seen(&stack.corten().run(command));
        let after = seen(&stack.docker().run(command));
        if ours == before || ours == after {
            return Ok(());
        }
        difference = format!("--- {}\ndocker: {before}\ncorten: {ours}", command.join(" "));
        if before == after {
            break;
        }
    }
    Err(difference)
}

/// What a person sees; the program's own name is the one thing that may differ. Of several containers that use an image,
/// dockerd names any.
fn seen(ran: &Ran) -> String {
    let text = format!("exit {}\n{}{}", ran.code, ran.stdout, ran.stderr);
    let text = text.replace("corten", "docker");
    match text.split_once("(must force) - container ") {
        Some((conflict, user)) => {
            format!("{conflict}{}", user.trim_start_matches(|letter: char| letter.is_ascii_hexdigit()))
        }
        None => text,
    }
}
