//! `GET /info`.

use std::collections::BTreeMap;
use std::time::Duration;

use corten_docker_api::ApiVersion;
use corten_docker_api::info::{
    AddressPool, ContainerdInfo, ContainerdNamespaces, FirewallInfo, IndexConfig, Info, PluginsInfo, RegistryConfig,
    Runtime, Swarm,
};

use super::version::{ENGINE_VERSION, kernel_release};
use crate::clock::Moment;
use crate::engine::Engine;
use crate::errors::Result;
use crate::registry;
use crate::spec::DefaultFilter;

/// How long images are counted: it takes a millisecond where somebody answers.
const COUNT_DEADLINE: Duration = Duration::from_secs(2);

/// The pools of new networks, where somebody named some.
fn pools(engine: &Engine) -> Option<Vec<AddressPool>> {
    let pools = &engine.config.networks.pools;
    let pool =
        |pool: &corten_network::ipam::Pool| AddressPool { base: pool.base.to_string(), size: i64::from(pool.length) };
    (!pools.is_empty()).then(|| pools.iter().map(pool).collect())
}

/// How registries are reached, as dockerd lists it: networks apart from hosts, loopback always insecure.
fn registry_config(options: &registry::Options) -> RegistryConfig {
    let official =
        IndexConfig { name: "docker.io".into(), mirrors: Some(options.mirrors.clone()), secure: true, official: true };
    let (networks, hosts): (Vec<_>, Vec<_>) = options.insecure.iter().cloned().partition(|one| one.contains('/'));
    let mut configs: BTreeMap<String, IndexConfig> = hosts
        .into_iter()
        .map(|name| {
            let config = IndexConfig { name: name.clone(), mirrors: Some(Vec::new()), secure: false, official: false };
            (name, config)
        })
        .collect();
    configs.insert("docker.io".to_owned(), official);
    let always = ["::1/128", "127.0.0.0/8"].map(str::to_owned);
    RegistryConfig {
        insecure_registry_cidrs: Some(networks.into_iter().chain(always).collect()),
        index_configs: Some(configs),
        mirrors: Some(options.mirrors.clone()),
        ..RegistryConfig::default()
    }
}

/// How rules are made, in docker's words: dockerd 29 says it so, 28 has no `nftables+firewalld`.
fn firewall(engine: &Engine) -> FirewallInfo {
    let seen = engine.networks.firewalld();
    let reloaded = seen.reloaded.map(|at| {
        ["ReloadedAt".to_owned(), Moment::from_nanos(Moment::from(at).seconds() * 1_000_000_000).to_string()]
    });
    FirewallInfo {
        driver: if seen.is_in_use { "nftables+firewalld" } else { "nftables" }.into(),
        info: reloaded.map(|label| vec![label]),
    }
}

/// Since when it is told how rules are made.
const FIREWALL_SINCE: ApiVersion = ApiVersion::new(1, 49);

