//! Step 5: everything is removed, and nothing is left.

use std::{
    fs,
    process::{Command, Stdio},
    time::Instant,
};

use integration_tests::{Counts, DEADLINE, Leaks, cgroups, wait_for};

use crate::{Demo, show};

/// Removes all containers and images, stops the stack, and counts what is left, after showing that it can count.
pub fn run(demo: &mut Demo) {
    show::heading(5, "everything removed, and a count of what is left");
    let containers = demo.shell.corten(&["ps", "-aq"]);
    for id in containers.stdout.lines() {
        demo.shell.corten(&["rm", "-f", id]);
    }
    let images = demo.shell.quietly(&["images", "--format", "{{.Repository}}:{{.Tag}}"]);
    let names: Vec<&str> = images.stdout.lines().collect();
    if !names.is_empty() {
        demo.shell.corten(&[&["rmi"], names.as_slice()].concat());
    }
    plant_one_of_each(demo);
    let files = files_when_collected(demo);
    demo.cortend.daemon().terminate();
    if let Some(pid) = demo.cortend.supervisor_pid() {
        let _ = integration_tests::send_signal(pid, "TERM");
        wait_for("the supervisor to end after SIGTERM", DEADLINE, || demo.cortend.supervisor_pid().is_none());
    }
    let left = Leaks::of(&demo.root).since(&demo.before);
    let counts = Counts { files: files.counts().files, ..left.counts() };
    show::say(&counts.to_string());
    assert_eq!(counts, Counts::default(), "left behind: {left}\n{files}");
}

/// The files that stay once the removed images' layers are collected, which happens after the answer to `rmi`; none.
fn files_when_collected(demo: &Demo) -> Leaks {
    let end = Instant::now() + DEADLINE;
    loop {
        let files = Leaks::of(&demo.root).since(&demo.empty).without_files(is_the_demos_own);
        if files.counts().files == 0 || Instant::now() > end {
            return files;
        }
    }
}

/// What is no container's and no image's: the demo's inputs, logs, databases' journals, and the homes of a
/// namespace's bundles and of the runtime's state, which are made at first use and stay.
fn is_the_demos_own(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let is_input =
        name.starts_with("busybox-") || ["followed", "killed", "log"].contains(&name) || path.contains("/gate");
    let is_home = name.starts_with("corten-") || ["runtime", "io.containerd.runtime.v2.task"].contains(&name);
    is_input || is_home || name.contains(".db")
}

/// Shows that the count counts: one mount, one cgroup, one netns, one process and one file are made, seen and removed.
fn plant_one_of_each(demo: &Demo) {
    let before = Leaks::of(&demo.root);
    let place = demo.root.make("planted");
    let text = place.display().to_string();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "planted", &text]).status();
    assert!(mounted.is_ok_and(|status| status.success()), "mount a tmpfs at {text}");
    cgroups::make_everywhere(&format!("{}/planted", demo.root.name()));
    let mut sleeper = Command::new("unshare")
        .args(["--net", "sleep", "1000"])
        .env("CORTEN_TEST_ROOT", demo.root.name())
        .stdin(Stdio::null())
        .spawn()
        .expect("unshare is installed");
    let mut planted = Counts::default();
    wait_for("the planted ones to be counted", DEADLINE, || {
        planted = Leaks::of(&demo.root).since(&before).counts();
        planted.netns == 1
    });
    show::say(&format!("planted and counted: {planted}"));
    show::check("one of each, planted on purpose, is seen", {
        planted.mounts == 1
            && planted.cgroups >= 1
            && planted.netns == 1
            && planted.processes == 1
            && planted.files >= 1
    });
    let _ = sleeper.kill();
    let _ = sleeper.wait();
    let unmounted = Command::new("umount").arg(&place).status();
    assert!(unmounted.is_ok_and(|status| status.success()), "unmount {text}");
    fs::remove_dir(&place).expect("it is empty");
    let left = cgroups::remove_marked(&format!("{}/planted", demo.root.name()));
    assert!(left.is_empty(), "the planted cgroups stayed: {left:?}");
}
