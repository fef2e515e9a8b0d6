//! What is known to be broken in Debian 12's runc, shown on it and on ours in the same run: attacks that work.

use std::{
    ffi::CString,
    fs,
    os::unix::{ffi::OsStrExt, fs::symlink},
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use integration_tests::{Ran, programs};
use serde_json::{Value, json};

use super::entries;
use crate::{Host, push, text};

/// The version that has all three; a newer one would have to be shown to be mended before these tests are changed.
const BROKEN: &str = "runc version 1.1.5";

/// `run` by Debian's runc.
fn original(host: &Host, bundle: &Path, name: &str) -> Ran {
    let runc = programs::original("runc");
    let version = Ran::of(Command::new(&runc).arg("--version")).ok();
    assert!(version.stdout.starts_with(BROKEN), "the controls are for {BROKEN}: {version:?}");
    let root = host.root.make("runc-state");
    Ran::of(Command::new(&runc).arg("--root").arg(root).args(["run", "--bundle", text(bundle), name]))
}

fn without_dev(config: &mut Value) {
    let mounts = config["mounts"].as_array_mut().expect("an array");
    mounts.retain(|mount| !mount["destination"].as_str().is_some_and(|target| target.starts_with("/dev")));
}

#[test]
fn a_dev_that_is_a_symlink_leads_nowhere_outside() {
    // CVE-2026-41579, CVE-2026-47766: fd, stdin, stdout, stderr and ptmx appeared in the host's directory.
    let host = Host::new();
    let bundle = |name: &str, victim: &Path| {
        let bundle = host.bundle(name, &["true"], without_dev);
        fs::remove_dir(bundle.join("rootfs/dev")).expect("the bundle is ours");
        symlink(victim, bundle.join("rootfs/dev")).expect("the bundle is ours");
        bundle
    };
    let theirs = host.root.make("theirs");
    let _ = original(&host, &bundle("runc", &theirs), "runc");
    assert!(entries(&theirs).contains(&"ptmx".to_owned()), "runc is no control any more: {:?}", entries(&theirs));

    let ours = host.root.make("ours");
    let _ = host.run(&["run", "--bundle", text(&bundle("web", &ours)), "web"]);
    assert_eq!(entries(&ours), [""; 0]);
    host.assert_clean();
}

#[test]
fn masks_come_from_the_host_and_not_from_the_images_null_device() {
    // CVE-2025-31133, CVE-2025-62161: a masked file became a file of the attacker's choice.
    let host = Host::new();
    let bundle = |name: &str| {
        let bundle = host.bundle(name, &["sh", "-c", "cat /proc/keys; echo changed > /proc/keys"], without_dev);
        fs::write(bundle.join("rootfs/canary"), "secret\n").expect("the bundle is ours");
        symlink("/canary", bundle.join("rootfs/dev/null")).expect("the bundle is ours");
        bundle
    };
    let canary = |bundle: &Path| fs::read_to_string(bundle.join("rootfs/canary")).expect("it is there");
    let theirs = bundle("runc");
    let ran = original(&host, &theirs, "runc");
    assert_eq!(canary(&theirs), "changed\n", "runc is no control: {ran:?}");

    let ours = bundle("web");
    let ran = host.run(&["run", "--bundle", text(&ours), "web"]);
    assert_eq!((ran.stdout.as_str(), canary(&ours).as_str()), ("", "secret\n"), "{ran:?}");
    host.assert_clean();
}

/// Exchanges `one` and `other` as fast as it can, until dropped.
struct Exchanging {
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Exchanging {
    fn start(one: &Path, other: &Path) -> Exchanging {
        let path = |path: &Path| CString::new(path.as_os_str().as_bytes()).expect("a path");
        let (one, other) = (path(one), path(other));
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                corten_sys::files::exchange(&one, &other).expect("both are ours");
            }
        });
        Exchanging { stop, thread: Some(thread) }
    }
}

impl Drop for Exchanging {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(thread::JoinHandle::join); // a panic there has been reported
    }
}

#[test]
fn a_target_exchanged_while_it_is_made_stays_inside() {
    // CVE-2021-30465, CVE-2024-45310. runc hits within a few attempts; ours gets as many, and some.
    const MOST: usize = 500;
    const MORE: usize = 20;
    let host = Host::new();
    let bundle = host.bundle("web", &["true"], |config| {
        for name in ["one", "two", "three", "four"] {
            let target = format!("/swap/{name}/a/b/c");
            push(config, "/mounts", json!({"destination": target, "type": "tmpfs", "source": "tmpfs"}));
        }
    });
    let victim = host.root.make("victim");
    let swap = bundle.join("rootfs/swap");
    let other = host.root.join("other");
    let reset = || {
        let _ = fs::remove_dir_all(&swap).or_else(|_| fs::remove_file(&swap)); // whichever of the two it is now
        let _ = fs::remove_dir_all(&other).or_else(|_| fs::remove_file(&other));
        fs::create_dir(&swap).expect("the bundle is ours");
        symlink(&victim, &other).expect("the root is ours");
    };
    let attempt = |run: &dyn Fn() -> Ran| {
        reset();
        let exchanging = Exchanging::start(&swap, &other);
        let _ = run();
        drop(exchanging);
        !entries(&victim).is_empty()
    };
    let hit = (1..=MOST).find(|_| attempt(&|| original(&host, &bundle, "runc")));
    let hit = hit.unwrap_or_else(|| panic!("runc is no control: it made nothing outside in {MOST} attempts"));

    fs::remove_dir_all(&victim).expect("it is ours");
    fs::create_dir(&victim).expect("it is ours");
    for number in 0..hit + MORE {
        let is_hit = attempt(&|| host.run(&["run", "--bundle", text(&bundle), "web"]));
        assert!(!is_hit, "attempt {number} made {:?} outside", entries(&victim));
    }
    host.assert_clean();
}
