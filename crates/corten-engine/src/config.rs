//! What the daemon is asked to be: flags and `daemon.json`, as dockerd reads them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::Value;

use crate::networks;
use crate::registry;
use crate::runtimes::Configured;

/// What the daemon is asked to be.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Sockets to serve.
    pub hosts: Vec<PathBuf>,
    /// Persistent files.
    pub data_root: PathBuf,
    /// Files until the next boot.
    pub exec_root: PathBuf,
    /// Where the own pid is written.
    pub pidfile: PathBuf,
    /// A containerd's socket; without one our own supervisor is kept.
    pub containerd: Option<PathBuf>,
    /// containerd's namespace for containers.
    pub containerd_namespace: String,
    /// Whether everything is logged.
    pub debug: bool,
    /// `debug`, `info`, `warn`, `error`, `fatal`.
    pub log_level: String,
    /// Whether containers outlive a SIGTERM. They do unless this is false by somebody's word.
    pub live_restore: bool,
    /// The cgroup above every container's.
    pub cgroup_parent: String,
    /// Seconds containers have to end when the daemon ends with `live_restore` off.
    pub shutdown_timeout_seconds: u64,
    /// The runtime of containers that ask for none. The output of one that is a shim of containerd's is not collected.
    pub default_runtime: Option<String>,
    /// Runtimes beside our own, by name.
    pub runtimes: BTreeMap<String, Configured>,
    /// Log options of containers that ask for none.
    pub log_opts: BTreeMap<String, String>,
    /// Shown in `info`.
    pub labels: Vec<String>,
    /// The filter of system calls of containers that ask for none: `builtin`, `unconfined` or a file.
    pub seccomp_profile: String,
    /// How registries are reached; read again at SIGHUP.
    pub registries: registry::Options,
    /// What is asked of networks.
    pub networks: networks::flags::Flags,
}

/// Logs are bounded unless somebody asks otherwise: unbounded ones fill disks (moby issue 40207).
pub const DEFAULT_LOG_OPTS: [(&str, &str); 2] = [("max-size", "64m"), ("max-file", "3")];

impl Default for Config {
    fn default() -> Self {
        Self {
            hosts: vec!["/run/corten/docker.sock".into()],
            data_root: "/var/lib/corten".into(),
            exec_root: "/run/corten".into(),
            pidfile: "/run/corten/cortend.pid".into(),
            containerd: None,
            containerd_namespace: "moby".to_owned(),
            debug: false,
            log_level: "info".to_owned(),
            live_restore: true,
            cgroup_parent: "/docker".to_owned(),
            shutdown_timeout_seconds: 15,
            default_runtime: None,
            runtimes: BTreeMap::new(),
            log_opts: DEFAULT_LOG_OPTS.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            labels: Vec::new(),
            seccomp_profile: "builtin".to_owned(),
            registries: registry::Options::default(),
            networks: networks::flags::Flags::default(),
        }
    }
}

