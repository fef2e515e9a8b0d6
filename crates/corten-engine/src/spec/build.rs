//! Puts the specification together.

use std::collections::HashMap;
use std::path::PathBuf;

use oci_spec::runtime::{
    BoxBuilder as ConsoleSizeBuilder, Linux, LinuxCapabilities, LinuxDeviceCgroup, LinuxNamespace, LinuxNamespaceType,
    PosixRlimit, PosixRlimitBuilder, PosixRlimitType, Process, Root, Spec, User,
};

use super::devices::{self, HostDevice};
use super::filter::filter;
use super::mounts::{self, Fixed, MASKED_PATHS, READONLY_PATHS, UserMount};
use super::seccomp::Machine;
use super::security::{DefaultFilter, SecurityOptions};
use super::user::ResolvedUser;
use super::{apparmor, capabilities, resources};
use oci_spec::OciSpecError;

use crate::containers::record::Record;
use crate::errors::{EngineError, Result};

/// What is known of the host.
#[derive(Clone, Debug, Default)]
pub struct Host {
    /// Whether it has only the unified cgroup hierarchy.
    pub is_cgroup_v2: bool,
    /// Its name, for containers that share it.
    pub hostname: String,
    /// The cgroup above the container's own.
    pub cgroup_parent: String,
    /// Whether the sysctl `net.ipv4.ip_unprivileged_port_start` exists.
    pub has_unprivileged_ports: bool,
    /// Whether it has a /dev/mqueue to share.
    pub has_mqueue: bool,
    /// Whether the sysctl `net.ipv4.ping_group_range` exists.
    pub has_ping_group_range: bool,
    /// Capabilities the engine has itself, by number.
    pub capabilities: u64,
    /// What decides about rules of seccomp profiles.
    pub machine: Machine,
    /// The filter of containers that ask for none themselves.
    pub default_filter: DefaultFilter,
    /// Whether the kernel has no filters.
    pub lacks_seccomp: bool,
    /// Whether containers can be confined by AppArmor.
    pub has_apparmor: bool,
}

/// Namespaces of other containers to join, by the pid of their init.
#[derive(Clone, Debug, Default)]
pub struct Joined {
    /// For `--network container:…`.
    pub network_pid: Option<u32>,
    /// The network namespace that the engine has made.
    pub network_path: Option<PathBuf>,
    /// For `--pid container:…`.
    pub pid_pid: Option<u32>,
}

/// Everything a specification is made from.
pub struct Input<'a> {
    /// What the container is.
    pub record: &'a Record,
    /// Whose rights its init has.
    pub user: ResolvedUser,
    /// What the user and the engine mount, sorted.
    pub mounts: Vec<UserMount>,
    /// Devices of the host.
    pub devices: Vec<HostDevice>,
    /// Other containers' namespaces.
    pub joined: Joined,
    /// The host.
    pub host: Host,
}

/// What PATH is when neither image nor user says.
const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The specification.
///
/// # Errors
/// When there is no program to run, and for limits that do not exist.
pub fn build(input: &Input<'_>) -> Result<Spec> {
    let record = input.record;
    let options = SecurityOptions::read(&record.host_config)?;
    let capabilities = granted(input);
    let mut spec = Spec::default();
    spec.set_version("1.0.2".to_owned());
    let mut root = Root::default();
    root.set_path(PathBuf::from("rootfs"));
    root.set_readonly(Some(record.host_config.readonly_rootfs));
    spec.set_root(Some(root));
    let hostname = (!is_host(&record.host_config.uts_mode)).then(|| record.config.hostname.clone());
    spec.set_hostname(hostname.filter(|hostname| !hostname.is_empty()));
    let fixed = Fixed {
        shm_size_bytes: record.host_config.shm_size,
        host_ipc: is_host(&record.host_config.ipc_mode),
        host_has_mqueue: input.host.has_mqueue,
        has_shm: record.host_config.ipc_mode != "none",
        cgroup_writable: options.writable_cgroups.unwrap_or(record.host_config.privileged),
        sys_writable: record.host_config.privileged,
    };
    spec.set_mounts(Some(mounts::mounts(&fixed, &input.mounts)));
    spec.set_process(Some(process(input, &capabilities, &options)?));
    let annotations = record.host_config.annotations.clone().unwrap_or_default();
    spec.set_annotations(Some(annotations.into_iter().collect()).filter(|all: &HashMap<_, _>| !all.is_empty()));
    let mut linux = linux(input, &options)?;
    let is_privileged = record.host_config.privileged;
    linux.set_seccomp(filter(&input.host, is_privileged, &options, &capabilities)?);
    spec.set_linux(Some(linux));
    Ok(spec)
}

