//! Arguments to requests: pure, so that every rule is tested without a daemon.
//!
//! [`from_args`] makes the body of a create; its parts are cut by subject: [`environment`] and labels,
//! [`mounts`], [`ports`], [`devices`], [`limits`], [`networks`]. What must be read from outside (files,
//! variables) comes through [`Outside`].

pub mod devices;
pub mod environment;
pub mod flags;
pub mod limits;
pub mod mounts;
pub mod networks;
pub mod ports;
#[cfg(test)]
mod tests;

use crate::arguments::Matches;
use corten_docker_api::Filters;
use corten_docker_api::containers::{
    ContainerConfig, ContainerCreate, Healthcheck, HostConfig, LogConfig, NetworkingConfig, RestartPolicy,
};
use corten_docker_api::json::{Arguments, Empty};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// What a command line may point to.
pub trait Outside {
    /// Reads a file.
    ///
    /// # Errors
    /// The kernel's.
    fn read(&self, path: &str) -> io::Result<Vec<u8>>;
    /// A variable of our environment.
    fn variable(&self, name: &str) -> Option<String>;
}

/// This process's files and environment.
#[derive(Debug, Clone, Copy)]
pub struct Files;

impl Outside for Files {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }

    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}

/// A failed call as Go writes it: `open /x: no such file or directory`.
pub fn os_error(operation: &str, path: &str, error: &io::Error) -> String {
    let text = error.to_string();
    let reason = text.split(" (os error").next().unwrap_or_default().to_ascii_lowercase();
    format!("{operation} {path}: {reason}")
}

/// `--filter key=value` as the query parameter; nothing when there is none.
pub fn filters(conditions: &[String]) -> String {
    let mut filters = Filters::default();
    for condition in conditions {
        // The check of the flag has seen the `=`; empty conditions are skipped as docker does.
        let Some((key, value)) = condition.split_once('=') else { continue };
        filters.add(key.trim().to_ascii_lowercase().as_str(), value.trim());
    }
    if filters.is_empty() { String::new() } else { filters.encode() }
}

/// The body of a create from the flags and arguments of `run` or `create`.
///
/// # Errors
/// What docker says of values that no flag's own check can judge.
pub fn from_args(matches: &Matches, outside: &dyn Outside) -> Result<ContainerCreate, String> {
    let host_config = host_config(matches, outside)?;
    let networks = networks::from_args(matches)?;
    let mut config = config(matches, outside)?;
    if matches.flag("rm") && !matches!(host_config.restart_policy.name.as_str(), "" | "no") {
        return Err("conflicting options: cannot specify both --restart and --rm".to_owned());
    }
    if let Some(Some(endpoint)) = networks.get(&host_config.network_mode) {
        config.mac_address.clone_from(&endpoint.mac_address);
    }
    Ok(ContainerCreate {
        config,
        host_config: Some(host_config),
        networking_config: Some(NetworkingConfig { endpoints_config: Some(networks) }),
    })
}

fn config(matches: &Matches, outside: &dyn Outside) -> Result<ContainerConfig, String> {
    let attach: Vec<String> = matches.list("attach").iter().map(|stream| stream.to_ascii_lowercase()).collect();
    let is_attached = |stream: &str| attach.iter().any(|known| known == stream);
    let stdin = matches.flag("interactive");
    let attach_stdin = stdin || is_attached("stdin");
    let (image, command) = matches.arguments.split_first().ok_or("an image is needed")?;
    let entrypoint = match matches.text("entrypoint") {
        "" if matches.is_given("entrypoint") => Some(Arguments(vec![String::new()])),
        "" => None,
        entrypoint => Some(Arguments(vec![entrypoint.to_owned()])),
    };
    let text = |name: &str| matches.text(name).to_owned();
    Ok(ContainerConfig {
        hostname: text("hostname"),
        domainname: text("domainname"),
        user: text("user"),
        attach_stdin,
        attach_stdout: attach.is_empty() || is_attached("stdout"),
        attach_stderr: attach.is_empty() || is_attached("stderr"),
        exposed_ports: Some(ports::exposed(matches.list("publish"), matches.list("expose"))?),
        tty: matches.flag("tty"),
        open_stdin: stdin,
        stdin_once: stdin && attach_stdin,
        env: Some(environment::variables(matches.list("env-file"), matches.list("env"), outside)?),
        cmd: (!command.is_empty()).then(|| Arguments(command.to_vec())),
        healthcheck: healthcheck(matches)?,
        image: image.clone(),
        volumes: Some(
            mounts::anonymous(matches.list("volume"))?.into_iter().map(|path| (path, Empty::default())).collect(),
        ),
        working_dir: text("workdir"),
        entrypoint,
        mac_address: mac_address(matches)?,
        labels: Some(environment::labels(matches.list("label-file"), matches.list("label"), outside)?),
        stop_signal: text("stop-signal"),
        stop_timeout: matches.is_given("stop-timeout").then(|| matches.int("stop-timeout")),
        ..ContainerConfig::default()
    })
}

