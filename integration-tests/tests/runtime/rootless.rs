//! What only a privileged user may do: tolerated, refused, or done another way.

use std::{path::Path, process::Command};

use integration_tests::{Ran, programs};

use crate::{Host, text};

/// `run` where no cgroup can be made: every hierarchy is mounted read-only.
fn run_without_cgroups(host: &Host, rootless: &str, bundle: &Path) -> Ran {
    let script = "for d in $(awk '$3 ~ /^cgroup/ {print $2}' /proc/mounts); do mount -o remount,bind,ro $d || exit 9; done; \
                  exec \"$0\" \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", script]);
    command.arg(programs::path("corten-runtime")).args([rootless, "--root", text(&host.state()), "run"]);
    Ran::of(command.args(["--bundle", text(bundle), "web"]))
}

#[test]
fn rootless_does_without_cgroups_that_may_not_be_made() {
    let host = Host::new();
    let bundle = host.bundle("web", &["echo", "hello"], |config| config["linux"]["cgroupsPath"] = "".into());
    let refused = run_without_cgroups(&host, "--rootless=false", &bundle);
    assert!(refused.code == 1 && refused.stderr.contains("make cgroup"), "{refused:?}");
    host.assert_clean();
    // `auto` is `false` for root of the host.
    assert_eq!(run_without_cgroups(&host, "--rootless=auto", &bundle).code, 1);
    assert_eq!(run_without_cgroups(&host, "--rootless=true", &bundle).ok().out(), "hello");
    host.assert_clean();
}

#[test]
fn rootless_keeps_to_the_cgroup_and_the_limits_that_were_asked_for() {
    let host = Host::new();
    let placed = host.bundle("placed", &["true"], |_| {});
    let ran = run_without_cgroups(&host, "--rootless=true", &placed);
    assert!(ran.code == 1 && ran.stderr.contains("make cgroup"), "{ran:?}");
    let limited = host.bundle("limited", &["true"], |config| {
        config["linux"]["cgroupsPath"] = "".into();
        config["linux"]["resources"]["pids"] = serde_json::json!({"limit": 7});
    });
    let ran = run_without_cgroups(&host, "--rootless=true", &limited);
    assert!(ran.code == 1 && ran.stderr.contains("linux.resources.pids.limit"), "{ran:?}");
    host.assert_clean();
}

#[test]
fn the_state_of_another_user_lies_in_their_runtime_directory() {
    use std::os::unix::fs::{PermissionsExt, chown};
    let host = Host::new();
    let directory = host.root.make("xdg");
    std::fs::set_permissions(host.root.join(""), std::fs::Permissions::from_mode(0o755)).expect("the root is ours");
    chown(&directory, Some(65_534), Some(65_534)).expect("root may");
    // The program lies where another user may not look: a copy of it is run.
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]);
    let program = host.root.join("runtime");
    std::fs::copy(programs::path("corten-runtime"), &program).expect("the root is writable");
    let ran = Ran::of(command.arg(&program).arg("list").env("XDG_RUNTIME_DIR", &directory));
    assert!(ran.code == 0, "{ran:?}");
    let made = std::fs::metadata(directory.join("runc")).expect("it was made");
    assert_eq!(made.permissions().mode() & 0o7777, 0o1700);
    // Root of the host keeps to /run/runc, whatever the variable says.
    let unused = host.root.make("unused");
    let mut list = Command::new(&program);
    let _ = Ran::of(list.arg("list").env("XDG_RUNTIME_DIR", &unused));
    assert!(!unused.join("runc").exists());
}
