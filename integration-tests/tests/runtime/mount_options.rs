//! Each option of `features` does what it says, seen in the container's mount table.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    process::Command,
};

use integration_tests::{Ran, programs};
use serde_json::{Value, json};

use crate::{Host, push, text};

/// What is mounted at /a with the options.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// A new tmpfs.
    Tmpfs,
    /// /source of the container, a mount with another below it.
    Bind,
}
use Kind::{Bind, Tmpfs};

/// The option; what is mounted with which options; what its line then holds, or with a `!` does not; the same for the
/// mount below it.
type Row = (&'static str, Kind, &'static [&'static str], &'static str, &'static str);

/// Options that undo another are given after it.
const ROWS: &[Row] = &[
    ("async", Tmpfs, &["sync", "async"], "!sync", ""),
    ("atime", Tmpfs, &["noatime", "atime"], "relatime", ""),
    ("bind", Bind, &["bind"], "rw", "!"),
    ("defaults", Tmpfs, &["defaults"], "rw,relatime", ""),
    ("dev", Tmpfs, &["nodev", "dev"], "!nodev", ""),
    ("diratime", Tmpfs, &["nodiratime", "diratime"], "!nodiratime", ""),
    ("dirsync", Tmpfs, &["dirsync"], "dirsync", ""),
    ("exec", Tmpfs, &["noexec", "exec"], "!noexec", ""),
    ("lazytime", Tmpfs, &["lazytime"], "lazytime", ""),
    ("loud", Tmpfs, &["silent", "loud"], "rw", ""),
    ("mand", Tmpfs, &["mand"], "mand", ""),
    ("noatime", Tmpfs, &["noatime"], "noatime", ""),
    ("nodev", Tmpfs, &["nodev"], "nodev", ""),
    ("nodiratime", Tmpfs, &["nodiratime"], "nodiratime", ""),
    ("noexec", Bind, &["rbind", "noexec"], "noexec", "!noexec"),
    ("noiversion", Tmpfs, &["noiversion"], "!iversion", ""),
    ("nolazytime", Tmpfs, &["lazytime", "nolazytime"], "!lazytime", ""),
    ("nomand", Tmpfs, &["mand", "nomand"], "!mand", ""),
    ("norelatime", Tmpfs, &["noatime", "norelatime"], "relatime", ""),
    ("nostrictatime", Tmpfs, &["strictatime", "nostrictatime"], "relatime", ""),
    ("nosuid", Bind, &["rbind", "nosuid"], "nosuid", "!nosuid"),
    ("nosymfollow", Tmpfs, &["nosymfollow"], "nosymfollow", ""),
    ("private", Tmpfs, &["shared", "private"], "!shared:", ""),
    ("ratime", Bind, &["rbind", "rnoatime", "ratime"], "relatime", "relatime"),
    ("rbind", Bind, &["rbind"], "rw", "rw"),
    ("rdev", Bind, &["rbind", "rnodev", "rdev"], "!nodev", "!nodev"),
    ("rdiratime", Bind, &["rbind", "rnodiratime", "rdiratime"], "!nodiratime", "!nodiratime"),
    ("relatime", Tmpfs, &["noatime", "relatime"], "relatime", ""),
    ("rexec", Bind, &["rbind", "rnoexec", "rexec"], "!noexec", "!noexec"),
    ("rnoatime", Bind, &["rbind", "rnoatime"], "noatime", "noatime"),
    ("rnodev", Bind, &["rbind", "rnodev"], "nodev", "nodev"),
    ("rnodiratime", Bind, &["rbind", "rnodiratime"], "nodiratime", "nodiratime"),
    ("rnoexec", Bind, &["rbind", "rnoexec"], "noexec", "noexec"),
    ("rnorelatime", Bind, &["rbind", "rnoatime", "rnorelatime"], "relatime", "relatime"),
    ("rnostrictatime", Bind, &["rbind", "rstrictatime", "rnostrictatime"], "relatime", "relatime"),
    ("rnosuid", Bind, &["rbind", "rnosuid"], "nosuid", "nosuid"),
    ("rnosymfollow", Bind, &["rbind", "rnosymfollow"], "nosymfollow", "nosymfollow"),
    ("ro", Bind, &["rbind", "ro"], "ro", "!ro"),
    ("rprivate", Bind, &["rbind", "rshared", "rprivate"], "!shared:", "!shared:"),
    ("rrelatime", Bind, &["rbind", "rnoatime", "rrelatime"], "relatime", "relatime"),
    ("rro", Bind, &["rbind", "rro"], "ro", "ro"),
    ("rrw", Bind, &["rbind", "rro", "rrw"], "rw", "rw"),
    ("rshared", Bind, &["rbind", "rshared"], "shared:", "shared:"),
    ("rslave", Bind, &["rbind", "rslave"], "master:", "master:"),
    ("rstrictatime", Bind, &["rbind", "rstrictatime"], "!relatime", "!relatime"),
    ("rsuid", Bind, &["rbind", "rnosuid", "rsuid"], "!nosuid", "!nosuid"),
    ("rsymfollow", Bind, &["rbind", "rnosymfollow", "rsymfollow"], "!nosymfollow", "!nosymfollow"),
    ("runbindable", Bind, &["rbind", "runbindable"], "unbindable", "unbindable"),
    ("rw", Tmpfs, &["ro", "rw"], "rw", ""),
    ("shared", Tmpfs, &["shared"], "shared:", ""),
    ("silent", Tmpfs, &["silent"], "rw", ""),
    ("slave", Bind, &["rbind", "slave"], "master:", "!master:"),
    ("strictatime", Tmpfs, &["strictatime"], "!relatime", ""),
    ("suid", Tmpfs, &["nosuid", "suid"], "!nosuid", ""),
    ("symfollow", Tmpfs, &["nosymfollow", "symfollow"], "!nosymfollow", ""),
    ("sync", Tmpfs, &["sync"], "sync", ""),
    ("unbindable", Bind, &["rbind", "unbindable"], "unbindable", "!unbindable"),
];

/// Options that need more than a mount table to be seen.
const ELSEWHERE: [&str; 7] = [
    // below
    "iversion",
    "remount",
    // mounts.rs::symlinks_can_be_mounted_themselves
    "dest-nofollow",
    "src-nofollow",
    // mounts.rs::an_idmap_reaches_the_mounts_below_only_when_asked
    "idmap",
    "ridmap",
    // mounts.rs::a_tmpfs_can_begin_with_what_it_covers
    "tmpcopyup",
];

#[test]
fn every_option_of_features_has_its_effect() {
    let host = Host::new();
    let features: Value = serde_json::from_str(&host.run(&["features"]).ok().stdout).expect("JSON");
    let listed = features["mountOptions"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut shown: Vec<&str> = ROWS.iter().map(|row| row.0).chain(ELSEWHERE).collect();
    shown.sort_unstable();
    assert_eq!(shown, listed.collect::<Vec<_>>());

    // All mounts of one kind in one container: what is seen of each is its own line.
    let target = |number: usize| format!("/mnt/{number}");
    let table = host.run_script("web", "cat /proc/self/mountinfo", |config| {
        let source = text(&host.root.join("bundles/web/rootfs/source")).to_owned();
        for (path, options) in [("/source", json!(["shared"])), ("/source/below", json!(["shared"]))] {
            push(
                config,
                "/mounts",
                json!({"destination": path, "type": "tmpfs", "source": "tmpfs", "options": options}),
            );
        }
        for (number, (_, kind, options, ..)) in ROWS.iter().enumerate() {
            let mut mount = json!({"destination": target(number), "options": options});
            let (fstype, from) = if *kind == Bind { ("bind", source.as_str()) } else { ("tmpfs", "tmpfs") };
            (mount["type"], mount["source"]) = (fstype.into(), from.into());
            push(config, "/mounts", mount);
        }
    });
    let table = table.ok().stdout;
    for (number, (option, kind, _, own, below)) in ROWS.iter().enumerate() {
        check(option, &table, &target(number), own);
        if *kind == Bind {
            check(option, &table, &format!("{}/below", target(number)), below);
        }
    }
    host.assert_clean();
}

/// Whether the words of the line of `target` are as `expected` says; `!` alone is no line.
fn check(option: &str, table: &str, target: &str, expected: &str) {
    let line = table.lines().find(|line| line.split(' ').nth(4) == Some(target));
    let (wanted, word) = expected.strip_prefix('!').map_or((true, expected), |word| (false, word));
    if word.is_empty() {
        assert!(line.is_none(), "{option}: {line:?}");
        return;
    }
    let line = line.unwrap_or_else(|| panic!("{option}: nothing at {target} in {table}"));
    let has = line.split([' ', ',']).any(|found| found == word || word.ends_with(':') && found.starts_with(word));
    let has = has || (word.contains(',') && line.contains(word));
    assert_eq!(has, wanted, "{option}: {word} in {line}");
}

#[test]
fn a_remount_changes_what_is_there() {
    let host = Host::new();
    fs::create_dir(host.root.join("data")).expect("the root is writable");
    let mounts = |config: &mut Value, last: Value| {
        let mount = |destination: &str, fstype: &str, source: &str, options: Value| json!({"destination": destination, "type": fstype, "source": source, "options": options});
        let data = host.root.join("data");
        push(config, "/mounts", mount("/a", "tmpfs", "tmpfs", json!(["mode=755", "noexec"])));
        push(config, "/mounts", mount("/a", "tmpfs", "tmpfs", json!(["remount", "nosuid", "size=1m"])));
        push(config, "/mounts", mount("/b", "bind", text(&data), json!(["bind", "nodev"])));
        push(config, "/mounts", mount("/b", "bind", "", json!(["bind", "remount", "ro"])));
        push(config, "/mounts", last);
    };
    let last = json!({"destination": "/c", "type": "tmpfs", "options": ["mode=755"]});
    let table = host.run_script("web", "cat /proc/self/mountinfo", |config| mounts(config, last)).ok().stdout;
    for (target, expected) in [("/a", "nosuid !noexec size=1024k"), ("/b", "ro !nodev")] {
        let count = table.lines().filter(|line| line.split(' ').nth(4) == Some(target)).count();
        assert_eq!(count, 1, "{target} in {table}");
        expected.split(' ').for_each(|word| check("remount", &table, target, word));
    }
    for (name, fstype, options) in [("none", "tmpfs", json!(["remount"])), ("bound", "bind", json!(["remount", "ro"]))]
    {
        let last = json!({"destination": "/etc", "type": fstype, "source": "x", "options": options});
        let ran = host.run_script(name, "true", |config| mounts(config, last));
        assert!(
            ran.code == 1 && ran.stderr.contains("set attributes: invalid argument"),
            "nothing is mounted there: {ran:?}"
        );
    }
    host.assert_clean();
}

/// No table shows it: what is seen is that the kernel was told.
#[test]
fn a_filesystem_is_told_to_count_versions() {
    let host = Host::new();
    let bundle = host.bundle("web", &["cat", "/proc/self/mountinfo"], |config| {
        let options = json!(["iversion", "nosuid", "size=1m", "shared"]);
        push(config, "/mounts", json!({"destination": "/a", "type": "tmpfs", "source": "mine", "options": options}));
        push(config, "/mounts", json!({"destination": "/a/below", "type": "tmpfs", "options": ["mode=700"]}));
    });
    // Whose mode a tmpfs has that says nothing about it.
    fs::create_dir(bundle.join("rootfs/a")).expect("the bundle is writable");
    fs::set_permissions(bundle.join("rootfs/a"), Permissions::from_mode(0o750)).expect("it is ours");
    let trace = host.root.join("trace");
    let mut strace = Command::new(programs::original("strace"));
    strace.args(["-f", "-e", "trace=mount", "-o", text(&trace), "--"]).arg(programs::path("corten-runtime"));
    let table = Ran::of(strace.arg("--root").arg(host.state()).args(["run", "--bundle", text(&bundle), "web"])).ok();
    for word in ["nosuid", "shared:", "mine", "size=1024k", "mode=750"] {
        check("iversion", &table.stdout, "/a", word);
    }
    check("iversion", &table.stdout, "/a/below", "mode=700");
    let trace = fs::read_to_string(trace).expect("strace wrote it");
    assert_eq!(trace.matches("MS_I_VERSION").count(), 1, "{trace}");
    let ran = host.run_script("unknown", "true", |config| {
        push(config, "/mounts", json!({"destination": "/a", "type": "tmpfs", "options": ["iversion", "nonsense=1"]}));
    });
    assert!(ran.stderr.contains("Unknown parameter 'nonsense'"), "{ran:?}");
    host.assert_clean();
}

#[test]
fn options_of_a_filesystem_cannot_be_set_on_a_bind() {
    let host = Host::new();
    fs::create_dir(host.root.join("data")).expect("the root is writable");
    for option in ["sync", "dirsync", "lazytime", "mand", "iversion", "size=1m"] {
        let ran = host.run_script(&option.replace('=', "-"), "true", |config| {
            let source = host.root.join("data");
            push(config, "/mounts", json!({"destination": "/a", "source": source, "options": ["bind", option]}));
        });
        assert!(ran.code == 1 && ran.stderr.contains("cannot be set on a bind mount"), "{option}: {ran:?}");
    }
    // What such a flag's absence says holds for every mount.
    let ran = host.run_script("without", "true", |config| {
        let options = json!(["bind", "async", "nolazytime", "nomand"]);
        push(config, "/mounts", json!({"destination": "/a", "source": host.root.join("data"), "options": options}));
    });
    let _ = ran.ok();
    host.assert_clean();
}
