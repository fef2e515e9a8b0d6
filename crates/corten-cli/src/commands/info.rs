//! `info`: the daemon as a whole.

use crate::arguments::Matches;
use crate::cli::Cli;
use crate::commands::version;
use crate::credentials::HUB;
use crate::failure::{Failure, Outcome};
use crate::flags::Flag;
use crate::template::{FunctionSet, Json, MissingKey, Template, Value};
use crate::tree::{Arity, Verb, verb};
use corten_docker_api::client::ClientError;
use corten_docker_api::info::{Info, RegistryConfig};
use corten_terminal::units::binary_size;
use std::fmt::Write;
use std::rc::Rc;

/// The command.
pub const VERB: Verb = verb!(info, "[OPTIONS]", "Show the state of the engine as a whole", Arity::None, FLAGS);

const FLAGS: &[Flag] = &[Flag::text("format", crate::commands::INSPECT_FORMAT_HELP).short('f')];

/// Exit status for a template that cannot be parsed.
const BAD_TEMPLATE: u8 = 64;

/// Shows what the daemon says of itself; the client's part also when it cannot be reached.
pub async fn info(cli: &Cli, matches: &Matches) -> Outcome {
    let format = matches.text("format");
    let answer = match cli.client.get("/info").await {
        Ok(response) => Ok(response.bytes().await?),
        Err(error) => Err(error),
    };
    if format.is_empty() {
        return print_all(cli, answer);
    }
    let format = if format == "json" { "{{json .}}" } else { format };
    let template = Template::parse("", format)
        .map_err(|error| Failure::with_status(format!("template parsing error: {error}"), BAD_TEMPLATE))?;
    let (server, failure) = match answer {
        Ok(bytes) => (
            Json::parse(&bytes)
                .map_err(|error| Failure::new(format!("the daemon's info is not understood: {error}")))?,
            None,
        ),
        Err(error @ ClientError::Daemon { .. }) => {
            cli.warn(&error.to_string());
            (Value::object(vec![("ServerErrors", Value::list(vec![Value::from(error.to_string())]))]), None)
        }
        Err(error) => (Value::object(Vec::new()), Some(Failure::from(error))),
    };
    let mut text = String::new();
    let rendered = template.execute(
        &mut text,
        &with_client(cli, server),
        FunctionSet::Values,
        MissingKey::TypeError("system.dockerInfo"),
    );
    cli.print_line(&text);
    match (failure, rendered) {
        (Some(failure), _) => Err(failure),
        (None, Err(error)) => Err(Failure::new(error.to_string())),
        (None, Ok(())) => Ok(()),
    }
}

/// The daemon's fields and, behind them, the client's.
fn with_client(cli: &Cli, server: Value) -> Value {
    let mut client = vec![("Debug".to_owned(), Value::Bool(false))];
    if let Value::Struct(fields) = version::client(cli) {
        client.extend(fields.iter().filter(|(name, _)| name != "ApiVersion").cloned());
    }
    client.push(("Plugins".to_owned(), Value::list(Vec::new())));
    client.push(("Warnings".to_owned(), Value::Nil));
    let mut fields = match server {
        Value::Struct(fields) => Rc::unwrap_or_clone(fields),
        _ => Vec::new(),
    };
    fields.push(("ClientInfo".to_owned(), Value::Struct(Rc::new(client))));
    Value::Struct(Rc::new(fields))
}

fn print_all(cli: &Cli, answer: Result<Vec<u8>, ClientError>) -> Outcome {
    cli.print(&format!(
        "Client: Corten\n Version:    {}\n Context:    {}\n Debug Mode: false\n\nServer:\n",
        env!("CARGO_PKG_VERSION"),
        cli.context
    ));
    match answer {
        Ok(bytes) => {
            let info: Info = serde_json::from_slice(&bytes)
                .map_err(|error| Failure::new(format!("the daemon's info is not understood: {error}")))?;
            let user =
                cli.config.auths.iter().flatten().find(|(key, _)| *key == HUB).map_or("", |(_, auth)| &auth.username);
            cli.print(&server_text(&info, user));
            for warning in info.warnings.iter().flatten() {
                cli.warn(warning);
            }
            Ok(())
        }
        Err(error @ ClientError::Daemon { .. }) => {
            cli.warn(&format!("ERROR: {error}"));
            Err(Failure::new("errors pretty printing info"))
        }
        Err(error) => Err(error.into()),
    }
}

