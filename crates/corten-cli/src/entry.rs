//! From the command line to an exit status.

use crate::arguments::{self, Matches, Order};
use crate::cli::Cli;
use crate::config::{self, Config};
use crate::failure::{Failure, Outcome};
use crate::flags::Flag;
use crate::help;
use crate::tree::{self, Arity, GROUPS, Place};
use corten_docker_api::client::Client;
use std::cell::Cell;
use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::Instant;
use tokio::signal::unix::{SignalKind, signal};

/// Flags before the command.
pub const GLOBAL_FLAGS: &[Flag] = &[
    Flag::text("config", "Directory of the client's configuration"),
    Flag::text("context", "Context that names the daemon to use").short('c'),
    Flag::bool("debug", "Show what is sent and received").short('D'),
    Flag::list("host", "Address of the daemon").short('H'),
    Flag::text("log-level", "Show what is sent and received at debug and trace (also info, warn, error, fatal, panic)")
        .short('l')
        .default("info"),
    Flag::bool("tls", "Use TLS (not supported yet)"),
    Flag::text("tlscacert", "Certificates of trusted authorities (not supported yet)"),
    Flag::text("tlscert", "Certificate to show (not supported yet)"),
    Flag::text("tlskey", "Key of that certificate (not supported yet)"),
    Flag::bool("tlsverify", "Use TLS and verify the daemon (not supported yet)"),
    Flag::bool("version", "Print version information and quit").short('v'),
];

/// Usage of the program itself.
const ROOT_USAGE: &str = "[OPTIONS] COMMAND [ARG...]";

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let mut words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
    let called = words.next().unwrap_or_default();
    let program = called.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("corten").to_owned();
    let words: Vec<String> = words.collect();

    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("{program}: start the event loop: {error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(run(&program, &words));
    corten_terminal::raw::restore_now();
    // Threads that still read a terminal end with the process.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.message.is_empty() {
                eprintln!("{}", failure.message);
            }
            ExitCode::from(failure.status)
        }
    }
}

async fn run(program: &str, words: &[String]) -> Outcome {
    let globals = arguments::parse(GLOBAL_FLAGS, Order::FlagsFirst, words)
        .map_err(|mistake| usage_mistake(program, &mistake, &format!("{program} {ROOT_USAGE}"), program))?;
    if globals.is_given("version") && globals.flag("version") {
        println!("{}", help::version_line(program));
        return Ok(());
    }
    let mut rest = globals.arguments.iter().map(String::as_str);
    let command = rest.next();
    let (Some(command), false) = (command, globals.flag("help")) else {
        help::print_root(program, globals.flag("help"));
        return Ok(());
    };
    if command == "help" {
        return help::topic(program, &globals.arguments[1..]);
    }
    if let Some((group, about)) = GROUPS.iter().find(|(group, _)| *group == command) {
        return run_in_group(program, group, about, &globals).await;
    }
    match tree::find("", command) {
        Some(place) => run_place(program, place, &globals, &globals.arguments[1..], command).await,
        None => Err(Failure::new(format!(
            "{program}: unknown command: {program} {command}\n\nRun '{program} --help' for more information"
        ))),
    }
}

async fn run_in_group(program: &str, group: &str, about: &str, globals: &Matches) -> Outcome {
    let words = &globals.arguments[1..];
    let Some(name) = words.first().filter(|word| !word.starts_with('-')) else {
        let path = format!("{program} {group}");
        let matches = arguments::parse(&[], Order::FlagsFirst, words)
            .map_err(|mistake| usage_mistake(program, &mistake, &path, &path))?;
        help::print_group(program, group, about, matches.is_given("help"));
        return Ok(());
    };
    match tree::find(group, name) {
        Some(place) => run_place(program, place, globals, &words[1..], &format!("{group} {name}")).await,
        None => Err(Failure::new(format!(
            "{program}: unknown command: {program} {group} {name}\n\nUsage:  {program} {group}\n\nRun '{program} {group} --help' for more information"
        ))),
    }
}

async fn run_place(
    program: &str,
    place: &'static Place,
    globals: &Matches,
    words: &[String],
    called_as: &str,
) -> Outcome {
    let path = format!("{program} {}", place.path());
    let usage = place.usage(program);
    let matches = arguments::parse(place.verb.flags, place.verb.order, words)
        .map_err(|mistake| usage_mistake(program, &mistake, &usage, &path))?;
    if matches.is_given("help") && matches.flag("help") {
        help::print_verb(program, place);
        return Ok(());
    }
    check_arity(program, place.verb.arity, &path, &usage, matches.arguments.len())?;

    let cli = prepare(program, globals, called_as)?;
    // A daemon that cannot be reached is reported by the command, in its own words; the doctor needs none.
    if place.name != "doctor" {
        let _ = cli.client.negotiate().await;
    }
    until_signalled(&cli, (place.verb.run)(&cli, &matches)).await
}