fn host_config(matches: &Matches, outside: &dyn Outside) -> Result<HostConfig, String> {
    let text = |name: &str| matches.text(name).to_owned();
    let list = |name: &str| {
        let list = matches.list(name);
        (!list.is_empty()).then(|| list.to_vec())
    };
    let always_list = |name: &str| Some(matches.list(name).to_vec());
    let (security_opt, is_unconfined) = security_options(matches.list("security-opt"), outside)?;
    let mut host = HostConfig {
        binds: Some(mounts::binds(matches.list("volume"))?).filter(|binds| !binds.is_empty()),
        container_id_file: text("cidfile"),
        log_config: log_config(matches)?,
        network_mode: networks::mode(matches)?,
        port_bindings: Some(ports::bindings(matches.list("publish"))?),
        restart_policy: restart_policy(matches.text("restart"))?,
        auto_remove: matches.flag("rm"),
        volume_driver: text("volume-driver"),
        volumes_from: list("volumes-from"),
        annotations: Some(environment::map(matches.list("annotation"))).filter(|map| !map.is_empty()),
        cap_add: capabilities(matches.list("cap-add")),
        cap_drop: capabilities(matches.list("cap-drop")),
        cgroupns_mode: mode(matches, "cgroupns", "CGROUP", &["host", "private"], false)?,
        dns: always_list("dns"),
        dns_options: always_list("dns-option"),
        dns_search: always_list("dns-search"),
        extra_hosts: matches
            .is_given("add-host")
            .then(|| matches.list("add-host").iter().map(|host| networks::extra_host(host)).collect()),
        group_add: list("group-add"),
        ipc_mode: text("ipc"),
        links: list("link"),
        oom_score_adj: matches.int("oom-score-adj"),
        pid_mode: mode(matches, "pid", "PID", &["host"], true)?,
        privileged: matches.flag("privileged"),
        publish_all_ports: matches.flag("publish-all"),
        readonly_rootfs: matches.flag("read-only"),
        security_opt: Some(security_opt).filter(|options| !options.is_empty()),
        storage_opt: Some(environment::storage_options(matches.list("storage-opt"))?).filter(|map| !map.is_empty()),
        tmpfs: Some(mounts::tmpfs(matches.list("tmpfs"))).filter(|map| !map.is_empty()),
        uts_mode: mode(matches, "uts", "UTS", &["host"], false)?,
        userns_mode: mode(matches, "userns", "USER", &["host"], false)?,
        shm_size: matches.bytes("shm-size"),
        sysctls: Some(environment::map(matches.list("sysctl"))).filter(|map| !map.is_empty()),
        runtime: text("runtime"),
        isolation: text("isolation"),
        mounts: Some(matches.list("mount").iter().map(|mount| mounts::mount(mount)).collect::<Result<_, _>>()?)
            .filter(|mounts: &Vec<_>| !mounts.is_empty()),
        masked_paths: is_unconfined.then(Vec::new),
        readonly_paths: is_unconfined.then(Vec::new),
        init: matches.is_given("init").then(|| matches.flag("init")),
        ..HostConfig::default()
    };
    limits::fill(&mut host, matches)?;
    devices::fill(&mut host, matches)?;
    Ok(host)
}

