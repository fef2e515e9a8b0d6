//! The table of flags per command, and the reader that follows Go's rules: `--flag v`, `--flag=v`, `-flag v`.
//!
//! No clap here: building and running the parser of `run` alone takes 0.11 ms of a static program's start (measured,
//! 300 interleaved starts), twice because the runtime executes itself again, which is 4 to 7 % of a whole `run true`;
//! and the same table writes the command line for the shim ([`crate::argv`]) and the help.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::parse::UsageError;

/// One flag.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flag {
    /// The name without dashes, as it is looked up.
    pub name: &'static str,
    /// A one-letter name.
    pub short: Option<char>,
    /// The name of the value in the help; `None` for a switch.
    pub value: Option<&'static str>,
    /// The line of help; empty hides the flag.
    pub help: &'static str,
}

pub(crate) const fn switch(name: &'static str, short: Option<char>, help: &'static str) -> Flag {
    Flag { name, short, value: None, help }
}

pub(crate) const fn text(name: &'static str, short: Option<char>, help: &'static str) -> Flag {
    Flag { name, short, value: Some("value"), help }
}

/// Where flags may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placement {
    /// Before and after positional arguments.
    Anywhere,
    /// Before the first positional argument; what follows is not looked at.
    BeforeArguments,
}

/// What a command line holds.
#[derive(Debug, Default)]
pub(crate) struct Given {
    flags: Vec<(&'static str, OsString)>,
    /// What is no flag.
    pub arguments: Vec<OsString>,
    /// Whether `--help` or `-h` was among the flags.
    pub help: bool,
}

impl Given {
    /// The last value of a flag.
    pub fn last(&mut self, name: &str) -> Option<OsString> {
        let index = self.flags.iter().rposition(|(given, _)| *given == name)?;
        Some(self.flags.swap_remove(index).1)
    }

    /// The last value as text.
    pub fn last_text(&mut self, name: &'static str) -> Result<Option<String>, UsageError> {
        self.last(name).map(|value| as_text(name, value)).transpose()
    }

    /// Every value of a flag, in order.
    pub fn all_text(&mut self, name: &'static str) -> Result<Vec<String>, UsageError> {
        self.flags.iter().filter(|(given, _)| *given == name).map(|(_, value)| as_text(name, value.clone())).collect()
    }

    /// Every flag and value, in order.
    pub fn pairs(&self) -> impl Iterator<Item = (&'static str, &OsStr)> {
        self.flags.iter().map(|(name, value)| (*name, value.as_os_str()))
    }

    /// Whether a switch is on.
    pub fn is_on(&mut self, name: &str) -> bool {
        self.last(name).is_some_and(|value| value == "true")
    }
}

fn as_text(name: &'static str, value: OsString) -> Result<String, UsageError> {
    value.into_string().map_err(|value| UsageError::NotText { flag: name, value })
}

/// Reads the flags of `table` from `line`.
pub(crate) fn read(table: &'static [Flag], line: &[OsString], placement: Placement) -> Result<Given, UsageError> {
    let mut given = Given::default();
    let mut rest = line.iter();
    while let Some(word) = rest.next() {
        let bytes = word.as_bytes();
        if bytes.len() < 2 || bytes[0] != b'-' {
            given.arguments.push(word.clone());
            if placement == Placement::BeforeArguments {
                break;
            }
            continue;
        }
        if bytes == b"--" {
            break;
        }
        let name = if bytes[1] == b'-' { &bytes[2..] } else { &bytes[1..] };
        let (name, value) = match name.iter().position(|byte| *byte == b'=') {
            Some(at) => (&name[..at], Some(OsString::from_vec(name[at + 1..].to_vec()))),
            None => (name, None),
        };
        if name == b"help" || name == b"h" {
            given.help = true;
            return Ok(given);
        }
        let flag = find(table, name)?;
        let value = match (flag.value, value) {
            (None, None) => OsString::from("true"),
            (None, Some(value)) => switch_value(flag, value)?,
            (Some(_), Some(value)) => value,
            (Some(_), None) => rest.next().cloned().ok_or(UsageError::NoValue { flag: flag.name })?,
        };
        given.flags.push((flag.name, value));
    }
    given.arguments.extend(rest.cloned());
    Ok(given)
}

fn find(table: &'static [Flag], name: &[u8]) -> Result<&'static Flag, UsageError> {
    let is_short = |flag: &Flag| flag.short.is_some_and(|short| name == [short as u8]);
    table
        .iter()
        .find(|flag| flag.name.as_bytes() == name || is_short(flag))
        .ok_or_else(|| UsageError::UnknownFlag { flag: String::from_utf8_lossy(name).into_owned() })
}

fn switch_value(flag: &Flag, value: OsString) -> Result<OsString, UsageError> {
    match value.as_bytes() {
        b"1" | b"t" | b"T" | b"true" | b"TRUE" | b"True" => Ok(OsString::from("true")),
        b"0" | b"f" | b"F" | b"false" | b"FALSE" | b"False" => Ok(OsString::from("false")),
        _ => Err(UsageError::NotBoolean { flag: flag.name, value }),
    }
}