/// Why the daemon cannot be what it is asked to be.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The arguments; the text is complete, and help and version are such errors too.
    #[error("{0}")]
    Arguments(#[from] clap::Error),
    /// The file cannot be opened.
    #[error("unable to configure the daemon with file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no JSON object.
    #[error("unable to configure the daemon with file {}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// Keys that are not known.
    #[error("unable to configure the daemon with file {}: the following directives don't match any configuration option: {keys}", path.display())]
    Unknown {
        /// The file.
        path: PathBuf,
        /// Which.
        keys: String,
    },
    /// Keys given twice.
    #[error("unable to configure the daemon with file {}: the following directives are specified both as a flag and in the configuration file: {keys}", path.display())]
    Conflict {
        /// The file.
        path: PathBuf,
        /// Which.
        keys: String,
    },
    /// A value that cannot be used.
    #[error("invalid {key}: {reason}")]
    Value {
        /// The flag or key.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Where the configuration file is looked for; it may be absent there.
const DEFAULT_FILE: &str = "/etc/corten/daemon.json";

/// A key of the file and the flag that says the same.
const KEYS: [(&str, &str); 22] = [
    ("default-runtime", "default-runtime"),
    ("runtimes", "add-runtime"),
    ("hosts", "host"),
    ("data-root", "data-root"),
    ("exec-root", "exec-root"),
    ("pidfile", "pidfile"),
    ("containerd", "containerd"),
    ("containerd-namespace", "containerd-namespace"),
    ("debug", "debug"),
    ("log-level", "log-level"),
    ("live-restore", "live-restore"),
    ("cgroup-parent", "cgroup-parent"),
    ("shutdown-timeout", "shutdown-timeout"),
    ("log-opts", "log-opt"),
    ("labels", "label"),
    ("seccomp-profile", "seccomp-profile"),
    ("registry-mirrors", "registry-mirror"),
    ("insecure-registries", "insecure-registry"),
    ("max-concurrent-downloads", "max-concurrent-downloads"),
    ("max-concurrent-uploads", "max-concurrent-uploads"),
    ("max-download-attempts", "max-download-attempts"),
    // Its own entries are compared one by one.
    ("proxies", ""),
];

impl Config {
    /// Reads the arguments and the file they name.
    ///
    /// # Errors
    /// [`ConfigError`]; as dockerd does, an unknown key and one given in both places are errors.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, ConfigError> {
        let matches = command().try_get_matches_from(arguments)?;
        let path = matches.get_one::<String>("config-file").map_or(DEFAULT_FILE, String::as_str);
        let file = read_file(Path::new(path), matches.contains_id("config-file"))?;
        merge(&matches, &file, Path::new(path))
    }

    /// The socket of the containerd that is used.
    pub fn containerd_address(&self) -> PathBuf {
        self.containerd.clone().unwrap_or_else(|| self.exec_root.join("supervisor").join("s.sock"))
    }

    /// The level that is logged.
    pub fn effective_log_level(&self) -> &str {
        if self.debug { "debug" } else { &self.log_level }
    }
}

/// The command line, spelled as dockerd's.
fn command() -> Command {
    let value = |name: &'static str, help: &'static str| Arg::new(name).long(name).value_name("VALUE").help(help);
    let flag = |name: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .value_name("BOOL")
            .help(help)
    };
    Command::new("cortend")
        .about("The engine: serves the Docker API and keeps containers.")
        .version(env!("CARGO_PKG_VERSION"))
        .arg(value("host", "Socket to serve, unix:///path").short('H').action(ArgAction::Append))
        .arg(value("data-root", "Persistent files"))
        .arg(value("exec-root", "Files until the next boot"))
        .arg(value("pidfile", "File for the own pid").short('p'))
        .arg(value("containerd", "Socket of a containerd; without it an own supervisor is kept"))
        .arg(value("containerd-namespace", "containerd's namespace for containers"))
        .arg(value("config-file", "Configuration file"))
        .arg(flag("debug", "Log everything").short('D'))
        .arg(value("log-level", "debug, info, warn, error or fatal").short('l'))
        .arg(flag("live-restore", "Keep containers when the daemon ends (default true)"))
        .arg(value("cgroup-parent", "Cgroup above every container's"))
        .arg(value("shutdown-timeout", "Seconds containers have to end when the daemon does not keep them"))
        .arg(value("default-runtime", "Runtime of containers that ask for none: runc is our own (default runc)"))
        .arg(
            value("add-runtime", "Another runtime that containers can ask for, NAME=PROGRAM").action(ArgAction::Append),
        )
        .arg(value("log-opt", "Log option of containers that ask for none, KEY=VALUE").action(ArgAction::Append))
        .arg(value("seccomp-profile", "Profile of containers that ask for none: builtin, unconfined or a file"))
        .arg(value("registry-mirror", "Mirror asked before Docker Hub").action(ArgAction::Append))
        .arg(value("insecure-registry", "Registry or network without a checked certificate").action(ArgAction::Append))
        .arg(value("max-concurrent-downloads", "Layers fetched at once (default 3)"))
        .arg(value("max-concurrent-uploads", "Layers sent at once (default 5)"))
        .arg(value("max-download-attempts", "Attempts at each layer (default 5)"))
        .arg(value("http-proxy", "Proxy for http"))
        .arg(value("https-proxy", "Proxy for https"))
        .arg(value("no-proxy", "Hosts reached without a proxy"))
        .arg(value("label", "Label shown in info, KEY=VALUE").action(ArgAction::Append))
        .args(networks::flags::arguments())
}

