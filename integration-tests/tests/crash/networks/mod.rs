//! kill -9 in the middle of what is done to networks.
//!
//! A round prepares networks and a container, starts the work, kills engine, supervisor, corten-proxy or the container's
//! shim at a random moment of it, and lets what died come back. What was acknowledged holds then, the records agree with
//! the kernel, the work done once more succeeds, and a bystander's ports and names answer. When everything of the round is
//! removed nothing is left: no interface, element of nftables, port, socket of corten-proxy, record, file.
//! `CORTEN_CRASH_ROUNDS` rounds a cell (3 when not set); half of the kills must hit the work in flight.

mod bystander;
mod healing;
mod victim;
mod work;

use std::{
    env, io, thread,
    time::{Duration, Instant},
};

use integration_tests::{
    Answer, CortendNetwork, DEADLINE, EngineApi, Kind, NetLeaks, Stack, StackOptions, TempRoot, try_for, wait_for,
};
use serde_json::{Value, json};

use self::{
    bystander::Bystander,
    victim::Victim,
    work::{Site, Work},
};
use crate::{cell, images::Left};

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
    engine_killed_during_create: Engine Create,
    engine_killed_during_connect: Engine Connect,
    engine_killed_during_run: Engine Run,
    engine_killed_during_stop: Engine Stop,
    engine_killed_during_rm: Engine Rm,
    engine_killed_during_disconnect: Engine Disconnect,
    engine_killed_during_prune: Engine Prune,
    supervisor_killed_during_create: Supervisor Create,
    supervisor_killed_during_connect: Supervisor Connect,
    supervisor_killed_during_run: Supervisor Run,
    supervisor_killed_during_stop: Supervisor Stop,
    supervisor_killed_during_rm: Supervisor Rm,
    supervisor_killed_during_disconnect: Supervisor Disconnect,
    supervisor_killed_during_prune: Supervisor Prune,
    shim_killed_during_create: Shim Create,
    shim_killed_during_connect: Shim Connect,
    shim_killed_during_run: Shim Run,
    shim_killed_during_stop: Shim Stop,
    shim_killed_during_rm: Shim Rm,
    shim_killed_during_disconnect: Shim Disconnect,
    shim_killed_during_prune: Shim Prune,
    proxy_killed_during_create: Proxy Create,
    proxy_killed_during_connect: Proxy Connect,
    proxy_killed_during_run: Proxy Run,
    proxy_killed_during_stop: Proxy Stop,
    proxy_killed_during_rm: Proxy Rm,
    proxy_killed_during_disconnect: Proxy Disconnect,
    proxy_killed_during_prune: Proxy Prune,
}

/// What is there when nothing of a round is.
struct Before {
    left: Left,
    network: NetLeaks,
    held: usize,
}

impl Before {
    /// When no container but the bystander has an interface any more: the kernel takes some behind the answer.
    fn look(stack: &mut Stack) -> Before {
        wait_for("the interfaces of containers that have ended to go", DEADLINE, || {
            NetLeaks::of(stack.cortend().network()).veths() == 1
        });
        Before {
            left: Left::look(stack),
            network: NetLeaks::of(stack.cortend().network()),
            held: victim::held_by_proxy(stack),
        }
    }

    fn assert_nothing_more(&self, stack: &mut Stack, context: &str) {
        let mut difference = Vec::new();
        let is_clean = try_for(DEADLINE, || {
            difference = NetLeaks::of(stack.cortend().network()).difference(&self.network);
            let held = victim::held_by_proxy(stack);
            if held > self.held {
                difference
                    .push(format!("corten-proxy holds {held} sockets, namespaces and processes, not {}", self.held));
            }
            difference.is_empty()
        });
        assert!(is_clean, "the host's network ({context}):\n{}", difference.join("\n"));
    }
}

