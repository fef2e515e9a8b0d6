//! What reads text that others wrote never panics, whatever the text: inputs made from good ones by a seeded mutator.
//!
//! Each target gets a few thousand inputs; `CORTEN_FUZZ_SECONDS` gives each that much time instead. A failure prints its
//! seed, and `CORTEN_FUZZ_SEED` begins there.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod accounts;
mod arguments;
mod bus;
mod cgroups;
mod config;
mod layers;
mod mutate;
mod names;
mod netlink;
mod profiles;
mod registries;
mod trees;

use std::{
    env,
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use mutate::Random;

/// Of each target in `make test`.
const INPUTS: u64 = 3000;

/// Calls `target` with one number generator after the other: the same seed makes the same input.
fn each_input(name: &str, target: impl FnMut(&mut Random)) {
    each_of(INPUTS, name, target);
}

/// [`each_input`] with another number of inputs, for targets that write files.
fn each_of(inputs: u64, name: &str, mut target: impl FnMut(&mut Random)) {
    let number = |variable: &str| {
        env::var(variable).ok().map(|text| text.parse::<u64>().unwrap_or_else(|_| panic!("{variable}={text}")))
    };
    let first = number("CORTEN_FUZZ_SEED").unwrap_or(1);
    let seconds = number("CORTEN_FUZZ_SECONDS").map(Duration::from_secs);
    let begun = Instant::now();
    let goes_on = |done: u64| seconds.map_or(done < inputs, |time| begun.elapsed() < time);
    let mut done = 0;
    while goes_on(done) {
        let seed = first.wrapping_add(done);
        let run = AssertUnwindSafe(|| target(&mut Random::new(seed)));
        if let Err(panic) = catch_unwind(run) {
            eprintln!("{name}: the input of CORTEN_FUZZ_SEED={seed} panics");
            std::panic::resume_unwind(panic);
        }
        done += 1;
    }
    println!("{name}: {done} inputs in {:.1} s", begun.elapsed().as_secs_f64());
}