fn read_file(path: &Path, asked_for: bool) -> Result<serde_json::Map<String, Value>, ConfigError> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !asked_for => return Ok(Default::default()),
        Err(source) => return Err(ConfigError::Read { path: path.to_owned(), source }),
    };
    if text.trim_ascii().is_empty() {
        return Ok(Default::default());
    }
    serde_json::from_slice(&text).map_err(|source| ConfigError::Parse { path: path.to_owned(), source })
}

fn merge(matches: &ArgMatches, file: &serde_json::Map<String, Value>, path: &Path) -> Result<Config, ConfigError> {
    let quoted = |keys: Vec<&String>| keys.into_iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    let keys = || KEYS.iter().chain(&networks::flags::KEYS);
    let flag_of = |key: &str| keys().find(|(known, _)| *known == key).map(|(_, flag)| *flag);
    let unknown: Vec<&String> = file.keys().filter(|key| flag_of(key).is_none()).collect();
    if !unknown.is_empty() {
        return Err(ConfigError::Unknown { path: path.to_owned(), keys: quoted(unknown) });
    }
    let is_given = |flag: &str| !flag.is_empty() && matches.contains_id(flag);
    let proxies = file.get("proxies").and_then(Value::as_object).into_iter().flat_map(serde_json::Map::keys);
    let twice: Vec<&String> = file
        .keys()
        .filter(|key| flag_of(key).is_some_and(is_given))
        .chain(proxies.filter(|key| ["http-proxy", "https-proxy", "no-proxy"].contains(&key.as_str()) && is_given(key)))
        .collect();
    if !twice.is_empty() {
        return Err(ConfigError::Conflict { path: path.to_owned(), keys: quoted(twice) });
    }
    let values = |key: &'static str| -> Result<Vec<String>, ConfigError> {
        let flag = flag_of(key).unwrap_or(key);
        if let Some(given) = matches.get_many::<String>(flag) {
            return Ok(given.cloned().collect());
        }
        match file.get(key) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(list)) => list.iter().map(|item| scalar(key, item)).collect(),
            Some(Value::Object(map)) => {
                map.iter().map(|(name, item)| Ok(format!("{name}={}", scalar(key, item)?))).collect()
            }
            Some(single) => Ok(vec![scalar(key, single)?]),
        }
    };
    let one = |key: &'static str| values(key).map(|mut all| all.pop());
    let mut config = Config::default();
    let hosts = values("hosts")?;
    if !hosts.is_empty() {
        config.hosts = hosts.iter().map(|host| socket_path(host)).collect::<Result<_, _>>()?;
    }
    set(&mut config.data_root, one("data-root")?);
    set(&mut config.exec_root, one("exec-root")?);
    set(&mut config.pidfile, one("pidfile")?);
    config.containerd = one("containerd")?.filter(|path| !path.is_empty()).map(PathBuf::from);
    set(&mut config.containerd_namespace, one("containerd-namespace")?);
    set(&mut config.log_level, one("log-level")?);
    set(&mut config.cgroup_parent, one("cgroup-parent")?);
    parse_into(&mut config.debug, "debug", one("debug")?)?;
    parse_into(&mut config.live_restore, "live-restore", one("live-restore")?)?;
    parse_into(&mut config.shutdown_timeout_seconds, "shutdown-timeout", one("shutdown-timeout")?)?;
    config.default_runtime = one("default-runtime")?.filter(|name| !name.is_empty());
    config.runtimes = match file.get("runtimes") {
        Some(Value::Object(runtimes)) => {
            let entry = |(name, value): (&String, &Value)| runtime(name, value).map(|runtime| (name.clone(), runtime));
            runtimes.iter().map(entry).collect::<Result<_, _>>()?
        }
        _ => {
            let given = values("runtimes")?;
            let program = |(name, path)| (name, Configured::Program { path, arguments: Vec::new() });
            given.iter().map(|text| key_value("add-runtime", text).map(program)).collect::<Result<_, _>>()?
        }
    };
    let log_opts = values("log-opts")?;
    if !log_opts.is_empty() {
        config.log_opts = log_opts.iter().map(|option| key_value("log-opts", option)).collect::<Result<_, _>>()?;
    }
    config.labels = values("labels")?;
    set(&mut config.seccomp_profile, one("seccomp-profile")?);
    config.registries = registries(matches, file, &values)?;
    config.networks = networks::flags::read(file, &values)?;
    absolute("data-root", &config.data_root)?;
    absolute("exec-root", &config.exec_root)?;
    Ok(config)
}

