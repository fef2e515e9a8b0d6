//! `doctor`: checks this host for what containers need.

use crate::arguments::Matches;
use crate::cli::Cli;
use crate::failure::{Failure, Outcome};
use crate::flags::Flag;
use crate::tree::{Arity, Verb, verb};
use corten_doctor::{Severity, brief, check, check_for, json, worst};
use std::path::Path;

/// The command.
pub const VERB: Verb = verb!(doctor, "[OPTIONS]", "Check this host for what containers need", Arity::None, FLAGS);

const FLAGS: &[Flag] = &[
    Flag::bool("brief", "Leave out what is well"),
    Flag::text("data-root", "Directory in which images and containers will lie"),
    Flag::bool("json", "Print the findings as JSON"),
];

/// Prints what was found; exits with 1 when something keeps containers from running.
pub async fn doctor(cli: &Cli, matches: &Matches) -> Outcome {
    let data_root = matches.text("data-root");
    let mut findings = if data_root.is_empty() { check() } else { check_for(Path::new(data_root)) };
    let found = worst(&findings);
    if matches.flag("brief") {
        findings.retain(|finding| finding.severity != Severity::Ok);
    }
    let text = if matches.flag("json") { json(&findings) } else { brief(&findings) };
    cli.print_line(text.trim_end());
    if found == Severity::Error { Err(Failure::silent(1)) } else { Ok(()) }
}
