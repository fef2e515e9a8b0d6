//! `docker run --rm busybox true` with the same command line on both engines.

use integration_tests::{DockerCli, Kind, Stack};

use crate::compare::{Report, interleaved};

const ROUNDS: usize = 15;
/// What a container can say of how it was set up, but for names and numbers that are its own.
const PROBE: &str = "grep -E '^(Cap|NoNewPrivs|Uid|Gid|Groups|Seccomp:)' /proc/self/status; \
    cut -d' ' -f5,9 /proc/self/mountinfo | sort; ls /dev | sort; ls -l /proc/self/ns | wc -l; ulimit -n";

/// Both engines, each with busybox loaded.
pub fn stacks() -> (Stack, Stack) {
    let (ours, theirs) = (Stack::start(Kind::Ours), Stack::start(Kind::Original));
    ours.load_busybox();
    theirs.load_busybox();
    (ours, theirs)
}

/// Measures it.
pub fn measure(report: &mut Report) {
    let (ours, theirs) = stacks();
    show_the_same_work(&ours.docker(), &theirs.docker());
    let run = |docker: &DockerCli| {
        let _ = docker.run(&["run", "--rm", "--network", "none", "busybox", "true"]).ok();
    };
    let (mine, other) = interleaved(ROUNDS, || run(&ours.docker()), || run(&theirs.docker()));
    report.ratio("docker run --rm busybox true", mine, other, 0.35);
}

fn show_the_same_work(ours: &DockerCli, theirs: &DockerCli) {
    let probe = |docker: &DockerCli| {
        docker.run(&["run", "--rm", "--network", "none", "busybox", "sh", "-c", PROBE]).ok().stdout
    };
    let (mine, other) = (probe(ours), probe(theirs));
    if mine != other {
        println!("  note: the containers differ in what they see of themselves:");
        for line in other.lines().filter(|line| !mine.contains(line)) {
            println!("    only theirs: {line}");
        }
        for line in mine.lines().filter(|line| !other.contains(line)) {
            println!("    only ours:   {line}");
        }
    }
}
