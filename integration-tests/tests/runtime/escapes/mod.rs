//! Images and processes that try to reach the host (CVE catalogue of the runtimes): each must fail or stay inside.
//!
//! A check that finds nothing proves nothing until it has found something: the attacks that work are shown on Debian's
//! runc in [`controls`]; every other check is first run on an outcome that the test spoils itself ([`proven`]).

mod controls;
mod entering;
mod identity;
mod names;
mod proc;

use std::{fs, os::unix::fs::symlink, path::Path};

use serde_json::json;

use crate::{Host, push, text};

/// Asserts that `finds` finds something in what was sabotaged, and nothing in what is ours.
#[track_caller]
fn proven<S: ?Sized>(finds: impl Fn(&S) -> Option<String>, sabotaged: &S, ours: &S) {
    assert!(finds(sabotaged).is_some(), "the check is blind: it finds nothing in what was sabotaged");
    assert_eq!(finds(ours), None);
}

/// The names in a directory.
fn entries(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("it is a directory of the test's");
    entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// What appeared in a directory of the host.
fn made_outside(directory: &Path) -> Option<String> {
    let entries = entries(directory);
    (!entries.is_empty()).then(|| entries.join(" "))
}

#[test]
fn a_mount_target_that_is_a_symlink_stays_inside() {
    // CVE-2019-18837, CVE-2021-30465, CVE-2024-45310.
    let host = Host::new();
    let (victim, spoiled) = (host.root.make("victim"), host.root.make("spoiled"));
    let bundle = host.bundle("web", &["sh", "-c", "ls -d /link/* /link/deep/er"], |config| {
        push(config, "/mounts", json!({"destination": "/link/deep/er", "type": "tmpfs", "source": "tmpfs"}));
        push(
            config,
            "/mounts",
            json!({"destination": "/file/new", "type": "bind", "source": "/etc/hosts", "options": ["bind"]}),
        );
    });
    for name in ["link", "file"] {
        symlink(&victim, bundle.join("rootfs").join(name)).expect("the bundle is ours");
    }
    let ran = host.run(&["run", "--bundle", text(&bundle), "web"]);
    // Who makes the target by its path.
    symlink(&spoiled, bundle.join("rootfs/spoiled")).expect("the bundle is ours");
    fs::create_dir_all(bundle.join("rootfs/spoiled/deep/er")).expect("the root is writable");
    proven(made_outside, spoiled.as_path(), &victim);
    assert!(ran.code == 0 || ran.stderr.contains("create mount target"), "{ran:?}");
    host.assert_clean();
}

#[test]
fn what_is_made_in_the_root_is_made_in_it() {
    // CVE-2025-24965: a file of the runtime's own was made through a symlink of the image. What ours makes: the working
    // directory, devices, their directories, and the terminal's file.
    let host = Host::new();
    let (victim, spoiled) = (host.root.make("victim"), host.root.make("spoiled"));
    let bundle = host.bundle("web", &["true"], |config| {
        let mounts = config["mounts"].as_array_mut().expect("an array");
        mounts.retain(|mount| !mount["destination"].as_str().is_some_and(|target| target.starts_with("/dev")));
        config["process"]["cwd"] = json!("/cwd/new/directory");
        let node = json!({"path": "/nodes/new/null", "type": "c", "major": 1, "minor": 3});
        config["linux"]["devices"] = json!([node]);
    });
    fs::remove_dir(bundle.join("rootfs/dev")).expect("the bundle is ours");
    for name in ["cwd", "nodes", "dev"] {
        symlink(&victim, bundle.join("rootfs").join(name)).expect("the bundle is ours");
    }
    let _ = host.run(&["run", "--bundle", text(&bundle), "web"]);
    symlink(&spoiled, bundle.join("rootfs/spoiled")).expect("the bundle is ours");
    fs::write(bundle.join("rootfs/spoiled/.krun_config.json"), "{}").expect("the root is writable");
    proven(made_outside, spoiled.as_path(), &victim);
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
fn a_path_is_masked_once_however_often_it_is_named() {
    let host = Host::new();
    let ran = host.run_script("web", "grep -c ' /etc/passwd ' /proc/self/mountinfo; wc -c < /etc/passwd", |config| {
        config["linux"]["maskedPaths"] = json!(["/etc/passwd", "/etc//passwd", "/etc/passwd"]);
    });
    assert_eq!(ran.ok().stdout, "1\n0\n");
    host.assert_clean();
}
