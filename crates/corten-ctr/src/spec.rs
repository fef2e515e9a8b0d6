//! The OCI specification of `run` and `containers create`: containerd's defaults, then the image, then the flags.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::seccomp;
use crate::session::{Failure, Session, sentence};
use crate::user::User;

/// Capabilities of an ordinary container.
const CAPABILITIES: [&str; 14] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];

/// Every capability by number (capabilities(7)).
const ALL_CAPABILITIES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// Devices that every container may use: type, major, minor, where -1 is any.
const DEVICES: [(&str, i64, i64); 9] = [
    ("c", 1, 3),
    ("c", 1, 8),
    ("c", 1, 7),
    ("c", 5, 0),
    ("c", 1, 5),
    ("c", 1, 9),
    ("c", 5, 1),
    ("c", 136, -1),
    ("c", 5, 2),
];

/// What an image says about its containers.
#[derive(Debug, Default)]
pub struct ImageDefaults {
    /// `NAME=value`.
    pub env: Vec<String>,
    /// Entrypoint, then command.
    pub arguments: Vec<String>,
    /// Only the entrypoint.
    pub entrypoint: Vec<String>,
    /// Working directory.
    pub cwd: String,
    /// Whom to run as.
    pub user: User,
}

fn rule(allow: bool, kind: Option<&str>, major: i64, minor: i64) -> Value {
    let mut rule = Map::from_iter([("allow".to_owned(), Value::from(allow))]);
    if let Some(kind) = kind {
        rule.insert("type".into(), kind.into());
        rule.insert("major".into(), major.into());
        if minor >= 0 {
            rule.insert("minor".into(), minor.into());
        }
    }
    rule.insert("access".into(), "rwm".into());
    Value::Object(rule)
}

fn mount(kind: &str, source: &str, destination: &str, options: &[&str]) -> Value {
    json!({"destination": destination, "type": kind, "source": source, "options": options})
}

fn default_spec(namespace: &str, id: &str) -> Value {
    let tmpfs = ["nosuid", "strictatime", "mode=755", "size=65536k"];
    let quiet = ["nosuid", "noexec", "nodev"];
    let mut devices = vec![rule(false, None, 0, 0)];
    devices.extend(DEVICES.iter().map(|(kind, major, minor)| rule(true, Some(kind), *major, *minor)));
    let capabilities: Vec<&str> = CAPABILITIES.to_vec();
    json!({
        "ociVersion": "1.0.2-dev",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "cwd": "/",
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            "capabilities": {"bounding": capabilities, "effective": capabilities, "permitted": capabilities},
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": true,
        },
        "root": {"path": "rootfs"},
        "mounts": [
            mount("proc", "proc", "/proc", &quiet),
            mount("tmpfs", "tmpfs", "/dev", &tmpfs),
            mount("devpts", "devpts", "/dev/pts",
                &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
            mount("tmpfs", "shm", "/dev/shm", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
            mount("mqueue", "mqueue", "/dev/mqueue", &quiet),
            mount("sysfs", "sysfs", "/sys", &["nosuid", "noexec", "nodev", "ro"]),
            mount("tmpfs", "tmpfs", "/run", &tmpfs),
        ],
        "linux": {
            "resources": {"devices": devices},
            "cgroupsPath": format!("/{namespace}/{id}"),
            "namespaces": [
                {"type": "pid"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}, {"type": "network"},
            ],
            "maskedPaths": [
                "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
                "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi",
            ],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    })
}

fn list<'a>(spec: &'a mut Value, pointer: &str) -> &'a mut Vec<Value> {
    let (parent, key) = pointer.rsplit_once('/').unwrap_or(("", pointer));
    if let Some(parent) = spec.pointer_mut(parent).and_then(Value::as_object_mut) {
        parent.entry(key).or_insert_with(|| Value::Array(Vec::new()));
    }
    match spec.pointer_mut(pointer) {
        Some(Value::Array(list)) => list,
        _ => unreachable!("{pointer} is a list of the default spec or was just made one"),
    }
}

/// Sets variables, each in the place of one of the same name.
fn set_env(spec: &mut Value, variables: &[String]) {
    let env = list(spec, "/process/env");
    for variable in variables {
        let name = variable.split('=').next().unwrap_or_default();
        let known = env.iter_mut().find(|known| known.as_str().and_then(|known| known.split('=').next()) == Some(name));
        match (known, variable.contains('=')) {
            (Some(known), true) => *known = variable.as_str().into(),
            (None, true) => env.push(variable.as_str().into()),
            // A name alone takes the variable away.
            (_, false) => env.retain(|known| known.as_str().and_then(|known| known.split('=').next()) != Some(name)),
        }
    }
}

