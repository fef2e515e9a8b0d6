//! What the process sees around it: mounts, devices, masked and read-only paths, sysctls, names.

use std::fs;

use serde_json::json;

use crate::{Host, push, set, text};

#[test]
fn the_default_devices_are_there_and_work() {
    let host = Host::new();
    let script = "for d in null zero full random urandom tty; do stat -c '%n %t:%T %a' /dev/$d; done; \
                  for l in fd stdin ptmx; do readlink /dev/$l; done; echo x > /dev/null; head -c 2 /dev/zero | wc -c; \
                  mknod /dev/mine c 1 3 && echo made; head -c1 /dev/mine; mknod /tmp/disk b 254 0; head -c1 /tmp/disk";
    let ran = host.run_script("web", script, |_| {});
    let out = ran.stdout.clone();
    for line in ["/dev/null 1:3 666", "/dev/tty 5:0 666", "/proc/self/fd\n/proc/self/fd/0\npts/ptmx", "made"] {
        assert!(out.contains(line), "{line} in {ran:?}");
    }
    // The node can be made, but the cgroup does not let it be opened.
    assert!(ran.stderr.contains("/tmp/disk: Operation not permitted"), "{ran:?}");
}

#[test]
fn a_device_of_the_spec_is_made_with_its_owner() {
    let host = Host::new();
    let ran = host.run_script("web", "stat -c '%t:%T %a %u:%g' /dev/mine", |config| {
        config["linux"]["devices"] =
            json!([{"path": "/dev/mine", "type": "c", "major": 1, "minor": 5, "fileMode": 0o640, "uid": 7, "gid": 8}]);
    });
    assert_eq!(ran.ok().out(), "1:5 640 7:8");
}

#[test]
fn masked_paths_are_empty_and_read_only_paths_cannot_be_written() {
    let host = Host::new();
    let script = "cat /proc/keys; ls /sys/firmware; cat /secret/file; echo x > /proc/sys/kernel/hostname; \
                  echo x > /secret/file; touch /secret/dir/x; echo end";
    let ran = host.run_script("web", script, |config| {
        push(config, "/linux/maskedPaths", json!("/secret/file"));
        push(config, "/linux/readonlyPaths", json!("/secret/dir"));
        push(config, "/mounts", json!({"destination": "/secret", "type": "tmpfs", "source": "tmpfs"}));
        push(config, "/mounts", json!({"destination": "/secret/dir", "type": "tmpfs", "source": "tmpfs"}));
        push(
            config,
            "/mounts",
            json!({"destination": "/secret/file", "type": "bind", "source": "config.json", "options": ["bind"]}),
        );
    });
    assert_eq!(ran.out(), "end", "{ran:?}");
    assert!(ran.stderr.contains("hostname: Read-only file system"), "{ran:?}");
    assert!(ran.stderr.contains("/secret/dir/x: Read-only file system"), "{ran:?}");
}

#[test]
fn the_host_keeps_its_own_null_device() {
    let host = Host::new();
    // A container that could write its masks would write the host's file.
    let ran = host.run_script(
        "web",
        "rm -f /dev/null; ln -s /canary /dev/null; cat /proc/keys; echo pwned > /proc/keys; cat /canary",
        |config| {
            set(config, "/root", json!({"path": "rootfs"}));
        },
    );
    assert!(!ran.stdout.contains("pwned"), "{ran:?}");
    assert!(fs::metadata("/dev/null").is_ok_and(|metadata| !metadata.is_file()));
}

#[test]
fn a_read_only_root_is_read_only_and_its_tmpfs_is_not() {
    let host = Host::new();
    let ran = host.run_script("web", "touch /x; touch /dev/shm/x && echo shm; ls -A / | grep -c x", |config| {
        set(config, "/root", json!({"path": "rootfs", "readonly": true}));
    });
    assert!(ran.stderr.contains("touch: /x: Read-only file system"), "{ran:?}");
    assert!(ran.stdout.starts_with("shm\n"), "{ran:?}");
}

#[test]
fn binds_are_made_with_their_options_and_missing_targets() {
    let host = Host::new();
    let data = host.root.make("data/below");
    fs::write(data.join("file"), "content\n").expect("the root is writable");
    let parent = host.root.join("data");
    let script = "cat /a/b/below/file /one; touch /a/b/x; echo more >> /one; grep -c ' /a/b ' /proc/mounts; \
                  grep -E ' /(a/b|one) ' /proc/mounts | grep -c nosuid";
    let ran = host.run_script("web", script, |config| {
        let source = text(&parent);
        push(
            config,
            "/mounts",
            json!({"destination": "/a/b", "type": "bind", "source": source, "options": ["rbind", "ro", "nosuid"]}),
        );
        let file = text(&data).to_owned() + "/file";
        push(config, "/mounts", json!({"destination": "/one", "type": "bind", "source": file, "options": ["bind"]}));
    });
    assert_eq!(ran.stdout, "content\ncontent\n1\n1\n", "{ran:?}");
    assert!(ran.stderr.contains("/a/b/x: Read-only file system"), "{ran:?}");
    assert_eq!(fs::read_to_string(data.join("file")).expect("it is there"), "content\nmore\n");
}

