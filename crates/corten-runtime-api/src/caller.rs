//! The caller's end of runc's command line, as a shim uses it.
//!
//! Each verb is a function of its name that gives a [`Command`] ready to be spawned; the caller adds
//! standard streams and waits. What went wrong is read from the log ([`last_error`]).

use std::{
    fs,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
    process::Command,
};

use corten_types::Signal;
use serde::Deserialize;

/// A runtime and the global flags it is called with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runtime {
    /// The program, a path or a name in PATH.
    pub program: PathBuf,
    /// `--root`.
    pub root: PathBuf,
    /// `--log`, in JSON.
    pub log: PathBuf,
    /// `--systemd-cgroup`.
    pub systemd_cgroup: bool,
}

/// Flags of `create`.
#[derive(Debug, Clone, Copy)]
pub struct CreateFlags<'a> {
    /// `--bundle`.
    pub bundle: &'a Path,
    /// `--pid-file`.
    pub pid_file: &'a Path,
    /// `--console-socket`, when the process has a terminal.
    pub console_socket: Option<&'a Path>,
    /// `--no-pivot`.
    pub no_pivot: bool,
    /// `--no-new-keyring`.
    pub no_new_keyring: bool,
}

/// Flags of `exec`.
#[derive(Debug, Clone, Copy)]
pub struct ExecFlags<'a> {
    /// `--process`: a file with the process as JSON.
    pub process: &'a Path,
    /// `--pid-file`.
    pub pid_file: &'a Path,
    /// `--console-socket`, when the process has a terminal.
    pub console_socket: Option<&'a Path>,
}

/// Whether a container may be running when it is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delete {
    /// Only a stopped or created one.
    Stopped,
    /// In any state, also one that does not exist (`--force`).
    Force,
}

impl Runtime {
    fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--root").arg(&self.root).arg("--log").arg(&self.log).args(["--log-format", "json"]);
        if self.systemd_cgroup {
            command.arg("--systemd-cgroup");
        }
        command.arg(verb);
        command
    }

    /// Makes the container `id`; its init process then waits for [`Runtime::start`].
    pub fn create(&self, id: &str, flags: &CreateFlags<'_>) -> Command {
        let mut command = self.command("create");
        command.arg("--bundle").arg(flags.bundle).arg("--pid-file").arg(flags.pid_file);
        if let Some(socket) = flags.console_socket {
            command.arg("--console-socket").arg(socket);
        }
        if flags.no_pivot {
            command.arg("--no-pivot");
        }
        if flags.no_new_keyring {
            command.arg("--no-new-keyring");
        }
        command.arg(id);
        command
    }

    /// Lets the init process run.
    pub fn start(&self, id: &str) -> Command {
        let mut command = self.command("start");
        command.arg(id);
        command
    }

    /// Runs another process in the container, detached.
    pub fn exec(&self, id: &str, flags: &ExecFlags<'_>) -> Command {
        let mut command = self.command("exec");
        command.arg("--process").arg(flags.process);
        if let Some(socket) = flags.console_socket {
            command.arg("--console-socket").arg(socket);
        }
        command.arg("--detach").arg("--pid-file").arg(flags.pid_file).arg(id);
        command
    }

    /// Sends a signal to the init process.
    pub fn kill(&self, id: &str, signal: Signal) -> Command {
        let mut command = self.command("kill");
        command.arg(id).arg(signal.number().to_string());
        command
    }

    /// Sends a signal to every process of the container.
    pub fn kill_all(&self, id: &str, signal: Signal) -> Command {
        let mut command = self.command("kill");
        command.arg("--all").arg(id).arg(signal.number().to_string());
        command
    }

    /// Removes what is left of the container.
    pub fn delete(&self, id: &str, delete: Delete) -> Command {
        let mut command = self.command("delete");
        if delete == Delete::Force {
            command.arg("--force");
        }
        command.arg(id);
        command
    }

    /// Freezes the container.
    pub fn pause(&self, id: &str) -> Command {
        let mut command = self.command("pause");
        command.arg(id);
        command
    }

    /// Thaws the container.
    pub fn resume(&self, id: &str) -> Command {
        let mut command = self.command("resume");
        command.arg(id);
        command
    }

    /// Changes limits; reads LinuxResources as JSON from standard input.
    pub fn update(&self, id: &str) -> Command {
        let mut command = self.command("update");
        command.args(["--resources", "-"]).arg(id);
        command
    }

    /// Prints what the runtime can do.
    pub fn features(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("features");
        command
    }
}

