//! The commands and their arguments, as runc has them.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// A whole command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// What stands before the command.
    pub global: Global,
    /// The command.
    pub command: Command,
}

/// Options before the command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Global {
    /// `--debug`: also log what is done.
    pub debug: bool,
    /// `--log`: where the log goes; standard error without it.
    pub log: Option<PathBuf>,
    /// `--log-format`.
    pub log_format: LogFormat,
    /// `--root`: where the state of containers is kept.
    pub root: Option<PathBuf>,
    /// `--systemd-cgroup`: let systemd make the cgroups.
    pub systemd_cgroup: bool,
    /// `--rootless`: `None` is `auto`.
    pub rootless: Option<bool>,
}

/// How lines of the log are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// `time="…" level=error msg="…"`.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// A command and what is given to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Makes a container and leaves its first process waiting.
    Create(Create),
    /// Makes and starts a container.
    Run(Run),
    /// Lets the first process go on.
    Start(String),
    /// Starts another process.
    Exec(Box<Exec>),
    /// Prints what happens, and what is used, until the container ends.
    Events(Events),
    /// Sends a signal.
    Kill(Kill),
    /// Removes a container.
    Delete(Delete),
    /// Prints what is known about a container.
    State(String),
    /// Prints all containers.
    List(List),
    /// Prints a container's processes.
    Ps(Ps),
    /// Stops all processes of a container.
    Pause(String),
    /// Lets them go on.
    Resume(String),
    /// Changes limits.
    Update(Box<Update>),
    /// Writes a config.json to begin from.
    Spec(Spec),
    /// Prints what the runtime can do.
    Features,
    /// Prints the version.
    Version,
    /// Prints the help of a command, or of the program.
    Help(Option<String>),
}

impl Command {
    /// The command's word on the command line.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Create(_) => "create",
            Self::Run(_) => "run",
            Self::Start(_) => "start",
            Self::Exec(_) => "exec",
            Self::Events(_) => "events",
            Self::Kill(_) => "kill",
            Self::Delete(_) => "delete",
            Self::State(_) => "state",
            Self::List(_) => "list",
            Self::Ps(_) => "ps",
            Self::Pause(_) => "pause",
            Self::Resume(_) => "resume",
            Self::Update(_) => "update",
            Self::Spec(_) => "spec",
            Self::Features => "features",
            Self::Version => "--version",
            Self::Help(_) => "help",
        }
    }
}

/// Arguments of `create`, and those `run` shares with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Create {
    /// The container's id.
    pub id: String,
    /// `--bundle`: the directory of config.json; the current one without it.
    pub bundle: Option<PathBuf>,
    /// `--console-socket`: where the terminal's master end is sent.
    pub console_socket: Option<PathBuf>,
    /// `--pidfd-socket`: where a pidfd of the first process is sent.
    pub pidfd_socket: Option<PathBuf>,
    /// `--pid-file`: where the first process's id is written.
    pub pid_file: Option<PathBuf>,
    /// `--no-pivot`: change the root by moving a mount instead of pivot_root.
    pub no_pivot: bool,
    /// `--no-new-keyring`: leave the session keyring as it is.
    pub no_new_keyring: bool,
    /// `--preserve-fds`: how many descriptors after 2 the process inherits.
    pub preserve_fds: u32,
}

/// Arguments of `run`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Run {
    /// What `create` takes.
    pub create: Create,
    /// `--detach`: do not wait for the process.
    pub detach: bool,
    /// `--keep`: do not delete the container after its process ended.
    pub keep: bool,
    /// `--no-subreaper`: do not adopt orphans.
    pub no_subreaper: bool,
}

/// Arguments of `exec`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exec {
    /// The container's id.
    pub id: String,
    /// The program and its arguments; may be empty with `--process`.
    pub args: Vec<OsString>,
    /// `--console-socket`.
    pub console_socket: Option<PathBuf>,
    /// `--pidfd-socket`.
    pub pidfd_socket: Option<PathBuf>,
    /// `--cwd`.
    pub cwd: Option<String>,
    /// `--env`, each `NAME=value`.
    pub env: Vec<String>,
    /// `--tty`.
    pub tty: bool,
    /// `--user uid[:gid]`.
    pub user: Option<String>,
    /// `--additional-gids`.
    pub additional_gids: Vec<u32>,
    /// `--process`: a file with the process as JSON.
    pub process: Option<PathBuf>,
    /// `--detach`.
    pub detach: bool,
    /// `--pid-file`.
    pub pid_file: Option<PathBuf>,
    /// `--process-label`.
    pub process_label: Option<String>,
    /// `--apparmor`.
    pub apparmor: Option<String>,
    /// `--no-new-privs`.
    pub no_new_privs: bool,
    /// `--cap`.
    pub caps: Vec<String>,
    /// `--preserve-fds`.
    pub preserve_fds: u32,
    /// `--cgroup`, each `[controller[,controller]:]path`.
    pub cgroups: Vec<String>,
    /// `--ignore-paused`.
    pub ignore_paused: bool,
}

/// Arguments of `events`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Events {
    /// The container's id.
    pub id: String,
    /// `--interval`: how often what is used is printed.
    pub interval: Duration,
    /// `--stats`: print what is used once, and nothing else.
    pub stats: bool,
}

/// Arguments of `kill`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kill {
    /// The container's id.
    pub id: String,
    /// The signal as it was written; SIGTERM without one.
    pub signal: Option<String>,
    /// `--all`.
    pub all: bool,
}

/// Arguments of `delete`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delete {
    /// The container's id.
    pub id: String,
    /// `--force`: kill it first.
    pub force: bool,
}

/// How a list is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ListFormat {
    /// Columns.
    #[default]
    Table,
    /// JSON.
    Json,
}

/// Arguments of `list`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct List {
    /// `--format`.
    pub format: ListFormat,
    /// `--quiet`: ids only.
    pub quiet: bool,
}

/// Arguments of `ps`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ps {
    /// The container's id.
    pub id: String,
    /// `--format`.
    pub format: ListFormat,
    /// Options of ps(1); `-ef` without any.
    pub options: Vec<OsString>,
}

/// Arguments of `update`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Update {
    /// The container's id.
    pub id: String,
    /// `--resources`: a file, or `-` for standard input; the limits below are then ignored.
    pub resources: Option<PathBuf>,
    /// The limits by their flag's name without dashes, such as (`memory`, `32M`), in the order given.
    pub limits: Vec<(&'static str, String)>,
}

/// Arguments of `spec`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spec {
    /// `--bundle`.
    pub bundle: Option<PathBuf>,
    /// `--rootless`: a spec for a user namespace.
    pub rootless: bool,
}
