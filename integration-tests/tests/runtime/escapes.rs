//! Images that try to reach the host (CVE catalogue of the runtimes): each must fail or stay inside.

use std::{fs, os::unix::fs::symlink};

use serde_json::json;

use crate::{Host, push, text};

#[test]
fn a_dev_that_is_a_symlink_leads_nowhere_outside() {
    // CVE-2026-41579: fd, stdin, stdout, stderr and ptmx appeared in the host directory.
    let host = Host::new();
    let victim = host.root.make("victim");
    let bundle = host.bundle("web", &["true"], |config| {
        let mounts = config["mounts"].as_array_mut().expect("an array");
        mounts.retain(|mount| !mount["destination"].as_str().is_some_and(|target| target.starts_with("/dev")));
    });
    fs::remove_dir(bundle.join("rootfs/dev")).expect("the bundle is ours");
    symlink(&victim, bundle.join("rootfs/dev")).expect("the bundle is ours");
    let _ = host.run(&["run", "--bundle", text(&bundle), "web"]);
    assert_eq!(fs::read_dir(&victim).expect("it is there").count(), 0);
    host.assert_clean();
}

#[test]
fn a_mount_target_that_is_a_symlink_stays_inside() {
    // CVE-2021-30465, CVE-2024-45310.
    let host = Host::new();
    let victim = host.root.make("victim");
    let bundle = host.bundle("web", &["sh", "-c", "ls -d /link/* /link/deep/er"], |config| {
        push(config, "/mounts", json!({"destination": "/link/deep/er", "type": "tmpfs", "source": "tmpfs"}));
    });
    symlink(&victim, bundle.join("rootfs/link")).expect("the bundle is ours");
    let ran = host.run(&["run", "--bundle", text(&bundle), "web"]);
    assert_eq!(fs::read_dir(&victim).expect("it is there").count(), 0, "{ran:?}");
    host.assert_clean();
}

#[test]
fn a_symlink_within_the_root_is_followed() {
    let host = Host::new();
    let bundle = host.bundle("web", &["sh", "-c", "touch /run/lock/x && ls /var/run/lock"], |config| {
        push(config, "/mounts", json!({"destination": "/var/run/lock", "type": "tmpfs", "source": "tmpfs"}));
    });
    fs::create_dir(bundle.join("rootfs/run")).expect("the bundle is ours");
    symlink("/run", bundle.join("rootfs/var/run")).expect("the bundle is ours");
    assert_eq!(host.run(&["run", "--bundle", text(&bundle), "web"]).ok().out(), "x");
}

#[test]
fn proc_and_sys_are_mounted_on_real_directories_only() {
    // CVE-2019-19921, CVE-2023-27561.
    for name in ["proc", "sys"] {
        let host = Host::new();
        let bundle = host.bundle("web", &["true"], |_| {});
        fs::remove_dir(bundle.join("rootfs").join(name)).expect("the bundle is ours");
        fs::create_dir(bundle.join("rootfs/elsewhere")).expect("the bundle is ours");
        symlink("/elsewhere", bundle.join("rootfs").join(name)).expect("the bundle is ours");
        let ran = host.run(&["run", "--bundle", text(&bundle), "web"]);
        assert_eq!(ran.code, 1, "{name}: {ran:?}");
        assert!(ran.stderr.contains("must be mounted on ordinary directory"), "{name}: {ran:?}");
        host.assert_clean();
    }
}

#[test]
fn nothing_is_mounted_inside_proc_but_known_files() {
    // CVE-2019-16884: a volume over /proc/self/attr lost the label that was written there.
    for (target, works) in [("/proc/self/attr", false), ("/link/sys", false), ("/proc/uptime", true)] {
        let host = Host::new();
        let file = host.root.join("file");
        fs::write(&file, "ours").expect("the root is writable");
        let directory = host.root.make("directory");
        let source = if works { file } else { directory };
        let bundle = host.bundle("web", &["cat", "/proc/uptime"], |config| {
            push(
                config,
                "/mounts",
                json!({"destination": target, "type": "bind", "source": text(&source), "options": ["bind"]}),
            );
        });
        symlink("/proc", bundle.join("rootfs/link")).expect("the bundle is ours");
        let ran = host.run(&["run", "--bundle", text(&bundle), "web"]);
        assert_eq!(ran.code == 0 && ran.out() == "ours", works, "{target}: {ran:?}");
        assert_eq!(ran.stderr.contains("it lies inside a procfs"), !works, "{target}: {ran:?}");
        host.assert_clean();
    }
}

