//! Reading a command line by the [tree](crate::tree) of commands.

use clap::{Arg, ArgAction, Command};

use crate::commands;
use crate::session::{Failure, Outcome, Session, duration, sentence};
use crate::tree::{Flag, NOUNS, SNAPSHOTTER, Takes, Verb};

/// Reads the command line and runs what it says.
///
/// # Errors
/// [`Failure`].
pub fn run(program: &str, arguments: Vec<String>) -> Outcome {
    let arguments = normalised(arguments);
    if let Some(flag) = unknown_flag(&arguments) {
        return Err(Failure::Help(format!("{program}: flag provided but not defined: -{flag}\n")));
    }
    let matches = match root().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) if !error.use_stderr() => {
            print!("{error}");
            return Ok(());
        }
        Err(error) => return Err(Failure::Help(format!("{program}: {}", mistake(&error)))),
    };
    let global = |name: &str| matches.get_one::<String>(name).cloned().unwrap_or_default();
    let Some((noun, inner)) = matches.subcommand() else {
        print!("{}", root().render_help());
        return Ok(());
    };
    let known = NOUNS.iter().find(|known| known.name == noun);
    let (verb, own) = match inner.subcommand() {
        Some((verb, own)) => (verb, own.clone()),
        None => ("", inner.clone()),
    };
    let known = known.ok_or_else(|| sentence(format!("{noun}: not supported yet")))?;
    if known.later.contains(&verb) {
        return Err(sentence(format!("{noun} {verb}: not supported yet")));
    }
    let timeout = duration(&global("timeout"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(async {
        let or = |name: &str, variable: &str, default: &str| match global(name) {
            given if given.is_empty() => environment(variable, default),
            given => given,
        };
        let address = or("address", "CONTAINERD_ADDRESS", "/run/containerd/containerd.sock");
        let namespace = or("namespace", "CONTAINERD_NAMESPACE", "default");
        let session = Session::connect(&address, &namespace, own)?;
        let command = commands::run(noun, verb, &session);
        if timeout.is_zero() {
            return command.await;
        }
        tokio::time::timeout(timeout, command).await.unwrap_or_else(|_| Err(sentence("context deadline exceeded")))
    });
    // A thread may be blocked in reading this process' own input; it ends with the process.
    runtime.shutdown_background();
    outcome
}

/// What is wrong with a command line, on one line.
fn mistake(error: &clap::Error) -> String {
    use clap::error::{ContextKind, ContextValue, ErrorKind};
    let invalid = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    };
    match (error.kind(), invalid) {
        (ErrorKind::UnknownArgument, Some(flag)) => {
            let name = flag.trim_start_matches('-');
            format!("flag provided but not defined: -{name}\n")
        }
        (ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand, _) => error.to_string(),
        _ => {
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default();
            format!("{}\n", line.strip_prefix("error: ").unwrap_or(line))
        }
    }
}

fn root() -> Command {
    let mut root = Command::new("corten-ctr")
        .version(env!("CARGO_PKG_VERSION"))
        .about("The debug client of a containerd: ctr's commands.")
        .disable_version_flag(true)
        .arg(Arg::new("version").long("version").short('v').action(ArgAction::Version).help("print the version"))
        .arg(Arg::new("debug").long("debug").action(ArgAction::SetTrue).help("enable debug output in logs"))
        .arg(
            Arg::new("address")
                .long("address")
                .short('a')
                .help("address for containerd's GRPC server [$CONTAINERD_ADDRESS]"),
        )
        .arg(Arg::new("timeout").long("timeout").default_value("0s").help("total timeout for ctr commands"))
        .arg(
            Arg::new("connect-timeout")
                .long("connect-timeout")
                .default_value("0s")
                .help("timeout for connecting to containerd"),
        )
        .arg(
            Arg::new("namespace")
                .long("namespace")
                .short('n')
                .help("namespace to use with commands [$CONTAINERD_NAMESPACE]"),
        );
    for noun in NOUNS {
        let mut command = Command::new(noun.name).about(noun.about).visible_aliases(noun.aliases.to_vec());
        for verb in noun.verbs {
            if verb.name.is_empty() {
                command = with_flags(command, verb);
                continue;
            }
            let own = Command::new(verb.name).about(verb.about).visible_aliases(verb.aliases.to_vec());
            command = command.subcommand_required(true).subcommand(with_flags(own, verb));
        }
        if noun.name == "snapshots" {
            command = command.arg(argument(&SNAPSHOTTER).global(true));
        }
        for later in noun.later {
            let anything = Arg::new("ARGS").num_args(0..).trailing_var_arg(true).allow_hyphen_values(true);
            command = command.subcommand(Command::new(*later).about("not supported yet").arg(anything));
        }
        root = root.subcommand(command);
    }
    root
}

fn environment(name: &str, default: &str) -> String {
    std::env::var(name).ok().filter(|value| !value.is_empty()).unwrap_or_else(|| default.to_owned())
}

