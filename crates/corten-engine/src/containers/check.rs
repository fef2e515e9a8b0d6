//! What of a create is refused, and with which words. Nothing is ignored: what is not built yet is
//! named in a 501.

use corten_docker_api::containers::{ContainerConfig, HostConfig, Mount};
use corten_types::Signal;

use super::{cpuset, logging};
use crate::errors::{EngineError, Result};
use crate::networks;
use crate::spec::{self, SecurityOptions, UNCONFINED, UserMount, apparmor};

/// Least memory docker gives, bytes.
const MEMORY_MINIMUM_BYTES: i64 = 6 * 1024 * 1024;

/// Checks the portable half, as the client sent it.
///
/// # Errors
/// 400 for what is wrong, 501 for what is not built yet.
pub fn config(config: &ContainerConfig) -> Result<()> {
    if !config.stop_signal.is_empty() {
        config
            .stop_signal
            .parse::<Signal>()
            .map_err(|_| EngineError::invalid(format!("invalid signal: {}", config.stop_signal)))?;
    }
    if config.hostname.len() > 64 {
        return Err(EngineError::invalid(format!("invalid hostname: {} is longer than 64 bytes", config.hostname)));
    }
    for variable in config.env.iter().flatten() {
        if variable.is_empty() || variable.starts_with('=') {
            return Err(EngineError::invalid(format!("invalid environment variable: {variable}")));
        }
    }
    if !config.working_dir.is_empty() && !config.working_dir.starts_with('/') {
        return Err(EngineError::invalid(format!(
            "the working directory '{}' is invalid, it needs to be an absolute path",
            config.working_dir
        )));
    }
    let probes = config
        .healthcheck
        .as_ref()
        .and_then(|check| check.test.as_ref())
        .is_some_and(|test| !test.is_empty() && test[0] != "NONE");
    later("Healthcheck", probes)?;
    if !config.mac_address.is_empty() {
        networks::attachment::mac(&config.mac_address)?;
    }
    for port in config.exposed_ports.iter().flatten().map(|(port, _)| port) {
        exposed(port)?;
    }
    later("Volumes", config.volumes.as_ref().is_some_and(|volumes| !volumes.is_empty()))
}

/// Checks the host's half.
///
/// # Errors
/// 400 for what is wrong, 501 for what is not built yet.
pub fn host(host: &HostConfig) -> Result<()> {
    if networks::ports::wanted_of(host)?.len() > MAX_PORTS {
        return Err(EngineError::invalid(format!("more than {MAX_PORTS} published ports")));
    }
    later("HostConfig.VolumeDriver", !host.volume_driver.is_empty())?;
    later("HostConfig.VolumesFrom", some(&host.volumes_from))?;
    later("HostConfig.Cgroup", !host.cgroup.is_empty())?;
    for link in host.links.iter().flatten() {
        if networks::endpoint::split_link(link).is_none() {
            return Err(EngineError::invalid(format!("bad format for links: {link}")));
        }
    }
    later("HostConfig.StorageOpt", host.storage_opt.as_ref().is_some_and(|options| !options.is_empty()))?;
    later("HostConfig.DeviceRequests", some(&host.device_requests))?;
    later("HostConfig.KernelMemory", host.kernel_memory != 0)?;
    later("HostConfig.KernelMemoryTCP", host.kernel_memory_tcp != 0)?;
    later("HostConfig.CpuCount", host.cpu_count != 0)?;
    later("HostConfig.CpuPercent", host.cpu_percent != 0)?;
    later("HostConfig.IOMaximumIOps", host.io_maximum_iops != 0)?;
    later("HostConfig.IOMaximumBandwidth", host.io_maximum_bandwidth != 0)?;
    later("HostConfig.Init", host.init == Some(true))?;
    modes(host)?;
    limits(host)?;
    restart_policy(host)?;
    security_options(host)?;
    logging::check(&host.log_config)?;
    for rule in host.device_cgroup_rules.iter().flatten() {
        spec::cgroup_rule(rule)?;
    }
    mounts(host).map(drop)
}

/// Refuses a field that is set and not built yet.
fn later(field: &str, is_set: bool) -> Result<()> {
    if is_set { Err(EngineError::unimplemented(format!("{field}: not supported yet"))) } else { Ok(()) }
}