/// Bytes of a log that are read, from its beginning; a healthy one has a few lines.
const MAX_LOG_BYTES: u64 = 4 << 20;

#[derive(Deserialize)]
struct LogLine {
    level: String,
    msg: String,
}

/// The message of the last error in the JSON log at `path`; `None` without one. What is no JSON is
/// passed over, where containerd's shim gives up.
///
/// # Errors
/// Those of reading.
pub fn last_error(path: &Path) -> io::Result<Option<String>> {
    let file = match fs::File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => io::Read::take(other?, MAX_LOG_BYTES),
    };
    let mut last = None;
    for line in BufReader::new(file).split(b'\n') {
        if let Ok(LogLine { level, msg }) = serde_json::from_slice::<LogLine>(&line?)
            && level == "error"
        {
            last = Some(msg.trim().to_owned());
        }
    }
    Ok(last)
}

/// Reads a pid file: digits, and perhaps a newline.
///
/// # Errors
/// Those of reading; `InvalidData` when it holds no pid.
pub fn read_pid_file(path: &Path) -> io::Result<u32> {
    let text = fs::read_to_string(path)?;
    let invalid = || io::Error::new(io::ErrorKind::InvalidData, format!("{:?} is no pid", text.trim()));
    text.trim().parse().ok().filter(|pid| *pid > 0).ok_or_else(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(command: &Command) -> String {
        let words: Vec<_> = std::iter::once(command.get_program())
            .chain(command.get_args())
            .map(|word| word.to_string_lossy().into_owned())
            .collect();
        words.join(" ")
    }

    fn runtime(systemd_cgroup: bool) -> Runtime {
        Runtime { program: "runc".into(), root: "/r".into(), log: "/b/log.json".into(), systemd_cgroup }
    }

    #[test]
    fn the_words_are_runcs() {
        let bundle = Path::new("/b");
        let create = CreateFlags {
            bundle,
            pid_file: Path::new("/b/init.pid"),
            console_socket: Some(Path::new("/s")),
            no_pivot: true,
            no_new_keyring: true,
        };
        let exec = ExecFlags { process: Path::new("/p"), pid_file: Path::new("/b/e.pid"), console_socket: None };
        let cases = [
            (
                runtime(true).create("x", &create),
                "--systemd-cgroup create --bundle /b --pid-file /b/init.pid --console-socket /s --no-pivot --no-new-keyring x",
            ),
            (runtime(false).start("x"), "start x"),
            (runtime(false).exec("x", &exec), "exec --process /p --detach --pid-file /b/e.pid x"),
            (runtime(false).kill("x", Signal::KILL), "kill x 9"),
            (runtime(false).kill_all("x", Signal::KILL), "kill --all x 9"),
            (runtime(false).delete("x", Delete::Force), "delete --force x"),
            (runtime(false).update("x"), "update --resources - x"),
        ];
        for (command, expected) in cases {
            assert_eq!(words(&command), format!("runc --root /r --log /b/log.json --log-format json {expected}"));
        }
    }

    #[test]
    fn the_last_error_is_found_among_other_lines() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log.json");
        assert_eq!(last_error(&path).unwrap(), None);
        fs::write(&path, "{\"level\":\"error\",\"msg\":\"one\"}\nnoise\n{\"level\":\"error\",\"msg\":\"two \"}\n{\"level\":\"info\",\"msg\":\"x\"}\n").unwrap();
        assert_eq!(last_error(&path).unwrap().as_deref(), Some("two"));
    }

    #[test]
    fn a_pid_file_without_a_pid_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("init.pid");
        for (text, pid) in [("12", Some(12)), ("12\n", Some(12)), ("0", None), ("", None), ("x", None)] {
            fs::write(&path, text).unwrap();
            assert_eq!(read_pid_file(&path).ok(), pid, "{text:?}");
        }
    }
}
