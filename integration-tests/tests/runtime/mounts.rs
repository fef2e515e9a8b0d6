//! Mounts whose source or target is only known in the container: dangling links, its own tree, copied directories.

use std::{
    fs,
    os::unix::fs::{chown, symlink},
};

use serde_json::json;

use crate::{Host, push, set, text};

#[test]
fn a_target_behind_a_link_that_leads_nowhere_is_made_within_the_root() {
    let host = Host::new();
    fs::write(host.root.join("conf"), "from the host\n").expect("the root is writable");
    let script = "cat /etc/resolv.conf /run/deep/er/stub.conf; cat /etc/loose/file";
    let bundle = host.bundle("web", &["sh", "-c", script], |config| {
        let source = host.root.join("conf");
        for target in ["/etc/resolv.conf", "/etc/loose/file"] {
            let options = json!(["bind", "ro"]);
            push(config, "/mounts", json!({"destination": target, "source": source, "options": options}));
        }
    });
    symlink("../run/deep/er/stub.conf", bundle.join("rootfs/etc/resolv.conf")).expect("the bundle is ours");
    symlink("/../../tmp/corten-never", bundle.join("rootfs/etc/loose")).expect("the bundle is ours");
    let expected = "from the host\n".repeat(3);
    assert_eq!(host.run(&["run", "--bundle", text(&bundle), "web"]).ok().stdout, expected);
    assert!(bundle.join("rootfs/tmp/corten-never/file").is_file());
    assert!(!std::path::Path::new("/tmp/corten-never").exists(), "made on the host");
    host.assert_clean();
}

#[test]
fn a_source_in_the_root_filesystem_is_what_the_mounts_before_made_of_it() {
    let host = Host::new();
    fs::create_dir(host.root.join("data")).expect("the root is writable");
    fs::write(host.root.join("data/file"), "mounted\n").expect("the root is writable");
    let bundle = host.bundle("web", &["sh", "-c", "cat /copy/file; echo x > /copy/no"], |config| {
        let rootfs = host.root.join("bundles/web/rootfs");
        let outer = json!({"destination": "/outer", "source": host.root.join("data"), "options": ["rbind"]});
        push(config, "/mounts", outer);
        let inner =
            json!({"destination": rootfs.join("copy"), "source": rootfs.join("outer"), "options": ["rbind", "ro"]});
        push(config, "/mounts", inner);
    });
    let ran = host.run(&["run", "--bundle", text(&bundle), "web"]);
    assert_eq!(ran.stdout, "mounted\n", "{ran:?}");
    assert!(ran.stderr.contains("Read-only file system"), "{ran:?}");
    host.assert_clean();
}

#[test]
fn a_tmpfs_can_begin_with_what_it_covers() {
    let host = Host::new();
    let script = "cat /data/sub/file; readlink /data/link; stat -c %a /data/sub; touch /data/new";
    let bundle = host.bundle("web", &["sh", "-c", script], |config| {
        let options = json!(["tmpcopyup", "nosuid"]);
        push(
            config,
            "/mounts",
            json!({"destination": "/data", "type": "tmpfs", "source": "tmpfs", "options": options}),
        );
    });
    let data = bundle.join("rootfs/data");
    fs::create_dir_all(data.join("sub")).expect("the bundle is ours");
    fs::write(data.join("sub/file"), "kept\n").expect("the bundle is ours");
    symlink("/etc/passwd", data.join("link")).expect("the bundle is ours");
    let ran = host.run(&["run", "--bundle", text(&bundle), "web"]);
    assert_eq!(ran.ok().stdout, "kept\n/etc/passwd\n755\n");
    assert!(!data.join("new").exists(), "written to the image");
    let ran = host.run_script("bad", "true", |config| {
        let bind = json!({"destination": "/x", "type": "proc", "source": "proc", "options": ["tmpcopyup"]});
        push(config, "/mounts", bind);
    });
    assert!(ran.code == 1 && ran.stderr.contains("tmpcopyup is for a tmpfs"), "{ran:?}");
    host.assert_clean();
}