/// Most ports of a container that are published: all there are, for both protocols.
const MAX_PORTS: usize = 2 * 65535;

/// A port that is only shown may be of any protocol.
fn exposed(port: &str) -> Result<()> {
    let (range, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
    let number = range.parse::<u16>().is_ok_and(|number| number != 0);
    match number && matches!(protocol.to_ascii_lowercase().as_str(), "tcp" | "udp" | "sctp") {
        true => Ok(()),
        false => Err(EngineError::invalid(format!("invalid port specification: \"{port}\""))),
    }
}

fn some<T>(list: &Option<Vec<T>>) -> bool {
    list.as_ref().is_some_and(|list| !list.is_empty())
}

/// Namespaces: which words mean something, and which are built.
fn modes(host: &HostConfig) -> Result<()> {
    let invalid = |what: &str, mode: &str| Err(EngineError::invalid(format!("invalid {what} mode: {mode}")));
    match host.network_mode.as_str() {
        "container:" => return Err(EngineError::invalid("invalid container format container:<name|id>")),
        mode if mode.starts_with("container:") => {
            // docker's words, each for what belongs to the other container.
            let refuse = |text: &str| Err(EngineError::invalid(format!("conflicting options: {text}")));
            let has_ports = host.port_bindings.as_ref().is_some_and(|ports| !ports.is_empty());
            if some(&host.links) {
                return refuse(
                    "container type network can't be used with links. This would result in undefined behavior",
                );
            }
            if some(&host.dns) {
                return refuse("dns and the network mode");
            }
            if some(&host.extra_hosts) {
                return refuse("custom host-to-IP mapping and the network mode");
            }
            if has_ports || host.publish_all_ports {
                return refuse("port publishing and the container type network mode");
            }
        }
        "host" if some(&host.links) => {
            return Err(EngineError::invalid(
                "conflicting options: host type networking can't be used with links. This would result in undefined behavior",
            ));
        }
        // A network that is not there is looked for again by the start, which then refuses: a 404 here would make the CLI
        // pull the image.
        _ => {}
    }
    match host.ipc_mode.as_str() {
        "" | "private" | "none" | "host" => {}
        "shareable" => later("HostConfig.IpcMode \"shareable\"", true)?,
        mode if mode.starts_with("container:") => later("HostConfig.IpcMode \"container:…\"", true)?,
        other => return invalid("IPC", other),
    }
    match host.pid_mode.as_str() {
        "" | "private" | "host" => {}
        mode if mode.strip_prefix("container:").is_some_and(|name| !name.is_empty()) => {}
        other => return invalid("PID", other),
    }
    if !matches!(host.uts_mode.as_str(), "" | "private" | "host") {
        return invalid("UTS", &host.uts_mode);
    }
    if !matches!(host.userns_mode.as_str(), "" | "private" | "host") {
        return invalid("userns", &host.userns_mode);
    }
    if !matches!(host.cgroupns_mode.as_str(), "" | "private" | "host") {
        return invalid("cgroup namespace", &host.cgroupns_mode);
    }
    if !matches!(host.isolation.as_str(), "" | "default") {
        return Err(EngineError::invalid(format!("invalid isolation: {}", host.isolation)));
    }
    Ok(())
}

/// Weights of block devices docker gives.
const BLOCK_WEIGHTS: std::ops::RangeInclusive<u16> = 10..=1000;

/// Whether real-time is shared out among cgroups, which few kernels are built for and v2 does not know.
fn has_realtime_groups() -> bool {
    std::path::Path::new("/sys/fs/cgroup/cpu/cpu.rt_period_us").exists()
}

/// Limits: docker's bounds.
pub fn limits(host: &HostConfig) -> Result<()> {
    let refuse = |text: String| Err(EngineError::invalid(text));
    if host.memory != 0 && host.memory < MEMORY_MINIMUM_BYTES {
        return refuse("Minimum memory limit allowed is 6MB".to_owned());
    }
    if host.memory > 0 && host.memory_swap > 0 && host.memory_swap < host.memory {
        return refuse("Minimum memoryswap limit should be larger than memory limit, see usage".to_owned());
    }
    if host.memory == 0 && host.memory_swap > 0 {
        return refuse("You should always set the Memory limit when using Memoryswap limit, see usage".to_owned());
    }
    if host.memory_reservation > 0 && host.memory_reservation < MEMORY_MINIMUM_BYTES {
        return refuse("Minimum memory reservation allowed is 6MB".to_owned());
    }
    if host.memory > 0 && host.memory_reservation > host.memory {
        return refuse("Minimum memory limit can not be less than memory reservation limit, see usage".to_owned());
    }
    if host.memory_swappiness.is_some_and(|value| !(-1..=100).contains(&value)) {
        let value = host.memory_swappiness.unwrap_or_default();
        return refuse(format!("Invalid value: {value}, valid memory swappiness range is 0-100"));
    }
    if host.nano_cpus > 0 && (host.cpu_period > 0 || host.cpu_quota > 0) {
        let other = if host.cpu_period > 0 { "CPU Period" } else { "CPU Quota" };
        return refuse(format!("Conflicting options: Nano CPUs and {other} cannot both be set"));
    }
    let cpus = i64::try_from(crate::system::info::host_cpus()).unwrap_or(i64::MAX);
    if host.nano_cpus < 0 || host.nano_cpus > cpus.saturating_mul(1_000_000_000) {
        return refuse(format!("range of CPUs is from 0.01 to {cpus}.00, as there are only {cpus} CPUs available"));
    }
    if host.cpu_shares < 0 {
        return refuse(format!("invalid CPU shares ({}): value must be a positive integer", host.cpu_shares));
    }
    if host.cpu_period != 0 && !(1_000..=1_000_000).contains(&host.cpu_period) {
        return refuse(
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)".to_owned(),
        );
    }
    if host.cpu_quota > 0 && host.cpu_quota < 1_000 {
        return refuse("CPU cfs quota can not be less than 1ms (i.e. 1000)".to_owned());
    }
    if host.blkio_weight != 0 && !BLOCK_WEIGHTS.contains(&host.blkio_weight) {
        return refuse("Range of blkio weight is from 10 to 1000".to_owned());
    }
    for device in host.blkio_weight_device.iter().flatten() {
        if !BLOCK_WEIGHTS.contains(&device.weight) {
            return refuse(format!(
                "invalid weight for device: {}:{}: it is from 10 to 1000",
                device.path, device.weight
            ));
        }
    }
    if (host.cpu_realtime_period != 0 || host.cpu_realtime_runtime != 0) && !has_realtime_groups() {
        return refuse("Your kernel does not support CPU real-time scheduler".to_owned());
    }
    if host.cpu_realtime_period != 0 && host.cpu_realtime_runtime > host.cpu_realtime_period {
        return refuse("cpu real-time runtime cannot be higher than cpu real-time period".to_owned());
    }
    if host.oom_score_adj < -1000 || host.oom_score_adj > 1000 {
        return refuse(format!("Invalid value {}, range for oom score adj is [-1000, 1000]", host.oom_score_adj));
    }
    if host.shm_size < 0 {
        return refuse("SHM size can not be less than 0".to_owned());
    }
    cpuset::check(&host.cpuset_cpus, &host.cpuset_mems)
}

