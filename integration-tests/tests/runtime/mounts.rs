//! Mounts whose source or target is only known in the container: dangling links, its own tree, copied directories.

use std::{fs, os::unix::fs::symlink};

use serde_json::json;

use crate::{Host, push, text};

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
    host.assert_clean();
}
