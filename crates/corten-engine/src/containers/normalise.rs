//! Fills in what a client leaves out: from the image, then with docker's defaults.

use std::collections::BTreeMap;

use corten_docker_api::containers::{ContainerConfig, HostConfig};

use crate::errors::Result;
use crate::spec::{MASKED_PATHS, READONLY_PATHS, capabilities};

/// Bytes of /dev/shm.
const SHM_SIZE_BYTES: i64 = 64 * 1024 * 1024;

/// The client's configuration over the image's, as dockerd merges them.
pub fn merge(config: &mut ContainerConfig, image: &ContainerConfig) {
    if config.user.is_empty() {
        config.user.clone_from(&image.user);
    }
    if config.working_dir.is_empty() {
        config.working_dir.clone_from(&image.working_dir);
    }
    if config.stop_signal.is_empty() {
        config.stop_signal.clone_from(&image.stop_signal);
    }
    // The image's arguments belong to the image's entry point.
    let has_entrypoint = config.entrypoint.as_ref().is_some_and(|words| !words.0.is_empty());
    if !has_entrypoint && config.entrypoint.is_none() {
        if config.cmd.as_ref().is_none_or(|words| words.0.is_empty()) {
            config.cmd.clone_from(&image.cmd);
        }
        config.entrypoint.clone_from(&image.entrypoint);
    }
    // `--entrypoint ""` arrives as one empty word and takes the image's away.
    if config.entrypoint.as_ref().is_some_and(|words| words.0 == [""]) {
        config.entrypoint = None;
    }
    let name = |variable: &String| variable.split('=').next().unwrap_or_default().to_owned();
    let own: Vec<String> = config.env.iter().flatten().map(name).collect();
    let inherited = image.env.iter().flatten().filter(|variable| !own.contains(&name(variable)));
    let mut env: Vec<String> = config.env.clone().unwrap_or_default();
    env.extend(inherited.cloned());
    config.env = Some(env);
    let mut labels = image.labels.clone().unwrap_or_default();
    labels.extend(config.labels.take().unwrap_or_default());
    config.labels = Some(labels);
    let mut ports = image.exposed_ports.clone().unwrap_or_default();
    ports.extend(config.exposed_ports.take().unwrap_or_default());
    config.exposed_ports = Some(ports).filter(|ports| !ports.is_empty());
    if config.volumes.as_ref().is_some_and(BTreeMap::is_empty) {
        config.volumes = None;
    }
    if config.shell.as_ref().is_none_or(Vec::is_empty) {
        config.shell.clone_from(&image.shell);
    }
    if config.on_build.as_ref().is_some_and(Vec::is_empty) {
        config.on_build = None;
    }
}

/// Docker's defaults for what a client leaves out, so that `inspect` shows what holds.
///
/// # Errors
/// 400 for a capability that does not exist.
pub fn host_config(host: &mut HostConfig, is_cgroup_v2: bool, default_runtime: &str) -> Result<()> {
    let set = |field: &mut String, default: &str| {
        if field.is_empty() {
            *field = default.to_owned();
        }
    };
    set(&mut host.log_config.kind, "json-file");
    host.log_config.config.get_or_insert_default();
    if host.network_mode == "default" {
        host.network_mode.clear();
    }
    set(&mut host.network_mode, "bridge");
    set(&mut host.restart_policy.name, "no");
    set(&mut host.ipc_mode, "private");
    set(&mut host.cgroupns_mode, if is_cgroup_v2 { "private" } else { "host" });
    set(&mut host.runtime, default_runtime);
    if host.isolation == "default" {
        host.isolation.clear();
    }
    if host.shm_size == 0 {
        host.shm_size = SHM_SIZE_BYTES;
    }
    if host.memory > 0 && host.memory_swap == 0 {
        host.memory_swap = host.memory.saturating_mul(2);
    }
    if host.memory_swappiness == Some(-1) {
        host.memory_swappiness = None;
    }
    host.oom_kill_disable.get_or_insert(false);
    if is_cgroup_v2 {
        host.oom_kill_disable = None;
    }
    if host.pids_limit.is_some_and(|limit| limit <= 0) {
        host.pids_limit = None;
    }
    if let Some(add) = host.cap_add.take().filter(|names| !names.is_empty()) {
        host.cap_add = Some(capabilities::normalise("CapAdd", &add, capabilities::available()?)?);
    }
    if let Some(drop) = host.cap_drop.take().filter(|names| !names.is_empty()) {
        host.cap_drop = Some(capabilities::normalise("CapDrop", &drop, capabilities::available()?)?);
    }
    let owned = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>();
    if host.privileged {
        // Nothing is hidden from it, whatever was asked for.
        (host.masked_paths, host.readonly_paths) = (None, None);
        return Ok(());
    }
    host.masked_paths.get_or_insert_with(|| owned(&MASKED_PATHS));
    host.readonly_paths.get_or_insert_with(|| owned(&READONLY_PATHS));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use corten_docker_api::json::Arguments;

    fn words(words: &[&str]) -> Option<Arguments> {
        Some(Arguments(words.iter().map(|word| (*word).to_owned()).collect()))
    }

    fn image() -> ContainerConfig {
        ContainerConfig {
            entrypoint: words(&["/entry"]),
            cmd: words(&["serve"]),
            env: Some(vec!["A=1".into(), "B=2".into()]),
            labels: Some(BTreeMap::from([("a".into(), "image".into()), ("b".into(), "image".into())])),
            ..ContainerConfig::default()
        }
    }

    #[test]
    fn the_images_arguments_belong_to_its_entry_point() {
        let check = |entrypoint, cmd| {
            let mut config = ContainerConfig { entrypoint, cmd, ..ContainerConfig::default() };
            merge(&mut config, &image());
            (config.entrypoint, config.cmd)
        };
        assert_eq!(check(None, None), (words(&["/entry"]), words(&["serve"])));
        assert_eq!(check(None, words(&["x"])), (words(&["/entry"]), words(&["x"])));
        assert_eq!(check(words(&["/own"]), None), (words(&["/own"]), None));
        assert_eq!(check(words(&[""]), words(&["x"])), (None, words(&["x"])));
    }

    #[test]
    fn the_users_variables_and_labels_win() {
        let mut config = ContainerConfig {
            env: Some(vec!["B=3".into()]),
            labels: Some(BTreeMap::from([("a".into(), "user".into())])),
            ..ContainerConfig::default()
        };
        merge(&mut config, &image());
        assert_eq!(config.env.unwrap(), ["B=3", "A=1"]);
        let labels = config.labels.unwrap();
        assert_eq!((labels["a"].as_str(), labels["b"].as_str()), ("user", "image"));
    }

    #[test]
    fn a_bare_create_becomes_what_docker_28_shows() {
        let mut host =
            HostConfig { memory: 8 << 20, memory_swappiness: Some(-1), pids_limit: Some(0), ..Default::default() };
        host_config(&mut host, false, "runc").unwrap();
        assert_eq!((host.network_mode.as_str(), host.restart_policy.name.as_str()), ("bridge", "no"));
        assert_eq!((host.ipc_mode.as_str(), host.cgroupns_mode.as_str()), ("private", "host"));
        assert_eq!((host.memory_swap, host.shm_size), (16 << 20, 64 << 20));
        assert_eq!((host.memory_swappiness, host.pids_limit, host.oom_kill_disable), (None, None, Some(false)));
    }
}
