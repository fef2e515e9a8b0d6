//! Limits: what is written, what holds, what update changes.

use std::{
    fs,
    io::Write,
    path::PathBuf,
    process::{Command, Stdio},
};

use integration_tests::Ran;
use serde_json::json;

use crate::{Host, text};

/// The file of a limit: `v1` is controller/file, `v2` the file.
fn limit(host: &Host, v1: &str, v2: &str) -> String {
    let cgroup = format!("{}/web", host.root.name());
    let is_v2 = fs::metadata("/sys/fs/cgroup/cgroup.controllers").is_ok();
    let path = if is_v2 {
        PathBuf::from(format!("/sys/fs/cgroup/{cgroup}/{v2}"))
    } else {
        let (controller, file) = v1.split_once('/').expect("controller/file");
        PathBuf::from(format!("/sys/fs/cgroup/{controller}/{cgroup}/{file}"))
    };
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).trim().to_owned()
}

#[test]
fn limits_are_written_and_changed_by_update() {
    let host = Host::new();
    let _ = host.sleeping("web", |config| {
        config["linux"]["resources"]["memory"] = json!({"limit": 64 << 20, "swap": 128 << 20});
        config["linux"]["resources"]["cpu"] = json!({"quota": 50000, "period": 100000});
        config["linux"]["resources"]["pids"] = json!({"limit": 50});
    });
    assert_eq!(limit(&host, "memory/memory.limit_in_bytes", "memory.max"), "67108864");
    assert_eq!(limit(&host, "pids/pids.max", "pids.max"), "50");
    assert!(["50000", "50000 100000"].contains(&limit(&host, "cpu/cpu.cfs_quota_us", "cpu.max").as_str()));

    // Above the old sum of memory and swap: the two must be written the other way round.
    let _ = host.run(&["update", "--memory", "256M", "--memory-swap", "512M", "--pids-limit", "20", "web"]).ok();
    assert_eq!(limit(&host, "memory/memory.limit_in_bytes", "memory.max"), "268435456");
    assert_eq!(limit(&host, "pids/pids.max", "pids.max"), "20");

    let mut command = host.command(&["update", "--resources", "-", "web"]);
    let mut update = command.stdin(Stdio::piped()).spawn().expect("it starts");
    let resources = json!({"memory": {"limit": 32 << 20}, "cpu": {"quota": 20000}, "devices": null});
    update.stdin.take().expect("piped").write_all(resources.to_string().as_bytes()).expect("it reads");
    assert!(update.wait().expect("the child is ours").success());
    assert_eq!(limit(&host, "memory/memory.limit_in_bytes", "memory.max"), "33554432");
    assert!(["20000", "20000 100000"].contains(&limit(&host, "cpu/cpu.cfs_quota_us", "cpu.max").as_str()));
    let _ = host.run(&["delete", "-f", "web"]).ok();
    host.assert_clean();
}