fn is_host(mode: &str) -> bool {
    mode == "host"
}

fn process(input: &Input<'_>, capabilities: &[String], options: &SecurityOptions) -> Result<Process> {
    let (config, host) = (&input.record.config, &input.record.host_config);
    let arguments = input.record.command();
    if arguments.is_empty() {
        return Err(EngineError::invalid("no command specified"));
    }
    let mut process = Process::default();
    process.set_terminal(Some(config.tty));
    let [height, width] = host.console_size;
    if config.tty && height > 0 && width > 0 {
        let size = ConsoleSizeBuilder::default().height(u64::from(height)).width(u64::from(width)).build();
        process.set_console_size(Some(size.map_err(impossible)?));
    }
    let mut user = User::default();
    user.set_uid(input.user.uid);
    user.set_gid(input.user.gid);
    user.set_additional_gids(Some(input.user.groups.clone()).filter(|groups| !groups.is_empty()));
    process.set_user(user);
    process.set_args(Some(arguments));
    process.set_env(Some(environment(input)));
    let directory = if config.working_dir.is_empty() { "/" } else { &config.working_dir };
    process.set_cwd(PathBuf::from(mounts::clean(directory)));
    process.set_capabilities(Some(sets(capabilities)?));
    process.set_rlimits(Some(rlimits(input)?).filter(|limits| !limits.is_empty()));
    process.set_no_new_privileges(Some(options.no_new_privileges));
    let profile = || apparmor::profile_of(options.apparmor.as_deref(), host.privileged);
    process.set_apparmor_profile(input.host.has_apparmor.then(profile));
    process.set_oom_score_adj(i32::try_from(host.oom_score_adj).ok());
    Ok(process)
}

/// docker's order: its own words first, then the image's and the user's, each name once.
fn environment(input: &Input<'_>) -> Vec<String> {
    let config = &input.record.config;
    let mut variables = vec![DEFAULT_PATH.to_owned()];
    let hostname = if is_host(&input.record.host_config.uts_mode) { &input.host.hostname } else { &config.hostname };
    variables.push(format!("HOSTNAME={hostname}"));
    if config.tty {
        variables.push("TERM=xterm".to_owned());
    }
    for variable in config.env.iter().flatten() {
        let name = variable.split('=').next().unwrap_or_default();
        let known = variables.iter().position(|other| other.split('=').next() == Some(name));
        match (known, variable.contains('=')) {
            (Some(at), true) => variables[at].clone_from(variable),
            // A bare name takes the variable away (`docker run -e NAME` without a value).
            (Some(at), false) => drop(variables.remove(at)),
            (None, true) => variables.push(variable.clone()),
            (None, false) => {}
        }
    }
    variables
}

/// The names of what the container's processes may have.
fn granted(input: &Input<'_>) -> Vec<String> {
    let (host, available) = (&input.record.host_config, input.host.capabilities);
    if host.privileged {
        return capabilities::names(available);
    }
    let list = |names: &Option<Vec<String>>| names.clone().unwrap_or_default();
    capabilities::effective(&list(&host.cap_add), &list(&host.cap_drop), available)
}

fn sets(names: &[String]) -> Result<LinuxCapabilities> {
    let set: oci_spec::runtime::Capabilities = names
        .iter()
        .map(|name| serde_json::from_value(serde_json::Value::String(name.clone())))
        .collect::<std::result::Result<_, _>>()
        .map_err(|error| EngineError::internal("name a capability").caused_by(error))?;
    let mut granted = LinuxCapabilities::default();
    granted.set_bounding(Some(set.clone()));
    granted.set_permitted(Some(set.clone()));
    granted.set_effective(Some(set));
    granted.set_inheritable(None);
    granted.set_ambient(None);
    Ok(granted)
}

fn rlimits(input: &Input<'_>) -> Result<Vec<PosixRlimit>> {
    let limits = input.record.host_config.ulimits.iter().flatten();
    let limit = |ulimit: &corten_docker_api::containers::Ulimit| {
        let name = format!("RLIMIT_{}", ulimit.name.to_ascii_uppercase());
        let kind: PosixRlimitType =
            name.parse().map_err(|_| EngineError::invalid(format!("invalid ulimit type: {}", ulimit.name)))?;
        // -1 is no limit, which as an unsigned number is the kernel's RLIM_INFINITY.
        let bound = |value: i64| u64::try_from(value).unwrap_or(u64::MAX);
        let limit = PosixRlimitBuilder::default().typ(kind).hard(bound(ulimit.hard)).soft(bound(ulimit.soft));
        limit.build().map_err(impossible)
    };
    limits.map(limit).collect()
}

/// A builder refuses only what is left out, and nothing is.
fn impossible(error: OciSpecError) -> EngineError {
    EngineError::internal("put the runtime specification together").caused_by(error)
}