/// The restart policy, alone and with `--rm`.
pub fn restart_policy(host: &HostConfig) -> Result<()> {
    let policy = &host.restart_policy;
    match policy.name.as_str() {
        "" | "no" | "always" | "unless-stopped" if policy.maximum_retry_count != 0 => {
            let hint = "use 'on-failure' to limit the retries";
            return Err(EngineError::invalid(format!(
                "invalid restart policy: maximum retry count can only be used with 'on-failure': {hint}"
            )));
        }
        "on-failure" if policy.maximum_retry_count < 0 => {
            return Err(EngineError::invalid("invalid restart policy: maximum retry count cannot be negative"));
        }
        "" | "no" | "always" | "unless-stopped" | "on-failure" => {}
        other => {
            return Err(EngineError::invalid(format!(
                "invalid restart policy: unknown policy '{other}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
            )));
        }
    }
    if host.auto_remove && !matches!(policy.name.as_str(), "" | "no") {
        return Err(EngineError::invalid("can't create 'AutoRemove' container with restart policy"));
    }
    Ok(())
}

/// Security options: what cannot be had is refused by name.
fn security_options(host: &HostConfig) -> Result<()> {
    let options = SecurityOptions::read(host)?;
    let profile = options.apparmor.filter(|profile| profile != UNCONFINED);
    if let Some(profile) = profile.filter(|_| !apparmor::is_supported()) {
        return Err(EngineError::invalid(format!(
            "invalid --security-opt apparmor={profile}: AppArmor is not enabled on this host"
        )));
    }
    if host.privileged && host.cgroupns_mode == "private" && !crate::system::info::is_cgroup_v2() {
        return Err(EngineError::invalid(
            "privileged mode is incompatible with private cgroup namespaces on cgroup v1 host.  You must run the container in the host cgroup namespace when running privileged mode",
        ));
    }
    Ok(())
}