fn with_flags(mut command: Command, verb: &Verb) -> Command {
    for flag in verb.flags.iter().copied().flatten() {
        command = command.arg(argument(flag));
    }
    let words = Arg::new("ARGS").num_args(0..).help(verb.usage);
    command.arg(if verb.words_after.is_some() { words.trailing_var_arg(true).allow_hyphen_values(true) } else { words })
}

fn argument(flag: &Flag) -> Arg {
    let argument = Arg::new(flag.long).long(flag.long).help(flag.help);
    let argument = match flag.short {
        Some(short) => argument.short(short),
        None => argument,
    };
    match flag.takes {
        Takes::Nothing => argument.action(ArgAction::SetTrue),
        Takes::One(default) => argument.allow_hyphen_values(true).overrides_with(flag.long).default_value(default),
        Takes::Many => argument.allow_hyphen_values(true).action(ArgAction::Append),
    }
}

/// Go's flag package takes `-name` for `--name`: such words become the long form, up to the container's own words.
fn normalised(arguments: Vec<String>) -> Vec<String> {
    let long: Vec<&str> = NOUNS
        .iter()
        .flat_map(|noun| noun.verbs)
        .flat_map(|verb| verb.flags.iter().copied().flatten())
        .map(|flag| flag.long)
        .chain(["address", "namespace", "timeout", "connect-timeout", "debug", "version", "help"])
        .filter(|long| long.len() > 1)
        .collect();
    let normalise = |word: String| match word.strip_prefix('-') {
        Some(name) if long.contains(&name.split('=').next().unwrap_or_default()) => format!("-{word}"),
        _ => word,
    };
    // The first word that is no flag behind `run` or `exec` may be the image; what follows belongs to the container.
    let end = own_words_end(&arguments);
    let mut arguments = arguments;
    let rest = arguments.split_off(end);
    arguments.into_iter().map(normalise).chain(rest).collect()
}

/// The commands whose last words belong to a container.
const WITH_WORDS: [&str; 3] = ["run", "exec", "create"];

/// Where the words begin that are never flags of ours: behind the first word of `run` or `exec` that is no flag.
fn own_words_end(arguments: &[String]) -> usize {
    let Some(start) = arguments.iter().position(|word| WITH_WORDS.contains(&word.as_str())) else {
        return arguments.len();
    };
    let mut index = start + 1;
    while let Some(word) = arguments.get(index) {
        let Some(name) = word.strip_prefix('-') else { return index };
        let name = name.trim_start_matches('-');
        index += if !name.contains('=') && takes_value(name) { 2 } else { 1 };
    }
    arguments.len()
}

fn named(name: &str) -> impl Iterator<Item = &'static Flag> {
    let flags = NOUNS.iter().flat_map(|noun| noun.verbs).flat_map(|verb| verb.flags.iter().copied().flatten());
    flags.filter(move |flag| {
        flag.long == name || flag.short.is_some_and(|short| name.len() == 1 && name.starts_with(short))
    })
}

fn takes_value(name: &str) -> bool {
    named(name).any(|flag| !matches!(flag.takes, Takes::Nothing))
}

/// A flag of `run` or `exec` that is none: clap would take it for the container's first word.
fn unknown_flag(arguments: &[String]) -> Option<String> {
    let start = arguments.iter().position(|word| WITH_WORDS.contains(&word.as_str()))? + 1;
    let mut words = arguments[start..own_words_end(arguments)].iter();
    while let Some(word) = words.next() {
        let name = word.trim_start_matches('-').split('=').next().unwrap_or_default();
        if name.is_empty() {
            return None;
        }
        let is_long = word.starts_with("--");
        let letters_known = || name.chars().all(|letter| named(&letter.to_string()).next().is_some() || letter == 'h');
        if name != "help" && named(name).next().is_none() && (is_long || !letters_known()) {
            return Some(name.to_owned());
        }
        if !word.contains('=') && takes_value(name) {
            words.next();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_can_be_read() {
        root().debug_assert();
    }

    #[test]
    fn single_dash_flags_are_those_of_the_command_and_not_of_the_container() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        for (given, expected) in [
            ("ctr -address a run -rm -env A=1 image id ls -rm", "ctr --address a run --rm --env A=1 image id ls -rm"),
            ("ctr t exec -exec-id x c sh -cwd", "ctr t exec --exec-id x c sh -cwd"),
            ("ctr -n ns i ls -q", "ctr -n ns i ls -q"),
        ] {
            assert_eq!(normalised(words(given)), words(expected));
        }
    }

    #[test]
    fn unknown_flags_are_named() {
        let failure = run("ctr", ["ctr", "images", "ls", "--nope"].map(str::to_owned).to_vec()).unwrap_err();
        let Failure::Help(text) = failure else { panic!("{failure:?}") };
        assert_eq!(text, "ctr: flag provided but not defined: -nope\n");
    }
}
