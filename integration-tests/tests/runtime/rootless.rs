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
