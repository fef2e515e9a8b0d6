//! A command line read with clap, its mistakes told in the words docker's users know (pflag's).
//!
//! clap is told what pflag does: a boolean takes a value only behind `=`, a value may begin with a
//! dash, everything can be repeated. Where the first positional ends the flags (run, create, exec) it is
//! a trailing argument; `allow_hyphen_values` must not stand there, or unknown flags become the image.

use crate::flags::{Flag, parse_bool, quote};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command};
use std::collections::HashMap;
use std::error::Error as _;

/// Name under which clap keeps what is no flag.
const POSITIONAL: &str = "arguments";

/// The one flag every command has.
pub const HELP: Flag = Flag::bool("help", "Print usage").hidden();

/// Whether flags may stand behind the first argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Anywhere.
    Interspersed,
    /// Only before it; what follows belongs to the container.
    FlagsFirst,
}

/// A command line that was understood.
#[derive(Debug, Default)]
pub struct Matches {
    values: HashMap<&'static str, Vec<String>>,
    defaults: HashMap<&'static str, &'static str>,
    /// What is no flag.
    pub arguments: Vec<String>,
}

impl Matches {
    /// Whether the flag was given.
    pub fn is_given(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// A boolean's value.
    pub fn flag(&self, name: &str) -> bool {
        parse_bool(self.text(name)).unwrap_or(false)
    }

    /// The last value given, or the default.
    pub fn text(&self, name: &str) -> &str {
        match self.values.get(name).and_then(|values| values.last()) {
            Some(value) => value,
            None => self.defaults.get(name).copied().unwrap_or_default(),
        }
    }

    /// All values given.
    pub fn list(&self, name: &str) -> &[String] {
        self.values.get(name).map_or(&[], Vec::as_slice)
    }

    /// A whole number; its check has passed.
    pub fn int(&self, name: &str) -> i64 {
        crate::flags::parse_int(self.text(name)).unwrap_or(0)
    }

    /// Bytes; its check has passed. `-1` stays.
    pub fn bytes(&self, name: &str) -> i64 {
        match self.text(name) {
            "-1" => -1,
            text => corten_terminal::units::parse_binary_size(text).unwrap_or(0),
        }
    }

    /// Nanoseconds; its check has passed.
    pub fn duration(&self, name: &str) -> i64 {
        crate::flags::parse_duration(self.text(name)).unwrap_or(0)
    }
}

/// Reads `words` (without the command's own name).
///
/// # Errors
/// pflag's text for the first mistake.
pub fn parse(flags: &[Flag], order: Order, words: &[String]) -> Result<Matches, String> {
    let command = build(flags, order);
    let mut found = command.try_get_matches_from(words).map_err(|error| describe(&error, flags, words))?;
    let mut matches = Matches {
        defaults: flags.iter().filter(|flag| !flag.default.is_empty()).map(|flag| (flag.name, flag.default)).collect(),
        ..Matches::default()
    };
    for flag in flags.iter().chain([&HELP]) {
        if let Some(values) = found.remove_many::<String>(flag.name) {
            matches.values.insert(flag.name, values.collect());
        }
    }
    matches.arguments = found.remove_many::<String>(POSITIONAL).map(Iterator::collect).unwrap_or_default();
    Ok(matches)
}

fn build(flags: &[Flag], order: Order) -> Command {
    let mut command = Command::new("corten").no_binary_name(true).disable_help_flag(true).disable_version_flag(true);
    let help_short = (!flags.iter().any(|flag| flag.short == Some('h'))).then_some('h');
    for flag in flags.iter().copied().chain([Flag { short: help_short, ..HELP }]) {
        let check = flag.check;
        let mut argument = Arg::new(flag.name)
            .long(flag.name)
            .action(ArgAction::Append)
            .value_parser(move |value: &str| check(value).map(|()| value.to_owned()));
        if let Some(short) = flag.short {
            argument = argument.short(short);
        }
        if let Some(alias) = flag.alias {
            argument = argument.alias(alias);
        }
        argument = if flag.is_bool() {
            argument.num_args(0..=1).require_equals(true).default_missing_value("true")
        } else {
            argument.num_args(1).allow_hyphen_values(true)
        };
        command = command.arg(argument);
    }
    let positional = Arg::new(POSITIONAL).num_args(0..).action(ArgAction::Append);
    command.arg(positional.trailing_var_arg(order == Order::FlagsFirst))
}

/// clap's error in pflag's words.
fn describe(error: &clap::Error, flags: &[Flag], words: &[String]) -> String {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        _ => String::new(),
    };
    let argument = context(ContextKind::InvalidArg);
    let flag = || {
        let name = argument.split([' ', '=', '[']).next().unwrap_or_default().trim_start_matches('-');
        flags
            .iter()
            .chain([&HELP])
            .find(|flag| flag.name == name || flag.short.is_some_and(|short| name == short.to_string()))
    };
    match error.kind() {
        ErrorKind::UnknownArgument => unknown(&argument, words),
        ErrorKind::InvalidValue | ErrorKind::TooFewValues | ErrorKind::WrongNumberOfValues => match flag() {
            Some(flag) => needs_value(flag, words),
            None => error.to_string(),
        },
        ErrorKind::ValueValidation => match flag() {
            Some(flag) => {
                let value = context(ContextKind::InvalidValue);
                let reason = error.source().map(ToString::to_string).unwrap_or_default();
                format!("invalid argument {} for {} flag: {reason}", quote(&value), quote(&flag.shown()))
            }
            None => error.to_string(),
        },
        _ => error.to_string().lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned(),
    }
}

