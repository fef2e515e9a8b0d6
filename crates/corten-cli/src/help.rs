//! What one may write: the help of the program, of a group, of a command.

use crate::entry::GLOBAL_FLAGS;
use crate::failure::{Failure, Outcome};
use crate::flags::Flag;
use crate::tree::{self, GROUPS, PLACES, Place};
use std::fmt::Write;

/// Width of help where no terminal says another.
const DEFAULT_WIDTH: usize = 80;

/// Commands people need first, in that order.
const COMMON: [&str; 9] = ["run", "exec", "ps", "images", "logs", "inspect", "version", "info", "doctor"];

/// `corten version 0.1.0`
pub fn version_line(program: &str) -> String {
    format!(
        "{program} version {} (Engine API {})",
        env!("CARGO_PKG_VERSION"),
        corten_docker_api::client::NEWEST_API_VERSION
    )
}

/// Prints the help of the program: to standard output when asked for, else to standard error.
pub fn print_root(program: &str, is_asked: bool) {
    let mut text = format!(
        "Usage:  {program} [OPTIONS] COMMAND\n\nRuns containers: docker's commands, for Corten's engine and docker's alike\n"
    );
    let root = |name: &&Place| name.group.is_empty();
    let list = |text: &mut String, title: &str, lines: &[(&str, &str)]| {
        if lines.is_empty() {
            return;
        }
        let width = PLACES
            .iter()
            .map(|place| place.name.len())
            .chain(lines.iter().map(|(name, _)| name.len()))
            .max()
            .unwrap_or(0);
        let _ = write!(text, "\n{title}:\n");
        for (name, about) in lines {
            let _ = writeln!(text, "  {name:width$}  {about}");
        }
    };
    let common: Vec<_> =
        COMMON.iter().filter_map(|name| tree::find("", name)).map(|place| (place.name, place.verb.about)).collect();
    let others: Vec<_> = PLACES
        .iter()
        .filter(root)
        .filter(|place| !COMMON.contains(&place.name))
        .map(|place| (place.name, place.verb.about))
        .collect();
    list(&mut text, "Common Commands", &common);
    list(&mut text, "Management Commands", &GROUPS);
    list(&mut text, "Commands", &others);
    let _ = write!(text, "\nGlobal Options:\n{}", flag_lines(GLOBAL_FLAGS));
    let _ = write!(text, "\nRun '{program} COMMAND --help' for more information on a command.\n");
    show(&text, is_asked);
}

/// Prints the help of a group.
pub fn print_group(program: &str, group: &str, about: &str, is_asked: bool) {
    let mut text = format!("Usage:  {program} {group} COMMAND\n\n{about}\n\nCommands:\n");
    let members: Vec<_> = PLACES.iter().filter(|place| place.group == group).collect();
    let width = members.iter().map(|place| place.name.len()).max().unwrap_or(0);
    for place in members {
        let _ = writeln!(text, "  {:width$}  {}", place.name, place.verb.about);
    }
    let _ = write!(text, "\nRun '{program} {group} COMMAND --help' for more information on a command.\n");
    show(&text, is_asked);
}

/// Prints the help of a command to standard output.
pub fn print_verb(program: &str, place: &Place) {
    let mut text = format!("Usage:  {}", place.usage(program));
    let _ = write!(text, "\n\n{}\n", place.verb.about);
    let names: Vec<String> = PLACES
        .iter()
        .filter(|other| std::ptr::eq(other.verb, place.verb))
        .flat_map(|other| {
            let prefix = if other.group.is_empty() { program.to_owned() } else { format!("{program} {}", other.group) };
            std::iter::once(&other.name).chain(other.aliases).map(move |name| format!("{prefix} {name}"))
        })
        .collect();
    if names.len() > 1 {
        let _ = write!(text, "\nAliases:\n  {}\n", names.join(", "));
    }
    if place.verb.flags.iter().any(|flag| !flag.is_hidden) {
        let _ = write!(text, "\nOptions:\n{}", flag_lines(place.verb.flags));
    }
    show(&text, true);
}

/// `corten help COMMAND`
///
/// # Errors
/// A topic that is no command.
pub fn topic(program: &str, words: &[String]) -> Outcome {
    let found = match words {
        [] => {
            print_root(program, true);
            return Ok(());
        }
        [group] if GROUPS.iter().any(|(name, _)| name == group) => {
            let about = GROUPS.iter().find(|(name, _)| name == group).map_or("", |(_, about)| about);
            print_group(program, group, about, true);
            return Ok(());
        }
        [name] => tree::find("", name),
        [group, name] => tree::find(group, name),
        _ => None,
    };
    match found {
        Some(place) => {
            print_verb(program, place);
            Ok(())
        }
        None => Err(Failure::new(format!("unknown help topic: {}", words.join(" ")))),
    }
}

fn show(text: &str, is_asked: bool) {
    if is_asked { print!("{text}") } else { eprint!("{text}") }
}

/// One line a flag, descriptions in one column and wrapped.
fn flag_lines(flags: &[Flag]) -> String {
    let mut shown: Vec<_> = flags.iter().filter(|flag| !flag.is_hidden).collect();
    shown.sort_by_key(|flag| flag.name);
    let left: Vec<String> = shown
        .iter()
        .map(|flag| {
            let short = flag.short.map_or_else(|| "    ".to_owned(), |short| format!("-{short}, "));
            format!("  {short}--{} {}", flag.name, flag.kind).trim_end().to_owned()
        })
        .collect();
    let column = left.iter().map(|text| text.chars().count()).max().unwrap_or(0) + 3;
    let width =
        corten_terminal::window_size(std::io::stdin()).map_or(DEFAULT_WIDTH, |size| usize::from(size.columns)) - 1;
    let room = width.saturating_sub(column).max(24);
    let mut lines = String::new();
    for (flag, left) in shown.iter().zip(&left) {
        let mut about = flag.about.to_owned();
        if !flag.default.is_empty() && flag.default != "false" {
            let default = if flag.is_bool() || flag.kind == "int" {
                flag.default.to_owned()
            } else {
                format!("{:?}", flag.default)
            };
            let _ = write!(about, " (default {default})");
        }
        for (index, line) in wrap(&about, room).into_iter().enumerate() {
            let start = if index == 0 { left.as_str() } else { "" };
            let _ = writeln!(lines, "{}", format!("{start:column$}{line}").trim_end());
        }
    }
    lines
}

fn wrap(text: &str, room: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.last_mut().expect("there is always a line");
        if last.is_empty() {
            last.push_str(word);
        } else if last.chars().count() + 1 + word.chars().count() <= room {
            last.push(' ');
            last.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}
