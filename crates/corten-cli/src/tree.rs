//! Which commands there are and where they stand.

use crate::arguments::{Matches, Order};
use crate::cli::Cli;
use crate::commands;
use crate::failure::Outcome;
use crate::flags::Flag;
use std::pin::Pin;

/// A command at work.
pub type Running<'a> = Pin<Box<dyn Future<Output = Outcome> + 'a>>;

/// How many arguments a command takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arity {
    /// None.
    None,
    /// That many or more.
    AtLeast(usize),
    /// That many or fewer.
    AtMost(usize),
    /// That many.
    Exactly(usize),
    /// From the first number to the second.
    Between(usize, usize),
}

/// A verb: what it takes and what it does.
#[derive(Debug)]
pub struct Verb {
    /// Usage behind the command's path; each line is another way to call it.
    pub usage: &'static str,
    /// One line for help.
    pub about: &'static str,
    /// Arguments that are no flags.
    pub arity: Arity,
    /// Its flags.
    pub flags: &'static [Flag],
    /// Whether flags may follow arguments.
    pub order: Order,
    /// The function.
    pub run: for<'a> fn(&'a Cli, &'a Matches) -> Running<'a>,
}

/// A place in the tree where a verb stands.
#[derive(Debug)]
pub struct Place {
    /// Group, or nothing at the top.
    pub group: &'static str,
    /// Name there.
    pub name: &'static str,
    /// Other names there.
    pub aliases: &'static [&'static str],
    /// The verb.
    pub verb: &'static Verb,
}

/// Groups of commands, with their line for help.
pub const GROUPS: [(&str, &str); 4] = [
    ("container", "Manage containers"),
    ("image", "Manage images"),
    ("network", "Manage networks"),
    ("system", "Manage the engine"),
];

const fn at(group: &'static str, name: &'static str, verb: &'static Verb) -> Place {
    Place { group, name, aliases: &[], verb }
}

const fn also(place: Place, aliases: &'static [&'static str]) -> Place {
    Place { aliases, ..place }
}