fn prepare(program: &str, globals: &Matches, called_as: &str) -> Result<Cli, Failure> {
    if let Some(flag) =
        ["tls", "tlsverify", "tlscacert", "tlscert", "tlskey"].iter().find(|flag| globals.is_given(flag))
    {
        return Err(Failure::new(format!("--{flag}: TLS is not supported yet")));
    }
    let shows_requests = globals.flag("debug") || is_debug(globals.text("log-level"))?;
    let directory = config::directory(globals.text("config"));
    let config = Config::load(&directory);
    let endpoint = config::endpoint(globals.list("host"), globals.text("context"), &config, &directory)?;
    let mut client = Client::new(endpoint.host, concat!("Corten-Client/", env!("CARGO_PKG_VERSION"), " (linux)"));
    if let Ok(version) = std::env::var("DOCKER_API_VERSION")
        && !version.is_empty()
    {
        client = client.with_version(&version);
    }
    if shows_requests {
        let _ = STARTED.set(Instant::now());
        client = client.observed_by(show);
    }
    Ok(Cli {
        client,
        config,
        context: endpoint.context,
        program: program.to_owned(),
        called_as: called_as.to_owned(),
        forwards_signals: Cell::new(false),
    })
}

/// Whether a level shows what is sent; every other one that docker knows shows nothing here.
fn is_debug(level: &str) -> Result<bool, Failure> {
    match level.to_ascii_lowercase().as_str() {
        "debug" | "trace" => Ok(true),
        "info" | "warn" | "warning" | "error" | "fatal" | "panic" => Ok(false),
        _ => Err(Failure::new(format!("Unable to parse logging level: {level}"))),
    }
}

/// When this program began, as its lines of debugging count.
static STARTED: OnceLock<Instant> = OnceLock::new();

/// A line of debugging, in the form of docker's.
fn show(line: &str) {
    let seconds = STARTED.get().map_or(0, |started| started.elapsed().as_secs());
    eprintln!("DEBU[{seconds:04}] {line}");
}

/// SIGINT and SIGTERM end a command with 128 + their number, unless it forwards them.
async fn until_signalled(cli: &Cli, command: tree::Running<'_>) -> Outcome {
    let listen = |kind| signal(kind).map_err(|error| Failure::new(format!("listen for signals: {error}")));
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    let mut received = 0;
    tokio::pin!(command);
    loop {
        let number: u8 = tokio::select! {
            outcome = &mut command => return outcome,
            _ = interrupt.recv() => 2,
            _ = terminate.recv() => 15,
        };
        received += 1;
        if !cli.forwards_signals.get() {
            return Err(Failure::silent(128 + number));
        }
        if received >= 3 {
            return Err(Failure::new("\ngot 3 SIGTERM/SIGINTs, forcefully exiting"));
        }
    }
}

fn usage_mistake(_program: &str, mistake: &str, usage: &str, path: &str) -> Failure {
    Failure::with_status(format!("{mistake}\n\nUsage:  {usage}\n\nRun '{path} --help' for more information"), 125)
}

fn check_arity(program: &str, arity: Arity, path: &str, usage: &str, count: usize) -> Outcome {
    let plural = |count: usize| if count == 1 { "argument" } else { "arguments" };
    let (problem, see) = match arity {
        Arity::None if count > 0 => ("accepts no arguments".to_owned(), "Run"),
        // docker says "See" here and "SRun" below; the rest of the text is what people search for.
        Arity::AtLeast(least) if count < least => (format!("requires at least {least} {}", plural(least)), "See"),
        Arity::AtMost(most) if count > most => (format!("requires at most {most} {}", plural(most)), "SRun"),
        Arity::Exactly(exact) if count != exact => (format!("requires {exact} {}", plural(exact)), "Run"),
        Arity::Between(least, most) if count < least || count > most => {
            (format!("requires at least {least} and at most {most} {}", plural(most)), "Run")
        }
        _ => return Ok(()),
    };
    Err(Failure::new(format!(
        "{program}: '{path}' {problem}\n\nUsage:  {usage}\n\n{see} '{path} --help' for more information"
    )))
}
