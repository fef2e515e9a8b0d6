//! Two command lines on one daemon, and what they print compared.

use integration_tests::{CortendNetwork, DockerCli, Kind, Ran, Stack, StackOptions, TempRoot};

/// Docker's command line and ours on one daemon.
pub struct Pair {
    pub stack: Stack,
    pub docker: DockerCli,
    pub corten: DockerCli,
    /// Debian's older docker tells mistakes in other words; then only what succeeds is compared in full.
    is_newest: bool,
    differences: Vec<String>,
    compared: usize,
}

/// Fewest commands of a table that must have been compared, so that an emptied table is noticed.
const FEWEST: usize = 3;

impl Pair {
    /// Starts a daemon with the image busybox.
    pub fn start(kind: Kind) -> Pair {
        Pair::start_with_network(kind, CortendNetwork::None)
    }

    /// The same, with a network of its own where that is asked for.
    pub fn start_with_network(kind: Kind, network: CortendNetwork) -> Pair {
        let stack = Stack::start_with(TempRoot::new(), kind, StackOptions { network, ..StackOptions::default() });
        stack.load_busybox();
        let (docker, corten) = (stack.docker(), stack.corten());
        let is_newest = docker.label.contains("newest");
        Pair { stack, docker, corten, is_newest, differences: Vec::new(), compared: 0 }
    }

    /// Runs `command` through docker; it must succeed.
    #[track_caller]
    pub fn prepare(&self, command: &[&str]) -> Ran {
        self.docker.run(command).ok()
    }

    /// Runs `command` through both.
    pub fn same(&mut self, command: &[&str]) {
        self.same_after(&[], command);
    }

    /// Runs `command` through both with `input` on standard input.
    pub fn same_with_input(&mut self, command: &[&str], input: &[u8]) {
        let theirs = self.docker.run_with_input(command, input);
        let ours = self.corten.run_with_input(command, input);
        self.compare(command, &theirs, &ours);
    }

    /// Runs `command` through both, each time after the same preparations, which may fail.
    pub fn same_after(&mut self, preparations: &[&[&str]], command: &[&str]) {
        let prepare = |docker: &DockerCli| preparations.iter().for_each(|line| drop(docker.run(line)));
        prepare(&self.docker);
        let theirs = self.docker.run(command);
        prepare(&self.docker);
        let ours = self.corten.run(command);
        self.compare(command, &theirs, &ours);
    }

    fn compare(&mut self, command: &[&str], theirs: &Ran, ours: &Ran) {
        self.compared += 1;
        let mut differs = |what: &str, theirs: &str, ours: &str| {
            if theirs != ours {
                let difference = format!("{}: {what}\n  docker: {theirs:?}\n  corten: {ours:?}", command.join(" "));
                self.differences.push(difference);
            }
        };
        differs("exit code", &theirs.code.to_string(), &ours.code.to_string());
        if self.is_newest || theirs.code == 0 {
            differs("standard output", &normal(&theirs.stdout), &normal(&ours.stdout));
            differs("standard error", &normal(&theirs.stderr), &normal(&ours.stderr));
        }
    }

    /// Tells all differences.
    #[track_caller]
    pub fn finish(self) {
        assert!(self.compared >= FEWEST, "only {} commands were compared", self.compared);
        let count = self.differences.len();
        assert!(count == 0, "{count} of {} differ:\n{}", self.compared, self.differences.join("\n"));
    }
}

/// The text without what differs between any two runs: the program's name, long ids, ages.
fn normal(text: &str) -> String {
    let text = text.replace("corten", "docker");
    let lines: Vec<String> = text.split('\n').map(|line| ages(&ids(line))).collect();
    lines.join("\n")
}

/// Replaces ids of 64 hexadecimal digits.
fn ids(line: &str) -> String {
    let mut normal = String::new();
    let mut run = String::new();
    for letter in line.chars().chain(['\n']) {
        if letter.is_ascii_digit() || ('a'..='f').contains(&letter) {
            run.push(letter);
            continue;
        }
        normal.push_str(if run.len() == 64 { "<id>" } else { &run });
        run.clear();
        normal.push(letter);
    }
    normal.pop();
    normal
}

/// Replaces ages, which make columns wider or narrower too: then only one space is kept, in the header above as well.
fn ages(line: &str) -> String {
    let replaced = counted(&line.replace("Less than a second", AGE).replace("About a minute", AGE));
    let is_header = line.starts_with("CONTAINER ID") || line.starts_with("REPOSITORY");
    if !is_header && !replaced.contains(AGE) {
        return replaced;
    }
    replaced.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

const AGE: &str = "<age>";

/// Replaces `12 seconds` and `2 minutes`.
fn counted(line: &str) -> String {
    let mut normal = String::new();
    let mut rest = line;
    while let Some((at, unit)) = [" second", " minute"].iter().filter_map(|unit| Some((rest.find(unit)?, unit))).min() {
        let (before, after) = rest.split_at(at);
        let number = before.trim_end_matches(|letter: char| letter.is_ascii_digit());
        let after = &after[unit.len()..];
        if number.len() == before.len() {
            normal.push_str(before);
            normal.push_str(unit);
            rest = after;
        } else {
            normal.push_str(number);
            normal.push_str(AGE);
            rest = after.strip_prefix('s').unwrap_or(after);
        }
    }
    normal.push_str(rest);
    normal
}

#[cfg(test)]
mod tests {
    use super::normal;

    #[test]
    fn only_what_differs_between_runs_is_taken_out() {
        assert_eq!(normal("corten: x 12"), "docker: x 12");
        assert_eq!(normal("Up 3 seconds   a"), "Up <age> a");
        assert_eq!(normal("a   Less than a second ago   b"), "a <age> ago b");
        assert_eq!(normal(&format!("{}, abc", "0a".repeat(32))), "<id>, abc");
        assert_eq!(normal("two  spaces"), "two  spaces");
        assert_eq!(
            normal("{\"a\":\"1 second ago\",\"b\":\"Up 2 minutes\"}"),
            "{\"a\":\"<age> ago\",\"b\":\"Up <age>\"}"
        );
        assert_eq!(normal("the second minute"), "the second minute");
    }
}