/// How registries are reached; `values` reads a key from either place.
fn registries(
    matches: &ArgMatches,
    file: &serde_json::Map<String, Value>,
    values: &dyn Fn(&'static str) -> Result<Vec<String>, ConfigError>,
) -> Result<registry::Options, ConfigError> {
    let checked = |key: &'static str, check: fn(&str) -> Result<String, String>| -> Result<Vec<String>, ConfigError> {
        let wrong = |reason| ConfigError::Value { key: key.to_owned(), reason };
        let mut all = Vec::new();
        for text in values(key)? {
            let value = check(&text).map_err(wrong)?;
            if !all.contains(&value) {
                all.push(value);
            }
        }
        Ok(all)
    };
    let mut options = registry::Options {
        mirrors: checked("registry-mirrors", registry::mirror)?,
        insecure: checked("insecure-registries", registry::insecure)?,
        ..registry::Options::default()
    };
    for (field, key) in [
        (&mut options.downloads, "max-concurrent-downloads"),
        (&mut options.uploads, "max-concurrent-uploads"),
        (&mut options.attempts, "max-download-attempts"),
    ] {
        parse_into(field, key, values(key)?.pop())?;
        if *field == 0 {
            return Err(ConfigError::Value { key: key.to_owned(), reason: "it must be at least 1".to_owned() });
        }
    }
    let mut proxies = registry::Proxies::default();
    if let Some(Value::Object(given)) = file.get("proxies") {
        for (key, value) in given {
            let field = match key.as_str() {
                "http-proxy" => &mut proxies.http,
                "https-proxy" => &mut proxies.https,
                "no-proxy" => &mut proxies.none,
                _ => {
                    return Err(ConfigError::Value { key: format!("proxies.{key}"), reason: "no such key".to_owned() });
                }
            };
            *field = scalar(key, value)?;
        }
    }
    for (field, flag) in
        [(&mut proxies.http, "http-proxy"), (&mut proxies.https, "https-proxy"), (&mut proxies.none, "no-proxy")]
    {
        set(field, matches.get_one::<String>(flag).cloned());
    }
    options.proxies = proxies.or_environment(|name| std::env::var(name).ok());
    Ok(options)
}

/// An entry of `runtimes` in the file, in dockerd's form.
fn runtime(name: &str, value: &Value) -> Result<Configured, ConfigError> {
    let wrong = |reason: &str| ConfigError::Value { key: format!("runtime {name}"), reason: reason.to_owned() };
    let entry = value.as_object().ok_or_else(|| wrong("it is not an object"))?;
    if let Some(unknown) =
        entry.keys().find(|key| !["path", "runtimeArgs", "runtimeType", "options"].contains(&key.as_str()))
    {
        return Err(wrong(&format!("{unknown}: no such key")));
    }
    let text = |key: &str| match entry.get(key) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(value) => value.as_str().map(str::to_owned).ok_or_else(|| wrong(&format!("{key}: it is not a text"))),
    };
    let (path, kind) = (text("path")?, text("runtimeType")?);
    let arguments = match entry.get("runtimeArgs") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(list)) => list.iter().map(|word| scalar("runtimeArgs", word)).collect::<Result<_, _>>()?,
        Some(_) => return Err(wrong("runtimeArgs: it is not a list")),
    };
    let has_options = entry.get("options").and_then(Value::as_object).is_some_and(|options| !options.is_empty());
    match (path.is_empty(), kind.is_empty()) {
        (true, true) => Err(wrong("either a runtimeType or a path must be configured")),
        (false, false) => Err(wrong("cannot configure both path and runtimeType for the same runtime")),
        (false, true) if has_options => Err(wrong("options cannot be used with a path runtime")),
        (false, true) => Ok(Configured::Program { path, arguments }),
        (true, false) if !arguments.is_empty() => Err(wrong("args cannot be used with a runtimeType runtime")),
        (true, false) if has_options => Err(wrong("options of a runtimeType: not supported yet")),
        (true, false) => Ok(Configured::Shim(kind)),
    }
}

fn set<T: From<String>>(field: &mut T, value: Option<String>) {
    if let Some(value) = value {
        *field = T::from(value);
    }
}

