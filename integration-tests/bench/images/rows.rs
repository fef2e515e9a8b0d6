//! The rows of one image.

use std::{collections::BTreeMap, fs, path::Path};

use integration_tests::{Ctr, DockerRegistry, DockerRegistryOptions, TempRoot};

use super::{
    Row,
    cost::{Cost, peak},
    floor,
    shapes::Shape,
    tools::{Tool, wait_until_empty},
};
use crate::compare::Report;

/// Turns of each tool; the best counts, since what else runs on the machine only ever adds.
const ROUNDS: usize = 2;
/// What a loaded archive is called.
const LOADED: &str = "measured:1";
/// The most that ours may take of the fastest other's.
const SAVE: f64 = 0.3;
const PUSH: f64 = 0.6;
const KEPT: f64 = 0.1;
const AGAIN: f64 = 1.0;

/// What the rows of one image are measured with.
pub struct Rows<'a> {
    pub report: &'a mut Report,
    pub shape: &'static Shape,
    pub tools: &'a [Tool; 4],
    /// On our supervisor.
    pub ours: Ctr,
    pub root: &'a TempRoot,
    /// The largest of each operation.
    pub peaks: &'a mut BTreeMap<&'static str, f64>,
}

impl Rows<'_> {
    /// Measures those that are wanted, in the order of the operations.
    pub fn measure(&mut self, archive: &Path, [load, save, push, again, pull, kept]: [bool; 6]) {
        if load {
            self.load(archive);
        } else if save || push || again {
            self.tools.iter().for_each(|tool| tool.load(archive));
        }
        if save {
            self.save(archive);
        }
        if !(push || again || pull || kept) {
            return;
        }
        let source = self.registry("source");
        let name = format!("{}/measured:1", source.host());
        let docker = &self.tools[1];
        if !(load || save || push || again) {
            docker.load(archive);
        }
        docker.tag(LOADED, &name);
        docker.push(LOADED, &name);
        if push || again {
            self.push(archive, &source, [push, again]);
        }
        if pull || kept {
            self.pull(&source, &name, pull);
        }
        if kept {
            self.kept(&source, &name);
        }
    }

    fn load(&mut self, archive: &Path) {
        let mut costs = Rounds::default();
        for round in 0..ROUNDS {
            if round > 0 {
                self.tools.iter().for_each(Tool::remove_all);
            }
            costs.add(self.turn(|tool| tool.load(archive)), floor::load(archive, self.root));
        }
        self.row("load", self.shape.load, &costs, None);
        let [ours, ..] = self.tools;
        ours.remove_all();
        self.peak("load", || ours.load(archive));
    }

    fn save(&mut self, archive: &Path) {
        let file = self.root.join("saved.tar");
        let mut costs = Rounds::default();
        for _ in 0..ROUNDS {
            let saved = self.tools.each_ref().map(|tool| {
                let cost = tool.cold(|tool| tool.save(&file));
                fs::remove_file(&file).expect("it was saved");
                cost
            });
            costs.add(saved, floor::save(archive, &file));
            fs::remove_file(&file).expect("it was copied");
        }
        self.row("save", SAVE, &costs, None);
        let [ours, ..] = self.tools;
        self.peak("save", || ours.save(&file));
        fs::remove_file(&file).expect("it was saved");
    }

    /// What was loaded goes to an empty registry, and then there again.
    fn push(&mut self, archive: &Path, source: &DockerRegistry, [first, again]: [bool; 2]) {
        let (mut costs, mut repeated) = (Rounds::default(), Rounds::default());
        let [ours, ..] = self.tools;
        for _ in 0..ROUNDS {
            self.load_anew(archive);
            let registry = self.registry("empty");
            let (floor, nothing) = (floor::push(source, "measured", &registry), Cost::default());
            let to = |tool: &Tool| format!("{}/{}:1", registry.host(), tool.name);
            self.tools.iter().for_each(|tool| tool.tag(LOADED, &to(tool)));
            costs.add(self.turn(|tool| tool.push(LOADED, &to(tool))), floor);
            if again {
                repeated.add(self.turn(|tool| tool.push(LOADED, &to(tool))), nothing);
            }
        }
        if first {
            self.row("push", PUSH, &costs, Some("containerd"));
            self.load_anew(archive);
            let registry = self.registry("empty");
            let to = format!("{}/ours:1", registry.host());
            ours.tag(LOADED, &to);
            self.peak("push", || ours.push(LOADED, &to));
        }
        if again {
            self.row("push again", AGAIN, &repeated, None);
        }
    }

    /// Ours keeps what it has compressed: the next turn must not find it.
    fn load_anew(&self, archive: &Path) {
        let [ours, ..] = self.tools;
        ours.remove_all();
        wait_until_empty(&self.ours);
        ours.load(archive);
    }

    fn pull(&mut self, source: &DockerRegistry, name: &str, wanted: bool) {
        let mut costs = Rounds::default();
        for _ in 0..if wanted { ROUNDS } else { 1 } {
            self.tools.iter().for_each(Tool::remove_all);
            wait_until_empty(&self.ours);
            costs.add(self.turn(|tool| tool.pull(name)), floor::pull(source, "measured", self.root));
        }
        if wanted {
            self.row("pull", self.shape.pull, &costs, None);
            let [ours, ..] = self.tools;
            ours.remove_all();
            wait_until_empty(&self.ours);
            self.peak("pull", || ours.pull(name));
        }
    }

    /// What was pulled goes to another registry, which is empty.
    fn kept(&mut self, source: &DockerRegistry, name: &str) {
        let mut costs = Rounds::default();
        for _ in 0..ROUNDS {
            let registry = self.registry("empty");
            let to = |tool: &Tool| format!("{}/{}:1", registry.host(), tool.name);
            self.tools.iter().for_each(|tool| tool.tag(name, &to(tool)));
            let floor = floor::push(source, "measured", &registry);
            costs.add(self.turn(|tool| tool.push(name, &to(tool))), floor);
        }
        self.row("push of what was pulled", KEPT, &costs, None);
    }

    fn turn(&self, work: impl Fn(&Tool)) -> [Cost; 4] {
        self.tools.each_ref().map(|tool| tool.cold(&work))
    }

    /// An empty registry; the one of that name before is gone.
    fn registry(&self, name: &str) -> DockerRegistry {
        let directory = self.root.join(name);
        if directory.exists() {
            fs::remove_dir_all(&directory).expect("its registry has ended");
        }
        DockerRegistry::start(self.root, &DockerRegistryOptions { directory: Some(name), ..Default::default() })
    }

    fn peak(&mut self, operation: &'static str, work: impl FnOnce()) {
        let peak = peak(&self.tools[0].daemons, work);
        println!("    peak of {operation}: {peak:.1} MiB");
        let largest = self.peaks.entry(operation).or_insert(0.0);
        *largest = largest.max(peak);
    }

    fn row(&mut self, operation: &str, ratio: f64, rounds: &Rounds, aside: Option<&'static str>) {
        let (costs, floor) = rounds.0.expect("at least one turn");
        let what = format!("{operation}: {}", self.shape.name);
        Row { what, ratio, tools: self.tools, costs, floor, aside }.report(self.report);
    }
}

/// The best of each tool, and of the floor.
#[derive(Default)]
struct Rounds(Option<([Cost; 4], Cost)>);

impl Rounds {
    fn add(&mut self, costs: [Cost; 4], floor: Cost) {
        let (mut best, mut least) = self.0.unwrap_or((costs, floor));
        for (kept, cost) in best.iter_mut().zip(costs) {
            *kept = kept.best(cost);
        }
        least = least.best(floor);
        self.0 = Some((best, least));
    }
}