#[test]
fn an_update_takes_limits_back_and_changes_them_in_the_order_the_kernel_takes() {
    let host = Host::new();
    let _ = host.sleeping("web", |config| {
        config["linux"]["resources"]["memory"] = json!({"limit": 64 << 20, "swap": 128 << 20});
        config["linux"]["resources"]["cpu"] = json!({"quota": 40_000, "period": 100_000});
        config["linux"]["resources"]["pids"] = json!({"limit": 50});
    });
    let is_v2 = fs::metadata("/sys/fs/cgroup/cgroup.controllers").is_ok();
    // No memory is more than memory and swap together, so both go.
    let _ = host.run(&["update", "--memory", "-1", "web"]).ok();
    let unlimited = if is_v2 { "max" } else { "9223372036854771712" };
    assert_eq!(limit(&host, "memory/memory.limit_in_bytes", "memory.max"), unlimited);
    for (given, found) in [("0", "1"), ("-1", "max"), ("7", "7")] {
        let _ = host.run(&["update", "--pids-limit", given, "web"]).ok();
        assert_eq!(limit(&host, "pids/pids.max", "pids.max"), found, "{given}");
    }
    let cpu = || match is_v2 {
        true => limit(&host, "", "cpu.max"),
        false => format!("{} {}", limit(&host, "cpu/cpu.cfs_quota_us", ""), limit(&host, "cpu/cpu.cfs_period_us", "")),
    };
    // One alone leaves the other.
    let _ = host.run(&["update", "--cpu-period", "50000", "web"]).ok();
    assert_eq!(cpu(), "40000 50000");
    let _ = host.run(&["update", "--cpu-quota", "20000", "web"]).ok();
    assert_eq!(cpu(), "20000 50000");
    // Of the parent's half a shorter period with the same quota would be too much: the quota goes first.
    if !is_v2 {
        let parent = format!("/sys/fs/cgroup/cpu/{}/cpu.cfs_quota_us", host.root.cgroup_parent());
        fs::write(parent, "50000").expect("the cgroup is ours");
    }
    let _ = host.run(&["update", "--cpu-period", "10000", "--cpu-quota", "3000", "web"]).ok();
    assert_eq!(cpu(), "3000 10000");
    let _ = host.run(&["delete", "-f", "web"]).ok();
    host.assert_clean();
}

#[test]
fn more_processes_than_allowed_cannot_be_made() {
    let host = Host::new();
    let script = "i=0; while [ $i -lt 20 ]; do i=$((i+1)); sleep 30 & done; wait";
    let ran = host.run_script("web", script, |config| {
        config["linux"]["resources"]["pids"] = json!({"limit": 5});
    });
    assert!(ran.stderr.contains("can't fork"), "{ran:?}");
    host.assert_clean();
}

#[test]
fn a_process_beyond_its_memory_is_killed() {
    let host = Host::new();
    let ran = host.run_script("web", "dd if=/dev/zero of=/dev/null bs=64M count=1", |config| {
        config["linux"]["resources"]["memory"] = json!({"limit": 16 << 20, "swap": 16 << 20});
    });
    assert!(ran.code == 137 || ran.stderr.contains("Killed"), "{ran:?}");
    host.assert_clean();
}

#[test]
fn a_limit_too_small_to_start_in_is_named() {
    let host = Host::new();
    let ran = host.run_script("web", "true", |config| {
        config["linux"]["resources"]["memory"] = json!({"limit": 4096, "swap": 4096});
    });
    assert_ne!(ran.code, 0, "{ran:?}");
    host.assert_clean();
}

#[test]
fn cgroups_are_seen_inside_read_only() {
    let host = Host::new();
    for namespace in [None, Some(json!({"type": "cgroup"}))] {
        let name = if namespace.is_some() { "own" } else { "hosts" };
        let script = "cat /proc/self/cgroup | head -1; ls /sys/fs/cgroup | grep -qE 'memory' && echo controllers; \
                      mkdir /sys/fs/cgroup/x /sys/fs/cgroup/memory/x";
        let ran = host.run_script(name, script, |config| {
            crate::push(
                config,
                "/mounts",
                json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
                "options": ["ro", "nosuid", "noexec", "nodev"]}),
            );
            if let Some(namespace) = &namespace {
                crate::push(config, "/linux/namespaces", namespace.clone());
            }
        });
        assert!(ran.stdout.contains("controllers"), "{ran:?}");
        assert_eq!(ran.stdout.contains(host.root.name()), namespace.is_none(), "{ran:?}");
        assert!(ran.stderr.contains("/sys/fs/cgroup/x': Read-only file system"), "{ran:?}");
        host.assert_clean();
    }
}

