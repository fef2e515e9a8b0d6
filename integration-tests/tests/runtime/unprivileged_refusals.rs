//! A user without any privilege: what is refused, and in which words.

use integration_tests::Ran;
use serde_json::{Value, json};

use crate::{
    push, text,
    user::{UID, User, as_user, many_ids},
};

#[test]
fn limits_without_delegated_cgroups_are_refused_by_name() {
    let user = User::new();
    let ran = user.run_script("limited", "true", |config| {
        config["linux"]["resources"] = json!({"pids": {"limit": 7}});
    });
    assert!(ran.code == 1 && ran.stderr.contains("linux.resources.pids.limit"), "{ran:?}");
    let parent = user.host.root.cgroup_parent();
    let ran =
        user.run_script("placed", "true", |config| config["linux"]["cgroupsPath"] = json!(format!("{parent}/web")));
    assert!(ran.code == 1 && ran.stderr.contains("make cgroup /sys/fs/cgroup/"), "{ran:?}");
    assert!(ran.stderr.contains(&format!("{parent}/web: Permission denied")), "{ran:?}");
    user.host.assert_clean();
}

#[test]
fn a_map_that_is_not_taken_is_named_with_its_reason() {
    let user = User::new();
    let bundle = user.bundle("web", "true", many_ids);
    // Nothing in /etc/subuid.
    let ran = user.run(&["run", "--bundle", text(&bundle), "web"]);
    assert!(ran.code == 1 && ran.stderr.contains("write uid_map") && ran.stderr.contains("/etc/subuid"), "{ran:?}");
    assert!(ran.stderr.contains("newuidmap: "), "{ran:?}");
    let mut without = as_user();
    without.args(["env", "PATH=/nowhere"]).arg(user.host.root.join("runtime")).arg("--root").arg(user.host.state());
    let without = Ran::of(without.args(["run", "--bundle", text(&bundle), "web"]));
    assert!(without.stderr.contains("newuidmap (package uidmap) is not in PATH"), "{without:?}");
    // Ids of somebody else.
    let foreign = user.bundle("foreign", "true", |config| {
        config["linux"]["uidMappings"] = json!([{"containerID": 0, "hostID": 0, "size": 1}]);
    });
    let ran = user.with_ranges(&["run", "--bundle", text(&foreign), "web"]);
    assert!(ran.code == 1 && ran.stderr.contains("uid_map") && ran.stderr.contains("0 0 1"), "{ran:?}");
    // What the kernel does not take even from root.
    let overlap = user.host.run_script("overlap", "true", |config| {
        push(config, "/linux/namespaces", json!({"type": "user"}));
        let twice =
            json!([{"containerID": 0, "hostID": 1000, "size": 10}, {"containerID": 5, "hostID": 3000, "size": 1}]);
        config["linux"]["uidMappings"] = twice;
        config["linux"]["gidMappings"] = json!([{"containerID": 0, "hostID": 1000, "size": 10}]);
    });
    assert!(
        overlap.code == 1 && overlap.stderr.contains("5 3000 1") && overlap.stderr.contains("invalid argument"),
        "{overlap:?}"
    );
    user.host.assert_clean();
}

#[test]
fn what_needs_privilege_is_refused_in_a_sentence() {
    let user = User::new();
    for (name, said, change) in [
        (
            "no-users",
            "rootless container requires user namespaces",
            Box::new(|config: &mut Value| {
                let namespaces = config["linux"]["namespaces"].as_array_mut().expect("an array");
                namespaces.retain(|namespace| namespace["type"] != "user");
                for key in ["uidMappings", "gidMappings"] {
                    config["linux"].as_object_mut().expect("an object").remove(key);
                }
            }) as Box<dyn Fn(&mut Value)>,
        ),
        (
            "score",
            "set process.oomScoreAdj to -500: permission denied",
            Box::new(|config: &mut Value| config["process"]["oomScoreAdj"] = json!(-500)),
        ),
        (
            "group",
            "set options: invalid argument",
            Box::new(|config: &mut Value| {
                let mount = json!({"destination": "/pts", "type": "devpts", "source": "devpts", "options": ["newinstance", "gid=5"]});
                push(config, "/mounts", mount);
            }),
        ),
        (
            "mapped",
            "id-mapped mounts are not supported for rootless containers",
            Box::new(|config: &mut Value| {
                let mapping = json!([{"containerID": 0, "hostID": UID, "size": 1}]);
                let mount = json!({"destination": "/m", "type": "bind", "source": "/tmp", "options": ["bind"],
                                   "uidMappings": mapping, "gidMappings": mapping});
                push(config, "/mounts", mount);
            }),
        ),
        (
            "missing",
            "stat /no/such/source: no such file or directory",
            Box::new(|config: &mut Value| {
                push(
                    config,
                    "/mounts",
                    json!({"destination": "/m", "type": "bind", "source": "/no/such/source", "options": ["bind"]}),
                );
            }),
        ),
        (
            "groups",
            "set user and groups: operation not permitted",
            Box::new(|config: &mut Value| config["process"]["user"]["additionalGids"] = json!([0])),
        ),
        (
            "user",
            "set user and groups: invalid argument",
            Box::new(|config: &mut Value| config["process"]["user"]["uid"] = json!(1000)),
        ),
    ] {
        let ran = user.run_script(name, "true", change);
        assert!(ran.code == 1 && ran.stderr.contains(said), "{name}: {ran:?}");
        user.host.assert_clean();
    }
}

#[test]
fn a_host_without_user_namespaces_is_told_by_its_switch() {
    let user = User::new();
    let bundle = user.bundle("web", "true", |_| {});
    // The limit of a namespace in between, which is its root's to set, holds below it.
    let script = "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$@\"";
    let mut command = as_user();
    command.args(["unshare", "--user", "--map-root-user", "sh", "-c", script, "sh"]);
    let inner = user.host.root.join("runtime");
    command.arg(inner).arg("--root").arg(user.host.state()).args(["run", "--bundle", text(&bundle), "web"]);
    let ran = Ran::of(&mut command);
    assert!(ran.code == 1 && ran.stderr.contains("user.max_user_namespaces is 0 on this host"), "{ran:?}");
    user.host.assert_clean();
}

#[test]
fn what_is_tolerated_of_cgroups_is_asked_for_by_a_flag() {
    let user = User::new();
    let bundle = user.bundle("web", "true", |_| {});
    let run = |flag: &str| user.run(&[flag, "run", "--bundle", text(&bundle), "web"]);
    // `auto` is `true` for who has no privilege.
    let _ = run("--rootless=auto").ok();
    let _ = run("--rootless=true").ok();
    let refused = run("--rootless=false");
    assert!(refused.code == 1 && refused.stderr.contains("make cgroup /sys/fs/cgroup/"), "{refused:?}");
    let unknown = run("--rootless=perhaps");
    assert!(unknown.code == 1 && unknown.stderr.contains("perhaps"), "{unknown:?}");
    user.host.assert_clean();
}