#[test]
fn a_dev_that_is_read_only_has_its_devices() {
    let host = Host::new();
    let ran = host.run_script("web", "echo x > /dev/null && ls -l /dev/zero | cut -c1 && touch /dev/x", |config| {
        for mount in config["mounts"].as_array_mut().into_iter().flatten().filter(|m| m["destination"] == "/dev") {
            mount["options"] = json!(["nosuid", "mode=755", "ro"]);
        }
    });
    assert!(ran.stdout == "c\n" && ran.stderr.contains("Read-only file system"), "{ran:?}");
    let ran = host.run_script("terminal", "tty", |config| {
        config["process"]["terminal"] = json!(true);
        for mount in config["mounts"].as_array_mut().into_iter().flatten().filter(|m| m["destination"] == "/dev") {
            mount["options"] = json!(["nosuid", "mode=755", "ro"]);
        }
    });
    assert_eq!(ran.ok().stdout, "/dev/pts/0\n");
    host.assert_clean();
}

#[test]
fn an_idmapped_mount_shows_other_owners() {
    let host = Host::new();
    let data = host.root.make("data");
    fs::write(data.join("file"), "").expect("the root is writable");
    chown(data.join("file"), Some(1000), Some(1001)).expect("root may");
    let mapping = |outside: u32, inside: u32| json!([{"containerID": outside, "hostID": inside, "size": 10}]);
    let script = "stat -c %u:%g /data/file; touch /data/new; chown 5003:6003 /data/new";
    let ran = host.run_script("web", script, |config| {
        let mount = json!({"destination": "/data", "type": "bind", "source": text(&data), "options": ["bind"],
            "uidMappings": [{"containerID": 1000, "hostID": 5000, "size": 10}, {"containerID": 0, "hostID": 0, "size": 1}],
            "gidMappings": [{"containerID": 1000, "hostID": 6000, "size": 10}, {"containerID": 0, "hostID": 0, "size": 1}]});
        push(config, "/mounts", mount);
    });
    assert_eq!(ran.ok().out(), "5000:6001");
    let made = fs::metadata(data.join("new")).expect("it was made");
    assert_eq!((std::os::unix::fs::MetadataExt::uid(&made), std::os::unix::fs::MetadataExt::gid(&made)), (1003, 1003));
    // With the option alone the container's own mapping is taken: who is root inside is root in the source.
    let ran = host.run_script("users", "stat -c %u:%g /home/file", |config| {
        push(config, "/linux/namespaces", json!({"type": "user"}));
        config["linux"]["uidMappings"] = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
        config["linux"]["gidMappings"] = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
        let mount =
            json!({"destination": "/home", "type": "bind", "source": text(&data), "options": ["bind", "idmap"]});
        push(config, "/mounts", mount);
    });
    assert_eq!(ran.ok().out(), "1000:1001");
    let ran = host.run_script("half", "true", |config| {
        let mount = json!({"destination": "/data", "type": "bind", "source": text(&data), "options": ["bind"],
            "uidMappings": mapping(0, 1)});
        push(config, "/mounts", mount);
    });
    assert!(ran.code == 1 && ran.stderr.contains("gidMappings"), "{ran:?}");
    host.assert_clean();
}