#[test]
fn a_cgroup_with_others_processes_is_not_taken() {
    let host = Host::new();
    let bundle = host.sleeping("web", |_| {});
    // The same cgroup under another id.
    let ran = host.run(&["create", "--bundle", text(&bundle), "other"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("container's cgroup is not empty: 1 process(es) found"), "{ran:?}");
    assert_eq!(host.status("web"), "running", "the first container is not touched");
    let _ = host.run(&["delete", "-f", "web"]).ok();
    host.assert_clean();
}

#[test]
fn a_cgroup_somebody_is_in_or_froze_is_not_taken() {
    let host = Host::new();
    let _ = host.sleeping("first", |config| config["linux"]["cgroupsPath"] = host.root.cgroup_parent().into());
    let second = host.bundle("second", &["true"], |config| {
        config["linux"]["cgroupsPath"] = host.root.cgroup_parent().into();
    });
    let ran = host.run(&["run", "--bundle", text(&second), "second"]);
    assert!(ran.code == 1 && ran.stderr.contains("container's cgroup is not empty"), "{ran:?}");
    // Nor one above: its processes are below.
    let _ = host.run(&["delete", "--force", "first"]).ok();
    let _ = host.sleeping("below", |_| {});
    let ran = host.run(&["run", "--bundle", text(&second), "second"]);
    assert!(ran.code == 1 && ran.stderr.contains("container's cgroup is not empty"), "{ran:?}");
    let _ = host.run(&["delete", "--force", "below"]).ok();
    host.assert_clean();
}

#[test]
fn a_path_cannot_leave_the_hierarchy() {
    let host = Host::new();
    let path = format!("/../../{}/../{}/web", host.root.cgroup_parent(), host.root.cgroup_parent());
    let _ = host.sleeping("web", |config| config["linux"]["cgroupsPath"] = path.into());
    let record = std::fs::read_to_string(host.state().join("web/state.json")).expect("the record");
    let record: serde_json::Value = serde_json::from_str(&record).expect("JSON");
    for (controller, path) in record["cgroup_paths"].as_object().expect("paths") {
        let path = path.as_str().expect("text");
        assert!(path.starts_with("/sys/fs/cgroup/") && !path.contains(".."), "{controller}: {path}");
    }
    let unified = host.run_script("escape", "true", |config| {
        config["linux"]["resources"]["unified"] = serde_json::json!({"../x/pids.max": "1"});
    });
    assert!(unified.code == 1 && unified.stderr.contains("linux.resources.unified"), "{unified:?}");
    let _ = host.run(&["delete", "--force", "web"]).ok();
    host.assert_clean();
}

#[test]
fn rates_of_a_block_device_are_set() {
    let host = Host::new();
    // Any whole disk will do; a machine without one has nothing to limit.
    let disk = std::fs::read_dir("/sys/block").into_iter().flatten().flatten().find_map(|disk| {
        let number = std::fs::read_to_string(disk.path().join("dev")).ok()?;
        let (major, minor) = number.trim().split_once(':')?;
        Some((major.parse::<i64>().ok()?, minor.parse::<i64>().ok()?))
    });
    let Some((major, minor)) = disk else { return };
    // The field, its file of v1, its word in io.max of v2, and the rate.
    const RATES: [(&str, &str, &str, u64); 4] = [
        ("throttleReadBpsDevice", "read_bps", "rbps", 1_048_576),
        ("throttleWriteBpsDevice", "write_bps", "wbps", 2_097_152),
        ("throttleReadIOPSDevice", "read_iops", "riops", 3000),
        ("throttleWriteIOPSDevice", "write_iops", "wiops", 4000),
    ];
    let _ = host.sleeping("web", |config| {
        for (field, _, _, rate) in RATES {
            let rate = serde_json::json!([{"major": major, "minor": minor, "rate": rate}]);
            config["linux"]["resources"]["blockIO"][field] = rate;
        }
    });
    let record = std::fs::read_to_string(host.state().join("web/state.json")).expect("the record");
    let record: serde_json::Value = serde_json::from_str(&record).expect("JSON");
    let paths = &record["cgroup_paths"];
    for (_, v1, v2, rate) in RATES {
        let (file, expected) = match paths["blkio"].as_str() {
            Some(path) => (format!("{path}/blkio.throttle.{v1}_device"), format!("{major}:{minor} {rate}")),
            None => (format!("{}/io.max", paths[""].as_str().expect("v2 has one path")), format!("{v2}={rate}")),
        };
        let set = std::fs::read_to_string(file).expect("the limit can be read");
        assert!(set.contains(&format!("{major}:{minor}")) && set.contains(&expected), "{expected} in {set}");
    }
    let _ = host.run(&["delete", "--force", "web"]).ok();
    host.assert_clean();
}

/// v1 ignores a rule that takes back part of a wider one: the device would stay open, so it is said.
#[test]
fn a_device_that_v1_would_leave_open_is_refused() {
    let host = Host::new();
    let script = "mknod /tmp/x c 250 9; mknod /tmp/y c 250 8; cat /tmp/x /tmp/y";
    let ran = host.run_script("web", script, |config| {
        config["linux"]["resources"]["devices"] =
            json!([{"allow": true, "type": "c"}, {"allow": false, "type": "c", "major": 250, "minor": 8}]);
    });
    if fs::metadata("/sys/fs/cgroup/cgroup.controllers").is_ok() {
        assert!(
            ran.stderr.contains("x': No such device") && ran.stderr.contains("y': Operation not permitted"),
            "{ran:?}"
        );
    } else {
        let said =
            "linux.resources.devices: cgroup v1 cannot make an exception \\\"c 250:8 rwm\\\" within \\\"c *:* rwm\\\"";
        assert!(ran.code == 1 && ran.stderr.contains(said), "{ran:?}");
    }
    host.assert_clean();
}

/// In runc's words, which docker's users see for `--cpu-shares 1`.
#[test]
fn shares_that_the_kernel_would_change_are_refused() {
    let host = Host::new();
    let ran = host.run_script("web", "true", |config| config["linux"]["resources"]["cpu"] = json!({"shares": 1}));
    if fs::metadata("/sys/fs/cgroup/cgroup.controllers").is_ok() {
        let _ = ran.ok();
    } else {
        assert!(ran.code == 1 && ran.stderr.contains("the minimum allowed cpu-shares is 2"), "{ran:?}");
        let _ = host.sleeping("running", |_| {});
        let ran = host.run(&["update", "--cpu-share", "300000", "running"]);
        assert!(ran.code == 1 && ran.stderr.contains("the maximum allowed cpu-shares is 262144"), "{ran:?}");
        let _ = host.run(&["delete", "--force", "running"]).ok();
    }
    host.assert_clean();
}

/// Where hierarchies are by convention there are plain directories here, or nothing: they are left as they are.
#[test]
fn hierarchies_mounted_elsewhere_are_found() {
    let host = Host::new();
    let groups = fs::read_to_string("/proc/self/cgroup").expect("/proc is mounted");
    if !groups.lines().any(|line| line.contains(":pids:")) {
        return; // there is no hierarchy of cgroup v1 that could be elsewhere
    }
    let place = format!("/{}/web", host.root.name());
    let bundle = host.bundle("web", &["grep", "pids", "/proc/self/cgroup"], |config| {
        config["linux"]["resources"] = json!({"pids": {"limit": 17}});
        config["linux"]["cgroupsPath"] = place.clone().into();
    });
    let elsewhere = host.root.make("elsewhere");
    let script = "umount -R /sys/fs/cgroup && mount -t tmpfs none /sys/fs/cgroup && mkdir /sys/fs/cgroup/pids && \
                  for c in pids devices; do mkdir $0/$c && mount -t cgroup -o $c none $0/$c || exit 9; done; \
                  \"$@\" && find /sys/fs/cgroup -mindepth 2";
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", script, text(&elsewhere)]).arg(integration_tests::programs::path("corten-runtime"));
    command.arg("--root").arg(host.state()).args(["run", "--bundle", text(&bundle), "web"]);
    let ran = Ran::of(&mut command).ok();
    assert!(ran.out().ends_with(&format!(":pids:{place}")) && ran.out().lines().count() == 1, "{ran:?}");
    host.assert_clean();
}