/// Every mount that is asked for, sorted; two on one place are refused.
///
/// # Errors
/// 400 for what docker refuses too, 501 for what is not built yet.
pub fn mounts(host: &HostConfig) -> Result<Vec<UserMount>> {
    let mut all = Vec::new();
    for bind in host.binds.iter().flatten() {
        all.push(spec::parse_bind(bind)?);
    }
    for (target, options) in host.tmpfs.iter().flatten() {
        all.push(tmpfs(target, options)?);
    }
    for mount in host.mounts.iter().flatten() {
        all.push(long_form(mount)?);
    }
    spec::sort_mounts(&mut all);
    for (at, mount) in all.iter().enumerate() {
        if all[..at].iter().any(|other| other.target == mount.target) {
            return Err(EngineError::invalid(format!("Duplicate mount point: {}", mount.target)));
        }
    }
    Ok(all)
}

fn tmpfs(target: &str, options: &str) -> Result<UserMount> {
    if !target.starts_with('/') {
        return Err(EngineError::invalid(format!(
            "invalid tmpfs mount: invalid mount path: '{target}' mount path must be absolute"
        )));
    }
    let options: Vec<String> = options.split(',').filter(|option| !option.is_empty()).map(str::to_owned).collect();
    let known = |option: &String| {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        match name {
            "size" => logging::size_bytes(value.trim_end_matches('%')).is_some(),
            "mode" => u32::from_str_radix(value, 8).is_ok(),
            "uid" | "gid" | "nr_inodes" | "nr_blocks" => !value.is_empty(),
            "exec" | "noexec" | "suid" | "nosuid" | "dev" | "nodev" | "ro" | "rw" | "sync" | "async" | "dirsync"
            | "atime" | "noatime" | "diratime" | "nodiratime" | "relatime" | "norelatime" | "strictatime"
            | "nostrictatime" | "mpol" | "private" | "rprivate" => true,
            _ => false,
        }
    };
    if let Some(bad) = options.iter().find(|option| !known(option)) {
        return Err(EngineError::invalid(format!("invalid tmpfs option \"{bad}\"")));
    }
    Ok(UserMount {
        kind: "tmpfs".to_owned(),
        source: String::new(),
        target: spec::clean(target),
        mode: options.join(","),
        read_only: options.iter().any(|option| option == "ro"),
        propagation: String::new(),
        recursive: true,
        create_source: false,
        tmpfs_options: options,
    })
}