/// `idmap` maps one mount, `ridmap` those below it, too.
#[test]
fn an_idmap_reaches_the_mounts_below_only_when_asked() {
    let host = Host::new();
    let below = host.root.make("data/below");
    for (option, expected) in [("idmap", "5000\n0\n"), ("ridmap", "5000\n5000\n")] {
        let bundle = host.bundle(option, &["stat", "-c", "%u", "/a/file", "/a/below/file"], |config| {
            let mapping = json!([{"containerID": 0, "hostID": 5000, "size": 10}]);
            let mount = json!({"destination": "/a", "type": "bind", "source": text(&host.root.join("data")),
                "options": ["rbind", option], "uidMappings": mapping, "gidMappings": mapping});
            push(config, "/mounts", mount);
        });
        fs::write(host.root.join("data/file"), "").expect("the root is writable");
        let script = "mount -t tmpfs below \"$0\" && touch \"$0/file\" || exit 9; exec \"$@\"";
        let mut command = std::process::Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", script]).arg(&below);
        command.arg(integration_tests::programs::path("corten-runtime")).arg("--root").arg(host.state());
        let ran = integration_tests::Ran::of(command.args(["run", "--bundle", text(&bundle), option]));
        assert_eq!(ran.ok().stdout, expected, "{option}");
    }
    host.assert_clean();
}

#[test]
fn what_an_earlier_mount_shows_can_be_shown_again_with_other_owners() {
    let host = Host::new();
    let data = host.root.make("data");
    fs::write(data.join("file"), "").expect("the root is writable");
    let run = |name: &str, change: fn(&mut serde_json::Value), options: serde_json::Value, map: serde_json::Value| {
        let source = host.root.join(format!("bundles/{name}/rootfs/home"));
        host.run_script(name, "stat -c %u:%g /root/file", |config| {
            change(config);
            let first = json!({"destination": "/home", "type": "bind", "source": text(&data), "options": ["bind"]});
            push(config, "/mounts", first);
            let mut again =
                json!({"destination": "/root", "type": "bind", "source": text(&source), "options": options});
            if map.is_array() {
                again["uidMappings"] = map.clone();
                again["gidMappings"] = map.clone();
            }
            push(config, "/mounts", again);
        })
    };
    let map = json!([{"containerID": 0, "hostID": 5000, "size": 10}]);
    assert_eq!(run("web", |_| {}, json!(["bind"]), map).ok().out(), "5000:5000");
    let users = |config: &mut serde_json::Value| {
        push(config, "/linux/namespaces", json!({"type": "user"}));
        config["linux"]["uidMappings"] = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
        config["linux"]["gidMappings"] = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
    };
    assert_eq!(run("users", users, json!(["bind", "idmap"]), json!(null)).ok().out(), "0:0");
    host.assert_clean();
}

#[test]
fn a_directory_on_a_file_and_a_file_on_a_directory_are_refused_as_such() {
    let host = Host::new();
    fs::write(host.root.join("file"), "").expect("the root is writable");
    for (name, source, target) in
        [("file", host.root.join("file"), "/etc"), ("directory", host.root.path().to_owned(), "/etc/passwd")]
    {
        let ran = host.run_script(name, "true", |config| {
            push(config, "/mounts", json!({"destination": target, "source": source, "options": ["rbind"]}));
        });
        // Engines look for these words to say what their user did.
        assert!(ran.code == 1 && ran.stderr.contains("not a directory"), "{name}: {ran:?}");
    }
    host.assert_clean();
}