#[test]
fn a_bind_that_cannot_be_made_names_its_source_and_leaves_nothing() {
    let host = Host::new();
    let ran = host.run_script("web", "true", |config| {
        push(config, "/mounts", json!({"destination": "/a", "type": "bind", "source": "/nope", "options": ["bind"]}));
    });
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("error mounting \\\"/nope\\\" to rootfs at \\\"/a\\\""), "{ran:?}");
    assert!(ran.stderr.contains("no such file or directory"), "{ran:?}");
    host.assert_clean();
}

#[test]
fn an_option_the_filesystem_does_not_know_is_explained_by_the_kernel() {
    let host = Host::new();
    let ran = host.run_script("web", "true", |config| {
        push(config, "/mounts", json!({"destination": "/a", "type": "tmpfs", "source": "a", "options": ["frob=1"]}));
    });
    assert!(ran.stderr.contains("Unknown parameter 'frob'"), "{ran:?}");
    host.assert_clean();
}

#[test]
fn a_tmpfs_without_a_mode_takes_that_of_its_directory() {
    let host = Host::new();
    let ran = host.run_script("web", "stat -c %a /root /tmp", |config| {
        for target in ["/root", "/tmp"] {
            push(config, "/mounts", json!({"destination": target, "type": "tmpfs", "source": "tmpfs"}));
        }
    });
    assert_eq!(ran.ok().stdout, "700\n1777\n");
}

#[test]
fn sysctls_and_names_hold_inside_only() {
    let host = Host::new();
    let before = fs::read_to_string("/proc/sys/net/ipv4/ip_forward").expect("the host has it");
    let script = "hostname; cat /proc/sys/kernel/domainname /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/msgmax";
    let ran = host.run_script("web", script, |config| {
        config["hostname"] = json!("inside");
        config["domainname"] = json!("example.org");
        config["linux"]["sysctl"] = json!({"net.ipv4.ip_unprivileged_port_start": "42", "kernel.msgmax": "9000"});
    });
    assert_eq!(ran.ok().stdout, "inside\nexample.org\n42\n9000\n");
    assert_eq!(fs::read_to_string("/proc/sys/net/ipv4/ip_forward").expect("as before"), before);
}

#[test]
fn the_template_of_spec_runs() {
    let host = Host::new();
    let bundle = host.root.make("template");
    integration_tests::busybox::rootfs(&bundle.join("rootfs"));
    let _ = host.run(&["spec", "--bundle", text(&bundle)]).ok();
    assert_eq!(host.run(&["spec", "--bundle", text(&bundle)]).code, 1, "an existing file is not touched");
    let file = bundle.join("config.json");
    let mut config: serde_json::Value = serde_json::from_slice(&fs::read(&file).expect("written")).expect("JSON");
    set(&mut config, "/process/terminal", json!(false));
    set(&mut config, "/process/args", json!(["echo", "hello"]));
    config["linux"]["cgroupsPath"] = json!(format!("{}/template", host.root.cgroup_parent()));
    fs::write(&file, config.to_string()).expect("the root is writable");
    assert_eq!(host.run(&["run", "--bundle", text(&bundle), "template"]).ok().out(), "hello");
    host.assert_clean();
}

#[test]
fn without_pivot_no_procfs_of_the_host_stays_in_sight() {
    let host = Host::new();
    // One more of the host's, as a chroot has it; the runtime sees it in a mount namespace of the test's own.
    let other = host.root.make("other proc");
    let inner = "mount -t proc none /proc && echo mounted";
    let bundle = host.bundle("web", &["unshare", "-mrpf", "sh", "-c", inner], |config| {
        for set in ["bounding", "permitted"] {
            push(config, &format!("/process/capabilities/{set}"), json!("CAP_SETFCAP"));
        }
    });
    let mut command = std::process::Command::new("unshare");
    command.args(["--mount", "sh", "-c", "mount -t proc proc \"$0\" && exec \"$@\"", text(&other)]);
    command.arg(integration_tests::programs::path("corten-runtime")).arg("--root").arg(host.state());
    let ran = integration_tests::Ran::of(command.args(["run", "--no-pivot", "--bundle", text(&bundle), "web"]));
    assert!(ran.code != 0 && ran.stdout.is_empty(), "{ran:?}");
    assert!(ran.stderr.contains("mount: permission denied"), "{ran:?}");
    host.assert_clean();
}

#[test]
fn without_pivot_the_root_is_the_containers_too() {
    let host = Host::new();
    let bundle = host.bundle("web", &["sh", "-c", "ls /; ls /proc/1/root/"], |_| {});
    let ran = host.run(&["run", "--no-pivot", "--bundle", text(&bundle), "web"]).ok();
    assert!(ran.stdout.contains("bin") && !ran.stdout.contains("boot"), "{ran:?}");
    host.assert_clean();
}
