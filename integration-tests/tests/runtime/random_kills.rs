//! kill -9 of any verb at a random moment of it: `delete --force` then leaves nothing.
//!
//! A few by default; `make crash` does 300. The moments are drawn from a seed, which is printed, and can be given again
//! (`CORTEN_KILL_SEED`); when a kill comes is still up to the machine.

use std::{
    collections::HashMap,
    env,
    process::Stdio,
    time::{Duration, Instant},
};

use integration_tests::random_id;

use crate::{
    Host,
    nth_call::{self, VERBS},
    remains::Remains,
};

const DEFAULT_KILLS: u64 = 21;
/// At most so many times as many, where fewer than half come while their verb is at work.
const MORE: u64 = 4;

/// Numbers that look random and come again with their seed (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")))
}

#[test]
fn any_verb_can_be_killed_at_any_moment() {
    let host = Host::new();
    let id = format!("random-{}", host.root.name());
    let bundle = nth_call::bundle(&host, &id);
    let seed = number("CORTEN_KILL_SEED").unwrap_or_else(|| u64::from_str_radix(&random_id(8), 16).unwrap_or(1));
    let kills = number("CORTEN_KILL_RANDOM").unwrap_or(DEFAULT_KILLS);
    let mut random = Random(seed);
    let remains = Remains::new(&host, &id);
    // How long each verb takes at most, in microseconds: the shortest that was seen, so that kills hit it at work.
    let mut takes: HashMap<&str, u64> = HashMap::new();
    let (mut in_flight, mut aimed) = (0, 0);
    // A miss makes the next moments of its verb earlier, so a machine whose pace changes is hit soon again.
    for number in 0..kills * MORE {
        if number >= kills && in_flight * 2 >= aimed {
            break;
        }
        let verb = VERBS[random.below(VERBS.len() as u64) as usize];
        (verb.prepare)(&host, &id, &bundle);
        let known = takes.get(verb.name).copied();
        let moment = known.map(|longest| random.below(longest));
        let mut command = host.command(&(verb.arguments)(&bundle, &id));
        let begun = Instant::now();
        let mut runtime = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        // The first of each verb is measured, and killed in the middle of the next ones.
        if let Some(moment) = moment {
            aimed += 1;
            pause(begun, Duration::from_micros(moment));
            let _ = runtime.kill();
        }
        let ended = runtime.wait().expect("the child is ours");
        if ended.success() {
            let took = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
            let shorter = takes.get(verb.name).map_or(took, |known| took.min(*known * 3 / 4));
            takes.insert(verb.name, shorter.max(1));
        } else {
            in_flight += 1;
        }
        remains.clean(&format!("{} was killed after {moment:?} µs (seed {seed}, kill {number})", verb.name));
    }
    println!("{in_flight} of {aimed} random kills hit a verb at work (and {} were measured); seed {seed}", takes.len());
    assert!(in_flight * 2 >= aimed, "only {in_flight} of {aimed} kills hit a verb at work (seed {seed})");
    host.create(&id, &bundle);
    remains.clean("nothing was killed");
    remains.wait_for_keyrings();
}

/// Until `moment` after `begun`: the moment of a kill is what is tested, so this waits on the clock.
fn pause(begun: Instant, moment: Duration) {
    while begun.elapsed() < moment {
        std::hint::spin_loop();
    }
}
