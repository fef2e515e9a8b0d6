//! Names that try to climb: ids, bundles, cgroups; and what of the host's cgroups a container can write.

use std::{fs, path::Path};

use integration_tests::{Ran, cgroups};
use serde_json::json;

use super::proven;
use crate::{
    Host, push, text,
    user::{User, delegate},
};

#[test]
fn an_id_is_a_name_and_no_path() {
    // The catalogue's "id traversal": a state directory made, or removed, somewhere else.
    let host = Host::new();
    let bundle = host.bundle("web", &["true"], |_| {});
    let _ = host.root.make("state/inside");
    let _ = host.root.make("outside/kept");
    let tree = |directory: &Path| {
        let mut names = super::entries(directory);
        names.extend(super::entries(&directory.join("outside")));
        names.sort();
        names
    };
    let before = tree(host.root.path());
    let changed = |directory: &Path| {
        let now = tree(directory);
        (now != before).then(|| format!("{now:?}"))
    };
    let long = "a".repeat(1025);
    for id in ["../outside", "..", ".", "", "a/b", "/abs", "inside/../../outside/new", "a\nb", "é", "a b", "a%", &long]
    {
        for arguments in [
            &["create", "--bundle", text(&bundle), id][..],
            &["run", "--bundle", text(&bundle), id],
            &["delete", "--force", id],
            &["state", id],
            &["kill", id, "KILL"],
            &["exec", id, "true"],
        ] {
            let ran = host.run(arguments);
            assert!(ran.code != 0 || arguments[0] == "delete", "{arguments:?}: {ran:?}");
            assert_eq!(changed(host.root.path()), None, "{arguments:?}");
        }
    }
    let spoiled = host.root.join("spoiled");
    fs::create_dir_all(spoiled.join("outside/new")).expect("the root is writable");
    fs::create_dir_all(host.root.join("state/../outside/new")).expect("the root is writable");
    assert!(changed(host.root.path()).is_some(), "the check is blind");
}

#[test]
fn a_cgroup_path_stays_in_its_hierarchy() {
    let host = Host::new();
    let parent = host.root.cgroup_parent();
    let outside = host.root.join("outside");
    // From /sys/fs/cgroup/CONTROLLER to the test's own directory, which would be made were the path joined as it is.
    let climbing = format!("/../../../..{}", outside.display());
    let made = |path: &Path| path.exists().then(|| path.display().to_string());
    let _ = host.run_script("climbing", "true", |config| config["linux"]["cgroupsPath"] = json!(climbing));
    let spoiled = host.root.join("spoiled");
    fs::create_dir_all(Path::new("/sys/fs/cgroup/cpu/../../../..").join(spoiled.strip_prefix("/").expect("absolute")))
        .expect("the root is writable");
    proven(made, spoiled.as_path(), &outside);
    let _ = cgroups::remove_marked(host.root.name());

    let _ = host.sleeping("web", |config| config["linux"]["cgroupsPath"] = json!(format!("{parent}/web")));
    let inside = |ran: &Ran| {
        let lines = ran.stdout.lines().filter(|line| line.contains(&parent));
        let outside = lines.filter(|line| !line.contains(&format!("{parent}/web"))).count();
        (ran.code == 0 && outside > 0).then(|| ran.stdout.clone())
    };
    let spoiled = host.run_script("spoiled", "cat /proc/self/cgroup", |config| {
        config["linux"]["cgroupsPath"] = json!(format!("{parent}/other"));
    });
    for path in ["..", "../..", "../other", "/..", "a/../../..", "cpu:../other"] {
        let ran = host.run(&["exec", "--cgroup", path, "web", "cat", "/proc/self/cgroup"]);
        proven(inside, &spoiled, &ran);
        assert!(ran.code == 255, "{path}: {ran:?}");
    }
    let _ = host.run(&["delete", "--force", "web"]).ok();
    host.assert_clean();
}

#[test]
fn a_users_container_cannot_write_the_cgroups_of_the_host() {
    // CVE-2023-25809: with the host's /sys in the container, the cgroups that the user was given could be written.
    let user = User::new();
    let directories = delegate(&user.host.root.cgroup_parent());
    let script = "for f in $(find /sys/fs/cgroup /given -name cgroup.procs 2>/dev/null); do ( : >> $f ) 2>/dev/null && echo $f; done; echo end";
    let written = |ran: &Ran| (ran.stdout != "end\n").then(|| ran.stdout.clone());
    let spoiled = user.run_script("spoiled", script, |config| {
        let mount =
            json!({"destination": "/given", "type": "bind", "source": text(&directories[0]), "options": ["rbind"]});
        push(config, "/mounts", mount);
    });
    proven(written, &spoiled, &user.run_script("ours", script, |_| {}));
    // Nor without a mount of cgroups, where a sysfs of one's own is asked for and cannot be had.
    let ran = user.run_script("sysfs", script, |config| {
        let mounts = config["mounts"].as_array_mut().expect("an array");
        mounts.retain(|mount| !mount["destination"].as_str().is_some_and(|target| target.starts_with("/sys")));
        mounts.push(json!({"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid"]}));
    });
    proven(written, &spoiled, &ran);
    user.host.assert_clean();
}
