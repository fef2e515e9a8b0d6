//! The benchmarks: ours beside Debian's docker.io, containerd, runc and crun, in one run.
//!
//! Rounds are interleaved, figures are medians, and a ratio is ours divided by theirs. Before a pair is
//! measured, both sides are shown to do the same work. The promises are those of `BUDGETS.md`; the last
//! column says whether this run kept them. `bench NAME …` runs only the named ones; of images also single rows, by
//! operation and image: `bench pull`, `bench load-files push-large`.

mod compare;
mod exec;
mod images;
mod memory;
mod names;
mod networks;
mod output;
mod parallel;
mod proxy;
mod published;
mod recovery;
mod run;
mod runtime;
mod syncs;

use std::process::ExitCode;

use compare::Report;

/// What measures and reports.
type Bench = fn(&mut Report);

/// The benchmarks, in the order they run.
const BENCHES: [(&str, Bench); 14] = [
    ("runtime", runtime::measure),
    ("run", run::measure),
    ("exec", exec::measure),
    ("parallel", parallel::measure),
    ("output", output::measure),
    ("memory", memory::measure),
    ("syncs", syncs::measure),
    ("recovery", recovery::measure),
    ("proxy", proxy::measure),
    ("networks", networks::measure),
    ("published", published::measure),
    ("return", published::measure_return),
    ("names", names::measure),
    ("images", images::measure),
];

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let rows = images::names();
    let is_known = |word: &String| {
        BENCHES.iter().any(|(name, _)| name == word) || rows.iter().any(|row| row == word || is_part(word, row))
    };
    if let Some(unknown) = wanted.iter().find(|word| !is_known(word)) {
        let names = BENCHES.map(|(name, _)| name).join(", ");
        eprintln!("bench: {unknown:?} is none of {names}; nor, of images, of {}", rows.join(", "));
        return ExitCode::from(2);
    }
    let mut report = Report::begin(wanted.clone());
    for (name, measure) in BENCHES {
        let is_named = wanted.is_empty() || wanted.iter().any(|wanted| wanted == name);
        if is_named || name == "images" && rows.iter().any(|row| report.wants(row)) {
            measure(&mut report);
        }
    }
    report.end()
}

/// Whether `word` is the operation of the row `OPERATION-IMAGE`.
fn is_part(word: &str, row: &str) -> bool {
    row.split_once('-').is_some_and(|(operation, _)| operation == word)
}
