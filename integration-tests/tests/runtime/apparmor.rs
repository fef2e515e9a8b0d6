//! AppArmor: profiles that confine what runs in a container, on a kernel that has it switched on.
//!
//! The machine of packaging/vm-scenarios.sh has; on a host without it these are ignored, and `process.rs` shows that a
//! profile is refused by name.

use std::fs;

use integration_tests::{Ran, programs};
use serde_json::{Value, json};

use crate::{Host, text};

/// Loads a profile that allows everything but reading /etc/passwd; its name is the host's own.
fn load(host: &Host, kind: &str) -> String {
    let name = format!("{}-{kind}", host.root.name());
    let denied = if kind == "strict" { "/etc/passwd" } else { "/etc/group" };
    let rules = format!(
        "profile {name} flags=(attach_disconnected,mediate_deleted) {{\n\
         file,\ncapability,\nnetwork,\nmount,\numount,\npivot_root,\nsignal,\nptrace,\nunix,\ndbus,\nuserns,\n\
         deny {denied} rwklx,\n}}\n"
    )
    // Words that only newer parsers know are not needed on the kernels that need them.
    .replace("userns,\n", "");
    let file = host.root.join(&name);
    fs::write(&file, rules).expect("the root is writable");
    let mut parser = std::process::Command::new(programs::original("apparmor_parser"));
    let _ = Ran::of(parser.args(["--replace", "--skip-cache"]).arg(&file)).ok();
    name
}

fn with(profile: &str) -> impl FnOnce(&mut Value) {
    let profile = json!(profile);
    move |config| config["process"]["apparmorProfile"] = profile
}

#[test]
#[ignore = "needs AppArmor: packaging/vm-scenarios.sh"]
fn a_profile_confines_the_first_process_and_an_exec() {
    let host = Host::new();
    let (strict, other) = (load(&host, "strict"), load(&host, "other"));
    let _ = host.sleeping("web", with(&strict));
    let current = |pid: &Value| fs::read_to_string(format!("/proc/{pid}/attr/current")).expect("it runs");
    assert_eq!(current(&host.state_of("web")["pid"]), format!("{strict} (enforce)\n"));
    let script = "cat /proc/self/attr/current; cat /etc/passwd; cat /etc/group | head -1";
    let ran = host.run(&["exec", "web", "sh", "-c", script]);
    assert_eq!(ran.stdout, format!("{strict} (enforce)\nroot:x:0:\n"), "{ran:?}");
    assert!(ran.stderr.contains("/etc/passwd': Permission denied"), "{ran:?}");
    // An exec can have another one; the runtime is not confined, so it may choose.
    let ran = host.run(&["exec", "--apparmor", &other, "web", "sh", "-c", script]);
    assert!(ran.stdout.starts_with(&format!("{other} (enforce)\nroot:x:0:0")), "{ran:?}");
    assert!(ran.stderr.contains("/etc/group': Permission denied"), "{ran:?}");
    let _ = host.run(&["delete", "--force", "web"]).ok();
    host.assert_clean();
}

#[test]
#[ignore = "needs AppArmor: packaging/vm-scenarios.sh"]
fn it_holds_with_and_without_new_privileges() {
    let host = Host::new();
    let strict = load(&host, "strict");
    for no_new_privileges in [true, false] {
        let ran = host.run_script(&format!("web-{no_new_privileges}"), "cat /etc/passwd", |config| {
            with(&strict)(config);
            config["process"]["noNewPrivileges"] = json!(no_new_privileges);
            // As an ordinary user, whom nothing else than the profile would stop either.
            config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
        });
        assert!(ran.code == 1 && ran.stderr.contains("/etc/passwd': Permission denied"), "{ran:?}");
    }
    host.assert_clean();
}

#[test]
#[ignore = "needs AppArmor: packaging/vm-scenarios.sh"]
fn a_profile_that_is_not_loaded_is_refused_and_unconfined_is_none() {
    let host = Host::new();
    let missing = host.run_script("missing", "true", with("corten-no-such-profile"));
    let said = "unable to apply apparmor profile";
    assert!(missing.code == 1 && missing.stderr.contains(said), "{missing:?}");
    assert!(missing.stderr.contains("corten-no-such-profile"), "{missing:?}");
    host.assert_clean();
    let free = host.run_script("free", "cat /proc/self/attr/current", with("unconfined"));
    assert_eq!(free.ok().out(), "unconfined");
    let _ = host.sleeping("web", |_| {});
    let exec = host.run(&["exec", "--apparmor", "corten-no-such-profile", "web", "true"]);
    assert!(exec.code == 255 && exec.stderr.contains(said), "{exec:?}");
    let _ = host.run(&["delete", "--force", "web"]).ok();
    host.assert_clean();
}

/// A volume over the file the profile is written to would leave the container without one (CVE-2019-16884).
#[test]
#[ignore = "needs AppArmor: packaging/vm-scenarios.sh"]
fn an_image_cannot_swallow_the_profile() {
    let host = Host::new();
    let strict = load(&host, "strict");
    for (name, target) in [("attr", "/proc/self/attr"), ("thread", "/proc/thread-self/attr"), ("proc", "/proc")] {
        let fake = host.root.make(format!("fake-{name}/attr/apparmor"));
        for file in ["exec", "../exec"] {
            fs::write(fake.join(file), "").expect("the root is writable");
        }
        let source = host.root.join(format!("fake-{name}/attr"));
        let bundle = host.bundle(name, &["cat", "/etc/passwd"], |config| {
            with(&strict)(config);
            crate::push(config, "/mounts", json!({"destination": target, "source": source, "options": ["rbind"]}));
        });
        let ran = host.run(&["run", "--bundle", text(&bundle), name]);
        assert!(ran.code != 0 && ran.stdout.is_empty(), "{target}: {ran:?}");
        assert_eq!(fs::read_to_string(fake.join("exec")).expect("it is there"), "", "{target}");
        host.assert_clean();
    }
}

#[test]
#[ignore = "needs AppArmor: packaging/vm-scenarios.sh"]
fn features_tell_of_it() {
    let features = Host::new().run(&["features"]).ok();
    let features: Value = serde_json::from_str(&features.stdout).expect("JSON");
    assert_eq!(features["linux"]["apparmor"]["enabled"], true);
}
