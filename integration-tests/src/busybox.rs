//! Root file systems, bundles and images made from the host's static busybox.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use serde_json::{Value, json};

use crate::{
    ImageFiles, Ran, TempRoot,
    image::{self, Archive},
    programs,
};

/// The directories of the root file system, with their modes.
const DIRECTORIES: [(&str, u32); 9] = [
    ("bin", 0o755),
    ("dev", 0o755),
    ("etc", 0o755),
    ("home", 0o755),
    ("proc", 0o755),
    ("root", 0o700),
    ("sys", 0o755),
    ("tmp", 0o1777),
    ("var", 0o755),
];
const FILES: [(&str, &str); 2] = [
    ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\n"),
    ("etc/group", "root:x:0:\nnogroup:x:65534:\n"),
];

/// Makes a root file system at `directory`, which must not exist.
///
/// # Panics
/// When busybox is not installed or the directory cannot be made.
pub fn rootfs(directory: &Path) {
    let write =
        |result: std::io::Result<()>| result.unwrap_or_else(|error| panic!("make {}: {error}", directory.display()));
    write(fs::create_dir_all(directory));
    for (name, mode) in DIRECTORIES {
        let path = directory.join(name);
        write(fs::create_dir(&path));
        write(fs::set_permissions(&path, fs::Permissions::from_mode(mode)));
    }
    for (name, content) in FILES {
        write(fs::write(directory.join(name), content));
    }
    write(fs::copy(programs::original("busybox"), directory.join("bin/busybox")).map(drop));
    for applet in applets() {
        write(symlink("busybox", directory.join("bin").join(applet)));
    }
}

/// A bundle `name` in `root` whose process is `arguments`; its cgroup is `<root's parent>/<name>`.
///
/// `change` gets the configuration before it is written.
///
/// # Panics
/// When it cannot be made.
pub fn bundle(root: &TempRoot, name: &str, arguments: &[&str], change: impl FnOnce(&mut Value)) -> PathBuf {
    let directory = root.make(format!("bundles/{name}"));
    rootfs(&directory.join("rootfs"));
    let mut config = spec(arguments, &format!("{}/{name}", root.cgroup_parent()));
    change(&mut config);
    let text = serde_json::to_vec_pretty(&config).expect("a JSON value can always be written");
    fs::write(directory.join("config.json"), text).expect("the root is writable");
    directory
}

/// A runtime configuration as containerd and docker write them, without seccomp and AppArmor.
#[must_use]
pub fn spec(arguments: &[&str], cgroup: &str) -> Value {
    let capabilities = json!([
        "CAP_CHOWN",
        "CAP_DAC_OVERRIDE",
        "CAP_FSETID",
        "CAP_FOWNER",
        "CAP_MKNOD",
        "CAP_NET_RAW",
        "CAP_SETGID",
        "CAP_SETUID",
        "CAP_SETFCAP",
        "CAP_SETPCAP",
        "CAP_NET_BIND_SERVICE",
        "CAP_SYS_CHROOT",
        "CAP_KILL",
        "CAP_AUDIT_WRITE"
    ]);
    let mount = |kind: &str, target: &str, options: &[&str]| json!({"destination": target, "type": kind, "source": kind, "options": options});
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": {"uid": 0, "gid": 0},
            "args": arguments,
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
            "cwd": "/",
            "capabilities": {"bounding": capabilities, "effective": capabilities, "permitted": capabilities},
            "noNewPrivileges": true,
        },
        "root": {"path": "rootfs"},
        "hostname": "bundle",
        "mounts": [
            mount("proc", "/proc", &["nosuid", "noexec", "nodev"]),
            mount("tmpfs", "/dev", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
            mount("devpts", "/dev/pts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
            mount("sysfs", "/sys", &["nosuid", "noexec", "nodev", "ro"]),
            mount("mqueue", "/dev/mqueue", &["nosuid", "noexec", "nodev"]),
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
        ],
        "linux": {
            "cgroupsPath": cgroup,
            "resources": {"devices": [{"allow": false, "access": "rwm"}]},
            "namespaces": [{"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}],
            "maskedPaths": ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/sched_debug", "/sys/firmware"],
            "readonlyPaths": ["/proc/asound", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    })
}

/// The image: one layer, command `sh`.
#[must_use]
pub fn image() -> ImageFiles {
    ImageFiles::new(layer().to_vec(), &["sh"])
}

/// The root file system as an uncompressed tar: the layer, and what `docker import` takes.
#[must_use]
pub fn layer() -> &'static [u8] {
    static LAYER: OnceLock<Vec<u8>> = OnceLock::new();
    LAYER.get_or_init(|| layer_with(&[]))
}

/// The same with more files in its root, so that it is a layer of its own.
///
/// # Panics
/// When busybox is not installed.
#[must_use]
pub fn layer_with(more: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = Archive::new();
    for (name, content) in more {
        archive.file(name, content, 0o644);
    }
    for (name, mode) in DIRECTORIES {
        archive.directory_with_mode(name, mode);
    }
    for (name, content) in FILES {
        archive.file(name, content.as_bytes(), 0o644);
    }
    let program = fs::read(programs::original("busybox")).expect("busybox can be read");
    archive.file("bin/busybox", &program, 0o755);
    for applet in applets() {
        archive.link(tar::EntryType::Symlink, &format!("bin/{applet}"), "busybox");
    }
    archive.finish()
}

/// A docker-save archive with the image under `names`, as a file in `root`.
#[must_use]
pub fn docker_archive_file(root: &TempRoot, names: &[&str]) -> PathBuf {
    image::write(root.join("busybox-docker.tar"), &image::docker_archive(&image(), names))
}

/// An OCI layout with the image under `name`, as a tar file in `root`.
#[must_use]
pub fn oci_layout_file(root: &TempRoot, name: &str) -> PathBuf {
    image::write(root.join("busybox-oci.tar"), &image::oci_layout(&image(), name))
}

/// The root file system as a tar file in `root`.
#[must_use]
pub fn layer_file(root: &TempRoot) -> PathBuf {
    image::write(root.join("busybox-rootfs.tar"), layer())
}

fn applets() -> Vec<String> {
    let listed = Ran::of(Command::new(programs::original("busybox")).arg("--list")).ok();
    listed.stdout.lines().filter(|applet| *applet != "busybox").map(str::to_owned).collect()
}
