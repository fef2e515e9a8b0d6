//! A part of cgroup v2 that was given to a user, as systemd gives one to the services of each (`Delegate=yes`): the
//! user's own processes are in it, and the limits of containers there are the user's to set.

use std::{
    fs,
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::Command,
};

use integration_tests::Ran;
use serde_json::{Value, json};

use crate::{
    text,
    user::{GID, UID, User},
};

const ROOT: &str = "/sys/fs/cgroup";

/// `/sys/fs/cgroup/ROOT/user`, the user's, with the controllers; and in it `session`, where the user's processes are.
fn give(user: &User) -> PathBuf {
    let slice = Path::new(ROOT).join(user.host.root.name());
    let given = slice.join("user");
    fs::create_dir_all(given.join("session")).expect("root may");
    for directory in [Path::new(ROOT), &slice] {
        fs::write(directory.join("cgroup.subtree_control"), "+memory +pids").expect("root may");
    }
    for directory in [&given, &given.join("session")] {
        for name in ["", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control"] {
            chown(directory.join(name), Some(UID), Some(GID)).expect("root may");
        }
    }
    given
}

/// The runtime, called from a process of the group `session`.
fn command(user: &User, session: &Path, arguments: &[&str]) -> Command {
    let inner = user.command(arguments);
    let mut command = Command::new("sh");
    command.args(["-c", "echo 0 > \"$0/cgroup.procs\" && exec \"$@\""]).arg(session).arg(inner.get_program());
    command.args(inner.get_args());
    command
}

fn run(user: &User, session: &Path, arguments: &[&str]) -> Ran {
    Ran::of(&mut command(user, session, arguments))
}

fn limited(config: &mut Value) {
    config["linux"]["resources"] = json!({
        "pids": {"limit": 7}, "memory": {"limit": 64 << 20}, "devices": [{"allow": false, "access": "rwm"}],
    });
}

#[test]
#[ignore = "needs cgroup v2: packaging/vm-scenarios.sh"]
fn limits_are_the_users_to_set_in_a_delegated_part() {
    let user = User::new();
    let given = give(&user);
    let session = given.join("session");
    // Where it is told to be, and where it is without being told: beside the caller.
    for (name, path) in [("placed", format!("/{}/user/placed", user.host.root.name())), ("beside", String::new())] {
        let bundle = user.bundle(name, "sleep 1000; true", |config| {
            limited(config);
            config["linux"]["cgroupsPath"] = json!(path);
        });
        let log = fs::File::create(user.host.root.join("out")).expect("the root is writable");
        let mut create = command(&user, &session, &["run", "--detach", "--bundle", text(&bundle), name]);
        let status = create.stdout(log.try_clone().expect("a descriptor")).stderr(log).status().expect("it starts");
        assert!(status.success(), "{}", fs::read_to_string(user.host.root.join("out")).unwrap_or_default());
        let value = |file: &str| fs::read_to_string(given.join(name).join(file)).expect("it is there");
        assert_eq!((value("pids.max").as_str(), value("memory.max").as_str()), ("7\n", "67108864\n"));
        // With a cgroup namespace of its own, which is as `spec` writes it for v2, the container's group is the root.
        let inside = run(&user, &session, &["exec", name, "cat", "/proc/self/cgroup", "/sys/fs/cgroup/pids.max"]).ok();
        assert_eq!(inside.stdout, "0::/\n7\n");
        let _ = run(&user, &session, &["pause", name]).ok();
        assert_eq!(value("cgroup.freeze"), "1\n");
        let _ = run(&user, &session, &["resume", name]).ok();
        let _ = run(&user, &session, &["update", "--pids-limit", "9", name]).ok();
        assert_eq!(value("pids.max"), "9\n");
        let _ = run(&user, &session, &["delete", "--force", name]).ok();
        assert!(!given.join(name).exists());
    }
    // From outside of what was given nobody may be moved into it, and a limit needs a part that was given.
    let bundle = user.bundle("outside", "true", |config| {
        limited(config);
        config["linux"]["cgroupsPath"] = json!(format!("/{}/user/outside", user.host.root.name()));
    });
    let ran = user.run(&["run", "--bundle", text(&bundle), "outside"]);
    assert!(ran.code == 1 && ran.stderr.contains("belongs to another user"), "{ran:?}");
    let bundle = user.bundle("nowhere", "true", limited);
    let ran = user.run(&["run", "--bundle", text(&bundle), "nowhere"]);
    assert!(ran.code == 1 && ran.stderr.contains("linux.resources.memory.limit"), "{ran:?}");
    assert!(!given.join("outside").exists());
}