/// The daemon's part, a line each, and who is logged in at Docker Hub.
fn server_text(info: &Info, user: &str) -> String {
    let mut lines = Lines::default();
    lines.line("Containers", &info.containers);
    lines.line(" Running", &info.containers_running);
    lines.line(" Paused", &info.containers_paused);
    lines.line(" Stopped", &info.containers_stopped);
    lines.line("Images", &info.images);
    lines.non_empty("Server Version", &info.server_version);
    lines.non_empty("Storage Driver", &info.driver);
    for [key, value] in info.driver_status.iter().flatten() {
        lines.line(&format!(" {key}"), value);
    }
    for [key, value] in info.system_status.iter().flatten() {
        lines.line(key, value);
    }
    lines.non_empty("Logging Driver", &info.logging_driver);
    lines.non_empty("Cgroup Driver", &info.cgroup_driver);
    lines.non_empty("Cgroup Version", &info.cgroup_version);
    lines.title("Plugins");
    let joined = |list: &Option<Vec<String>>| list.clone().unwrap_or_default().join(" ");
    lines.line(" Volume", &joined(&info.plugins.volume));
    lines.line(" Network", &joined(&info.plugins.network));
    if info.plugins.authorization.as_ref().is_some_and(|list| !list.is_empty()) {
        lines.line(" Authorization", &joined(&info.plugins.authorization));
    }
    lines.line(" Log", &joined(&info.plugins.log));
    lines.list("CDI spec directories", info.cdi_spec_dirs.iter().flatten());
    lines.line("Swarm", &info.swarm.local_node_state);
    runtimes(&mut lines, info);
    if info.os_type == "linux" {
        lines.line("Init Binary", &info.init_binary);
        lines.line("containerd version", &info.containerd_commit.id);
        lines.line("runc version", &info.runc_commit.id);
        lines.line("init version", &info.init_commit.id);
        security(&mut lines, info);
    }
    lines.non_empty("Kernel Version", &info.kernel_version);
    lines.non_empty("Operating System", &info.operating_system);
    lines.non_empty("OSType", &info.os_type);
    lines.non_empty("Architecture", &info.architecture);
    lines.line("CPUs", &info.n_cpu);
    #[allow(clippy::cast_precision_loss)] // four digits are shown
    lines.line("Total Memory", &binary_size(info.mem_total as f64));
    lines.non_empty("Name", &info.name);
    lines.non_empty("ID", &info.id);
    lines.line("Docker Root Dir", &info.docker_root_dir);
    lines.line("Debug Mode", &info.debug);
    if info.debug {
        lines.line(" File Descriptors", &info.n_fd);
        lines.line(" Goroutines", &info.n_goroutines);
        lines.line(" System Time", &info.system_time);
        lines.line(" EventsListeners", &info.n_events_listener);
    }
    lines.non_empty("HTTP Proxy", &info.http_proxy);
    lines.non_empty("HTTPS Proxy", &info.https_proxy);
    lines.non_empty("No Proxy", &info.no_proxy);
    lines.non_empty("Username", user);
    lines.list("Labels", info.labels.iter().flatten());
    lines.line("Experimental", &info.experimental_build);
    if let Some(registries) = &info.registry_config {
        insecure(&mut lines, registries);
        lines.list("Registry Mirrors", registries.mirrors.iter().flatten());
    }
    lines.line("Live Restore Enabled", &info.live_restore_enabled);
    lines.non_empty("Product License", &info.product_license);
    if let Some(pools) = info.default_address_pools.as_ref().filter(|pools| !pools.is_empty()) {
        lines.title("Default Address Pools");
        for pool in pools {
            lines.raw(&format!("   Base: {}, Size: {}", pool.base, pool.size));
        }
    }
    lines.raw("");
    lines.0
}

fn runtimes(lines: &mut Lines, info: &Info) {
    let Some(runtimes) = info.runtimes.as_ref().filter(|runtimes| !runtimes.is_empty()) else { return };
    lines.line("Runtimes", &runtimes.keys().cloned().collect::<Vec<_>>().join(" "));
    lines.line("Default Runtime", &info.default_runtime);
}

/// `name=seccomp,profile=default` as a name and its profile.
fn security(lines: &mut Lines, info: &Info) {
    let Some(options) = info.security_options.as_ref().filter(|options| !options.is_empty()) else { return };
    lines.title("Security Options");
    for option in options {
        // Daemons before 1.13 sent the bare name.
        let name = option.split(',').find_map(|part| part.strip_prefix("name=")).unwrap_or(option);
        lines.raw(&format!("  {name}"));
        for profile in option.split(',').filter_map(|part| part.strip_prefix("profile=")) {
            lines.raw(&format!("   Profile: {profile}"));
        }
    }
}

fn insecure(lines: &mut Lines, registries: &RegistryConfig) {
    let names = registries
        .index_configs
        .iter()
        .flatten()
        .filter(|(_, config)| !config.secure)
        .map(|(_, config)| config.name.clone());
    let networks = registries.insecure_registry_cidrs.iter().flatten().cloned();
    let has_any = registries.index_configs.as_ref().is_some_and(|configs| !configs.is_empty())
        || registries.insecure_registry_cidrs.as_ref().is_some_and(|networks| !networks.is_empty());
    if has_any {
        lines.title("Insecure Registries");
        names.chain(networks).for_each(|registry| lines.raw(&format!("  {registry}")));
    }
}

/// Lines as docker indents them: one space, and one more a level.
#[derive(Default)]
struct Lines(String);

impl Lines {
    fn raw(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    fn line(&mut self, name: &str, value: &dyn std::fmt::Display) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, " {name}: {value}");
    }

    fn title(&mut self, name: &str) {
        let _ = writeln!(self.0, " {name}:");
    }

    fn non_empty(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.line(name, &value);
        }
    }

    fn list<'a>(&mut self, name: &str, items: impl Iterator<Item = &'a String>) {
        let mut items = items.peekable();
        if items.peek().is_some() {
            self.title(name);
            items.for_each(|item| self.raw(&format!("  {item}")));
        }
    }
}
