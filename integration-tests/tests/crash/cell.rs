//! One cell of the matrix: its rounds, and what they add up to.

use std::{
    env, io, thread,
    time::{Duration, Instant},
};

use integration_tests::{Answer, DEADLINE, EngineApi, Kind, Stack, random_id, wait_for};

use crate::{
    operation::{Operation, Subject},
    reality::{self, Before},
    victim::Victim,
};

/// Kills in a cell when nothing else is said: what fits into `make test`.
const ROUNDS: usize = 5;
/// A round that finds no victim, or only after the operation, is done again; so many times a round at most.
const ATTEMPTS: usize = 12;

/// How one round went.
#[derive(Debug)]
struct Round {
    /// Whether the victim died before the operation had its answer.
    in_flight: bool,
    /// What does not hold afterwards.
    faults: Vec<String>,
}

/// Runs the cell.
///
/// # Panics
/// With every fault of every round, or when fewer than half of the kills hit.
pub fn run(victim: Victim, operation: Operation) {
    let rounds = env::var("CORTEN_CRASH_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(ROUNDS);
    let original = env::var("CORTEN_CRASH_STACK").is_ok_and(|kind| kind == "original");
    let mut stack = Stack::start(if original { Kind::Original } else { Kind::Ours });
    stack.load_busybox();
    let usual = usual_duration(&stack.api(), operation);
    let before = Before::look(&stack);
    let mut in_flight = 0;
    let mut faults = Vec::new();
    for number in 1..=rounds {
        let mut last = None;
        for _ in 0..ATTEMPTS {
            let round = round(&mut stack, victim, operation, usual, &before);
            let again = !round.in_flight && round.faults.is_empty();
            last = Some(round);
            if !again {
                break;
            }
        }
        let round = last.expect("there is at least one attempt");
        in_flight += usize::from(round.in_flight);
        faults.extend(round.faults.into_iter().map(|fault| format!("round {number}: {fault}")));
    }
    faults.extend(before.compare(&stack));
    println!("{victim:?} × {operation:?}: {in_flight} of {rounds} kills hit the operation in flight");
    assert!(faults.is_empty(), "{victim:?} killed during {operation:?}:\n{}", faults.join("\n"));
    assert!(in_flight * 2 >= rounds, "only {in_flight} of {rounds} kills hit: the cell proves nothing");
}

/// How long the operation takes when nobody dies; the longer of two, as the first one is cold.
fn usual_duration(api: &EngineApi, operation: Operation) -> Duration {
    let once = || {
        let subject = Subject::prepare(api, operation);
        let started = Instant::now();
        let answer = subject.perform(api, operation);
        let took = started.elapsed();
        assert!(answer.as_ref().is_ok_and(Answer::is_ok), "{operation:?} without a kill: {answer:?}");
        reality::remove(api, operation, &subject);
        took
    };
    once().max(once())
}

fn round(stack: &mut Stack, victim: Victim, operation: Operation, usual: Duration, before: &Before) -> Round {
    let api = stack.api();
    let mut subject = Subject::prepare(&api, operation);
    let delay = usual.mul_f64(random_fraction() * 0.8);
    let performer = {
        let (api, subject) = (api.clone(), subject.clone());
        thread::spawn(move || subject.perform(&api, operation))
    };
    let in_flight = strike(stack, victim, &subject, delay, &performer);
    victim.revive(stack);
    wait_for("the API to answer again", DEADLINE, || {
        api.get("/containers/json?all=1").is_ok_and(|answer| answer.status == 200)
    });
    let answer: io::Result<Answer> = performer.join().expect("a request does not panic");
    if operation == Operation::Create {
        subject.id = reality::id(&api, &subject.name);
    }
    let mut faults = reality::check(&api, victim, operation, &subject, answer.as_ref().ok());
    faults.extend(reality::remove_and_look(&api, operation, &subject, before));
    let context = format!(" (killed {delay:?} into it; the answer was {answer:?}; container {:?})", subject.id);
    Round { in_flight, faults: faults.into_iter().map(|fault| fault + &context).collect() }
}

/// Kills the victim `delay` after the operation's start; whether the operation was still without its answer.
#[expect(clippy::disallowed_methods, reason = "the moment of the kill is what is varied; nothing is waited for")]
fn strike(
    stack: &mut Stack,
    victim: Victim,
    subject: &Subject,
    delay: Duration,
    performer: &thread::JoinHandle<io::Result<Answer>>,
) -> bool {
    if victim.comes_and_goes() {
        while !performer.is_finished() {
            // A tenth of the delay, so that not every kill hits the very first moment of its life.
            if victim.kill(stack, subject) {
                return true;
            }
            thread::sleep(Duration::from_micros(200));
        }
        return false;
    }
    thread::sleep(delay);
    let in_flight = !performer.is_finished();
    victim.kill(stack, subject);
    in_flight
}

/// A random number from 0 to 1.
pub fn random_fraction() -> f64 {
    let number = u32::from_str_radix(&random_id(8), 16).expect("an id is hexadecimal");
    f64::from(number) / f64::from(u32::MAX)
}
