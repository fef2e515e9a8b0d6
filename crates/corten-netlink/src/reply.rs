//! Messages of the kernel: answers, parts of a dump, events.

use std::io;

use crate::{attributes::Attributes, batch::HEADER_BYTES};

const KIND_ERROR: u16 = 2;
const KIND_DONE: u16 = 3;
const KIND_OVERRUN: u16 = 4;
/// Kinds below are the protocol's own (`NLMSG_MIN_TYPE`).
const KIND_FIRST: u16 = 16;
const FLAG_DUMP_INTERRUPTED: u16 = 0x10;
const FLAG_CAPPED: u16 = 0x100;
const FLAG_ATTRIBUTES: u16 = 0x200;
const ATTRIBUTE_MESSAGE: u16 = 1;

/// One message of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// Its kind.
    pub kind: u16,
    /// The number of the request it answers; 0 for an event.
    pub number: u32,
    /// The socket that caused it.
    pub port: u32,
    /// Whether what is dumped changed meanwhile (`NLM_F_DUMP_INTR`).
    pub interrupted: bool,
    /// What follows the header.
    pub body: &'a [u8],
    flags: u16,
}

/// What a message is.
#[derive(Debug)]
pub enum Meaning<'a> {
    /// A request was done.
    Done,
    /// A request was refused.
    Refused {
        /// The error's number.
        error: io::Error,
        /// What the kernel says about it.
        text: Option<&'a str>,
    },
    /// Something of the subsystem.
    Object,
    /// Nothing.
    Nothing,
}

impl<'a> Message<'a> {
    /// What it is.
    #[must_use]
    pub fn meaning(&self) -> Meaning<'a> {
        match self.kind {
            KIND_ERROR | KIND_DONE => self.outcome(),
            KIND_OVERRUN => Meaning::Refused { error: io::Error::from_raw_os_error(105), text: None },
            kind if kind < KIND_FIRST => Meaning::Nothing,
            _ => Meaning::Object,
        }
    }

    /// The attributes after a fixed part of that length; none when it is shorter.
    #[must_use]
    pub fn attributes(&self, fixed: usize) -> Attributes<'a> {
        Attributes::new(self.body.get(fixed..).unwrap_or_default())
    }

    fn outcome(&self) -> Meaning<'a> {
        let number = self.body.first_chunk().map(|bytes| i32::from_ne_bytes(*bytes)).unwrap_or_default();
        if number == 0 {
            return Meaning::Done;
        }
        let text = if self.flags & FLAG_ATTRIBUTES == 0 {
            None
        } else {
            self.attributes(self.refusal_bytes()).text(ATTRIBUTE_MESSAGE)
        };
        Meaning::Refused { error: io::Error::from_raw_os_error(number.saturating_neg()), text }
    }

    /// What stands before a refusal's attributes: the number, and the request or its header alone.
    fn refusal_bytes(&self) -> usize {
        if self.kind == KIND_DONE {
            return 4;
        }
        let request = if self.flags & FLAG_CAPPED == 0 {
            let length = self.body.get(4..8).and_then(|bytes| bytes.try_into().ok()).map(u32::from_ne_bytes);
            (length.unwrap_or_default() as usize).checked_next_multiple_of(4).unwrap_or(usize::MAX / 2)
        } else {
            HEADER_BYTES
        };
        4 + request
    }
}

/// Reads messages one after the other, and ends at what is none.
#[derive(Debug, Clone, Copy)]
pub struct Messages<'a>(&'a [u8]);

impl<'a> Messages<'a> {
    /// Those in `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        let header = self.0.first_chunk::<HEADER_BYTES>()?;
        let word = |at: usize| u32::from_ne_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let half = |at: usize| u16::from_ne_bytes([header[at], header[at + 1]]);
        let length = word(0) as usize;
        let body = self.0.get(HEADER_BYTES..length)?;
        self.0 = length.checked_next_multiple_of(4).and_then(|next| self.0.get(next..)).unwrap_or_default();
        let flags = half(6);
        let interrupted = flags & FLAG_DUMP_INTERRUPTED != 0;
        Some(Message { kind: half(4), number: word(8), port: word(12), interrupted, body, flags })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_with_the_kernels_words() {
        let mut bytes = vec![48, 0, 0, 0, 2, 0, 0, 3, 5, 0, 0, 0, 0, 0, 0, 0];
        bytes.extend((-17_i32).to_ne_bytes());
        bytes.extend([0; 16]);
        bytes.extend([8, 0, 1, 0, b'n', b'o', b'!', 0]);
        bytes.extend([0; 4]);
        let message = Messages::new(&bytes).next().expect("a message");
        assert_eq!(message.number, 5);
        let Meaning::Refused { error, text } = message.meaning() else { panic!("{message:?}") };
        assert_eq!((error.raw_os_error(), text), (Some(17), Some("no!")));
    }

    #[test]
    fn a_length_that_lies_ends_the_messages() {
        assert_eq!(Messages::new(&[255; 20]).count(), 0);
        assert_eq!(Messages::new(&[8; 8]).count(), 0);
        let mut short = vec![0; 16];
        short[0] = 3;
        assert_eq!(Messages::new(&short).count(), 0);
    }
}