/// Makes the specification.
///
/// # Errors
/// The flag that is wrong, or not supported yet.
pub fn build(session: &Session, id: &str, image: &ImageDefaults, words: &[String]) -> Result<Value, Failure> {
    refuse_unsupported(session)?;
    let mut spec = default_spec(&session.namespace, id);
    if !image.env.is_empty() {
        spec["process"]["env"] = image.env.clone().into();
    }
    if !image.cwd.is_empty() {
        spec["process"]["cwd"] = image.cwd.as_str().into();
    }
    spec["process"]["user"] =
        json!({"uid": image.user.uid, "gid": image.user.gid, "additionalGids": image.user.groups});
    let arguments = if words.is_empty() { &image.arguments } else { words };
    if arguments.is_empty() {
        return Err(sentence("no arguments specified"));
    }
    spec["process"]["args"] = arguments.into();
    process(session, &mut spec)?;
    mounts(session, &mut spec)?;
    privileges(session, &mut spec)?;
    resources(session, &mut spec)?;
    namespaces(session, &mut spec)?;
    let mut annotations = crate::session::labels(&session.values("annotation"));
    annotations.extend(crate::session::labels(&session.values("label")));
    if !annotations.is_empty() {
        spec["annotations"] = json!(annotations);
    }
    Ok(spec)
}

/// What ctr can and this program cannot do yet.
fn refuse_unsupported(session: &Session) -> Result<(), Failure> {
    let flags = [
        "gpus",
        "apparmor-default-profile",
        "apparmor-profile",
        "rdt-class",
        "cni",
        "uidmap",
        "gidmap",
        "remap-labels",
        "runtime-config-path",
    ];
    let given = |flag: &&&str| {
        session.arguments.try_contains_id(flag).is_ok()
            && session.arguments.value_source(flag) == Some(clap::parser::ValueSource::CommandLine)
    };
    match flags.iter().find(given) {
        Some(flag) => Err(sentence(format!("--{flag}: not supported yet"))),
        None => Ok(()),
    }
}

fn process(session: &Session, spec: &mut Value) -> Result<(), Failure> {
    let mut variables = Vec::new();
    if let Some(path) = session.given("env-file") {
        let text = std::fs::read_to_string(path).map_err(|error| sentence(format!("open {path}: {error}")))?;
        variables.extend(text.lines().filter(|line| line.contains('=')).map(str::to_owned));
    }
    variables.extend(session.values("env"));
    if session.is_set("tty") {
        spec["process"]["terminal"] = true.into();
        variables.insert(0, "TERM=xterm".to_owned());
    }
    if session.is_set("net-host") {
        let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        variables.push(format!("HOSTNAME={}", hostname.trim()));
    }
    set_env(spec, &variables);
    if let Some(cwd) = session.given("cwd") {
        spec["process"]["cwd"] = cwd.into();
    }
    if session.is_set("allow-new-privs")
        && let Some(process) = spec["process"].as_object_mut()
    {
        process.remove("noNewPrivileges");
    }
    if session.is_set("read-only") {
        spec["root"]["readonly"] = true.into();
    }
    Ok(())
}

fn mounts(session: &Session, spec: &mut Value) -> Result<(), Failure> {
    for text in session.values("mount") {
        let parsed = parse_mount(&text)?;
        list(spec, "/mounts").push(parsed);
    }
    if session.is_set("net-host") {
        for file in ["/etc/hosts", "/etc/resolv.conf"] {
            list(spec, "/mounts").push(mount("bind", file, file, &["rbind", "ro"]));
        }
    }
    if let Some(propagation) = session.given("rootfs-propagation") {
        spec["linux"]["rootfsPropagation"] = propagation.into();
    }
    Ok(())
}

/// `type=bind,src=/tmp,dst=/host,options=rbind:ro`
fn parse_mount(text: &str) -> Result<Value, Failure> {
    let mut parsed = Map::new();
    for field in text.split(',') {
        let Some((key, value)) = field.split_once('=') else {
            return Err(sentence("invalid mount specification: expected key=val"));
        };
        match key {
            "type" => parsed.insert("type".into(), value.into()),
            "source" | "src" => parsed.insert("source".into(), value.into()),
            "destination" | "dst" => parsed.insert("destination".into(), value.into()),
            "options" => parsed.insert("options".into(), value.split(':').collect::<Vec<_>>().into()),
            other => return Err(sentence(format!("mount option {other:?} not supported"))),
        };
    }
    Ok(Value::Object(parsed))
}

