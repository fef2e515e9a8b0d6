//! kill -9 in the middle of what is done to images.
//!
//! A round prepares what the work needs, starts it, kills engine or supervisor at a random moment of it, and lets the
//! daemons come back. What was acknowledged is there then, what is listed is whole, and the work done once more succeeds.
//! When its images are removed nothing is left that was not there before: no ingest, lease, snapshot, temporary file.
//! `CORTEN_CRASH_ROUNDS` rounds a cell (3 when not set); half of the kills must hit the work in flight.

mod left;
mod work;

use std::{env, io, thread, time::Instant};

use integration_tests::{Answer, DEADLINE, Kind, Stack, wait_for};

pub use self::left::Left;
pub use self::work::noise;
use self::work::{Site, Work};
use crate::{cell, victim::Victim};

/// Kills in a cell when nothing else is said: what fits into `make test`.
const ROUNDS: usize = 3;
/// A round that kills only after the work is done again; so many times a round at most.
const ATTEMPTS: usize = 12;

macro_rules! cells {
    ($($name:ident: $victim:ident $work:ident),+ $(,)?) => {
        $(#[test]
        fn $name() {
            run(Victim::$victim, Work::$work);
        })+
    };
}

cells! {
    engine_killed_during_pull: Engine Pull,
    engine_killed_during_push: Engine Push,
    engine_killed_during_load: Engine Load,
    engine_killed_during_save: Engine Save,
    engine_killed_during_import: Engine Import,
    engine_killed_during_prune: Engine Prune,
    engine_killed_during_rmi: Engine Rmi,
    supervisor_killed_during_pull: Supervisor Pull,
    supervisor_killed_during_push: Supervisor Push,
    supervisor_killed_during_load: Supervisor Load,
    supervisor_killed_during_save: Supervisor Save,
    supervisor_killed_during_import: Supervisor Import,
    supervisor_killed_during_prune: Supervisor Prune,
    supervisor_killed_during_rmi: Supervisor Rmi,
}

fn run(victim: Victim, work: Work) {
    let rounds = env::var("CORTEN_CRASH_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(ROUNDS);
    let mut stack = Stack::start(Kind::Ours);
    stack.load_busybox();
    let mut site = Site::new(&stack, work);
    let before = Left::look(&stack);
    // The longer of two, as the first one is cold.
    let mut usual = (0..2).map(|_| undisturbed(&stack, &mut site, &before)).max().unwrap_or_default();
    let mut in_flight = 0;
    for number in 1..=rounds {
        for _ in 0..ATTEMPTS {
            site.prepare(&stack.api());
            let delay = usual.mul_f64(cell::random_fraction() * 0.8);
            let (hit, answer) = strike(&mut stack, victim, &site, delay);
            let said = match &answer {
                Ok(answer) => format!("the answer was {}", answer.status),
                Err(error) => format!("there was no whole answer: {}", error.kind()),
            };
            let context = format!("round {number}, killed {delay:?} into it, {said}");
            recovered(&stack, &site, answer.ok().as_ref(), &context);
            site.remove(&stack.api());
            before.assert_nothing_more(&stack, &context);
            if hit {
                in_flight += 1;
                break;
            }
            // The machine was busier when it was measured.
            usual /= 2;
        }
    }
    println!("{victim:?} × {work:?}: {in_flight} of {rounds} kills hit the work in flight (it takes {usual:?})");
    assert!(in_flight * 2 >= rounds, "only {in_flight} of {rounds} kills hit: the cell proves nothing");
}

/// Does the work when nobody dies; how long it takes.
fn undisturbed(stack: &Stack, site: &mut Site, before: &Left) -> std::time::Duration {
    let api = stack.api();
    site.prepare(&api);
    let started = Instant::now();
    let answer = site.perform(&api).expect("the daemons answer");
    let took = started.elapsed();
    assert!(site.is_done(&answer), "without a kill: {} {}", answer.status, answer.text());
    site.remember(answer);
    site.assert_done(&api, "without a kill");
    site.remove(&api);
    before.assert_nothing_more(stack, "without a kill");
    took
}

/// Kills the victim `delay` after the work has begun; whether it had no answer by then, and the answer.
#[expect(clippy::disallowed_methods, reason = "the moment of the kill is what is varied; nothing is waited for")]
fn strike(stack: &mut Stack, victim: Victim, site: &Site, delay: std::time::Duration) -> (bool, io::Result<Answer>) {
    let api = stack.api();
    let struck = thread::scope(|scope| {
        let performer = scope.spawn(|| site.perform(&api));
        thread::sleep(delay);
        let in_flight = !performer.is_finished();
        victim.kill_daemon(stack);
        victim.revive(stack);
        (in_flight, performer.join().expect("a request does not panic"))
    });
    wait_for("the API to answer again", DEADLINE, || api.get("/images/json").is_ok_and(|answer| answer.status == 200));
    struck
}

/// What was acknowledged holds, what is there is whole, and the work can be done again.
fn recovered(stack: &Stack, site: &Site, answer: Option<&Answer>, context: &str) {
    let api = stack.api();
    if answer.is_some_and(|answer| site.is_done(answer)) {
        site.assert_done(&api, context);
    } else {
        site.assert_whole_or_absent(&api, context);
    }
    // A supervisor that is just coming back is told as 5xx: asked again.
    let mut last = None;
    wait_for(&format!("the work to succeed the second time ({context})"), DEADLINE, || {
        last = site.perform(&api).ok();
        last.as_ref().is_some_and(|answer| site.is_done(answer) || site.was_done(answer))
    });
    site.assert_done(&api, context);
    if let Some(answer) = last {
        site.assert_same_answer(&answer, context);
    }
}
