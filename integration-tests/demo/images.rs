//! Step 2: images from the host's busybox, and the commands of a container's life.

use std::{fs, io::Read};

use integration_tests::{DEADLINE, Terminal, busybox, wait_for};

use crate::{Demo, show};

/// Imports and loads images, and drives a container with every basic command.
pub fn run(demo: &Demo) {
    show::heading(2, "images from the host's static busybox, and a container's life");
    make_images(demo);
    live(demo);
    exit_codes(demo);
}

fn make_images(demo: &Demo) {
    let rootfs = busybox::layer_file(&demo.root).display().to_string();
    let docker = busybox::docker_archive_file(&demo.root, &["busybox:latest"]).display().to_string();
    let oci = busybox::oci_layout_file(&demo.root, "docker.io/library/busybox:oci").display().to_string();
    demo.shell.corten(&["import", "--change", "CMD [\"sh\"]", &rootfs, "busybox:imported"]);
    demo.shell.corten(&["load", "-i", &docker]);
    demo.shell.corten(&["load", "-i", &oci]);
    let images = demo.shell.corten(&["images"]);
    show::check("import, a docker-save archive and an OCI layout each gave an image", {
        ["imported", "latest", "oci"].iter().all(|tag| images.stdout.contains(tag))
    });
}

fn live(demo: &Demo) {
    let script = "trap 'echo stopping; exit 0' TERM; i=0; while :; do i=$((i+1)); echo line $i; usleep 100000; done";
    demo.shell.corten(&["run", "-d", "--name", "web", "busybox", "sh", "-c", script]);
    demo.shell.corten(&["ps"]);
    let exec = demo.shell.corten(&[
        "exec",
        "web",
        "sh",
        "-c",
        "echo I am process $$ beside $(head -c 20 /proc/1/cmdline | tr '\\0' ' ')",
    ]);
    show::check("exec runs inside the container", exec.stdout.contains("beside sh"));

    let words = ["exec", "-it", "web", "sh"];
    show::typed(&words);
    let mut terminal = Terminal::spawn(demo.shell.command(&words));
    terminal.send("tty; stty size; exit 3\n");
    let code = terminal.wait();
    show::say(
        &terminal.output().lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" | "),
    );
    show::check("exec -it has a terminal and its exit code came through", {
        code == 3 && terminal.output().contains("/dev/pts/") && terminal.output().contains("24 80")
    });

    let followed = demo.root.join("followed");
    let mut logs = demo.shell.in_background(&["logs", "-f", "web"], &followed);
    wait_for("ten more lines to be followed", DEADLINE, || lines(&followed) >= 10);
    demo.shell.corten(&["stop", "web"]);
    wait_for("logs -f to end with the container", DEADLINE, || logs.try_wait().is_ok_and(|status| status.is_some()));
    let mut text = String::new();
    fs::File::open(&followed).and_then(|mut file| file.read_to_string(&mut text)).expect("the demo wrote it");
    show::check("logs -f followed from the first line to the last word", {
        text.starts_with("line 1\n") && text.ends_with("stopping\n")
    });
    demo.shell.corten(&["ps", "-a", "--filter", "name=web"]);
    demo.shell.corten(&["rm", "web"]);
}

fn lines(path: &std::path::Path) -> usize {
    fs::read_to_string(path).map_or(0, |text| text.lines().count())
}

fn exit_codes(demo: &Demo) {
    let shell = &demo.shell;
    shell.corten_exits(0, &["run", "--rm", "busybox", "true"]);
    shell.corten_exits(42, &["run", "--rm", "busybox", "sh", "-c", "exit 42"]);
    shell.corten_exits(125, &["run", "--rm", "--no-such-flag", "busybox"]);
    shell.corten_exits(126, &["run", "--rm", "busybox", "/etc/passwd"]);
    shell.corten_exits(127, &["run", "--rm", "busybox", "no-such-program"]);
    let attached = ["run", "--rm", "--name", "killed", "busybox", "sleep", "1000"];
    let mut client = shell.in_background(&attached, &demo.root.join("killed"));
    wait_for("the container to run", DEADLINE, || {
        let listed = shell.quietly(&["ps", "-q", "--filter", "name=killed", "--filter", "status=running"]);
        !listed.out().is_empty()
    });
    shell.corten(&["kill", "killed"]);
    let code = client.wait().ok().and_then(|status| status.code());
    show::check("the client of a killed container exits with 137", code == Some(137));
}