fn privileges(session: &Session, spec: &mut Value) -> Result<(), Failure> {
    let mut capabilities: Vec<String> = CAPABILITIES.map(str::to_owned).to_vec();
    if session.is_set("privileged") {
        capabilities = own_capabilities();
        if let Some(linux) = spec["linux"].as_object_mut() {
            linux.retain(|key, _| key != "maskedPaths" && key != "readonlyPaths");
        }
        for mount in list(spec, "/mounts").iter_mut().filter(|mount| mount["type"] == "sysfs") {
            mount["options"] = json!(["nosuid", "noexec", "nodev", "rw"]);
        }
        *list(spec, "/linux/resources/devices") = vec![rule(true, None, 0, 0)];
        let devices = host_devices(Path::new("/dev"), 0)?;
        list(spec, "/linux/devices").extend(devices);
    }
    let (added, dropped) = (session.values("cap-add"), session.values("cap-drop"));
    if added.iter().chain(&dropped).any(|name| !name.starts_with("CAP_")) {
        return Err(sentence("capabilities must be specified with 'CAP_' prefix"));
    }
    if let Some(unknown) = added.iter().chain(&dropped).find(|name| !ALL_CAPABILITIES.contains(&name.as_str())) {
        return Err(sentence(format!("{unknown} is not a capability")));
    }
    capabilities.extend(added.into_iter().filter(|name| !CAPABILITIES.contains(&name.as_str())));
    capabilities.retain(|name| !dropped.contains(name));
    for set in ["bounding", "effective", "permitted"] {
        spec["process"]["capabilities"][set] = capabilities.clone().into();
    }
    if let Some(filter) = seccomp::filter(session, &capabilities)? {
        spec["linux"]["seccomp"] = filter;
    }
    for path in session.values("device") {
        let root = Path::new(&path);
        let found = if root.is_dir() {
            host_devices(root, 0)?
        } else {
            vec![device(root)?.ok_or_else(|| sentence(format!("{path} is not a device")))?]
        };
        for device in found {
            let number = |key: &str| device[key].as_i64().unwrap_or(0);
            let allowed = rule(true, device["type"].as_str(), number("major"), number("minor"));
            list(spec, "/linux/resources/devices").push(allowed);
            list(spec, "/linux/devices").push(device);
        }
    }
    Ok(())
}

/// The capabilities this process has: no container can be given more.
fn own_capabilities() -> Vec<String> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|text| u64::from_str_radix(text.trim(), 16).ok()).unwrap_or(0);
    let held = ALL_CAPABILITIES.iter().enumerate().filter(|(number, _)| effective & (1 << number) != 0);
    held.map(|(_, name)| (*name).to_owned()).collect()
}

/// A device of the host, none when it is something else.
fn device(path: &Path) -> Result<Option<Value>, Failure> {
    let stat = std::fs::symlink_metadata(path).map_err(|error| sentence(format!("{}: {error}", path.display())))?;
    let kind = match stat.file_type() {
        kind if kind.is_char_device() => "c",
        kind if kind.is_block_device() => "b",
        _ => return Ok(None),
    };
    let rdev = stat.rdev();
    // How Linux packs a device number (makedev(3)).
    let (major, minor) = (((rdev >> 8) & 0xfff) | ((rdev >> 32) & !0xfff), (rdev & 0xff) | ((rdev >> 12) & !0xff));
    Ok(Some(json!({
        "path": path, "type": kind, "major": major, "minor": minor & 0xffff_ffff,
        "fileMode": stat.mode() & 0o777, "uid": stat.uid(), "gid": stat.gid(),
    })))
}

/// Every device below a directory but those that each container has of its own.
fn host_devices(directory: &Path, depth: usize) -> Result<Vec<Value>, Failure> {
    let mut found = Vec::new();
    if depth > 8 {
        return Ok(found);
    }
    let entries =
        std::fs::read_dir(directory).map_err(|error| sentence(format!("list {}: {error}", directory.display())))?;
    for entry in entries.flatten() {
        let name = entry.file_name();
        if depth == 0 && ["pts", "shm", "fd", "mqueue", "console", ".lxc", ".lxd-mounts"].iter().any(|own| name == *own)
        {
            continue;
        }
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(host_devices(&entry.path(), depth + 1)?),
            // A device that vanished meanwhile is none.
            Ok(_) => found.extend(device(&entry.path()).ok().flatten()),
            Err(_) => {}
        }
    }
    Ok(found)
}

