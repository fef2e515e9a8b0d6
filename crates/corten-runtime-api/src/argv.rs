//! [`Invocation`] → a command line: what the shim gives to the runtime. The opposite of [`crate::parse`].

use std::ffi::OsString;
use std::path::Path;

use crate::arguments::{Command, Create, Exec, Global, Invocation, ListFormat, LogFormat};

/// The words of a command line without the program's name.
#[must_use]
pub fn argv(invocation: &Invocation) -> Vec<OsString> {
    let mut line = Line(Vec::new());
    global(&mut line, &invocation.global);
    let command = &invocation.command;
    line.word(command.name());
    match command {
        Command::Create(arguments) => {
            create(&mut line, arguments);
            line.word(&arguments.id);
        }
        Command::Run(run) => {
            create(&mut line, &run.create);
            line.switch("--detach", run.detach);
            line.switch("--keep", run.keep);
            line.switch("--no-subreaper", run.no_subreaper);
            line.word(&run.create.id);
        }
        Command::Exec(arguments) => exec(&mut line, arguments),
        Command::Start(id) | Command::State(id) | Command::Pause(id) | Command::Resume(id) => line.word(id),
        Command::Events(events) => {
            line.text("--interval", Some(&format!("{}ns", events.interval.as_nanos())));
            line.switch("--stats", events.stats);
            line.word(&events.id);
        }
        Command::Kill(kill) => {
            line.switch("--all", kill.all);
            line.word(&kill.id);
            kill.signal.iter().for_each(|signal| line.word(signal));
        }
        Command::Delete(delete) => {
            line.switch("--force", delete.force);
            line.word(&delete.id);
        }
        Command::List(list) => {
            line.format(list.format);
            line.switch("--quiet", list.quiet);
        }
        Command::Ps(ps) => {
            line.format(ps.format);
            line.word(&ps.id);
            line.0.extend(ps.options.iter().cloned());
        }
        Command::Update(update) => {
            line.path("--resources", update.resources.as_deref());
            for (name, value) in &update.limits {
                line.text(&format!("--{name}"), Some(value));
            }
            line.word(&update.id);
        }
        Command::Spec(spec) => {
            line.path("--bundle", spec.bundle.as_deref());
            line.switch("--rootless", spec.rootless);
        }
        Command::Help(topic) => topic.iter().for_each(|topic| line.word(topic)),
        Command::Features | Command::Version => {}
    }
    line.0
}

fn global(line: &mut Line, global: &Global) {
    line.path("--root", global.root.as_deref());
    line.switch("--debug", global.debug);
    line.path("--log", global.log.as_deref());
    line.text("--log-format", (global.log_format == LogFormat::Json).then_some("json"));
    line.switch("--systemd-cgroup", global.systemd_cgroup);
    line.text("--rootless", global.rootless.map(|on| if on { "true" } else { "false" }));
}

fn create(line: &mut Line, create: &Create) {
    line.path("--bundle", create.bundle.as_deref());
    line.path("--console-socket", create.console_socket.as_deref());
    line.path("--pidfd-socket", create.pidfd_socket.as_deref());
    line.path("--pid-file", create.pid_file.as_deref());
    line.switch("--no-pivot", create.no_pivot);
    line.switch("--no-new-keyring", create.no_new_keyring);
    line.number("--preserve-fds", create.preserve_fds);
}

fn exec(line: &mut Line, exec: &Exec) {
    line.path("--console-socket", exec.console_socket.as_deref());
    line.path("--pidfd-socket", exec.pidfd_socket.as_deref());
    line.text("--cwd", exec.cwd.as_deref());
    exec.env.iter().for_each(|value| line.text("--env", Some(value)));
    line.switch("--tty", exec.tty);
    line.text("--user", exec.user.as_deref());
    exec.additional_gids.iter().for_each(|gid| line.text("--additional-gids", Some(&gid.to_string())));
    line.path("--process", exec.process.as_deref());
    line.switch("--detach", exec.detach);
    line.path("--pid-file", exec.pid_file.as_deref());
    line.text("--process-label", exec.process_label.as_deref());
    line.text("--apparmor", exec.apparmor.as_deref());
    line.switch("--no-new-privs", exec.no_new_privs);
    exec.caps.iter().for_each(|value| line.text("--cap", Some(value)));
    line.number("--preserve-fds", exec.preserve_fds);
    exec.cgroups.iter().for_each(|value| line.text("--cgroup", Some(value)));
    line.switch("--ignore-paused", exec.ignore_paused);
    line.word(&exec.id);
    line.0.extend(exec.args.iter().cloned());
}

struct Line(Vec<OsString>);

impl Line {
    fn word(&mut self, word: &str) {
        self.0.push(word.into());
    }

    fn switch(&mut self, flag: &str, on: bool) {
        if on {
            self.word(flag);
        }
    }

    fn text(&mut self, flag: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.word(flag);
            self.word(value);
        }
    }

    fn path(&mut self, flag: &str, value: Option<&Path>) {
        if let Some(value) = value {
            self.word(flag);
            self.0.push(value.into());
        }
    }

    fn number(&mut self, flag: &str, value: u32) {
        if value != 0 {
            self.text(flag, Some(&value.to_string()));
        }
    }

    fn format(&mut self, format: ListFormat) {
        self.text("--format", (format == ListFormat::Json).then_some("json"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::parse;

    #[test]
    fn what_is_written_is_read_back() {
        for line in [
            "--root /r --debug --log /l --log-format json --rootless false create --bundle /b --pid-file /p web",
            "run --bundle /b --no-pivot --preserve-fds 3 --detach --keep web",
            "exec --cwd / --env A=b --tty --user 1:2 --additional-gids 7 --process /p --detach web ls -l",
            "kill --all web KILL",
            "delete --force web",
            "list --format json",
            "ps --format json web",
            "update --resources - web",
            "update --memory 32M web",
            "spec --bundle /b --rootless",
            "features",
        ] {
            let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
            let invocation = parse(&words).unwrap_or_else(|failure| panic!("{line}: {}", failure.error));
            assert_eq!(argv(&invocation), words, "{line}");
        }
    }
}
