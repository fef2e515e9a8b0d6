//! What the runtime writes to /proc, and what it takes a terminal and a mask for: never what the image shows.

use std::{
    fs,
    os::unix::fs::{MetadataExt, symlink},
    path::Path,
    process::Command,
};

use integration_tests::Ran;
use serde_json::json;

use super::proven;
use crate::{Host, push, text};

#[test]
fn proc_and_sys_are_mounted_on_real_directories_only() {
    // CVE-2019-19921, CVE-2023-27561, CVE-2023-28642, CVE-2025-54867.
    let host = Host::new();
    let script = "stat -f -c %T /proc /sys 2>/dev/null; readlink /proc /sys";
    // A filesystem that is neither, or a name that leads elsewhere.
    let replaced = |ran: &Ran| {
        let is_whole = ran.code == 0 && ran.stdout.lines().count() == 2 && !ran.stdout.contains("ext");
        (!is_whole && ran.code == 0).then(|| ran.stdout.clone())
    };
    let spoiled = host.run_script("spoiled", script, |config| {
        let mounts = config["mounts"].as_array_mut().expect("an array");
        mounts.retain(|mount| mount["type"] != "sysfs");
        mounts.push(json!({"destination": "/sys", "type": "tmpfs", "source": "tmpfs"}));
        mounts.push(json!({"destination": "/elsewhere", "type": "tmpfs", "source": "tmpfs"}));
        config["process"]["args"] = json!(["sh", "-c", format!("{script}; echo /elsewhere")]);
    });
    for name in ["proc", "sys"] {
        let bundle = host.bundle(name, &["sh", "-c", script], |_| {});
        fs::remove_dir(bundle.join("rootfs").join(name)).expect("the bundle is ours");
        fs::create_dir(bundle.join("rootfs/elsewhere")).expect("the bundle is ours");
        symlink("/elsewhere", bundle.join("rootfs").join(name)).expect("the bundle is ours");
        let ran = host.run(&["run", "--bundle", text(&bundle), name]);
        proven(replaced, &spoiled, &ran);
        assert!(ran.code == 1 && ran.stderr.contains("must be mounted on ordinary directory"), "{name}: {ran:?}");
        host.assert_clean();
    }
}

#[test]
fn nothing_is_mounted_inside_proc_but_known_files() {
    // CVE-2019-16884: a volume over /proc/self/attr lost the label that was written there.
    let host = Host::new();
    let (file, directory) = (host.root.join("file"), host.root.make("directory"));
    fs::write(&file, "ours").expect("the root is writable");
    let run = |name: &str, target: &str, source: &Path| {
        let bundle = host.bundle(name, &["cat", "/proc/self/mountinfo"], |config| {
            config["linux"]["maskedPaths"] = json!([]);
            config["linux"]["readonlyPaths"] = json!([]);
            let mount = json!({"destination": target, "type": "bind", "source": text(source), "options": ["bind"]});
            push(config, "/mounts", mount);
        });
        symlink("/proc", bundle.join("rootfs/link")).expect("the bundle is ours");
        host.run(&["run", "--bundle", text(&bundle), name])
    };
    let covered = |ran: &Ran| {
        let targets = ran.stdout.lines().filter_map(|line| line.split(' ').nth(4));
        targets.filter(|target| target.starts_with("/proc/")).map(str::to_owned).next()
    };
    // What tools are allowed to cover is what shows that a cover is seen.
    let allowed = run("allowed", "/proc/uptime", &file).ok();
    for (name, target) in [("attr", "/proc/self/attr"), ("link", "/link/sys"), ("up", "/sys/../proc/sys")] {
        let ran = run(name, target, &directory);
        proven(covered, &allowed, &ran);
        assert!(ran.code == 1 && ran.stderr.contains("it lies inside a procfs"), "{target}: {ran:?}");
    }
    host.assert_clean();
}

