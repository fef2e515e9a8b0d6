//! Every pair of what two namespaces can be, the host's, new, or another container's, occurs in a container that runs;
//! each is told from inside by /proc/self/ns.

use std::{collections::BTreeSet, fs};

use serde_json::{Value, json};

use crate::{Host, push, text};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Host,
    New,
    Joined,
}

/// The specification's name, and the file's in /proc/PID/ns.
const NAMESPACES: [(&str, &str); 8] = [
    ("user", "user"),
    ("mount", "mnt"),
    ("pid", "pid"),
    ("network", "net"),
    ("ipc", "ipc"),
    ("uts", "uts"),
    ("cgroup", "cgroup"),
    ("time", "time"),
];
const USER: usize = 0;
const MOUNT: usize = 1;

type Row = [Kind; 8];
type Pair = (usize, Kind, usize, Kind);

/// A container in the host's mount namespace is another test's. Nobody with users of their own can mount in a namespace
/// of the host's: the kernel does not let them in.
fn is_possible(row: &Row) -> bool {
    row[MOUNT] != Kind::Host && (row[USER], row[MOUNT]) != (Kind::New, Kind::Joined)
}

fn pairs(row: &Row) -> BTreeSet<Pair> {
    let indices = 0..row.len();
    let pairs = indices.flat_map(|one| (one + 1..row.len()).map(move |other| (one, other)));
    pairs.map(|(one, other)| (one, row[one], other, row[other])).collect()
}

/// Rows in which every pair occurs: each is the one with most of what lacks.
fn rows() -> Vec<Row> {
    let kinds = [Kind::Host, Kind::New, Kind::Joined];
    let all = (0..3usize.pow(8)).map(|number| -> Row {
        std::array::from_fn(|index| kinds[number / 3usize.pow(u32::try_from(index).expect("small")) % 3])
    });
    let all: Vec<(Row, BTreeSet<Pair>)> = all.filter(is_possible).map(|row| (row, pairs(&row))).collect();
    let mut missing: BTreeSet<Pair> = all.iter().flat_map(|(_, pairs)| pairs.iter().copied()).collect();
    let mut rows = Vec::new();
    while !missing.is_empty() {
        let (row, covered) =
            all.iter().max_by_key(|(_, pairs)| pairs.intersection(&missing).count()).expect("there are rows");
        missing = missing.difference(covered).copied().collect();
        rows.push(*row);
    }
    rows
}

/// As little as a container can be: what more there is needs the namespace it shows.
fn bare(config: &mut Value) {
    config["mounts"] = json!([
        {"destination": "/proc", "type": "bind", "source": "/proc", "options": ["rbind"]},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"]},
    ]);
    config["linux"]["maskedPaths"] = json!([]);
    config["linux"]["readonlyPaths"] = json!([]);
    config["hostname"] = json!("");
}

fn map_users(config: &mut Value) {
    let mapping = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
    config["linux"]["uidMappings"] = mapping.clone();
    config["linux"]["gidMappings"] = mapping;
}

#[test]
fn every_pair_of_namespaces_goes_together() {
    let host = Host::new();
    let new = |kinds: &[(&str, &str)]| kinds.iter().map(|(name, _)| json!({"type": name})).collect::<Vec<_>>();
    let _ = host.sleeping("plain", |config| {
        bare(config);
        config["linux"]["namespaces"] = json!(new(&NAMESPACES[1..]));
    });
    let _ = host.sleeping("users", |config| {
        bare(config);
        map_users(config);
        config["linux"]["namespaces"] = json!(new(&NAMESPACES));
    });
    let pid = |name: &str| host.state_of(name)["pid"].to_string();
    let (plain, users) = (pid("plain"), pid("users"));
    let link =
        |pid: &str, file: &str| fs::read_link(format!("/proc/{pid}/ns/{file}")).expect("it runs").display().to_string();

    let script = NAMESPACES.map(|(_, file)| format!("readlink /proc/self/ns/{file}")).join("; ");
    let rows = rows();
    assert!((9..=30).contains(&rows.len()), "{} rows", rows.len());
    let mut wrong = Vec::new();
    for (number, row) in rows.iter().enumerate() {
        // What the other container's users own is joined with them.
        let donor = if row[USER] == Kind::Joined { &users } else { &plain };
        let name = format!("web{number}");
        let bundle = host.bundle(&name, &["sh", "-c", &script], |config| {
            bare(config);
            if row[USER] == Kind::New {
                map_users(config);
            }
            config["linux"]["namespaces"] = json!([]);
            for ((name, file), kind) in NAMESPACES.iter().zip(row) {
                match kind {
                    Kind::Host => {}
                    Kind::New => push(config, "/linux/namespaces", json!({"type": name})),
                    Kind::Joined => {
                        let path = format!("/proc/{donor}/ns/{file}");
                        push(config, "/linux/namespaces", json!({"type": name, "path": path}));
                    }
                }
            }
        });
        let ran = host.run(&["run", "--bundle", text(&bundle), &name]);
        let found: Vec<&str> = ran.stdout.lines().collect();
        let is_right = found.len() == NAMESPACES.len()
            && NAMESPACES.iter().zip(row).zip(&found).all(|(((_, file), kind), found)| match kind {
                Kind::Host => *found == link("self", file),
                Kind::Joined => *found == link(donor, file),
                Kind::New => ["self", &plain, &users].iter().all(|other| *found != link(other, file)),
            });
        if !is_right {
            wrong.push(format!("{row:?}: {ran:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
    for name in ["plain", "users"] {
        let _ = host.run(&["delete", "--force", name]).ok();
    }
    host.assert_clean();
}

#[test]
fn users_of_its_own_cannot_mount_in_a_namespace_of_the_hosts() {
    let host = Host::new();
    let _ = host.sleeping("plain", |_| {});
    let pid = host.state_of("plain")["pid"].to_string();
    let path = format!("/proc/{pid}/ns/mnt");
    let ran = host.run_script("web", "true", |config| {
        bare(config);
        map_users(config);
        config["linux"]["namespaces"] = json!([{"type": "user"}, {"type": "mount", "path": path}]);
    });
    assert!(
        ran.code == 1 && ran.stderr.contains(&format!("mount namespace {path}: operation not permitted")),
        "{ran:?}"
    );
    let _ = host.run(&["delete", "--force", "plain"]).ok();
    host.assert_clean();
}