/// The long form of `--mount`.
fn long_form(mount: &Mount) -> Result<UserMount> {
    let invalid =
        |text: &str| EngineError::invalid(format!("invalid mount config for type \"{}\": {text}", mount.kind));
    if mount.target.is_empty() {
        return Err(invalid("field Target must not be empty"));
    }
    if !mount.target.starts_with('/') {
        return Err(invalid(&format!("invalid mount path: '{}' mount path must be absolute", mount.target)));
    }
    let target = spec::clean(&mount.target);
    if target == "/" {
        return Err(invalid("destination can't be '/'"));
    }
    match mount.kind.as_str() {
        "bind" => {
            let options = mount.bind_options.clone().unwrap_or_default();
            if mount.source.is_empty() {
                return Err(invalid("field Source must not be empty"));
            }
            if !mount.source.starts_with('/') {
                return Err(invalid(&format!("invalid mount path: '{}' mount path must be absolute", mount.source)));
            }
            if !options.create_mountpoint && !std::path::Path::new(&mount.source).exists() {
                return Err(invalid(&format!("bind source path does not exist: {}", mount.source)));
            }
            later("HostConfig.Mounts BindOptions.ReadOnlyForceRecursive", options.read_only_force_recursive)?;
            let propagation = match options.propagation.as_str() {
                "" => "rprivate",
                known @ ("private" | "rprivate" | "shared" | "rshared" | "slave" | "rslave") => known,
                other => return Err(invalid(&format!("invalid propagation mode: {other}"))),
            };
            Ok(UserMount {
                kind: "bind".to_owned(),
                source: spec::clean(&mount.source),
                target,
                mode: String::new(),
                read_only: mount.read_only,
                propagation: propagation.to_owned(),
                recursive: !options.non_recursive,
                create_source: options.create_mountpoint,
                tmpfs_options: Vec::new(),
            })
        }
        "tmpfs" => {
            if !mount.source.is_empty() {
                return Err(invalid("field Source must not be specified"));
            }
            let options = mount.tmpfs_options.clone().unwrap_or_default();
            let mut words: Vec<String> = Vec::new();
            if options.size_bytes > 0 {
                words.push(format!("size={}", options.size_bytes));
            }
            if options.mode != 0 {
                words.push(format!("mode={:o}", options.mode));
            }
            words.extend(options.options.iter().flatten().map(|option| option.join("=")));
            let mut parsed = tmpfs(&target, &words.join(","))?;
            parsed.read_only |= mount.read_only;
            parsed.mode.clear();
            Ok(parsed)
        }
        "volume" | "image" | "cluster" | "npipe" => {
            Err(EngineError::unimplemented(format!("HostConfig.Mounts type {}: not supported yet", mount.kind)))
        }
        "" => Err(invalid("mount type unknown")),
        _ => Err(invalid("mount type unknown")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use corten_docker_api::containers::ContainerCreate;

    fn refusal(change: impl FnOnce(&mut HostConfig)) -> String {
        let mut config = HostConfig::default();
        change(&mut config);
        host(&config).err().map(|error| error.message()).unwrap_or_default()
    }

    #[test]
    fn a_bare_create_of_four_clients_passes() {
        for body in [
            include_str!("../../../corten-docker-api/src/containers/fixtures/create-docker-20.10.json"),
            include_str!("../../../corten-docker-api/src/containers/fixtures/create-docker-28.2.2.json"),
            include_str!("../../../corten-docker-api/src/containers/fixtures/create-docker-compose-1.29.json"),
            include_str!("../../../corten-docker-api/src/containers/fixtures/create-docker-py-5.0.json"),
        ] {
            let create = ContainerCreate::decode(body.as_bytes()).unwrap_or_default();
            let host_config = create.host_config.unwrap_or_default();
            assert!(config(&create.config).is_ok());
            assert!(host(&host_config).is_ok());
        }
    }

    #[test]
    fn docker_s_words_for_docker_s_refusals() {
        assert_eq!(refusal(|host| host.memory = 1024), "Minimum memory limit allowed is 6MB");
        assert_eq!(
            refusal(|host| (host.auto_remove, host.restart_policy.name) = (true, "always".into())),
            "can't create 'AutoRemove' container with restart policy"
        );
        assert_eq!(
            refusal(|host| host.mounts = Some(vec![Mount {
                kind: "bind".into(),
                source: "/nope".into(),
                target: "/x".into(),
                ..Mount::default()
            }])),
            "invalid mount config for type \"bind\": bind source path does not exist: /nope"
        );
        assert_eq!(
            refusal(|host| host.binds = Some(vec!["/a:/x".into(), "/b:/x/".into()])),
            "Duplicate mount point: /x"
        );
        assert!(refusal(|host| host.nano_cpus = i64::MAX).starts_with("range of CPUs is from 0.01 to"));
    }

    #[test]
    fn what_is_not_built_is_named() {
        assert_eq!(refusal(|host| host.init = Some(true)), "HostConfig.Init: not supported yet");
    }
}
