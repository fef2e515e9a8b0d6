//! Measuring two sides in turns, and the table of what came out.

use std::{
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

/// What was measured so far, printed line by line.
pub struct Report {
    broken: Vec<String>,
    wanted: Vec<String>,
}

impl Report {
    /// Prints the table's head; `wanted` are the words of the command line.
    pub fn begin(wanted: Vec<String>) -> Report {
        println!("{:<44} {:>12} {:>12} {:>8} {:>9}  kept", "what", "ours", "theirs", "ratio", "promise");
        Report { broken: Vec::new(), wanted }
    }

    /// Whether a row of images, `OPERATION-IMAGE`, is to be measured.
    pub fn wants(&self, row: &str) -> bool {
        let names = |word: &String| word == "images" || word == row || crate::is_part(word, row);
        self.wanted.is_empty() || self.wanted.iter().any(names)
    }

    /// A line for two durations; the promise is the largest ratio allowed.
    pub fn ratio(&mut self, what: &str, ours: Duration, theirs: Duration, promise: f64) {
        let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
        let kept = ratio <= promise;
        self.line(
            what,
            &milliseconds(ours),
            &milliseconds(theirs),
            &format!("{ratio:.2}"),
            &format!("{promise:.2}"),
            kept,
        );
    }

    /// A line for a figure of ours that must not exceed `bound`; `theirs` is shown beside it.
    pub fn bound(&mut self, what: &str, ours: f64, theirs: Option<f64>, bound: f64, unit: &str) {
        let show = |value: f64| format!("{value:.1} {unit}");
        let ratio = theirs.map_or_else(|| "-".to_owned(), |theirs| format!("{:.2}", ours / theirs));
        let theirs = theirs.map_or_else(|| "-".to_owned(), show);
        self.line(what, &show(ours), &theirs, &ratio, &show(bound), ours <= bound);
    }

    /// Runs `command`, this program again elsewhere, and takes over the lines of its table.
    pub fn nested(&mut self, command: &mut Command) {
        let output = command.stderr(Stdio::inherit()).output().expect("the program that runs can be run again");
        let text = String::from_utf8_lossy(&output.stdout);
        let broken_before = self.broken.len();
        for line in text.lines().filter(|line| line.ends_with("  yes") || line.ends_with("  NO")) {
            println!("{line}");
            if line.ends_with("  NO") {
                self.broken.push(line.split("   ").next().unwrap_or(line).to_owned());
            }
        }
        if !output.status.success() && self.broken.len() == broken_before {
            self.broken.push(format!("{command:?} ended with {}", output.status));
        }
    }

    fn line(&mut self, what: &str, ours: &str, theirs: &str, ratio: &str, promise: &str, kept: bool) {
        let verdict = if kept { "yes" } else { "NO" };
        println!("{what:<44} {ours:>12} {theirs:>12} {ratio:>8} {promise:>9}  {verdict}");
        if !kept {
            self.broken.push(what.to_owned());
        }
    }

    /// Says which promises were broken; a benchmark is no test, but its exit code can be used as one.
    pub fn end(self) -> ExitCode {
        if self.broken.is_empty() {
            println!("every promise kept");
            return ExitCode::SUCCESS;
        }
        println!("promises not kept: {}", self.broken.join(", "));
        ExitCode::FAILURE
    }
}

/// Medians of `rounds` turns of both sides, after one turn each that does not count.
pub fn interleaved(rounds: usize, mut ours: impl FnMut(), mut theirs: impl FnMut()) -> (Duration, Duration) {
    let mut times = (Vec::new(), Vec::new());
    for round in 0..=rounds {
        let (mine, other) = (timed(&mut ours), timed(&mut theirs));
        if round > 0 {
            times.0.push(mine);
            times.1.push(other);
        }
    }
    (median(times.0), median(times.1))
}

/// How long `work` takes.
pub fn timed(work: &mut impl FnMut()) -> Duration {
    let started = Instant::now();
    work();
    started.elapsed()
}

/// The one in the middle.
pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}