#[test]
fn what_the_runtime_writes_to_proc_goes_to_the_kernel() {
    // CVE-2025-52881, CVE-2025-62596: the writes went to a file that the image or a volume put there.
    let host = Host::new();
    let fake = host.root.make("fake/sys/net/ipv4").join("ip_forward");
    let fake_name = host.root.make("fake/sys/kernel").join("domainname");
    let untouched = || {
        for file in [&fake, &fake_name] {
            fs::write(file, "0\n").expect("the root is writable");
        }
    };
    untouched();
    let bundle = host.bundle("web", &["sleep", "1000"], |config| {
        let mounts = config["mounts"].as_array_mut().expect("an array");
        mounts.retain(|mount| mount["type"] != "proc");
        let source = host.root.join("fake");
        mounts.push(json!({"destination": "/proc", "type": "bind", "source": text(&source), "options": ["rbind"]}));
        config["linux"]["maskedPaths"] = json!([]);
        config["linux"]["readonlyPaths"] = json!([]);
        config["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "1", "kernel.domainname": "set"});
    });
    let changed = |directory: &Path| {
        let read = |name: &str| fs::read_to_string(directory.join("sys").join(name)).expect("it is there");
        let found = read("net/ipv4/ip_forward") + &read("kernel/domainname");
        (found != "0\n0\n").then_some(found)
    };
    host.create("web", &bundle);
    let pid = host.state_of("web")["pid"].to_string();
    let mut real = Command::new("nsenter");
    real.args([
        "--net",
        "--uts",
        "--target",
        &pid,
        "cat",
        "/proc/sys/net/ipv4/ip_forward",
        "/proc/sys/kernel/domainname",
    ]);
    assert_eq!(Ran::of(&mut real).ok().stdout, "1\nset\n");
    assert_eq!(changed(&host.root.join("fake")), None);
    // Who writes by the path that the container shows.
    let spoiled = host.root.join("spoiled");
    let _ = Ran::of(Command::new("cp").arg("-r").arg(host.root.join("fake")).arg(&spoiled)).ok();
    fs::write(spoiled.join("sys/net/ipv4/ip_forward"), "1\n").expect("the root is writable");
    proven(changed, spoiled.as_path(), &host.root.join("fake"));
    let _ = host.run(&["delete", "--force", "web"]).ok();
    host.assert_clean();
}

#[test]
fn a_terminal_of_the_images_making_is_not_taken() {
    // CVE-2025-52565: /dev/pts/N was opened by its name, bound to /dev/console, and given to the process's user.
    let host = Host::new();
    let fingerprint = |file: &Path| {
        let metadata = fs::metadata(file).expect("it is there");
        (metadata.uid(), metadata.mode() & 0o7777, fs::read_to_string(file).expect("it is text"))
    };
    let (canary, spoiled) = (host.root.join("canary"), host.root.join("spoiled"));
    for file in [&canary, &spoiled] {
        fs::write(file, "secret\n").expect("the root is writable");
    }
    let before = fingerprint(&canary);
    let touched = |file: &Path| {
        let now = fingerprint(file);
        (now != before).then(|| format!("{now:?}"))
    };
    let bundle = host.bundle("web", &["sh", "-c", "cat /dev/console; echo changed > /dev/console"], |config| {
        let mounts = config["mounts"].as_array_mut().expect("an array");
        mounts.retain(|mount| !mount["destination"].as_str().is_some_and(|target| target.starts_with("/dev")));
        config["process"]["terminal"] = json!(true);
        config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
    });
    let dev = bundle.join("rootfs/dev");
    fs::create_dir(dev.join("pts")).expect("the bundle is ours");
    for name in (0..8).map(|number| format!("pts/{number}")).chain(["console".to_owned(), "tty".to_owned()]) {
        symlink(&canary, dev.join(name)).expect("the bundle is ours");
    }
    let ran = host.run(&["run", "--bundle", text(&bundle), "web"]);
    assert!(!ran.stdout.contains("secret"), "{ran:?}");
    symlink(&spoiled, dev.join("pts/9")).expect("the bundle is ours");
    std::os::unix::fs::chown(dev.join("pts/9"), Some(1000), None).expect("root may");
    proven(touched, spoiled.as_path(), &canary);
    host.assert_clean();
}