fn resources(session: &Session, spec: &mut Value) -> Result<(), Failure> {
    let (quota, period) = (session.number::<i64>("cpu-quota")?, session.number::<u64>("cpu-period")?);
    let of_run = |flag: &str| session.arguments.try_contains_id(flag).is_ok();
    let cpus = if of_run("cpus") { session.number::<f64>("cpus")? } else { 0.0 };
    let mut cpu = Map::new();
    if of_run("cpu-shares") {
        let shares = session.number::<u64>("cpu-shares")?;
        if shares > 0 {
            cpu.insert("shares".into(), shares.into());
        }
    }
    if cpus > 0.0 {
        if quota != -1 || period != 0 {
            return Err(sentence("cpus and quota/period should be used separately"));
        }
        #[expect(clippy::cast_possible_truncation, reason = "microseconds are whole")]
        cpu.insert("quota".into(), ((cpus * 100_000.0) as i64).into());
        cpu.insert("period".into(), 100_000.into());
    } else if quota != -1 || period != 0 {
        cpu.insert("quota".into(), quota.into());
        cpu.insert("period".into(), period.into());
    }
    if !cpu.is_empty() {
        spec["linux"]["resources"]["cpu"] = cpu.into();
    }
    let memory = session.number::<i64>("memory-limit")?;
    if memory != 0 {
        spec["linux"]["resources"]["memory"] = json!({"limit": memory});
    }
    if of_run("cgroup")
        && let Some(path) = session.given("cgroup")
    {
        spec["linux"]["cgroupsPath"] = path.into();
    }
    Ok(())
}

fn namespaces(session: &Session, spec: &mut Value) -> Result<(), Failure> {
    if session.is_set("net-host") {
        list(spec, "/linux/namespaces").retain(|namespace| namespace["type"] != "network");
    }
    for text in session.values("with-ns") {
        let Some((kind, path)) = text.split_once(':') else {
            return Err(sentence("joining a Linux namespace using --with-ns requires the format 'nstype:path'"));
        };
        if !["cgroup", "ipc", "mount", "network", "pid", "user", "uts", "time"].contains(&kind) {
            return Err(sentence(format!("the Linux namespace type specified in --with-ns is not valid: {kind}")));
        }
        let joined = json!({"type": kind, "path": path});
        let namespaces = list(spec, "/linux/namespaces");
        match namespaces.iter_mut().find(|namespace| namespace["type"] == kind) {
            Some(namespace) => *namespace = joined,
            None => namespaces.push(joined),
        }
    }
    Ok(())
}

/// The order in which Go writes the fields of a specification: what other programs wrote and what we write is then
/// shown alike by everybody.
const FIELDS: &str = "ociVersion process root hostname mounts annotations linux terminal user args env cwd \
    capabilities rlimits noNewPrivileges bounding effective permitted destination allow path type source options \
    major minor access fileMode uid gid additionalGids hard soft readonly resources cgroupsPath namespaces devices \
    memory cpu limit shares quota period rootfsPropagation maskedPaths readonlyPaths";

/// A specification as JSON text, in Go's order and with Go's escapes.
pub fn text(spec: &Value) -> String {
    // These three only occur in strings; Go escapes them for HTML.
    ordered(spec, false).replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

fn ordered(value: &Value, is_map: bool) -> String {
    match value {
        Value::Array(list) => {
            let items: Vec<String> = list.iter().map(|item| ordered(item, false)).collect();
            format!("[{}]", items.join(","))
        }
        Value::Object(fields) => {
            let place = |key: &str| match (key, is_map) {
                (_, true) => usize::MAX,
                // A namespace says its type first, a device its path.
                ("type", _) if fields.len() == 2 && fields.contains_key("path") => 0,
                _ => FIELDS.split_whitespace().position(|known| known == key).unwrap_or(usize::MAX),
            };
            let mut keys: Vec<&String> = fields.keys().collect();
            keys.sort_by_key(|key| (place(key), key.as_str()));
            let field = |key: &&String| {
                format!("{}:{}", Value::from(key.as_str()), ordered(&fields[*key], *key == "annotations"))
            };
            format!("{{{}}}", keys.iter().map(field).collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}
