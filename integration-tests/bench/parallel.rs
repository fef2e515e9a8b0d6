//! Twenty `docker run --rm` at once.

use std::thread;

use integration_tests::Stack;

use crate::{
    compare::{Report, interleaved},
    run::stacks,
};

const ROUNDS: usize = 5;
const AT_ONCE: usize = 20;

/// Measures it.
pub fn measure(report: &mut Report) {
    let (ours, theirs) = stacks();
    let (mine, other) = interleaved(ROUNDS, || twenty(&ours), || twenty(&theirs));
    report.ratio("20 × docker run --rm at once", mine, other, 0.33);
}

fn twenty(stack: &Stack) {
    let docker = stack.docker();
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                let _ = docker.run(&["run", "--rm", "--network", "none", "busybox", "true"]).ok();
            });
        }
    });
}