fn unknown(argument: &str, words: &[String]) -> String {
    if let Some(long) = argument.strip_prefix("--") {
        return format!("unknown flag: --{}", long.split('=').next().unwrap_or_default());
    }
    let letter = argument.trim_start_matches('-').chars().next().unwrap_or('-');
    // pflag shows the rest of the word the letter stands in.
    let rest = words
        .iter()
        .filter(|word| word.starts_with('-') && !word.starts_with("--"))
        .find_map(|word| word.find(letter).map(|at| &word[at..]))
        .unwrap_or(argument);
    format!("unknown shorthand flag: '{letter}' in -{}", rest.trim_start_matches('-'))
}

fn needs_value(flag: &Flag, words: &[String]) -> String {
    let last = words.last().map_or("", String::as_str);
    match flag.short {
        Some(short) if !last.starts_with("--") => format!("flag needs an argument: '{short}' in -{short}"),
        _ => format!("flag needs an argument: {}", if last.starts_with("--") { last } else { flag.name }),
    }
}

#[cfg(test)]
mod tests {
    use super::{Matches, Order, parse};
    use crate::flags::Flag;

    const FLAGS: [Flag; 6] = [
        Flag::bool("interactive", "").short('i'),
        Flag::bool("tty", "").short('t'),
        Flag::bool("rm", ""),
        Flag::list("env", "").short('e'),
        Flag::text("hostname", "").short('h'),
        Flag::bytes("memory", "").short('m'),
    ];

    fn read(order: Order, line: &str) -> Result<Matches, String> {
        let words: Vec<String> = line.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect();
        parse(&FLAGS, order, &words)
    }

    #[test]
    fn lines_are_read_as_pflag_reads_them() {
        let check = |line: &str, given: &[(&str, &str)], arguments: &[&str]| {
            let matches = read(Order::FlagsFirst, line).unwrap_or_else(|error| panic!("{line}: {error}"));
            for (name, value) in given {
                assert_eq!(matches.list(name).join(","), *value, "{line}: --{name}");
            }
            assert_eq!(matches.arguments, arguments, "{line}");
        };
        check("-it busybox sh -c x", &[("interactive", "true"), ("tty", "true")], &["busybox", "sh", "-c", "x"]);
        check("--rm=false -i=false a", &[("rm", "false"), ("interactive", "false")], &["a"]);
        check("-eFOO=1 -e BAR=2 --env=C=3 a", &[("env", "FOO=1,BAR=2,C=3")], &["a"]);
        check("-e -x a -e y", &[("env", "-x")], &["a", "-e", "y"]);
        check("-h h1 a", &[("hostname", "h1")], &["a"]);
        check("-- a -b", &[], &["a", "-b"]);
        check("-e=A=1 a", &[("env", "A=1")], &["a"]);
        check("-ite A=1 a -- b", &[("env", "A=1"), ("tty", "true")], &["a", "--", "b"]);
        check("- a", &[], &["-", "a"]);
    }

    #[test]
    fn flags_may_follow_arguments_where_nothing_belongs_to_a_container() {
        let matches = read(Order::Interspersed, "a --rm b -i").unwrap();
        assert!(matches.flag("rm") && matches.flag("interactive"));
        assert_eq!(matches.arguments, ["a", "b"]);
    }

    #[test]
    fn mistakes_are_told_in_pflag_s_words() {
        let check =
            |line: &str, expected: &str| assert_eq!(read(Order::FlagsFirst, line).unwrap_err(), expected, "{line}");
        check("--bogus a", "unknown flag: --bogus");
        check("--bogus=1 a", "unknown flag: --bogus");
        check("-Z a", "unknown shorthand flag: 'Z' in -Z");
        check("-itZx a", "unknown shorthand flag: 'Z' in -Zx");
        check("--env", "flag needs an argument: --env");
        check("-e", "flag needs an argument: 'e' in -e");
        check("-ie", "flag needs an argument: 'e' in -e");
        check("-m x a", "invalid argument \"x\" for \"-m, --memory\" flag: invalid size: 'x'");
        check(
            "--rm=maybe a",
            "invalid argument \"maybe\" for \"--rm\" flag: strconv.ParseBool: parsing \"maybe\": invalid syntax",
        );
    }
}