/// What the engine says of itself and its host.
///
/// # Errors
/// Never; what cannot be read is left empty.
pub async fn info(engine: &Engine, version: ApiVersion) -> Result<Info> {
    let views: Vec<_> = engine.containers.all().iter().map(|container| container.view()).collect();
    let count = |status: &str| views.iter().filter(|view| view.state.status() == status).count() as i64;
    let (running, paused) = (count("running") + count("restarting"), count("paused"));
    let list = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
    let runtimes = engine.runtimes.all().map(|(name, path, arguments)| {
        let runtime_args = Some(arguments).filter(|arguments| !arguments.is_empty());
        let is_shim = crate::runtimes::is_containerds(&path);
        let (path, runtime_type) = if is_shim { (String::new(), path) } else { (path, String::new()) };
        (name.to_owned(), Runtime { path, runtime_type, runtime_args, ..Runtime::default() })
    });
    // A supervisor that is away has none to show, and nobody waits for it here.
    let images = match tokio::time::timeout(COUNT_DEADLINE, engine.catalog.list()).await {
        Ok(Ok(images)) => images.len() as i64,
        _ => 0,
    };
    Ok(Info {
        id: engine.id.clone(),
        images,
        containers: views.len() as i64,
        containers_running: running,
        containers_paused: paused,
        containers_stopped: views.len() as i64 - running - paused,
        driver: "overlayfs".into(),
        driver_status: Some(vec![["driver-type".into(), "io.containerd.snapshotter.v1".into()]]),
        plugins: PluginsInfo {
            volume: list(&["local"]),
            network: list(&["bridge", "host", "macvlan", "null"]),
            authorization: None,
            log: list(&["json-file", "none"]),
        },
        default_address_pools: pools(engine),
        memory_limit: true,
        swap_limit: true,
        cpu_cfs_period: true,
        cpu_cfs_quota: true,
        cpu_shares: true,
        cpu_set: true,
        pids_limit: true,
        ipv4_forwarding: read_trimmed("/proc/sys/net/ipv4/ip_forward") == "1",
        debug: engine.config.debug,
        n_fd: std::fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as i64),
        oom_kill_disable: !is_cgroup_v2(),
        n_goroutines: tokio::runtime::Handle::current().metrics().num_alive_tasks() as i64,
        system_time: Moment::now().to_string(),
        logging_driver: "json-file".into(),
        cgroup_driver: "cgroupfs".into(),
        cgroup_version: if is_cgroup_v2() { "2" } else { "1" }.into(),
        n_events_listener: engine.events.listeners() as i64,
        kernel_version: kernel_release(),
        operating_system: os_release("PRETTY_NAME"),
        os_version: os_release("VERSION_ID"),
        os_type: "linux".into(),
        architecture: std::env::consts::ARCH.into(),
        index_server_address: "https://index.docker.io/v1/".into(),
        registry_config: Some(registry_config(&engine.registries.load())),
        n_cpu: host_cpus() as i64,
        mem_total: memory_total_bytes(),
        docker_root_dir: engine.config.data_root.display().to_string(),
        name: host_name(),
        labels: Some(engine.config.labels.clone()),
        server_version: ENGINE_VERSION.into(),
        runtimes: Some(runtimes.collect()),
        default_runtime: engine.runtimes.default_name().to_owned(),
        swarm: Swarm { local_node_state: "inactive".into(), ..Swarm::default() },
        live_restore_enabled: engine.config.live_restore,
        init_binary: "docker-init".into(),
        security_options: Some(security_options(engine)),
        warnings: Some(warnings(engine)).filter(|warnings| !warnings.is_empty()),
        firewall_backend: (version >= FIREWALL_SINCE).then(|| firewall(engine)),
        containerd: Some(ContainerdInfo {
            address: engine.containerd.address().display().to_string(),
            namespaces: ContainerdNamespaces {
                containers: engine.containerd.namespace().to_owned(),
                plugins: "plugins.moby".into(),
            },
        }),
        ..Info::default()
    })
}

/// What protects containers here, in docker's order and words.
fn security_options(engine: &Engine) -> Vec<String> {
    let has = |path: &str| std::path::Path::new(path).exists();
    let seccomp = format!("name=seccomp,profile={}", engine.default_filter.name());
    let options = [
        ("name=apparmor", crate::spec::apparmor::is_supported()),
        (&seccomp, has_seccomp()),
        ("name=cgroupns", is_cgroup_v2() && has("/proc/self/ns/cgroup")),
    ];
    options.into_iter().filter(|(_, is_here)| *is_here).map(|(name, _)| name.to_owned()).collect()
}

fn warnings(engine: &Engine) -> Vec<String> {
    let is_own = has_seccomp() && engine.default_filter != DefaultFilter::Builtin;
    is_own.then(|| "WARNING: daemon is not using the default seccomp profile".to_owned()).into_iter().collect()
}

/// Whether the kernel filters system calls.
pub fn has_seccomp() -> bool {
    std::path::Path::new("/proc/sys/kernel/seccomp").exists()
}

/// Whether the host has only the unified hierarchy.
pub fn is_cgroup_v2() -> bool {
    std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

/// The host's processors.
pub fn host_cpus() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// The host's memory.
pub fn memory_total_bytes() -> i64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix("kB")?.trim().parse::<i64>().ok());
    kib.unwrap_or_default() * 1024
}

/// The host's name.
pub fn host_name() -> String {
    read_trimmed("/proc/sys/kernel/hostname")
}

fn read_trimmed(path: &str) -> String {
    std::fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default()
}

fn os_release(key: &str) -> String {
    let text = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    line.unwrap_or_default().trim_matches('"').to_owned()
}
