//! Power cuts: what was acknowledged is there after the next boot, whole.
//!
//! The data root lies on an ext4 of its own in a file. Right after an acknowledgement that file system is shut
//! down without writing anything back (EXT4_IOC_SHUTDOWN), the daemons are killed, what lived in memory (/run) is
//! gone, and the file system is mounted again, which replays its journal as a boot does.

mod cuts;
mod disk;

use std::{fs, process::Command};

use integration_tests::{Cortend, DockerCli, Ran, TempRoot, busybox, programs};

use disk::Disk;

/// A machine: cortend with its data root on a disk that can lose power.
struct Machine {
    cortend: Cortend,
    disk: Disk,
    root: TempRoot,
}

impl Machine {
    fn boot() -> Machine {
        let root = TempRoot::new();
        let disk = Disk::make(&root, &root.make("cortend/data"));
        let cortend = Cortend::start(&root);
        Machine { cortend, disk, root }
    }

    /// One with busybox loaded.
    fn with_busybox() -> (Machine, DockerCli) {
        let machine = Machine::boot();
        let docker = DockerCli::newest(&machine.cortend.socket());
        let archive = busybox::docker_archive_file(&machine.root, &["busybox:latest"]).display().to_string();
        let _ = docker.run(&["load", "--input", &archive]).ok();
        (machine, docker)
    }

    /// Cuts the power and boots again.
    fn lose_power(&mut self) {
        self.disk.cut();
        self.cortend.kill_both();
        // The next boot knows no process and no mount of this one.
        let left = self.root.clean();
        assert!(left.is_empty(), "could not be cleaned up: {left:#?}");
        fs::remove_dir_all(self.cortend.exec_root()).expect("the exec root is not on the disk that was cut");
        self.disk.mount();
        self.cortend.restart(&self.root);
    }
}

#[test]
fn a_loaded_image_survives_whole() {
    let (mut machine, docker) = Machine::with_busybox();
    machine.lose_power();
    assert_busybox_is_whole(&docker, "busybox");
}

#[test]
fn an_imported_image_survives_whole() {
    let mut machine = Machine::boot();
    let docker = DockerCli::newest(&machine.cortend.socket());
    let rootfs = busybox::layer_file(&machine.root).display().to_string();
    let _ = docker.run(&["import", &rootfs, "imported:1"]).ok();
    machine.lose_power();
    assert_busybox_is_whole(&docker, "imported:1");
}

#[test]
fn a_created_container_survives_whole() {
    let (mut machine, docker) = Machine::with_busybox();
    let create = ["create", "--name", "kept", "--network", "none", "--label", "a=b", "busybox", "sh", "-c", "exit 42"];
    let id = docker.run(&create).ok().out().to_owned();
    machine.lose_power();
    let inspected = docker.run(&["inspect", "--format", "{{.Id}} {{.Config.Labels.a}} {{.State.Status}}", "kept"]).ok();
    assert_eq!(inspected.out(), format!("{id} b created"));
    let _ = docker.run(&["start", "--attach", "kept"]).code(42);
}

#[test]
fn a_renamed_container_keeps_its_new_name() {
    let (mut machine, docker) = Machine::with_busybox();
    let _ = docker.run(&["create", "--name", "before", "--network", "none", "busybox", "true"]).ok();
    let _ = docker.run(&["rename", "before", "after"]).ok();
    machine.lose_power();
    let names = docker.run(&["ps", "-a", "--format", "{{.Names}}"]).ok();
    assert_eq!(names.out(), "after");
    let _ = docker.run(&["start", "--attach", "after"]).ok();
}

#[test]
fn a_running_container_is_found_ended_and_starts_again() {
    let (mut machine, docker) = Machine::with_busybox();
    let _ = docker.run(&["run", "-d", "--name", "ran", "--network", "none", "busybox", "sleep", "1000"]).ok();
    machine.lose_power();
    let running = docker.run(&["inspect", "--format", "{{.State.Running}}", "ran"]).ok();
    assert_eq!(running.out(), "false");
    let _ = docker.run(&["start", "ran"]).ok();
    let _ = docker.run(&["exec", "ran", "true"]).ok();
    let _ = docker.run(&["rm", "-f", "ran"]).ok();
}

/// Compares every byte of the program and a file of text with what went in.
fn assert_busybox_is_whole(docker: &DockerCli, image: &str) {
    let script = "sha256sum < /bin/busybox; cat /etc/passwd";
    let inside = docker.run(&["run", "--rm", "--network", "none", image, "sh", "-c", script]).ok();
    let mut sum = Command::new("sh");
    sum.args(["-c", "sha256sum < \"$0\""]).arg(programs::original("busybox"));
    let outside = Ran::of(&mut sum).ok();
    assert!(inside.stdout.starts_with(outside.out()), "{inside:?}");
    assert!(inside.stdout.contains("nobody:x:65534"), "{inside:?}");
}
