//! Images on their way, beside docker, containerd and podman, with the page cache dropped before each turn.
//!
//! A row may be `1.25 × floor` where that is more than its ratio of the fastest of the others; what the floor of each is
//! stands in `floor`. Processors: no more than the fastest other used. Memory is sampled in a turn of its own, which is
//! not timed. `bench pull` measures one operation, `bench pull-large` on one image, `bench images` all of them.

mod changed;
mod cost;
mod floor;
mod rows;
mod shapes;
mod tools;

use std::{collections::BTreeMap, fs};

use integration_tests::{Kind, Stack, TempRoot};

use crate::compare::Report;
use cost::Cost;
use rows::Rows;
use shapes::SHAPES;

/// The operations.
const OPERATIONS: [&str; 6] = ["load", "save", "push", "again", "pull", "kept"];
/// The most a row may be of the floor.
const OF_FLOOR: f64 = 1.25;
/// The most that cortend, corten-supervisor and shims may have in memory during any of it: 40 MB.
const MEMORY_MIB: f64 = 40e6 / 1_048_576.0;

/// The names of all rows, for the command line.
pub fn names() -> Vec<String> {
    let of = |operation: &str| SHAPES.map(|shape| format!("{operation}-{}", shape.key));
    OPERATIONS.iter().flat_map(|operation| of(operation)).chain(["changed".to_owned()]).collect()
}

/// Measures it.
pub fn measure(report: &mut Report) {
    let root = TempRoot::new();
    let (mut ours, mut theirs) = (Stack::start(Kind::Ours), Stack::start(Kind::Original));
    let tools = tools::all(&mut ours, &mut theirs, root.make("podman"));
    let mut peaks = BTreeMap::new();
    for shape in &SHAPES {
        let wanted = OPERATIONS.map(|operation| report.wants(&format!("{operation}-{}", shape.key)));
        if wanted.contains(&true) {
            let archive = shapes::archive(&root, shape);
            let mut rows = Rows { report, shape, tools: &tools, ours: ours.ctr(), root: &root, peaks: &mut peaks };
            rows.measure(&archive, wanted);
            tools.iter().for_each(tools::Tool::remove_all);
            fs::remove_file(&archive).expect("the archive was written here");
        }
    }
    if report.wants("changed") {
        changed::measure(report, &tools);
    }
    for (operation, peak) in peaks {
        report.bound(&format!("{operation}: both daemons at their peak, PSS"), peak, None, MEMORY_MIB, "MiB");
    }
}

/// One row: who did it, in which time, and who counts.
struct Row<'a> {
    what: String,
    ratio: f64,
    tools: &'a [tools::Tool; 4],
    costs: [Cost; 4],
    floor: Cost,
    /// Who does something else under that name, and is shown only.
    aside: Option<&'static str>,
}

impl Row<'_> {
    fn report(&self, report: &mut Report) {
        let others = self.tools.iter().zip(self.costs).skip(1).filter(|(tool, _)| Some(tool.name) != self.aside);
        let (_, fastest) = others.min_by_key(|(_, cost)| cost.time).expect("three others");
        let floor = self.floor.time.as_secs_f64() * OF_FLOOR;
        let seconds = fastest.time.as_secs_f64();
        let by_floor = floor > seconds * self.ratio;
        let allowed = if by_floor { floor / seconds } else { self.ratio };
        report.ratio(&self.what, self.costs[0].time, fastest.time, allowed);
        report.ratio(&format!("CPU of {}", self.what), self.costs[0].cpu, fastest.cpu, 1.0);
        let one =
            |name: &str, cost: &Cost| format!("{name} {:.2}/{:.2}", cost.time.as_secs_f64(), cost.cpu.as_secs_f64());
        let all: Vec<String> = self.tools.iter().zip(&self.costs).map(|(tool, cost)| one(tool.name, cost)).collect();
        let decided = if by_floor { format!("; decided by {OF_FLOOR} × floor") } else { String::new() };
        let aside = self.aside.map_or_else(String::new, |name| format!("; {name} sends plain layers: not compared"));
        println!("    s/CPU s: {}, {}{decided}{aside}", all.join(", "), one("floor", &self.floor));
    }
}