fn parse_into<T: std::str::FromStr>(field: &mut T, key: &str, value: Option<String>) -> Result<(), ConfigError> {
    if let Some(value) = value {
        let reason = format!("{value:?} cannot be read");
        *field = value.parse().map_err(|_| ConfigError::Value { key: key.to_owned(), reason })?;
    }
    Ok(())
}

fn scalar(key: &str, value: &Value) -> Result<String, ConfigError> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
        _ => {
            Err(ConfigError::Value { key: key.to_owned(), reason: format!("{value} is not a text, number or boolean") })
        }
    }
}

fn key_value(key: &str, text: &str) -> Result<(String, String), ConfigError> {
    let pair = text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    pair.ok_or_else(|| ConfigError::Value { key: key.to_owned(), reason: format!("{text:?} is not KEY=VALUE") })
}

/// Only sockets: listening on a network without TLS gives root on this host to everybody who asks.
fn socket_path(host: &str) -> Result<PathBuf, ConfigError> {
    let path = host.strip_prefix("unix://").filter(|path| path.starts_with('/'));
    path.map(PathBuf::from).ok_or_else(|| ConfigError::Value {
        key: "host".to_owned(),
        reason: format!("{host:?}: only unix:///absolute/path is supported yet"),
    })
}

fn absolute(key: &str, path: &Path) -> Result<(), ConfigError> {
    match path.is_absolute() {
        true => Ok(()),
        false => Err(ConfigError::Value { key: key.to_owned(), reason: format!("{} is not absolute", path.display()) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str], file: &str) -> Result<Config, ConfigError> {
        let place = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(place.path(), file).unwrap();
        let mut all = vec!["cortend".into(), "--config-file".into(), place.path().as_os_str().to_owned()];
        all.extend(arguments.iter().map(OsString::from));
        Config::read(all)
    }

    #[test]
    fn flags_and_file_are_merged() {
        let config = read(
            &["-H", "unix:///a", "-H", "unix:///b", "--debug", "--live-restore=false", "--log-opt", "max-size=1k"],
            r#"{"data-root":"/data","cgroup-parent":"/x","labels":["a=b"],"shutdown-timeout":3}"#,
        )
        .unwrap();
        assert_eq!(config.hosts, [PathBuf::from("/a"), PathBuf::from("/b")]);
        assert_eq!((config.data_root.to_str(), config.cgroup_parent.as_str()), (Some("/data"), "/x"));
        assert_eq!((config.debug, config.live_restore, config.shutdown_timeout_seconds), (true, false, 3));
        assert_eq!(config.log_opts, BTreeMap::from([("max-size".to_owned(), "1k".to_owned())]));
        assert_eq!(config.effective_log_level(), "debug");
    }

    #[test]
    fn proxies_may_be_said_in_both_places_each_in_one() {
        let config = read(&["--https-proxy", "http://p"], r#"{"proxies":{"http-proxy":"http://q"}}"#).unwrap();
        assert_eq!(
            (config.registries.proxies.https.as_str(), config.registries.proxies.http.as_str()),
            ("http://p", "http://q")
        );
    }

    #[test]
    fn mistakes_are_start_errors_that_name_the_key() {
        for (arguments, file, part) in [
            (
                &["--data-root", "/a"][..],
                r#"{"data-root":"/b"}"#,
                "both as a flag and in the configuration file: data-root",
            ),
            (
                &["--https-proxy", "http://p", "--no-proxy", "x"],
                r#"{"proxies":{"https-proxy":"http://p","no-proxy":"x"}}"#,
                "both as a flag and in the configuration file: https-proxy, no-proxy",
            ),
            (&[], r#"{"oops":1}"#, "don't match any configuration option: oops"),
            (&["-H", "tcp://0.0.0.0:2375"], "", "only unix:///absolute/path"),
            (&["--data-root", "relative"], "", "invalid data-root"),
            (&[], r#"{"debug":"maybe"}"#, "invalid debug"),
            (&["--bridge-accept-fwmark", "1/x"], "", "invalid bridge-accept-fwmark: invalid firewall mask \"1/x\""),
            (&[], r#"{"bridge-accept-fwmark":"-1"}"#, "invalid bridge-accept-fwmark: invalid firewall mark \"-1\""),
            (&[], "[]", "unable to configure the daemon with file"),
        ] {
            let text = read(arguments, file).unwrap_err().to_string();
            assert!(text.contains(part), "{text}");
        }
    }
}
