//! The packet filter (nf_tables): tables, chains, sets, rules, and batches that are done as a whole or not at all.
//!
//! Of the expressions there are those an own fixed set of rules needs; `nft list ruleset` shows them as text.

pub mod dump;
pub mod expression;
pub mod object;
pub mod set;

pub use expression::{Expression, Verdict};
pub use object::{Chain, Family, Hook, Table};
pub use set::{Data, Element, Set, Type};

use crate::{Batch, Error, Result, Socket, batch::flag};

const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const BATCH_GENERATION: u16 = 1;
const GET_GENERATION: u16 = 16;
const NEW_GENERATION: u16 = 15;
const GENERATION_ID: u16 = 1;
const GENERATION_PROCESS: u16 = 2;

/// The number of a message of nf_tables.
pub(crate) const fn message(kind: u16) -> u16 {
    (SUBSYSTEM << 8) | kind
}

/// `struct nfgenmsg`.
pub(crate) const fn fixed(family: u8) -> [u8; 4] {
    [family, 0, 0, 0]
}

/// The number of the rules' present state: it grows with every change of anybody.
///
/// # Errors
/// [`Error::is_lacking`] when the kernel was built without nf_tables.
pub fn generation(socket: &mut Socket) -> Result<u32> {
    let mut batch = Batch::new();
    batch.add("ask for the rules' generation", message(GET_GENERATION), 0, &fixed(0), |_| {});
    let found = socket.dump(&batch, |message| {
        (message.kind == self::message(NEW_GENERATION)).then(|| message.attributes(4).big(GENERATION_ID)).flatten()
    })?;
    let missing = || Error::Malformed { request: "ask for the rules' generation".to_owned() };
    found.into_iter().next().ok_or_else(missing)
}

/// Does everything in `changes`, or nothing. With `generation`, nothing is done when somebody else changed rules since.
///
/// # Errors
/// The first refusal; [`Error::is_stale`] when somebody changed rules since, [`Error::is_lacking`] without nf_tables.
pub fn commit(socket: &mut Socket, changes: Batch, generation: Option<u32>) -> Result<()> {
    if changes.is_empty() {
        return Ok(());
    }
    let mut refusals = commit_all(socket, changes, generation);
    if refusals.is_empty() { Ok(()) } else { Err(refusals.swap_remove(0)) }
}

fn commit_all(socket: &mut Socket, changes: Batch, generation: Option<u32>) -> Vec<Error> {
    let mut batch = Batch::new();
    let [high, low] = SUBSYSTEM.to_be_bytes();
    batch.add("change rules", BATCH_BEGIN, 0, &[0, 0, high, low], |batch| {
        if let Some(generation) = generation {
            batch.big(BATCH_GENERATION, generation);
        }
    });
    batch.append(changes);
    // The end of a batch is not answered before Linux 6.10; what comes before it is.
    batch.acknowledge(0);
    batch.add("change rules", BATCH_END, 0, &[0, 0, high, low], |_| {});
    socket.run_unanswered(batch).into_iter().map(|(_, error)| error).collect()
}

/// The process that completed the change which an event tells of, for sockets subscribed to rules.
#[must_use]
pub fn changed_by(event: &crate::reply::Message<'_>) -> Option<u32> {
    (event.kind == message(NEW_GENERATION)).then(|| event.attributes(4).big(GENERATION_PROCESS)).flatten()
}

/// Flags of requests that make something.
pub(crate) const MAKE: u16 = flag::CREATE;
