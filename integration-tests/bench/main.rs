//! The benchmarks: ours beside Debian's docker.io, containerd, runc and crun, in one run.
//!
//! Rounds are interleaved, figures are medians, and a ratio is ours divided by theirs. Before a pair is
//! measured, both sides are shown to do the same work. The promises are those of `BUDGETS.md`; the last
//! column says whether this run kept them. `bench NAME …` runs only the named ones.

mod compare;
mod exec;
mod images;
mod memory;
mod output;
mod parallel;
mod proxy;
mod recovery;
mod run;
mod runtime;
mod syncs;

use std::process::ExitCode;

use compare::Report;

/// What measures and reports.
type Bench = fn(&mut Report);

/// The benchmarks, in the order they run.
const BENCHES: [(&str, Bench); 10] = [
    ("runtime", runtime::measure),
    ("run", run::measure),
    ("exec", exec::measure),
    ("parallel", parallel::measure),
    ("output", output::measure),
    ("memory", memory::measure),
    ("syncs", syncs::measure),
    ("recovery", recovery::measure),
    ("proxy", proxy::measure),
    ("images", images::measure),
];

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    if let Some(unknown) = wanted.iter().find(|name| !BENCHES.iter().any(|(known, _)| known == name)) {
        eprintln!("bench: {unknown:?} is none of {}", BENCHES.map(|(name, _)| name).join(", "));
        return ExitCode::from(2);
    }
    let mut report = Report::begin();
    for (name, measure) in BENCHES {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            measure(&mut report);
        }
    }
    report.end()
}
