//! A command line → [`Invocation`].

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::arguments::{
    Command, Create, Delete, Events, Exec, Global, Invocation, Kill, List, ListFormat, LogFormat, Ps, Run, Spec, Update,
};
use crate::flags::{Flag, Given, Placement, read, switch, text};

/// A command line that cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// A flag the command does not have.
    #[error("flag provided but not defined: -{flag}")]
    UnknownFlag {
        /// Its name.
        flag: String,
    },
    /// A flag at the end of the line that takes a value.
    #[error("flag needs an argument: -{flag}")]
    NoValue {
        /// Its name.
        flag: &'static str,
    },
    /// A switch with a value other than true and false.
    #[error("invalid boolean value {value:?} for -{flag}: parse error")]
    NotBoolean {
        /// Its name.
        flag: &'static str,
        /// What was given.
        value: OsString,
    },
    /// A value that is no number.
    #[error("invalid value {value:?} for flag -{flag}: parse error")]
    NotNumber {
        /// Its name.
        flag: &'static str,
        /// What was given.
        value: String,
    },
    /// A value that is no duration.
    #[error("invalid value {value:?} for flag -{flag}: parse error")]
    NotDuration {
        /// Its name.
        flag: &'static str,
        /// What was given.
        value: String,
    },
    /// `--interval` of nothing.
    #[error("duration interval must be greater than 0")]
    NoInterval,
    /// A value that is no UTF-8.
    #[error("invalid value {value:?} for flag -{flag}: not UTF-8")]
    NotText {
        /// Its name.
        flag: &'static str,
        /// What was given.
        value: OsString,
    },
    /// `--log-format` of another name.
    #[error("invalid log-format: {value}")]
    LogFormat {
        /// What was given.
        value: String,
    },
    /// `--format` of another name.
    #[error("invalid format option")]
    ListFormat,
    /// `--rootless` of another value.
    #[error("invalid rootless value {value:?}: true, false or auto")]
    Rootless {
        /// What was given.
        value: String,
    },
    /// Too many or too few arguments.
    #[error("runc: {command:?} requires exactly {expected} argument(s)")]
    Exactly {
        /// The command.
        command: &'static str,
        /// How many it takes.
        expected: usize,
    },
    /// Too few arguments.
    #[error("runc: {command:?} requires a minimum of {expected} argument(s)")]
    AtLeast {
        /// The command.
        command: &'static str,
        /// How many it needs.
        expected: usize,
    },
    /// Too many or too few arguments.
    #[error("runc: {command:?} requires between {least} and {most} argument(s)")]
    Between {
        /// The command.
        command: &'static str,
        /// How many it needs.
        least: usize,
        /// How many it can take.
        most: usize,
    },
    /// No command of that name.
    #[error("No help topic for '{name}'")]
    UnknownCommand {
        /// What was given.
        name: String,
    },
    /// A command of runc that is not built yet.
    #[error("{name}: not supported yet")]
    NotYet {
        /// The command.
        name: &'static str,
    },
}

/// What was understood before the error, for the edge that reports it.
#[derive(Debug)]
pub struct Failure {
    /// The options before the command, as far as they were read.
    pub global: Global,
    /// The command whose help is printed; `None` prints the program's.
    pub command: Option<&'static str>,
    /// What is wrong.
    pub error: UsageError,
}

pub(crate) const GLOBAL: &[Flag] = &[
    switch("debug", None, "also log what is done"),
    text("log", None, "file the log is appended to (default: standard error)"),
    text("log-format", None, "format of the log: text or json (default: \"text\")"),
    text("root", None, "directory of the containers' state (default: \"/run/runc\")"),
    switch("systemd-cgroup", None, "let systemd make the cgroups"),
    text("rootless", None, "tolerate what only root may do: true, false or auto (default: \"auto\")"),
    switch("version", Some('v'), "print the version"),
];

const CREATE: &[Flag] = &[
    text("bundle", Some('b'), "directory of config.json (default: the current directory)"),
    text("console-socket", None, "unix socket that is sent the terminal's master end"),
    text("pidfd-socket", None, "unix socket that is sent a pidfd of the process"),
    text("pid-file", None, "file the process id is written to"),
    switch("no-pivot", None, "change the root without pivot_root, for a root in memory"),
    switch("no-new-keyring", None, "do not make a session keyring for the container"),
    text("preserve-fds", None, "number of descriptors after 2 that the process inherits (default: 0)"),
];

