//! Whoever makes a network has firewalld told of it, but does not wait for one that hangs: what it is to be told stands in
//! a line that one thread works off, in order, for as long as there is something in it. After a while the others go on;
//! what they wanted stays in the line until firewalld answers, or has gone.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tracing::{info, warn};

use super::{Bus, Firewalld, Seen, difference};
use crate::error::NetworkError;
use crate::plan::Difference;

type Result<T> = std::result::Result<T, NetworkError>;

/// The first and the longest pause before one that was silent is spoken to again.
const PAUSE: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(60)];

/// Most that stands in the line; what is left out is found by the next repair.
const MOST: usize = 1000;

/// What firewalld is to be told, or asked.
#[derive(Clone, Debug)]
pub enum Errand {
    /// That there are zone and policy.
    Prepare,
    /// That the zone accepts a bridge.
    Add(String),
    /// That it does so no more.
    Remove(String),
    /// What it lacks of these bridges.
    Check(Vec<String>),
    /// The same, and then it is told.
    Repair(Vec<String>),
}

/// What stands in the line, with who waits for it.
#[derive(Debug)]
struct Waiting(Errand, SyncSender<Result<Vec<Difference>>>);

/// The line, and what is known of who works it off.
#[derive(Debug, Default)]
struct Line {
    waiting: VecDeque<Waiting>,
    is_worked_off: bool,
    is_late: bool,
    is_closed: bool,
}

#[derive(Debug)]
struct Shared {
    bus: Bus,
    /// How long somebody waits.
    patience: Duration,
    line: Mutex<Line>,
    closed: Condvar,
}

/// The line of one engine.
#[derive(Debug)]
pub struct Errands(Arc<Shared>);

impl Errands {
    /// An empty one.
    pub fn new(bus: Bus, patience: Duration) -> Self {
        Self(Arc::new(Shared { bus, patience, line: Mutex::default(), closed: Condvar::new() }))
    }

    /// What was last seen of firewalld.
    pub fn seen(&self) -> Seen {
        Seen { is_late: self.0.line().is_late, ..*self.0.bus.seen() }
    }

    /// Sees to an errand, and answers what was found; that it does not answer when it does not.
    ///
    /// # Errors
    /// What firewalld refuses.
    pub fn run(&self, errand: Errand) -> Result<Vec<Difference>> {
        if !self.0.bus.may_be_there() {
            return Ok(Vec::new());
        }
        let (patience, answer) = self.queue(errand);
        let Some(answer) = answer else { return Ok(vec![late()]) };
        if let Ok(answer) = answer.recv_timeout(patience) {
            return answer;
        }
        let mut line = self.0.line();
        // It may just have ended.
        if let Ok(answer) = answer.try_recv() {
            return answer;
        }
        if !line.is_late {
            line.is_late = true;
            warn!("firewalld does not answer: it may reject what containers send until it has been told of networks");
        }
        Ok(vec![late()])
    }

    fn queue(&self, errand: Errand) -> (Duration, Option<Receiver<Result<Vec<Difference>>>>) {
        let mut line = self.0.line();
        let patience = if line.is_late { Duration::ZERO } else { self.0.patience };
        if matches!(errand, Errand::Check(_) | Errand::Repair(_)) {
            // Whoever looked before and is not served yet has gone on.
            let mut place = 0;
            let under_way = usize::from(line.is_worked_off);
            line.waiting.retain(|waiting| {
                place += 1;
                place <= under_way || !matches!(waiting.0, Errand::Check(_) | Errand::Repair(_))
            });
        }
        if line.waiting.len() >= MOST {
            return (patience, None);
        }
        let (sender, receiver) = sync_channel(1);
        line.waiting.push_back(Waiting(errand, sender));
        if !line.is_worked_off {
            let shared = Arc::clone(&self.0);
            // In the network namespace of who asks, where the engine is.
            let started = thread::Builder::new().name("firewalld".to_owned()).spawn(move || shared.work());
            line.is_worked_off = started.is_ok();
        }
        (patience, Some(receiver))
    }
}

impl Drop for Errands {
    fn drop(&mut self) {
        self.0.line().is_closed = true;
        self.0.closed.notify_all();
    }
}

impl Shared {
    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let mut pause = PAUSE[0];
        while let Some(errand) = self.first() {
            let done = self.see_to(&errand);
            if let Err(error) = &done
                && error.is_silence()
                && !matches!(errand, Errand::Check(_))
            {
                if self.is_closed_within(pause) {
                    return;
                }
                pause = (pause * 2).min(PAUSE[1]);
                continue;
            }
            pause = PAUSE[0];
            self.answer(done);
        }
    }

    /// What is to be done next; it stays in the line until it is. After the last the thread ends.
    fn first(&self) -> Option<Errand> {
        let mut line = self.line();
        let first = line.waiting.front().map(|waiting| waiting.0.clone()).filter(|_| !line.is_closed);
        line.is_worked_off = first.is_some();
        first
    }

    fn answer(&self, done: Result<Vec<Difference>>) {
        let mut line = self.line();
        if done.as_ref().err().is_none_or(|error| !error.is_silence()) && std::mem::take(&mut line.is_late) {
            info!("firewalld answers again");
        }
        if let Some(Waiting(_, waiting)) = line.waiting.pop_front() {
            // Whoever waited may have gone on.
            let _ = waiting.try_send(done);
        }
    }

    fn is_closed_within(&self, pause: Duration) -> bool {
        let line = self.line();
        let waited = self.closed.wait_timeout_while(line, pause, |line| !line.is_closed);
        waited.unwrap_or_else(PoisonError::into_inner).0.is_closed
    }

    fn see_to(&self, errand: &Errand) -> Result<Vec<Difference>> {
        let Some(mut firewalld) = Firewalld::speak(&self.bus)? else { return Ok(Vec::new()) };
        match errand {
            Errand::Prepare => firewalld.prepare().map(|()| Vec::new()),
            Errand::Add(bridge) => firewalld.see_to_bridge(bridge).map(|()| Vec::new()),
            Errand::Remove(bridge) => firewalld.remove(bridge).map(|()| Vec::new()),
            Errand::Check(bridges) => firewalld.check(bridges),
            Errand::Repair(bridges) => firewalld.repair(bridges),
        }
    }
}

fn late() -> Difference {
    difference("it does not answer; it is told when it does".to_owned())
}
