//! Who a process is: users by number only, no capability that was not given, ids as they were asked for.

use std::fs;

use integration_tests::Ran;
use serde_json::{Value, json};

use super::proven;
use crate::{Host, push, set, user::User};

/// A container that sleeps, with a user in its /etc/passwd whose name is a number.
fn with_a_number_for_a_name(host: &Host) {
    let bundle = host.bundle("web", &["sleep", "1000"], |_| {});
    let passwd = "root:x:0:0:root:/root:/bin/sh\n1000:x:0:0:root:/root:/bin/sh\n";
    fs::write(bundle.join("rootfs/etc/passwd"), passwd).expect("the bundle is ours");
    host.create("web", &bundle);
    let _ = host.run(&["start", "web"]).ok();
}

#[test]
fn a_user_is_the_number_that_was_asked_for_or_none() {
    // CVE-2016-3697, CVE-2024-40635, CVE-2026-30892.
    let host = Host::new();
    with_a_number_for_a_name(&host);
    let identity = "id -u; id -g";
    for (asked, expected) in [
        ("1000", Some("1000\n0\n")),
        ("1000:1001", Some("1000\n1001\n")),
        ("0:7", Some("0\n7\n")),
        ("2147483647", Some("2147483647\n0\n")),
        ("2147483648", None),
        // setresuid(2) takes it for "leave it as it is": root.
        ("4294967295", None),
        ("1000:4294967295", None),
        ("4294967296", None),
        ("18446744073709551616", None),
        ("-1", None),
        ("1000:", None),
        (":1000", None),
        ("1000:1001:1002", None),
        ("0x3e8", None),
        ("1000 ", None),
        ("root", None),
        ("1000:root", None),
    ] {
        let is_another = |ran: &Ran| match expected {
            Some(expected) => (ran.code != 0 || ran.stdout != expected).then(|| format!("{ran:?}")),
            None => (ran.code == 0 || !ran.stdout.is_empty()).then(|| format!("{ran:?}")),
        };
        let spoiled = host.run(&["exec", "--user", "0", "web", "sh", "-c", identity]).ok();
        let ran = host.run(&["exec", "--user", asked, "web", "sh", "-c", identity]);
        proven(is_another, &spoiled, &ran);
    }
    let _ = host.run(&["delete", "--force", "web"]).ok();
    host.assert_clean();
}

#[test]
fn no_user_of_a_configuration_is_taken_for_root() {
    let host = Host::new();
    let run = |name: &str, user: Value| host.run_script(name, "id", |config| config["process"]["user"] = user);
    let is_root = |ran: &Ran| ran.stdout.contains("uid=0").then(|| ran.stdout.clone());
    let spoiled = run("root", json!({"uid": 0, "gid": 0}));
    for (name, user) in [
        ("uid", json!({"uid": u32::MAX, "gid": 1})),
        ("gid", json!({"uid": 1, "gid": u32::MAX})),
        ("groups", json!({"uid": 1, "gid": 1, "additionalGids": [2, u32::MAX]})),
        ("half", json!({"uid": 1u32 << 31, "gid": 1})),
    ] {
        let ran = run(name, user);
        proven(is_root, &spoiled, &ran);
        assert!(ran.code == 1 && ran.stderr.contains("uids and gids must be in range 0-2147483647"), "{ran:?}");
    }
    host.assert_clean();
}

/// The sets that a process could use or hand on.
const SETS: &str = "grep -E 'Cap(Inh|Amb|Prm|Eff)' /proc/self/status";

/// A capability in one of those sets, of those named.
fn held(names: &'static [&'static str]) -> impl Fn(&Ran) -> Option<String> {
    move |ran| {
        let lines = ran.stdout.lines().filter(|line| names.iter().any(|name| line.starts_with(name)));
        let held = lines.filter(|line| !line.ends_with("\t0000000000000000")).collect::<Vec<_>>().join(" ");
        (!held.is_empty() || ran.code != 0).then_some(held)
    }
}

#[test]
fn nothing_is_inheritable_that_was_not_asked_for() {
    // CVE-2022-29162, CVE-2022-24769, CVE-2025-27612.
    let host = Host::new();
    let spoiled = host.run_script("spoiled", SETS, |config| {
        config["process"]["capabilities"]["inheritable"] = json!(["CAP_CHOWN"]);
    });
    let ran = host.run_script("ours", SETS, |_| {});
    proven(held(&["CapInh", "CapAmb"]), &spoiled, &ran);
    let _ = host.sleeping("web", |_| {});
    for arguments in
        [&["exec", "web", "sh", "-c", SETS][..], &["exec", "--cap", "CAP_SYS_PTRACE", "web", "sh", "-c", SETS]]
    {
        proven(held(&["CapInh"]), &spoiled, &host.run(arguments));
    }
    let _ = host.run(&["delete", "--force", "web"]).ok();
    host.assert_clean();
}