const RUN: &[Flag] = &[
    text("bundle", Some('b'), "directory of config.json (default: the current directory)"),
    text("console-socket", None, "unix socket that is sent the terminal's master end"),
    text("pidfd-socket", None, "unix socket that is sent a pidfd of the process"),
    switch("detach", Some('d'), "do not wait for the process"),
    switch("keep", None, "do not delete the container after its process ended"),
    text("pid-file", None, "file the process id is written to"),
    switch("no-subreaper", None, "do not adopt orphaned processes"),
    switch("no-pivot", None, "change the root without pivot_root, for a root in memory"),
    switch("no-new-keyring", None, "do not make a session keyring for the container"),
    text("preserve-fds", None, "number of descriptors after 2 that the process inherits (default: 0)"),
];

const EXEC: &[Flag] = &[
    text("console-socket", None, "unix socket that is sent the terminal's master end"),
    text("pidfd-socket", None, "unix socket that is sent a pidfd of the process"),
    text("cwd", None, "current directory in the container"),
    text("env", Some('e'), "NAME=value, may be given several times"),
    switch("tty", Some('t'), "give the process a terminal"),
    text("user", Some('u'), "uid[:gid]"),
    text("additional-gids", Some('g'), "supplementary group, may be given several times"),
    text("process", Some('p'), "file with the process as JSON"),
    switch("detach", Some('d'), "do not wait for the process"),
    text("pid-file", None, "file the process id is written to"),
    text("process-label", None, "SELinux label"),
    text("apparmor", None, "AppArmor profile"),
    switch("no-new-privs", None, "the process can gain no privileges"),
    text("cap", Some('c'), "capability to add to bounding, effective and permitted, may be given several times"),
    text("preserve-fds", None, "number of descriptors after 2 that the process inherits (default: 0)"),
    text("cgroup", None, "[controller[,controller]:]path below the container's cgroup, may be given several times"),
    switch("ignore-paused", None, "also in a paused container"),
];

const EVENTS: &[Flag] = &[
    text("interval", None, "how often what is used is printed (default: 5s)"),
    switch("stats", None, "print what is used once"),
];
const KILL: &[Flag] = &[switch("all", Some('a'), "")];
const DELETE: &[Flag] = &[switch("force", Some('f'), "kill the container first")];
const LIST: &[Flag] =
    &[text("format", Some('f'), "table or json (default: \"table\")"), switch("quiet", Some('q'), "print ids only")];
const PS: &[Flag] = &[text("format", Some('f'), "table or json (default: \"table\")")];
const SPEC: &[Flag] = &[
    text("bundle", Some('b'), "directory config.json is written to"),
    switch("rootless", None, "write a spec for a user namespace"),
];
const UPDATE: &[Flag] = &[
    text("resources", Some('r'), "file with the limits as JSON, - for standard input; all other flags are ignored"),
    text("blkio-weight", None, "weight of block device access, 10 to 1000"),
    text("cpu-period", None, "length of a period in microseconds"),
    text("cpu-quota", None, "time in a period in microseconds"),
    text("cpu-burst", None, "time saved up in microseconds"),
    text("cpu-share", None, "weight against other containers"),
    text("cpu-rt-period", None, "length of a realtime period in microseconds"),
    text("cpu-rt-runtime", None, "realtime in a period in microseconds"),
    text("cpu-idle", None, "1 for the idle class"),
    text("cpuset-cpus", None, "CPUs that may be used"),
    text("cpuset-mems", None, "memory nodes that may be used"),
    text("kernel-memory", None, ""),
    text("kernel-memory-tcp", None, ""),
    text("memory", None, "limit of memory in bytes"),
    text("memory-reservation", None, "memory that is kept under pressure, in bytes"),
    text("memory-swap", None, "limit of memory and swap in bytes, -1 for none"),
    text("pids-limit", None, "limit of processes"),
    text("l3-cache-schema", None, "schema of the level 3 cache"),
    text("mem-bw-schema", None, "schema of the memory bandwidth"),
];
const NONE: &[Flag] = &[];

/// Every command's name, flags, arguments and line of help.
pub(crate) const COMMANDS: &[(&str, &[Flag], &str, &str)] = &[
    ("create", CREATE, "<container-id>", "create a container"),
    ("delete", DELETE, "<container-id>", "delete the container and all it holds"),
    ("events", EVENTS, "<container-id>", "show events of the container and what it uses"),
    ("exec", EXEC, "<container-id> <command> [command options]", "execute a new process in the container"),
    ("features", NONE, "", "show what the runtime can do"),
    ("kill", KILL, "<container-id> [signal]", "send a signal (default: SIGTERM) to the container's init process"),
    ("list", LIST, "", "list containers"),
    ("pause", NONE, "<container-id>", "suspend all processes of the container"),
    ("ps", PS, "<container-id> [ps options]", "show the processes of the container"),
    ("resume", NONE, "<container-id>", "resume all processes of the container"),
    ("run", RUN, "<container-id>", "create and start a container"),
    ("spec", SPEC, "", "write a config.json to begin from"),
    ("start", NONE, "<container-id>", "start the process of a created container"),
    ("state", NONE, "<container-id>", "show the state of the container"),
    ("update", UPDATE, "<container-id>", "change the container's limits"),
];

