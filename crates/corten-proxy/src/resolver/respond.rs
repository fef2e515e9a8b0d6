//! What a query is answered with, as far as names of our networks go; the rest is forwarded, or stays here.

use std::net::IpAddr;

use corten_relay::names::{Forward, Standpoint};

use super::{
    message::{self, Code, Query, Transport, kind},
    zones::{View, Zones},
};

/// What is to be done with a message.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An answer was written.
    Answered,
    /// It is to be forwarded; its question ends there.
    Forward {
        /// Where.
        question_end: usize,
    },
    /// Nothing.
    Ignored,
}

/// Answers `message` in `out`. With several addresses another one is the first each time: `turn` says which.
pub fn respond(
    view: &View,
    zones: &Zones,
    message: &[u8],
    transport: Transport,
    turn: usize,
    out: &mut Vec<u8>,
) -> Outcome {
    let query = match message::parse(message) {
        Ok(Some(query)) => query,
        Ok(None) => return Outcome::Ignored,
        Err(code) => {
            message::answer_bad(message, code, out);
            return Outcome::Answered;
        }
    };
    if answer_own(view, zones, &query, transport, turn, out) {
        return Outcome::Answered;
    }
    if view.keeps_single_labels && matches!(query.kind, kind::A | kind::AAAA) && query.is_single_label() {
        query.answer_code(Code::NoError, out);
        return Outcome::Answered;
    }
    if !may_ask_anybody(view) {
        query.answer_code(Code::ServFail, out);
        return Outcome::Answered;
    }
    Outcome::Forward { question_end: query.question_end }
}

/// Answers a message that is longer than any question, of which only the beginning was taken.
pub fn refuse(beginning: &[u8], out: &mut Vec<u8>) -> Outcome {
    if beginning.len() < message::HEADER_BYTES || beginning[2] & 0x80 != 0 {
        return Outcome::Ignored;
    }
    message::answer_bad(beginning, Code::FormErr, out);
    Outcome::Answered
}

/// Answers what is ours.
fn answer_own(
    view: &View,
    zones: &Zones,
    query: &Query<'_>,
    transport: Transport,
    turn: usize,
    out: &mut Vec<u8>,
) -> bool {
    let Some(name) = query.name.filter(|_| query.is_internet) else { return false };
    let name = name.as_bytes();
    let addresses = || view.addresses(zones, name);
    match query.kind {
        kind::A => addresses().map(|found| {
            query.answer_addresses(transport, rotated(&found.four, turn).map(IpAddr::V4), out);
        }),
        kind::AAAA => addresses().map(|found| {
            query.answer_addresses(transport, rotated(&found.six, turn).map(IpAddr::V6), out);
        }),
        // Mail goes to the address then (RFC 5321 section 5.1).
        kind::MX => addresses().map(|_| query.answer_code(Code::NoError, out)),
        kind::PTR => message::reverse(name)
            .and_then(|address| view.name(zones, address))
            .map(|name| query.answer_name(transport, &name, out)),
        _ => None,
    }
    .is_some()
}

/// All of them, beginning with another one each turn.
fn rotated<T: Copy>(all: &[T], turn: usize) -> impl Iterator<Item = T> {
    let (before, after) = all.split_at(if all.is_empty() { 0 } else { turn % all.len() });
    after.iter().chain(before).copied()
}

fn may_ask_anybody(view: &View) -> bool {
    view.servers.iter().any(|server| may_ask(view.forward, server.standpoint))
}

/// Whether a server may be asked at all.
pub fn may_ask(forward: Forward, standpoint: Standpoint) -> bool {
    match (forward, standpoint) {
        (Forward::Everywhere, _) | (Forward::OwnNetworks, Standpoint::Container) => true,
        (Forward::OwnNetworks, Standpoint::Host) | (Forward::Nowhere, _) => false,
    }
}