/// Capabilities by their full names, each once, in order; `ALL` stands for itself.
fn capabilities(given: &[String]) -> Option<Vec<String>> {
    let mut names: Vec<String> = given.iter().map(|name| name.trim().to_ascii_uppercase()).collect();
    if names.iter().any(|name| name == "ALL") {
        return Some(vec!["ALL".to_owned()]);
    }
    for name in names.iter_mut().filter(|name| !name.starts_with("CAP_")) {
        name.insert_str(0, "CAP_");
    }
    names.sort();
    names.dedup();
    (!names.is_empty()).then_some(names)
}

/// A namespace mode: empty, one of `known`, or another container's where that can be.
fn mode(matches: &Matches, flag: &str, name: &str, known: &[&str], joins_container: bool) -> Result<String, String> {
    let mode = matches.text(flag);
    let is_container = joins_container && mode.strip_prefix("container:").is_some_and(|name| !name.is_empty());
    if mode.is_empty() || known.contains(&mode) || is_container {
        return Ok(mode.to_owned());
    }
    Err(format!("--{flag}: invalid {name} mode"))
}

fn mac_address(matches: &Matches) -> Result<String, String> {
    let address = matches.text("mac-address");
    if address.is_empty() || networks::is_mac_address(address) {
        return Ok(address.to_owned());
    }
    Err(format!("{address} is not a valid mac address"))
}

fn log_config(matches: &Matches) -> Result<LogConfig, String> {
    let driver = matches.text("log-driver");
    let options = matches.list("log-opt");
    if driver == "none" && !options.is_empty() {
        return Err(format!("invalid logging opts for driver {driver}"));
    }
    Ok(LogConfig { kind: driver.to_owned(), config: Some(environment::map(options)) })
}

/// Reads `on-failure:3`.
///
/// # Errors
/// docker's words for what is none.
pub fn restart_policy(text: &str) -> Result<RestartPolicy, String> {
    let (name, count) = text.split_once(':').map_or((text, ""), |(name, count)| (name, count));
    if name.is_empty() && text.contains(':') {
        return Err("invalid restart policy format: no policy provided before colon".to_owned());
    }
    let maximum_retry_count = match count {
        "" => 0,
        count => count
            .parse()
            .map_err(|_| "invalid restart policy format: maximum retry count must be an integer".to_owned())?,
    };
    Ok(RestartPolicy { name: name.to_owned(), maximum_retry_count })
}

/// The options for the daemon, with profiles read from their files, and whether system paths stay open.
fn security_options(given: &[String], outside: &dyn Outside) -> Result<(Vec<String>, bool), String> {
    let mut options = Vec::with_capacity(given.len());
    let mut is_unconfined = false;
    for option in given {
        let (key, value) = match option.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None if option == "no-new-privileges" => (option.as_str(), None),
            None => option.split_once(':').map_or((option.as_str(), None), |(key, value)| (key, Some(value))),
        };
        if key != "no-new-privileges" && value.is_none_or(str::is_empty) {
            return Err(format!("Invalid --security-opt: {}", crate::flags::quote(option)));
        }
        let value = value.unwrap_or_default();
        if option == "systempaths=unconfined" {
            is_unconfined = true;
        } else if key == "seccomp" && !matches!(value, "builtin" | "unconfined") {
            let profile = outside.read(value).map_err(|error| {
                format!("opening seccomp profile ({value}) failed: {}", os_error("open", value, &error))
            })?;
            let json: Box<serde_json::value::RawValue> = serde_json::from_slice(&profile)
                .map_err(|error| format!("compacting json for seccomp profile ({value}) failed: {error}"))?;
            let compact = crate::json::compact(json.get());
            options.push(format!("seccomp={compact}"));
        } else {
            options.push(option.clone());
        }
    }
    Ok((options, is_unconfined))
}