#[test]
fn an_option_of_a_bind_makes_the_named_flags_the_only_ones_unless_they_are_locked() {
    let host = Host::new();
    let run = |name: &str, has_users: bool, options: serde_json::Value| {
        let source = host.root.join(format!("bundles/{name}/rootfs/home"));
        host.run_script(name, "grep ' /root ' /proc/mounts | cut -d' ' -f4 | cut -d, -f1-3", |config| {
            if has_users {
                push(config, "/linux/namespaces", json!({"type": "user"}));
                config["linux"]["uidMappings"] = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
                config["linux"]["gidMappings"] = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
            }
            let first =
                json!({"destination": "/home", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev"]});
            push(config, "/mounts", first);
            let again = json!({"destination": "/root", "type": "bind", "source": text(&source), "options": options});
            push(config, "/mounts", again);
        })
    };
    for (name, has_users, options, flags) in [
        ("plain", false, json!(["bind"]), "rw,nosuid,nodev"),
        ("only", false, json!(["bind", "ro"]), "ro,relatime"),
        ("cleared", false, json!(["bind", "suid"]), "rw,relatime"),
        ("kept", true, json!(["bind", "ro"]), "ro,nosuid,nodev"),
    ] {
        let found = run(name, has_users, options).ok().out().to_owned();
        assert!(found.starts_with(flags) && found.contains("nosuid") == flags.contains("nosuid"), "{name}: {found}");
    }
    let refused = run("taken", true, json!(["bind", "suid"]));
    let said = "error during container init: error mounting";
    assert!(refused.code == 1 && refused.stderr.contains(said), "{refused:?}");
    assert!(refused.stderr.contains("operation not permitted"), "{refused:?}");
    host.assert_clean();
}

#[test]
fn attributes_reach_the_mounts_below_only_when_asked() {
    let host = Host::new();
    let data = host.root.make("data/below");
    let parent = host.root.join("data");
    for (name, options, expected) in [
        ("single", json!(["rbind", "ro", "nosuid"]), "no\nyes\n"),
        ("recursive", json!(["rbind", "rro", "rnosuid"]), "no\nno\n"),
        ("inner", json!(["rbind", "rro", "rw"]), "no\nno\n"),
    ] {
        let script = "mount -t tmpfs below \"$0\" || exit 9; exec \"$@\"";
        let bundle = host.bundle(
            name,
            &["sh", "-c", "for d in /a /a/below; do touch $d/x 2>/dev/null && echo yes || echo no; done"],
            |config| {
                push(
                    config,
                    "/mounts",
                    json!({"destination": "/a", "type": "bind", "source": text(&parent), "options": options}),
                );
            },
        );
        let mut command = std::process::Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", script]).arg(&data);
        command.arg(integration_tests::programs::path("corten-runtime")).arg("--root").arg(host.state());
        let ran = integration_tests::Ran::of(command.args(["run", "--bundle", text(&bundle), name]));
        assert_eq!(ran.ok().stdout, expected, "{name}");
    }
    host.assert_clean();
}

#[test]
fn symlinks_can_be_mounted_themselves() {
    let host = Host::new();
    let link = host.root.join("link");
    symlink("/from-the-host", &link).expect("the root is writable");
    let bundle = host.bundle("web", &["sh", "-c", "readlink /target; ls -A /etc/elsewhere"], |config| {
        let options = json!(["bind", "src-nofollow", "dest-nofollow"]);
        push(
            config,
            "/mounts",
            json!({"destination": "/target", "type": "bind", "source": text(&link), "options": options}),
        );
    });
    fs::create_dir(bundle.join("rootfs/etc/elsewhere")).expect("the bundle is writable");
    symlink("/etc/elsewhere", bundle.join("rootfs/target")).expect("the bundle is writable");
    assert_eq!(host.run(&["run", "--bundle", text(&bundle), "web"]).ok().stdout, "/from-the-host\n");
    host.assert_clean();
}

#[test]
fn the_roots_propagation_is_what_was_asked_for() {
    let host = Host::new();
    for (propagation, expected) in
        [("private", "-"), ("slave", "-"), ("shared", "shared:"), ("rshared", "shared:"), ("unbindable", "unbindable")]
    {
        let script = "awk '$5 == \"/\" {for (i = 7; $i != \"-\"; i++) printf \"%s \", $i; print \"-\"}' /proc/self/mountinfo | tail -1";
        let ran = host.run_script(propagation, script, |config| {
            config["linux"]["rootfsPropagation"] = propagation.into();
            set(config, "/process/noNewPrivileges", json!(true));
        });
        assert!(ran.ok().out().contains(expected), "{propagation}");
    }
    let ran = host.run_script("x", "true", |config| config["linux"]["rootfsPropagation"] = "sideways".into());
    assert!(ran.code == 1 && ran.stderr.contains("linux.rootfsPropagation"), "{ran:?}");
    host.assert_clean();
}