/// Commands of runc that are refused by name, and have help that says so.
pub(crate) const NOT_YET: &[(&str, &[Flag], &str, &str)] = &[
    ("checkpoint", NONE, "<container-id>", "save the state of a running container: not supported yet"),
    ("restore", NONE, "<container-id>", "restore a container from a checkpoint: not supported yet"),
];

/// Reads a command line without the program's name.
///
/// # Errors
/// A [`Failure`] that says which command's help belongs beside it.
pub fn parse(line: &[OsString]) -> Result<Invocation, Box<Failure>> {
    let fail = |global: &Global, command, error| Box::new(Failure { global: global.clone(), command, error });
    let mut given = read(GLOBAL, line, Placement::BeforeArguments).map_err(|e| fail(&Global::default(), None, e))?;
    let (help, version) = (given.help, given.is_on("version"));
    let rest = std::mem::take(&mut given.arguments);
    let global = global(given).map_err(|error| fail(&Global::default(), None, error))?;
    if version {
        return Ok(Invocation { global, command: Command::Version });
    }
    let Some((word, rest)) = rest.split_first().filter(|_| !help) else {
        return Ok(Invocation { global, command: Command::Help(None) });
    };
    let word = word.to_string_lossy();
    if word == "help" || word == "h" {
        let topic = rest.first().map(|topic| topic.to_string_lossy().into_owned());
        return Ok(Invocation { global, command: Command::Help(topic) });
    }
    if let Some((name, ..)) = NOT_YET.iter().find(|(name, ..)| *name == word) {
        if rest.iter().any(|word| word == "-h" || word == "--help") {
            return Ok(Invocation { global, command: Command::Help(Some((*name).to_owned())) });
        }
        return Err(fail(&global, None, UsageError::NotYet { name }));
    }
    let Some((name, table, ..)) = COMMANDS.iter().find(|(name, ..)| *name == word) else {
        return Err(fail(&global, None, UsageError::UnknownCommand { name: word.into_owned() }));
    };
    match command(name, table, rest) {
        Ok(command) => Ok(Invocation { global, command }),
        Err(error) => Err(fail(&global, Some(name), error)),
    }
}

fn global(mut given: Given) -> Result<Global, UsageError> {
    Ok(Global {
        debug: given.is_on("debug"),
        log: path(&mut given, "log"),
        log_format: match given.last_text("log-format")?.as_deref() {
            None | Some("text") => LogFormat::Text,
            Some("json") => LogFormat::Json,
            Some(other) => return Err(UsageError::LogFormat { value: other.to_owned() }),
        },
        root: path(&mut given, "root"),
        systemd_cgroup: given.is_on("systemd-cgroup"),
        rootless: match given.last_text("rootless")?.as_deref() {
            None | Some("auto") => None,
            Some("true" | "1") => Some(true),
            Some("false" | "0") => Some(false),
            Some(other) => return Err(UsageError::Rootless { value: other.to_owned() }),
        },
    })
}

fn command(name: &'static str, table: &'static [Flag], line: &[OsString]) -> Result<Command, UsageError> {
    let placement = if name == "exec" || name == "ps" { Placement::BeforeArguments } else { Placement::Anywhere };
    let mut given = read(table, line, placement)?;
    if given.help {
        return Ok(Command::Help(Some(name.to_owned())));
    }
    Ok(match name {
        "create" => Command::Create(create(name, &mut given)?),
        "run" => Command::Run(Run {
            detach: given.is_on("detach"),
            keep: given.is_on("keep"),
            no_subreaper: given.is_on("no-subreaper"),
            create: create(name, &mut given)?,
        }),
        "exec" => Command::Exec(Box::new(exec(&mut given)?)),
        "start" => Command::Start(only_id(name, &given)?),
        "state" => Command::State(only_id(name, &given)?),
        "pause" => Command::Pause(only_id(name, &given)?),
        "resume" => Command::Resume(only_id(name, &given)?),
        "events" => Command::Events(events(&mut given)?),
        "kill" => kill(&mut given)?,
        "delete" => Command::Delete(Delete { id: only_id(name, &given)?, force: given.is_on("force") }),
        "list" => {
            none(name, &given)?;
            Command::List(List { format: list_format(&mut given)?, quiet: given.is_on("quiet") })
        }
        "ps" => {
            let format = list_format(&mut given)?;
            let (id, options) =
                given.arguments.split_first().ok_or(UsageError::AtLeast { command: "ps", expected: 1 })?;
            Command::Ps(Ps { id: lossy(id), format, options: options.to_vec() })
        }
        "update" => update(&mut given)?,
        "spec" => {
            none(name, &given)?;
            Command::Spec(Spec { bundle: path(&mut given, "bundle"), rootless: given.is_on("rootless") })
        }
        _ => {
            none("features", &given)?;
            Command::Features
        }
    })
}

