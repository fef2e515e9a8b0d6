//! The runtime in a container: a privileged one, and one that is root of users of its own.

use std::fs;

use corten_sys::status::OwnStatus;
use integration_tests::{Ran, programs};
use serde_json::{Value, json};

use crate::{Host, push, set, text};

/// As `docker run --privileged` has it: every capability there is, every namespace but the users' of its own, nothing
/// masked; with the program and what it is linked with.
fn privileged(config: &mut Value) {
    let own = OwnStatus::read().permitted;
    let held = caps::all().into_iter().filter(|capability| own & capability.bitmask() != 0);
    let held: Vec<String> = held.map(|capability| capability.to_string()).collect();
    for name in ["bounding", "effective", "permitted"] {
        set(config, &format!("/process/capabilities/{name}"), json!(held));
    }
    config["process"]["noNewPrivileges"] = json!(false);
    config["linux"]["maskedPaths"] = json!([]);
    config["linux"]["readonlyPaths"] = json!([]);
    config["linux"]["resources"] = json!({"devices": [{"allow": true, "access": "rwm"}]});
    push(config, "/linux/namespaces", json!({"type": "cgroup"}));
    for mount in config["mounts"].as_array_mut().expect("an array") {
        if mount["type"] == "sysfs" {
            mount["options"] = json!(["nosuid", "noexec", "nodev"]);
        }
    }
    push(
        config,
        "/mounts",
        json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["nosuid"]}),
    );
    let program = programs::path("corten-runtime");
    let mut bind = |source: &str, target: &str| {
        push(
            config,
            "/mounts",
            json!({"destination": target, "type": "bind", "source": source, "options": ["rbind", "ro"]}),
        );
    };
    bind(text(&program), "/runtime");
    for directory in ["/lib", "/lib64", "/usr/lib"].into_iter().filter(|directory| fs::metadata(directory).is_ok()) {
        bind(directory, directory);
    }
}

/// What an inner container says of itself; and an exec, a kill and a delete from outside it.
const INNER: &str =
    "id -u; hostname; [ -c /dev/null ] && echo x > /dev/null && echo null; stat -f -c %T /proc; exec sleep 1000";
const DRIVE: &str = "r='/runtime --root /tmp/state'; $r run --detach --bundle /inner web > /tmp/out 2>&1 < /dev/null; \
    i=0; while [ $i -lt 200 ] && ! grep -q proc /tmp/out; do sleep 0.1; i=$((i+1)); done; cat /tmp/out; \
    $r exec web echo executed; $r kill web KILL; \
    i=0; while [ $i -lt 200 ] && ! $r state web | grep -q stopped; do sleep 0.1; i=$((i+1)); done; $r delete web && echo deleted; $r list -q";

fn run(host: &Host, outer: impl FnOnce(&mut Value), inner: impl FnOnce(&mut Value)) -> Ran {
    let inside = host.bundle("inner", &["sh", "-c", INNER], inner);
    let bundle = host.bundle("outer", &["sh", "-c", DRIVE], |config| {
        privileged(config);
        outer(config);
        let mount = json!({"destination": "/inner", "type": "bind", "source": text(&inside), "options": ["rbind"]});
        push(config, "/mounts", mount);
    });
    for target in ["inner", "lib", "lib64", "usr/lib"] {
        fs::create_dir_all(bundle.join("rootfs").join(target)).expect("the bundle is ours");
    }
    fs::write(bundle.join("rootfs/runtime"), "").expect("the bundle is ours");
    host.run(&["run", "--bundle", text(&bundle), "outer"])
}

const EXPECTED: &str = "0\nbundle\nnull\nproc\nexecuted\ndeleted\n";

#[test]
fn in_a_privileged_container_the_runtime_runs_containers() {
    let host = Host::new();
    let ran = run(&host, |_| {}, |config| config["linux"]["resources"]["pids"] = json!({"limit": 20})).ok();
    assert_eq!(ran.stdout, EXPECTED, "{ran:?}");
    host.assert_clean();
}

#[test]
fn root_of_a_user_namespace_runs_containers_without_making_nodes() {
    let host = Host::new();
    let users = |config: &mut Value| {
        push(config, "/linux/namespaces", json!({"type": "user"}));
        let mapping = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
        config["linux"]["uidMappings"] = mapping.clone();
        config["linux"]["gidMappings"] = mapping;
    };
    // Its cgroups are the host's root's: none are asked for.
    let without_cgroups = |config: &mut Value| {
        config["linux"]["cgroupsPath"] = json!("");
        config["linux"]["resources"] = json!({});
    };
    let ran = run(&host, users, without_cgroups).ok();
    assert_eq!(ran.stdout, EXPECTED, "{ran:?}");
    host.assert_clean();
}