fn linux(input: &Input<'_>, options: &SecurityOptions) -> Result<Linux> {
    let host = &input.record.host_config;
    let mut linux = Linux::default();
    linux.set_sysctl(Some(sysctls(input)).filter(|sysctls| !sysctls.is_empty()));
    let mut limits = resources(host, input.host.is_cgroup_v2)?;
    limits.set_devices(Some(device_rules(input)?));
    linux.set_resources(Some(limits));
    let parent = if host.cgroup_parent.is_empty() { &input.host.cgroup_parent } else { &host.cgroup_parent };
    linux.set_cgroups_path(Some(PathBuf::from(parent).join(&input.record.id)));
    linux.set_namespaces(Some(namespaces(input)));
    linux.set_devices(
        Some(input.devices.iter().map(HostDevice::node).collect::<Vec<_>>()).filter(|all| !all.is_empty()),
    );
    let is_open = options.has_open_system_paths || host.privileged;
    let paths = |given: &Option<Vec<String>>, default: &[&str]| match given {
        _ if is_open => None,
        Some(paths) => Some(paths.clone()).filter(|paths| !paths.is_empty()),
        None => Some(default.iter().map(|path| (*path).to_owned()).collect()),
    };
    linux.set_masked_paths(paths(&host.masked_paths, &MASKED_PATHS));
    linux.set_readonly_paths(paths(&host.readonly_paths, &READONLY_PATHS));
    // A mount can only spread out of the container, or be spread into it, when its root allows it.
    let spreads = |word: &str| input.mounts.iter().any(|mount| mount.propagation.ends_with(word));
    linux.set_rootfs_propagation(match () {
        () if spreads("shared") => Some("shared".to_owned()),
        () if spreads("slave") => Some("slave".to_owned()),
        () => None,
    });
    Ok(linux)
}

/// Which devices may be used: of a privileged container's every one.
fn device_rules(input: &Input<'_>) -> Result<Vec<LinuxDeviceCgroup>> {
    let host = &input.record.host_config;
    if host.privileged {
        return Ok(devices::every_device());
    }
    let mut rules = devices::default_rules();
    rules.extend(input.devices.iter().map(HostDevice::rule));
    for rule in host.device_cgroup_rules.iter().flatten() {
        rules.push(devices::cgroup_rule(rule)?);
    }
    Ok(rules)
}

fn sysctls(input: &Input<'_>) -> HashMap<String, String> {
    let mut sysctls: HashMap<String, String> = HashMap::new();
    let own_network = !input.record.host_config.network_mode.starts_with("container:")
        && !is_host(&input.record.host_config.network_mode);
    if own_network && input.host.has_unprivileged_ports {
        sysctls.insert("net.ipv4.ip_unprivileged_port_start".to_owned(), "0".to_owned());
    }
    if own_network && input.host.has_ping_group_range {
        sysctls.insert("net.ipv4.ping_group_range".to_owned(), "0 2147483647".to_owned());
    }
    if !input.record.config.domainname.is_empty() && !is_host(&input.record.host_config.uts_mode) {
        sysctls.insert("kernel.domainname".to_owned(), input.record.config.domainname.clone());
    }
    sysctls.extend(input.record.host_config.sysctls.clone().unwrap_or_default());
    sysctls
}

fn namespaces(input: &Input<'_>) -> Vec<LinuxNamespace> {
    use LinuxNamespaceType::{Cgroup, Ipc, Mount, Network, Pid, Uts};
    let host = &input.record.host_config;
    let namespace = |kind: LinuxNamespaceType, path: Option<PathBuf>| {
        let mut namespace = LinuxNamespace::default();
        namespace.set_typ(kind);
        namespace.set_path(path);
        namespace
    };
    let of = |pid: u32, name: &str| Some(PathBuf::from(format!("/proc/{pid}/ns/{name}")));
    let mut all = vec![namespace(Mount, None)];
    if let Some(pid) = input.joined.network_pid {
        all.push(namespace(Network, of(pid, "net")));
    } else if !is_host(&host.network_mode) {
        all.push(namespace(Network, input.joined.network_path.clone()));
    }
    if let Some(pid) = input.joined.pid_pid {
        all.push(namespace(Pid, of(pid, "pid")));
    } else if !is_host(&host.pid_mode) {
        all.push(namespace(Pid, None));
    }
    if !is_host(&host.uts_mode) {
        all.push(namespace(Uts, None));
    }
    if !is_host(&host.ipc_mode) {
        all.push(namespace(Ipc, None));
    }
    if host.cgroupns_mode == "private" {
        all.push(namespace(Cgroup, None));
    }
    all
}