fn healthcheck(matches: &Matches) -> Result<Option<Healthcheck>, String> {
    let command = matches.text("health-cmd");
    let durations = ["health-interval", "health-timeout", "health-start-period", "health-start-interval"];
    let retries = matches.int("health-retries");
    let has_settings = !command.is_empty() || retries != 0 || durations.iter().any(|name| matches.duration(name) != 0);
    if matches.flag("no-healthcheck") {
        if has_settings {
            return Err("--no-healthcheck conflicts with --health-* options".to_owned());
        }
        return Ok(Some(Healthcheck { test: Some(vec!["NONE".to_owned()]), ..Healthcheck::default() }));
    }
    if !has_settings {
        return Ok(None);
    }
    if let Some(name) = durations.iter().find(|name| matches.duration(name) < 0) {
        return Err(format!("--{name} cannot be negative"));
    }
    if retries < 0 {
        return Err("--health-retries cannot be negative".to_owned());
    }
    Ok(Some(Healthcheck {
        test: (!command.is_empty()).then(|| vec!["CMD-SHELL".to_owned(), command.to_owned()]),
        interval: matches.duration("health-interval"),
        timeout: matches.duration("health-timeout"),
        start_period: matches.duration("health-start-period"),
        start_interval: matches.duration("health-start-interval"),
        retries,
    }))
}

/// Operating systems a platform may name first; any other word alone is an architecture.
const SYSTEMS: [&str; 4] = ["linux", "windows", "darwin", "freebsd"];

/// `os[/arch[/variant]]` as the document that loading and saving take since 1.48; empty when nothing was asked for.
///
/// # Errors
/// docker's words.
pub fn platform_json(text: &str) -> Result<String, crate::failure::Failure> {
    let full = platform(text).map_err(|error| crate::failure::Failure::new(format!("invalid platform: {error}")))?;
    let mut parts = full.split('/');
    let (Some(os), Some(architecture)) = (parts.next(), parts.next()) else { return Ok(String::new()) };
    let mut document = serde_json::json!({"architecture": architecture, "os": os});
    if let Some(variant) = parts.next() {
        document["variant"] = variant.into();
    }
    Ok(document.to_string())
}

/// Reads `os[/arch[/variant]]` and writes it in full; which platforms there are is the daemon's to know.
///
/// # Errors
/// containerd's words.
pub fn platform(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Ok(String::new());
    }
    let quote = crate::flags::quote;
    let is_word = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
    };
    let parts: Vec<&str> = text.split('/').collect();
    if parts.len() > 3 {
        return Err(format!("{}: cannot parse platform specifier: invalid argument", quote(text)));
    }
    if let Some(part) = parts.iter().find(|part| !is_word(part)) {
        return Err(format!(
            "{} is an invalid component of {}: platform specifier component must match \"^[A-Za-z0-9_.-]+$\": invalid argument",
            quote(part),
            quote(text)
        ));
    }
    let architecture = |name: &str| match name.to_ascii_lowercase().as_str() {
        "x86_64" | "x86-64" => "amd64".to_owned(),
        "aarch64" => "arm64".to_owned(),
        other => other.to_owned(),
    };
    Ok(match parts.as_slice() {
        [system] if SYSTEMS.contains(system) => format!("{system}/{}", architecture(std::env::consts::ARCH)),
        [only] => format!("linux/{}", architecture(only)),
        [system, kind, rest @ ..] => {
            let variant: String = rest.iter().map(|variant| format!("/{variant}")).collect();
            format!("{}/{}{variant}", system.to_ascii_lowercase(), architecture(kind))
        }
        [] => String::new(),
    })
}

/// A map as the API has it.
pub type Map = BTreeMap<String, String>;

/// A path as Go's `filepath.Abs` makes it, for those that begin with a dot.
fn absolute_if_dotted(path: &str) -> String {
    if !path.starts_with('.') {
        return path.to_owned();
    }
    let Ok(directory) = std::env::current_dir() else { return path.to_owned() };
    clean(&directory.join(Path::new(path)).to_string_lossy())
}

/// Go's `path.Clean`: no `.`, no `..` where it can be taken away, no doubled slashes.
pub fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if path.starts_with('/') => {}
            part => parts.push(part),
        }
    }
    match (path.starts_with('/'), parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}