fn create(name: &'static str, given: &mut Given) -> Result<Create, UsageError> {
    Ok(Create {
        id: only_id(name, given)?,
        bundle: path(given, "bundle"),
        console_socket: path(given, "console-socket"),
        pidfd_socket: path(given, "pidfd-socket"),
        pid_file: path(given, "pid-file"),
        no_pivot: given.is_on("no-pivot"),
        no_new_keyring: given.is_on("no-new-keyring"),
        preserve_fds: number(given, "preserve-fds")?.unwrap_or(0),
    })
}

fn exec(given: &mut Given) -> Result<Exec, UsageError> {
    let process = path(given, "process");
    let (id, args) = match given.arguments.split_first() {
        Some((id, args)) => (lossy(id), args.to_vec()),
        None => return Err(UsageError::AtLeast { command: "exec", expected: 1 }),
    };
    let additional_gids = given.all_text("additional-gids")?;
    Ok(Exec {
        id,
        args,
        process,
        console_socket: path(given, "console-socket"),
        pidfd_socket: path(given, "pidfd-socket"),
        cwd: given.last_text("cwd")?,
        env: given.all_text("env")?,
        tty: given.is_on("tty"),
        user: given.last_text("user")?,
        additional_gids: additional_gids
            .into_iter()
            .map(|value| value.parse().map_err(|_| UsageError::NotNumber { flag: "additional-gids", value }))
            .collect::<Result<_, _>>()?,
        detach: given.is_on("detach"),
        pid_file: path(given, "pid-file"),
        process_label: given.last_text("process-label")?,
        apparmor: given.last_text("apparmor")?,
        no_new_privs: given.is_on("no-new-privs"),
        caps: given.all_text("cap")?,
        preserve_fds: number(given, "preserve-fds")?.unwrap_or(0),
        cgroups: given.all_text("cgroup")?,
        ignore_paused: given.is_on("ignore-paused"),
    })
}

fn events(given: &mut Given) -> Result<Events, UsageError> {
    let id = only_id("events", given)?;
    let interval = match given.last_text("interval")? {
        None => DEFAULT_INTERVAL,
        Some(value) => duration(&value).ok_or(UsageError::NotDuration { flag: "interval", value })?,
    };
    if interval.is_zero() {
        return Err(UsageError::NoInterval);
    }
    Ok(Events { id, interval, stats: given.is_on("stats") })
}

/// runc's.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(5);

/// Go's text of a duration, such as `1m30s`, `1.5s`, `100ms`; none that is negative.
fn duration(text: &str) -> Option<Duration> {
    const UNITS: [(&str, f64); 7] =
        [("ns", 1e-9), ("us", 1e-6), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        let unit = &rest[digits..];
        let end = unit.find(|letter: char| letter.is_ascii_digit() || letter == '.').unwrap_or(unit.len());
        let (_, scale) = UNITS.iter().find(|(name, _)| *name == &unit[..end])?;
        seconds += number * scale;
        rest = &unit[end..];
    }
    (!text.is_empty()).then(|| Duration::try_from_secs_f64(seconds).ok()).flatten()
}

fn kill(given: &mut Given) -> Result<Command, UsageError> {
    let all = given.is_on("all");
    match given.arguments.as_slice() {
        [id] => Ok(Command::Kill(Kill { id: lossy(id), signal: None, all })),
        [id, signal] => Ok(Command::Kill(Kill { id: lossy(id), signal: Some(lossy(signal)), all })),
        [] => Err(UsageError::AtLeast { command: "kill", expected: 1 }),
        _ => Err(UsageError::Between { command: "kill", least: 1, most: 2 }),
    }
}

