//! The supervisor daemon (containerd).

use std::{io::Read, path::PathBuf, process::ExitCode};

use clap::{Arg, ArgMatches, Command, value_parser};
use corten_supervisor::{
    config::{Config, Flags},
    events::command,
    serve::serve,
    version::VERSION,
};

/// Worker threads: the work is waiting, and what blocks has threads of its own.
const WORKERS: usize = 2;
/// Threads for what blocks (files, shims' programs), gone after a few idle seconds.
const BLOCKING: usize = 64;

/// Most bytes of an event, as of any ttrpc message.
const EVENT_BYTES: u64 = 4 << 20;

fn main() -> ExitCode {
    corten_sys::allocator::give_back_early();
    let matches = command().get_matches_from(corten_supervisor::config::normalise(std::env::args()));
    match run(&matches) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("corten-supervisor: {error}");
            ExitCode::FAILURE
        }
    }
}

fn command() -> Command {
    let path = |name: &'static str| {
        Arg::new(name).long(name).value_name("PATH").value_parser(value_parser!(PathBuf)).global(true)
    };
    Command::new("corten-supervisor")
        .about("containerd's services over a unix socket")
        .version(VERSION)
        .arg(path("config").short('c').help("configuration file, in containerd's format"))
        .arg(path("root").help("directory of what survives a reboot [/var/lib/corten]"))
        .arg(path("state").help("directory of what does not [/run/corten]"))
        .arg(path("address").short('a').help("gRPC socket [/run/corten/supervisor/s.sock]"))
        .arg(
            Arg::new("log-level")
                .long("log-level")
                .short('l')
                .value_name("LEVEL")
                .help("trace, debug, info, warn or error [info]")
                .global(true),
        )
        .subcommand(
            Command::new("publish")
                .about("publish the event on standard input, a google.protobuf.Any")
                .arg(Arg::new("namespace").long("namespace").value_name("NAME").required(true))
                .arg(Arg::new("topic").long("topic").value_name("TOPIC").required(true)),
        )
}

fn run(matches: &ArgMatches) -> Result<(), String> {
    let path = |name: &str| matches.get_one::<PathBuf>(name).cloned();
    let flags = Flags {
        config: path("config"),
        root: path("root"),
        state: path("state"),
        address: path("address"),
        log_level: matches.get_one::<String>("log-level").cloned(),
    };
    let (config, unknown) = Config::load(flags).map_err(|error| chain(&error))?;
    if let Some(("publish", matches)) = matches.subcommand() {
        return publish(&config, matches);
    }
    let level: corten_telemetry::Level = config.log_level.parse().map_err(|error| chain(&error))?;
    corten_telemetry::init(level, corten_telemetry::Format::Text);
    for key in unknown {
        tracing::warn!(key, "this key of the configuration has no meaning here");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .max_blocking_threads(BLOCKING)
        .thread_keep_alive(std::time::Duration::from_secs(3))
        .enable_all()
        .build()
        .map_err(|error| format!("start the runtime: {error}"))?;
    let served = runtime.block_on(serve(config)).map_err(|error| chain(&error));
    // What blocks is not waited for: every answer given stands already.
    runtime.shutdown_background();
    served
}

fn publish(config: &Config, matches: &ArgMatches) -> Result<(), String> {
    let text = |name: &str| matches.get_one::<String>(name).cloned().unwrap_or_default();
    let mut event = Vec::new();
    let read = std::io::stdin().take(EVENT_BYTES).read_to_end(&mut event);
    read.map_err(|error| format!("read the event from standard input: {error}"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("start the runtime: {error}"))?;
    runtime.block_on(command::publish(&config.address, &text("namespace"), &text("topic"), &event))
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    corten_types::error::chain(error)
}
