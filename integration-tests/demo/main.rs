//! The demo: one container's whole life through all four layers, on a stack of its own.
//!
//! It starts cortend (which starts the supervisor) in a temporary root, touches no docker that may be
//! there, shows every step with the command it ran, checks what it claims, and leaves nothing behind.
//! `--steps 1-3` runs only those.

mod close;
mod hello;
mod images;
mod kill;
mod show;
mod tree;

use std::{fs, ops::RangeInclusive, os::unix::fs::MetadataExt, process::ExitCode};

use integration_tests::{Cortend, Leaks, TempRoot, cgroups, programs};

use show::Shell;

/// Everything a step needs.
pub struct Demo {
    root: TempRoot,
    cortend: Cortend,
    shell: Shell,
    /// What was there before the stack started.
    before: Leaks,
    /// What was there once the stack was up and empty.
    empty: Leaks,
}

impl Demo {
    fn start() -> Demo {
        let root = TempRoot::new();
        cgroups::make_everywhere(root.name());
        let before = Leaks::of(&root);
        let cortend = Cortend::start(&root);
        let shell = Shell::new(programs::directory(), &cortend.socket());
        show::say(&format!("the stack runs in {}", root.path().display()));
        show::say(&format!(
            "to follow with your own commands: export DOCKER_HOST=unix://{}",
            cortend.socket().display()
        ));
        let empty = Leaks::of(&root);
        Demo { root, cortend, shell, before, empty }
    }
}

fn main() -> ExitCode {
    let Some(steps) = steps(std::env::args().skip(1).collect::<Vec<_>>().as_slice()) else {
        eprintln!("usage: demo [--steps FIRST-LAST]   (1 to 5)");
        return ExitCode::from(2);
    };
    if !is_root() {
        eprintln!(
            "demo: root is needed to mount file systems, to make namespaces and cgroups, and to own the \
             files of an image; run it as root"
        );
        return ExitCode::FAILURE;
    }
    println!("Corten: the container stack in Rust. One container's life through all four layers.");
    let mut demo = Demo::start();
    for step in steps {
        match step {
            1 => hello::run(&demo),
            2 => images::run(&demo),
            3 => tree::run(&mut demo),
            4 => kill::run(&mut demo),
            _ => close::run(&mut demo),
        }
    }
    println!("\nDone: everything above was checked as it ran.");
    ExitCode::SUCCESS
}

/// Whether this process is root: /proc/self belongs to its effective user (proc(5)).
fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

/// The steps asked for; all without arguments, `None` when the arguments make no sense.
fn steps(arguments: &[String]) -> Option<RangeInclusive<u8>> {
    match arguments {
        [] => Some(1..=5),
        [flag, range] if flag == "--steps" => {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let (first, last) = (first.parse().ok()?, last.parse().ok()?);
            (1 <= first && first <= last && last <= 5).then_some(first..=last)
        }
        _ => None,
    }
}