#[test]
fn masks_come_from_the_host_and_not_from_the_images_null_device() {
    // CVE-2025-31133: a masked file became a file of the attacker's choice.
    let host = Host::new();
    let canary = host.root.join("canary");
    fs::write(&canary, "secret").expect("the root is writable");
    let bundle = host.bundle("web", &["sh", "-c", "cat /proc/keys /proc/timer_list"], |config| {
        let mounts = config["mounts"].as_array_mut().expect("an array");
        mounts.retain(|mount| !mount["destination"].as_str().is_some_and(|target| target.starts_with("/dev")));
    });
    symlink("/etc/passwd", bundle.join("rootfs/dev/null")).expect("the bundle is ours");
    let ran = host.run(&["run", "--bundle", text(&bundle), "web"]);
    assert_eq!(ran.stdout, "", "{ran:?}");
}

#[test]
fn a_leaked_descriptor_leads_nowhere_outside() {
    // CVE-2024-21626: a directory of the host, reached through a descriptor of the runtime.
    let host = Host::new();
    // Also what a mask or a read-only bind covers is open for a moment while it is covered.
    for number in 3..64 {
        let ran = host.run_script(&format!("web{number}"), "pwd; ls ../../../../../..", |config| {
            config["process"]["cwd"] = json!(format!("/proc/self/fd/{number}"));
        });
        assert!(ran.code == 1 && ran.stdout.is_empty(), "{ran:?}");
    }
    host.assert_clean();
}

#[test]
fn the_runtimes_executable_cannot_be_written_from_inside() {
    // CVE-2019-5736: what /proc/PID/exe of an entering process leads to is no writable file.
    let host = Host::new();
    let program = integration_tests::programs::path("corten-runtime");
    let before = fs::read(&program).expect("it is there");
    let script = "i=0; while [ $i -lt 400 ]; do i=$((i+1)); for p in /proc/[0-9]*; do \
                  [ ${p#/proc/} = 1 ] || [ ${p#/proc/} = $$ ] || (echo x > $p/exe) 2>/dev/null && echo written $p; done; done";
    let bundle = host.bundle("web", &["sh", "-c", script], |_| {});
    let log = fs::File::create(host.root.join("out")).expect("the root is writable");
    let mut web = host.command(&["run", "--bundle", text(&bundle), "web"]);
    let mut web = web.stdout(log.try_clone().expect("a descriptor")).stderr(log).spawn().expect("it starts");
    integration_tests::wait_for("web to run", integration_tests::DEADLINE, || host.run(&["state", "web"]).code == 0);
    for _ in 0..10 {
        let _ = host.run(&["exec", "web", "true"]);
    }
    let _ = host.run(&["kill", "web", "KILL"]);
    let _ = web.wait().expect("the child is ours");
    assert_eq!(fs::read(&program).expect("it is there"), before);
}

#[test]
fn a_target_exchanged_while_it_is_mounted_stays_inside() {
    // CVE-2024-45310: runc 1.1.5 makes a host directory within two seconds of this.
    let host = Host::new();
    let victim = host.root.make("victim");
    let bundle = host.bundle("web", &["true"], |config| {
        push(config, "/mounts", json!({"destination": "/swap/made/here", "type": "tmpfs", "source": "tmpfs"}));
    });
    let (rootfs, target) = (bundle.join("rootfs"), victim.clone());
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stopped = std::sync::Arc::clone(&stop);
    let swapping = std::thread::spawn(move || {
        let path = rootfs.join("swap");
        while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
            let _ = symlink(&target, &path);
            let _ = fs::remove_file(&path);
            let _ = fs::create_dir(&path);
            let _ = fs::remove_dir_all(&path);
        }
    });
    for _ in 0..30 {
        let _ = host.run(&["run", "--bundle", text(&bundle), "web"]);
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    swapping.join().expect("it does not panic");
    assert_eq!(fs::read_dir(&victim).expect("it is there").count(), 0);
    host.assert_clean();
}

#[test]
fn a_path_is_masked_once_however_often_it_is_named() {
    let host = Host::new();
    let ran = host.run_script("web", "grep -c ' /etc/passwd ' /proc/self/mountinfo; wc -c < /etc/passwd", |config| {
        config["linux"]["maskedPaths"] = json!(["/etc/passwd", "/etc//passwd", "/etc/passwd"]);
    });
    assert_eq!(ran.ok().stdout, "1\n0\n");
    host.assert_clean();
}
