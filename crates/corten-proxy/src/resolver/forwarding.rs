//! Forwarding: who is asked next, and who gets the answer.

use std::{os::fd::AsFd, time::Instant};

use corten_relay::names::{Server, Standpoint};
use corten_sys::{
    clone::{self, Namespaces},
    epoll::Interest,
};

use super::{
    forward::{Asker, Forward, LAST_WAITS, MOST_OF_CONTAINER, NEXT_AFTER},
    message::{self, Code},
    respond::may_ask,
    thread::{Answering, BUFFER_BYTES, Source},
    upstream::{Asked, Said},
};

impl Answering {
    /// Sends `query` of a container on to its servers.
    pub fn forward(&mut self, number: u64, asker: Asker, query: &[u8], question_end: usize, now: Instant) {
        let Some(container) = self.containers.get_mut(&number) else { return };
        let has_room = container.forwards < MOST_OF_CONTAINER && self.forwards.len() < self.most_forwards;
        let mut id = [0; 2];
        let refusal = match (has_room, getrandom::fill(&mut id)) {
            (false, _) => Some(Code::Refused),
            (true, Err(_)) => Some(Code::ServFail),
            (true, Ok(())) => None,
        };
        if let Some(code) = refusal {
            return self.fail(number, asker, query, code);
        }
        container.forwards += 1;
        let view = &container.view;
        let servers = view.servers.iter().copied().filter(|server| may_ask(view.forward, server.standpoint));
        let mut sent = query.to_vec();
        sent[..2].copy_from_slice(&id);
        let forward = Forward {
            container: number,
            asker,
            id: [query[0], query[1]],
            query: sent,
            question_end,
            servers: servers.collect::<Vec<_>>().into_iter(),
            asked: Vec::new(),
            due: now,
        };
        let token = self.new_token();
        self.forwards.insert(token, forward);
        self.ask_next(token, now);
    }

    /// Asks the next server of a forwarded query. When there is none any more, the last one gets its time; when none is
    /// left to be waited for, the query has failed.
    pub fn ask_next(&mut self, token: u64, now: Instant) {
        let Some(forward) = self.forwards.get_mut(&token) else { return };
        self.due.remove(&(forward.due, token));
        let number = forward.container;
        let had_more = forward.servers.len() > 0;
        while let Some(server) = self.forwards.get_mut(&token).and_then(|forward| forward.servers.next()) {
            if let Some(asked) = self.ask(number, token, server) {
                let Some(forward) = self.forwards.get_mut(&token) else { return };
                forward.asked.push(asked);
                forward.due = now + if forward.servers.len() == 0 { LAST_WAITS } else { NEXT_AFTER };
                self.due.insert((forward.due, token));
                return;
            }
        }
        let Some(forward) = self.forwards.get_mut(&token) else { return };
        if forward.asked.is_empty() || !had_more && forward.due <= now {
            return self.give_up(token);
        }
        if had_more {
            // The next ones could not be asked; the one before is the last.
            forward.due = now + LAST_WAITS;
        }
        self.due.insert((forward.due, token));
    }

    /// Asks `server`, from where it is to be asked.
    fn ask(&mut self, number: u64, token: u64, server: Server) -> Option<(u64, Asked)> {
        let forward = self.forwards.get(&token)?;
        let transport = forward.asker.transport();
        let ask = || Asked::ask(transport, server.address, &forward.query).ok();
        let asked = match server.standpoint {
            Standpoint::Host => ask(),
            Standpoint::Container => {
                let namespace = &self.containers.get(&number)?.sockets.namespace;
                clone::enter(namespace.as_fd(), Namespaces::NETWORK).ok()?;
                let asked = ask();
                // A thread that stayed would ask for others from there.
                clone::enter(self.home.as_fd(), Namespaces::NETWORK).expect("this thread came from there");
                asked
            }
        }?;
        let interest = match asked {
            Asked::Udp(_) => Interest::Readable,
            Asked::Tcp(_) => Interest::Edges,
        };
        let source = self.watch(&asked, Source::Server(token), interest).ok()?;
        Some((source, asked))
    }

    /// Hears what a server says.
    pub fn hear(&mut self, token: u64, source: u64, now: Instant) {
        let Some(forward) = self.forwards.get_mut(&token) else { return };
        let Some(index) = forward.asked.iter().position(|(asked, _)| *asked == source) else { return };
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(BUFFER_BYTES, 0);
        match forward.asked[index].1.hear(&forward.query, forward.question_end, &mut buffer) {
            Said::Nothing => {}
            Said::Answer(length) => {
                let answer = &mut buffer[..length];
                answer[..2].copy_from_slice(&forward.id);
                let (number, asker) = (forward.container, forward.asker);
                self.end_forward(token);
                self.send(number, asker, answer);
            }
            Said::Failure => {
                forward.asked.swap_remove(index);
                self.sources.remove(&source);
                self.ask_next(token, now);
            }
        }
        self.buffer = buffer;
    }

    /// No server has answered.
    fn give_up(&mut self, token: u64) {
        let Some(forward) = self.forwards.get(&token) else { return };
        let (number, asker) = (forward.container, forward.asker);
        let mut query = forward.query.clone();
        query[..2].copy_from_slice(&forward.id);
        self.end_forward(token);
        self.fail(number, asker, &query, Code::ServFail);
    }

    /// Answers `query` with a code.
    fn fail(&mut self, number: u64, asker: Asker, query: &[u8], code: Code) {
        let Ok(Some(parsed)) = message::parse(query) else { return };
        let mut out = std::mem::take(&mut self.out);
        parsed.answer_code(code, &mut out);
        self.send(number, asker, &out);
        self.out = out;
    }

    fn send(&mut self, number: u64, asker: Asker, answer: &[u8]) {
        match asker {
            Asker::Datagram(sender) => {
                if let Some(container) = self.containers.get(&number) {
                    // What cannot be sent is lost, as everywhere on the way.
                    let _ = container.sockets.udp.send_to(answer, sender);
                }
            }
            Asker::Stream(token) => {
                if let Some((client, _)) = self.clients.get_mut(&token) {
                    client.answer(Some(answer));
                    // Not here, where it may be its turn already.
                    self.wanting.push(token);
                }
            }
        }
    }

    pub fn end_forward(&mut self, token: u64) {
        let Some(forward) = self.forwards.remove(&token) else { return };
        self.due.remove(&(forward.due, token));
        for (source, _) in &forward.asked {
            self.sources.remove(source);
        }
        if let Some(container) = self.containers.get_mut(&forward.container) {
            container.forwards -= 1;
        }
    }
}