fn update(given: &mut Given) -> Result<Command, UsageError> {
    let id = only_id("update", given)?;
    let resources = path(given, "resources");
    let limits = given
        .pairs()
        .filter(|(name, _)| *name != "resources")
        .map(|(name, value)| (name, value.to_string_lossy().into_owned()))
        .collect();
    Ok(Command::Update(Box::new(Update { id, resources, limits })))
}

fn list_format(given: &mut Given) -> Result<ListFormat, UsageError> {
    match given.last_text("format")?.as_deref() {
        None | Some("table" | "") => Ok(ListFormat::Table),
        Some("json") => Ok(ListFormat::Json),
        Some(_) => Err(UsageError::ListFormat),
    }
}

fn only_id(command: &'static str, given: &Given) -> Result<String, UsageError> {
    match given.arguments.as_slice() {
        [id] => Ok(lossy(id)),
        _ => Err(UsageError::Exactly { command, expected: 1 }),
    }
}

fn none(command: &'static str, given: &Given) -> Result<(), UsageError> {
    if given.arguments.is_empty() { Ok(()) } else { Err(UsageError::Exactly { command, expected: 0 }) }
}

/// An id that is no UTF-8 is refused later, as an invalid id: the replacement character is not allowed in one.
fn lossy(text: &OsString) -> String {
    text.to_string_lossy().into_owned()
}

fn path(given: &mut Given, name: &str) -> Option<PathBuf> {
    given.last(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

fn number(given: &mut Given, name: &'static str) -> Result<Option<u32>, UsageError> {
    let Some(value) = given.last_text(name)? else { return Ok(None) };
    value.parse().map(Some).map_err(|_| UsageError::NotNumber { flag: name, value })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Invocation {
        let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        parse(&words).unwrap_or_else(|failure| panic!("{line}: {}", failure.error))
    }

    fn refused(line: &str) -> String {
        let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        parse(&words).expect_err(line).error.to_string()
    }

    #[test]
    fn a_flag_may_be_written_in_each_of_gos_ways() {
        let expected = parsed("--root /r create --bundle /b web");
        for line in ["-root /r create -b /b web", "--root=/r create -bundle=/b web", "--root /r create web --bundle /b"]
        {
            assert_eq!(parsed(line), expected, "{line}");
        }
    }

    #[test]
    fn what_go_runc_sends_is_understood() {
        let line = "--root /run/containerd/runc/k8s.io --log /b/log.json --log-format json --systemd-cgroup=false \
                    create --bundle /b --pid-file /b/init.pid --console-socket /t/pty.sock --no-pivot web";
        let Invocation { global, command: Command::Create(create) } = parsed(line) else { panic!("not create") };
        assert_eq!((global.log_format, global.systemd_cgroup), (LogFormat::Json, false));
        assert!(create.no_pivot);
        assert_eq!(create.pid_file, Some(PathBuf::from("/b/init.pid")));
    }

    #[test]
    fn flags_of_exec_end_at_the_container() {
        let Command::Exec(exec) = parsed("exec -t --env A=1,2 -e B=3 web ls -la --tty").command else {
            panic!("not exec")
        };
        assert_eq!(exec.env, ["A=1,2", "B=3"]);
        assert_eq!(exec.args, ["ls", "-la", "--tty"]);
        assert!(exec.tty);
    }

    #[test]
    fn durations_are_gos() {
        for (text, milliseconds) in [("5s", 5000), ("1m30s", 90_000), ("1.5s", 1500), ("100ms", 100), ("1h", 3_600_000)]
        {
            assert_eq!(duration(text), Some(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "s", "5", "-1s", "1x"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn bad_lines_are_refused_with_runcs_words() {
        for (line, text) in [
            ("state", "runc: \"state\" requires exactly 1 argument(s)"),
            ("state a b", "runc: \"state\" requires exactly 1 argument(s)"),
            ("create --nope web", "flag provided but not defined: -nope"),
            ("create web --bundle", "flag needs an argument: -bundle"),
            ("--log-format xml list", "invalid log-format: xml"),
            ("list --format yaml", "invalid format option"),
            ("exec", "runc: \"exec\" requires a minimum of 1 argument(s)"),
            ("create --preserve-fds x web", "invalid value \"x\" for flag -preserve-fds: parse error"),
            ("checkpoint web", "checkpoint: not supported yet"),
            ("events --interval 0 web", "duration interval must be greater than 0"),
            ("events --interval 5 web", "invalid value \"5\" for flag -interval: parse error"),
            ("frobnicate", "No help topic for 'frobnicate'"),
        ] {
            assert_eq!(refused(line), text, "{line}");
        }
    }
}
