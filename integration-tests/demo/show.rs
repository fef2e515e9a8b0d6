//! What the demo prints: headings, each command as one would type it, and what it answered.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use integration_tests::Ran;

/// The demo's stack from the command line's side: where `corten` stands and which daemon it talks to.
pub struct Shell {
    programs: std::path::PathBuf,
    host: String,
}

/// Longest output shown of one command, in lines; the rest is counted.
const SHOWN_LINES: usize = 24;

impl Shell {
    /// A shell whose `corten` is the one in `programs` and talks to `socket`.
    pub fn new(programs: std::path::PathBuf, socket: &std::path::Path) -> Shell {
        Shell { programs, host: format!("unix://{}", socket.display()) }
    }

    /// `corten` with `arguments`, to be changed further or started on a terminal.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.programs.join("corten"));
        command.args(arguments).env("DOCKER_HOST", &self.host).env_remove("DOCKER_CONTEXT").env_remove("DOCKER_CONFIG");
        command
    }

    /// Shows and runs `corten` with `arguments`; it must exit with `code`.
    #[track_caller]
    pub fn corten_exits(&self, code: i32, arguments: &[&str]) -> Ran {
        typed(arguments);
        let ran = Ran::of(&mut self.command(arguments)).code(code);
        shown(&ran);
        ran
    }

    /// As [`Shell::corten_exits`] with exit code 0.
    #[track_caller]
    pub fn corten(&self, arguments: &[&str]) -> Ran {
        self.corten_exits(0, arguments)
    }

    /// Runs `corten` without showing it: for what the demo asks on its own account.
    #[track_caller]
    pub fn quietly(&self, arguments: &[&str]) -> Ran {
        Ran::of(&mut self.command(arguments)).ok()
    }

    /// Starts `corten` with `arguments` in the background, its output going to `output`.
    pub fn in_background(&self, arguments: &[&str], output: &std::path::Path) -> std::process::Child {
        typed(arguments);
        let file = std::fs::File::create(output).expect("the demo's directory is writable");
        let mut command = self.command(arguments);
        command.stdin(Stdio::null()).stdout(file).stderr(Stdio::null()).spawn().expect("corten has been built")
    }
}

/// A numbered heading.
pub fn heading(number: usize, text: &str) {
    print(&format!("\n\x1b[1m== {number}. {text}\x1b[0m\n"));
}

/// A sentence between commands.
pub fn say(text: &str) {
    print(&format!("   {text}\n"));
}

/// A fact that was checked and holds.
///
/// # Panics
/// With `fact` when it does not hold.
#[track_caller]
pub fn check(fact: &str, holds: bool) {
    assert!(holds, "not so: {fact}");
    print(&format!("   \x1b[32mok\x1b[0m  {fact}\n"));
}

/// Shows a command line of `corten` as one would type it.
pub fn typed(arguments: &[&str]) {
    let quoted: Vec<String> = arguments.iter().map(|argument| quote(argument)).collect();
    print(&format!("\x1b[36m$ corten {}\x1b[0m\n", quoted.join(" ")));
}

fn quote(argument: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "-_./:=,@%+{}".contains(character);
    if !argument.is_empty() && argument.chars().all(plain) {
        argument.to_owned()
    } else {
        format!("'{}'", argument.replace('\'', r"'\''"))
    }
}

fn shown(ran: &Ran) {
    // What went wrong or was done first is said on standard error, before the answer.
    let text = format!("{}{}", ran.stderr, ran.stdout);
    let lines: Vec<&str> = text.lines().collect();
    for line in lines.iter().take(SHOWN_LINES) {
        print(&format!("  {}\n", line.trim_end_matches('\r')));
    }
    if lines.len() > SHOWN_LINES {
        print(&format!("  … {} more lines\n", lines.len() - SHOWN_LINES));
    }
    if ran.code != 0 {
        print(&format!("  (exit code {})\n", ran.code));
    }
}

/// Prints at once, also into a pipe; a reader that has gone away is no reason to stop.
fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}