#[test]
fn another_user_has_no_capability_by_default() {
    // CVE-2016-8867: ambient capabilities stayed with a user who is not root, above all in an exec.
    let host = Host::new();
    let all = held(&["CapInh", "CapAmb", "CapPrm", "CapEff"]);
    let as_user = |config: &mut Value| config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
    let spoiled = host.run_script("spoiled", SETS, |config| {
        as_user(config);
        config["process"]["capabilities"]["inheritable"] = json!(["CAP_CHOWN"]);
        config["process"]["capabilities"]["ambient"] = json!(["CAP_CHOWN"]);
    });
    // As the engine writes it: permitted sets are given to root and to nobody else.
    let ours = host.run_script("ours", SETS, |config| {
        as_user(config);
        for name in ["effective", "permitted"] {
            set(config, &format!("/process/capabilities/{name}"), json!([]));
        }
    });
    proven(&all, &spoiled, &ours);
    let _ = host.sleeping("web", |config| {
        for name in ["effective", "permitted"] {
            set(config, &format!("/process/capabilities/{name}"), json!([]));
        }
    });
    proven(&all, &spoiled, &host.run(&["exec", "--user", "1000", "web", "sh", "-c", SETS]));
    let _ = host.run(&["delete", "--force", "web"]).ok();
    host.assert_clean();
}

#[test]
fn a_user_namespace_gives_no_capability_that_was_not_asked_for() {
    // In a new user namespace every set is full again: the bounding one, too, with what the runtime itself lacks.
    let user = User::new();
    let script = "grep CapBnd /proc/self/status";
    let asked = |config: &mut Value| {
        for name in ["bounding", "effective", "permitted"] {
            set(config, &format!("/process/capabilities/{name}"), json!(["CAP_KILL"]));
        }
    };
    let more = |ran: &Ran| (ran.stdout != "CapBnd:\t0000000000000020\n").then(|| format!("{ran:?}"));
    let spoiled = user.run_script("spoiled", script, |config| {
        asked(config);
        push(config, "/process/capabilities/bounding", json!("CAP_SYS_RESOURCE"));
    });
    proven(more, &spoiled, &user.run_script("ours", script, asked));
    user.sleeping("web", asked);
    proven(more, &spoiled, &user.run(&["exec", "web", "sh", "-c", script]));
    let _ = user.run(&["delete", "--force", "web"]).ok();
    // And for root's.
    let ran = user.host.run_script("root", script, |config| {
        asked(config);
        push(config, "/linux/namespaces", json!({"type": "user"}));
        let mapping = json!([{"containerID": 0, "hostID": 100_000, "size": 10}]);
        config["linux"]["uidMappings"] = mapping.clone();
        config["linux"]["gidMappings"] = mapping;
        config["mounts"].as_array_mut().expect("an array").retain(|mount| mount["type"] != "devpts");
    });
    proven(more, &spoiled, &ran);
    user.host.assert_clean();
}

#[test]
fn as_many_id_mappings_as_the_kernel_takes_and_not_one_more() {
    // CVE-2021-43784: lengths of the runtime's own messages overflowed with many mappings, and others were written.
    let host = Host::new();
    let run = |name: &str, count: u32| {
        host.run_script(name, "cat /proc/self/uid_map | tr -s ' '; cat /proc/self/gid_map | tr -s ' '", |config| {
            push(config, "/linux/namespaces", json!({"type": "user"}));
            // Every second id, so that no two lines are one range.
            let mapping: Vec<Value> = (0..count)
                .map(|number| json!({"containerID": number * 2, "hostID": number * 2 + 1, "size": 1}))
                .collect();
            config["linux"]["uidMappings"] = json!(mapping);
            config["linux"]["gidMappings"] = json!(mapping);
            config["mounts"].as_array_mut().expect("an array").retain(|mount| mount["type"] != "devpts");
        })
    };
    let lines: String = (0..340).map(|number| format!(" {} {} 1\n", number * 2, number * 2 + 1)).collect();
    let differs = |ran: &Ran| (ran.stdout != lines.repeat(2)).then(|| format!("{ran:?}"));
    let spoiled = run("less", 339).ok();
    proven(differs, &spoiled, &run("most", 340));
    // Fewer lines of longer numbers: the kernel takes less than a page of them.
    let ran = host.run_script("long", "true", |config| {
        push(config, "/linux/namespaces", json!({"type": "user"}));
        let mapping =
            |number: u32| json!({"containerID": number * 10_000, "hostID": number * 10_000 + 1, "size": 9_999});
        let mapping: Vec<Value> = (0..300).map(mapping).collect();
        config["linux"]["uidMappings"] = json!(mapping);
        config["linux"]["gidMappings"] = json!(mapping);
    });
    assert!(ran.code == 1 && ran.stderr.contains("the kernel takes less than a page of 4096"), "{ran:?}");
    for count in [341, 10_000] {
        let ran = run(&format!("more{count}"), count);
        assert!(
            ran.code == 1 && ran.stderr.contains(&format!("linux.uidMappings: {count} mappings; the kernel takes 340")),
            "{}",
            ran.stderr
        );
    }
    host.assert_clean();
}
