//! The texts of `--help`, in the layout of runc's.

use std::fmt::Write;

use crate::flags::Flag;
use crate::parse::{COMMANDS, GLOBAL, NOT_YET};

/// The help of the program, which was called by the name `program`.
#[must_use]
pub fn program(program: &str, version: &str) -> String {
    let mut text = format!("NAME:\n   {program} - Open Container Initiative runtime\n\nUSAGE:\n");
    let _ = writeln!(text, "   {program} [global options] command [command options] [arguments...]\n\nVERSION:"); // as below
    let _ = writeln!(text, "   {version}\n\nCOMMANDS:"); // writing to a String cannot fail
    let width = COMMANDS.iter().map(|(name, ..)| name.len()).max().unwrap_or(0);
    for (name, _, _, help) in COMMANDS {
        let _ = writeln!(text, "   {name:width$}  {help}"); // as above
    }
    text.push_str("\nGLOBAL OPTIONS:\n");
    options(&mut text, GLOBAL);
    text
}

/// The help of one command; `None` when there is none of that name.
#[must_use]
pub fn command(program: &str, name: &str) -> Option<String> {
    let (name, flags, arguments, help) = COMMANDS.iter().chain(NOT_YET).find(|(known, ..)| *known == name)?;
    let mut text = format!("NAME:\n   {program} {name} - {help}\n\nUSAGE:\n");
    let _ = writeln!(text, "   {program} {name} [command options] {arguments}\n\nOPTIONS:"); // cannot fail
    options(&mut text, flags);
    Some(text)
}

fn options(text: &mut String, flags: &[Flag]) {
    for flag in flags.iter().filter(|flag| !flag.help.is_empty()) {
        let mut left = format!("--{}", flag.name);
        if let Some(value) = flag.value {
            let _ = write!(left, " {value}"); // writing to a String cannot fail
        }
        if let Some(short) = flag.short {
            let _ = write!(left, ", -{short}"); // as above
        }
        let _ = writeln!(text, "   {left:28}  {}", flag.help); // as above
    }
    text.push_str("   --help, -h                    show help\n");
}