fn run(victim: Victim, work: Work) {
    let rounds = env::var("CORTEN_CRASH_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(ROUNDS);
    let options = StackOptions { network: CortendNetwork::Private, ..StackOptions::default() };
    let mut stack = Stack::start_with(TempRoot::new(), Kind::Ours, options);
    stack.load_busybox();
    let bystander = Bystander::start(&mut stack);
    // What the first container and network of all make is no remainder.
    let mut usual = undisturbed(&mut stack, victim, work);
    let before = Before::look(&mut stack);
    usual = usual.max(undisturbed(&mut stack, victim, work));
    before.assert_nothing_more(&mut stack, "without a kill");
    let mut in_flight = 0;
    for number in 1..=rounds {
        for _ in 0..ATTEMPTS {
            let mut site = Site::prepare(&mut stack, work, victim);
            let delay = usual.mul_f64(cell::random_fraction() * 0.8);
            let (hit, answer) = strike(&mut stack, victim, &site, delay);
            let said = answer.as_ref().map_or_else(|error| format!("no answer: {error}"), |answer| answer.text());
            let context = format!("round {number}, killed {delay:?} into it, hit {hit}, said: {said}");
            recovered(&mut stack, victim, &mut site, answer.ok().as_ref(), &context);
            bystander.assert_served(&mut stack, &context);
            site.remove(&stack.api());
            before.assert_nothing_more(&mut stack, &context);
            if hit {
                in_flight += 1;
                break;
            }
            // The machine was busier when it was measured.
            usual /= 2;
        }
    }
    before.left.assert_nothing_more(&stack, "after all rounds");
    println!("{victim:?} × {work:?}: {in_flight} of {rounds} kills hit the work in flight (it takes {usual:?})");
    assert!(in_flight * 2 >= rounds, "only {in_flight} of {rounds} kills hit: the cell proves nothing");
}

/// Does the work when nobody dies; how long it takes.
fn undisturbed(stack: &mut Stack, victim: Victim, work: Work) -> Duration {
    let site = Site::prepare(stack, work, victim);
    let started = Instant::now();
    let answer = site.perform(&stack.api()).expect("the daemons answer");
    let took = started.elapsed();
    assert!(site.is_done(&answer), "without a kill: {} {}", answer.status, answer.text());
    site.assert_done(stack, "without a kill");
    site.remove(&stack.api());
    took
}

/// Kills the victim `delay` after the work has begun; whether it had no answer by then, and the answer.
#[expect(clippy::disallowed_methods, reason = "the moment of the kill is what is varied; nothing is waited for")]
fn strike(stack: &mut Stack, victim: Victim, site: &Site, delay: Duration) -> (bool, io::Result<Answer>) {
    let api = stack.api();
    // Whom to kill is known before: a look at all processes takes longer than most of this work.
    let process = victim.find(stack, site.container_id());
    let struck = thread::scope(|scope| {
        let performer = scope.spawn(|| site.perform(&api));
        let mut hit = false;
        match process {
            Some(process) => {
                thread::sleep(delay);
                hit = !performer.is_finished();
                victim.kill(stack, &process);
            }
            None => {
                while !performer.is_finished() {
                    if let Some(process) = victim.find(stack, site.container_id()) {
                        hit = !performer.is_finished();
                        victim.kill(stack, &process);
                        break;
                    }
                    // Short against the work; nothing tells of a process that is about to be there.
                    thread::sleep(Duration::from_micros(200));
                }
            }
        }
        victim.revive(stack);
        (hit, performer.join().expect("a request does not panic"))
    });
    wait_for("the API to answer again", DEADLINE, || api.get("/images/json").is_ok_and(|answer| answer.status == 200));
    struck
}

/// What was acknowledged holds, records and kernel agree, and the work can be done again.
fn recovered(stack: &mut Stack, victim: Victim, site: &mut Site, answer: Option<&Answer>, context: &str) {
    let api = stack.api();
    site.look_up(&api);
    let is_done = answer.is_some_and(|answer| site.is_done(answer));
    // A container goes with its shim, and with it what was acknowledged of it.
    let is_gone = victim == Victim::Shim && site.work.needs_a_running_container();
    if is_done && !is_gone {
        site.assert_done(stack, &format!("acknowledged, {context}"));
    }
    assert_agreed(&api, context);
    // A supervisor that is just coming back is told as 5xx: asked again.
    let mut last = None;
    let succeeds = try_for(DEADLINE, || {
        last = site.perform(&api).ok();
        last.as_ref().is_some_and(|answer| site.is_done(answer) || site.was_done(answer))
    });
    let last = last.map(|answer| format!("{} {}", answer.status, answer.text()));
    assert!(succeeds, "the work does not succeed the second time: {last:?} ({context})");
    site.look_up(&api);
    // A container whose shim was killed runs again where the work starts it.
    if !is_gone || site.work == Work::Run {
        site.assert_done(stack, &format!("the second time, {context}"));
    }
    assert_agreed(&api, context);
}

/// Nothing in the kernel is other than the records say.
fn assert_agreed(api: &EngineApi, context: &str) {
    let mut found = Value::Null;
    let agrees = try_for(DEADLINE, || {
        found = api.post("/corten/networks/check", &Value::Null).map(|answer| answer.json()).unwrap_or_default();
        found == json!([])
    });
    assert!(agrees, "the kernel differs from the records: {found} ({context})");
}