/// Every command.
pub const PLACES: &[Place] = &[
    at("", "attach", &commands::attach::VERB),
    at("", "commit", &commands::commit::VERB),
    at("", "cp", &commands::cp::VERB),
    at("", "create", &commands::create::VERB),
    at("", "diff", &commands::diff::VERB),
    at("", "doctor", &commands::doctor::VERB),
    at("", "events", &commands::events::VERB),
    at("", "exec", &commands::exec::VERB),
    at("", "export", &commands::export::VERB),
    at("", "history", &commands::history::VERB),
    at("", "images", &commands::images::VERB),
    at("", "import", &commands::import::VERB),
    at("", "info", &commands::info::VERB),
    at("", "inspect", &commands::inspect::VERB),
    at("", "kill", &commands::kill::VERB),
    at("", "load", &commands::load::VERB),
    at("", "login", &commands::login::VERB),
    at("", "logout", &commands::logout::VERB),
    at("", "logs", &commands::logs::VERB),
    at("", "pause", &commands::pause::VERB),
    at("", "port", &commands::port::VERB),
    at("", "ps", &commands::ps::VERB),
    at("", "pull", &commands::pull::VERB),
    at("", "push", &commands::push::VERB),
    at("", "rename", &commands::rename::VERB),
    at("", "restart", &commands::restart::VERB),
    also(at("", "rm", &commands::rm::VERB), &["remove"]),
    at("", "rmi", &commands::rmi::VERB),
    at("", "run", &commands::run::VERB),
    at("", "save", &commands::save::VERB),
    at("", "search", &commands::search::VERB),
    at("", "start", &commands::start::VERB),
    at("", "stats", &commands::stats::VERB),
    at("", "stop", &commands::stop::VERB),
    at("", "tag", &commands::tag::VERB),
    at("", "top", &commands::top::VERB),
    at("", "unpause", &commands::unpause::VERB),
    at("", "update", &commands::update::VERB),
    at("", "version", &commands::version::VERB),
    at("", "wait", &commands::wait::VERB),
    at("container", "attach", &commands::attach::VERB),
    at("container", "commit", &commands::commit::VERB),
    at("container", "cp", &commands::cp::VERB),
    at("container", "create", &commands::create::VERB),
    at("container", "diff", &commands::diff::VERB),
    at("container", "exec", &commands::exec::VERB),
    at("container", "export", &commands::export::VERB),
    at("container", "inspect", &commands::inspect::CONTAINER_VERB),
    at("container", "kill", &commands::kill::VERB),
    at("container", "logs", &commands::logs::VERB),
    also(at("container", "ls", &commands::ps::VERB), &["ps", "list"]),
    at("container", "pause", &commands::pause::VERB),
    at("container", "port", &commands::port::VERB),
    at("container", "rename", &commands::rename::VERB),
    at("container", "restart", &commands::restart::VERB),
    also(at("container", "rm", &commands::rm::VERB), &["remove"]),
    at("container", "run", &commands::run::VERB),
    at("container", "start", &commands::start::VERB),
    at("container", "stats", &commands::stats::VERB),
    at("container", "stop", &commands::stop::VERB),
    at("container", "top", &commands::top::VERB),
    at("container", "unpause", &commands::unpause::VERB),
    at("container", "update", &commands::update::VERB),
    at("container", "wait", &commands::wait::VERB),
    at("image", "history", &commands::history::VERB),
    at("image", "import", &commands::import::VERB),
    at("image", "inspect", &commands::inspect::IMAGE_VERB),
    at("image", "load", &commands::load::VERB),
    also(at("image", "ls", &commands::images::VERB), &["list"]),
    at("image", "pull", &commands::pull::VERB),
    at("image", "push", &commands::push::VERB),
    at("image", "prune", &commands::image_prune::VERB),
    also(at("image", "rm", &commands::rmi::VERB), &["rmi", "remove"]),
    at("image", "save", &commands::save::VERB),
    at("image", "tag", &commands::tag::VERB),
    at("network", "check", &commands::network_check::VERB),
    at("network", "connect", &commands::network_connect::VERB),
    at("network", "create", &commands::network_create::VERB),
    at("network", "disconnect", &commands::network_disconnect::VERB),
    at("network", "inspect", &commands::inspect::NETWORK_VERB),
    also(at("network", "ls", &commands::network_ls::VERB), &["list"]),
    at("network", "prune", &commands::network_prune::VERB),
    also(at("network", "rm", &commands::network_rm::VERB), &["remove"]),
    at("system", "df", &commands::system_df::VERB),
    at("system", "events", &commands::events::VERB),
    at("system", "info", &commands::info::VERB),
];

/// Finds a command.
pub fn find(group: &str, name: &str) -> Option<&'static Place> {
    PLACES.iter().find(|place| place.group == group && (place.name == name || place.aliases.contains(&name)))
}

impl Place {
    /// Every way to call it, a line each.
    pub fn usage(&self, program: &str) -> String {
        let path = format!("{program} {}", self.path());
        let lines = self.verb.usage.split('\n').map(|usage| format!("{path} {usage}"));
        lines.collect::<Vec<_>>().join("\n\t").trim_end().to_owned()
    }

    /// The path below the program's name: `container ls`.
    pub fn path(&self) -> String {
        if self.group.is_empty() { self.name.to_owned() } else { format!("{} {}", self.group, self.name) }
    }
}

/// Makes a verb of an async function.
macro_rules! verb {
    ($function:path, $usage:expr, $about:expr, $arity:expr, $flags:expr) => {
        verb!($function, $usage, $about, $arity, $flags, $crate::arguments::Order::Interspersed)
    };
    ($function:path, $usage:expr, $about:expr, $arity:expr, $flags:expr, $order:expr) => {
        $crate::tree::Verb {
            usage: $usage,
            about: $about,
            arity: $arity,
            flags: $flags,
            order: $order,
            run: |cli, matches| Box::pin($function(cli, matches)),
        }
    };
}
pub(crate) use verb;
