//! Messages on their way to the kernel, one after the other in one buffer (netlink(7)).

use std::borrow::Cow;

/// Bytes of `struct nlmsghdr`.
pub(crate) const HEADER_BYTES: usize = 16;

/// Flags of a message (netlink(7)).
pub mod flag {
    /// It is a request.
    pub const REQUEST: u16 = 0x1;
    /// An answer is wanted in any case.
    pub const ACK: u16 = 0x4;
    /// Of all that there is.
    pub const DUMP: u16 = 0x300;
    /// What is there is replaced.
    pub const REPLACE: u16 = 0x100;
    /// What is there is an error.
    pub const EXCL: u16 = 0x200;
    /// What is not there is made.
    pub const CREATE: u16 = 0x400;
    /// It comes last.
    pub const APPEND: u16 = 0x800;
}

/// Requests that are sent together. Each carries what it is for, so that a refusal can be told.
#[derive(Debug, Default, Clone)]
pub struct Batch {
    bytes: Vec<u8>,
    /// Where each begins, and what it is for.
    requests: Vec<(usize, Cow<'static, str>)>,
    /// An attribute was longer than its length field can say.
    too_large: bool,
}

impl Batch {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.requests.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// What the request number `index` is for.
    #[must_use]
    pub fn request(&self, index: usize) -> Option<&str> {
        self.requests.get(index).map(|(_, request)| request.as_ref())
    }

    /// Whether one of them cannot be said in a message.
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        self.too_large
    }

    /// Adds a request for `what`: its kind and flags, the fixed part, and attributes by `fill`.
    pub fn add(
        &mut self,
        what: impl Into<Cow<'static, str>>,
        kind: u16,
        flags: u16,
        fixed: &[u8],
        fill: impl FnOnce(&mut Self),
    ) {
        let start = self.bytes.len();
        self.requests.push((start, what.into()));
        self.bytes.extend_from_slice(&[0; HEADER_BYTES]);
        self.bytes[start + 4..start + 6].copy_from_slice(&kind.to_ne_bytes());
        self.bytes[start + 6..start + 8].copy_from_slice(&(flags | flag::REQUEST).to_ne_bytes());
        self.bytes.extend_from_slice(fixed);
        self.pad();
        fill(self);
        let length = u32::try_from(self.bytes.len() - start).unwrap_or(u32::MAX);
        self.bytes[start..start + 4].copy_from_slice(&length.to_ne_bytes());
    }

    /// Appends the requests of another.
    pub fn append(&mut self, other: Self) {
        let offset = self.bytes.len();
        self.bytes.extend_from_slice(&other.bytes);
        self.requests.extend(other.requests.into_iter().map(|(start, what)| (start + offset, what)));
        self.too_large |= other.too_large;
    }

    /// An attribute of the message that is being written.
    pub fn bytes(&mut self, kind: u16, value: &[u8]) {
        let start = self.open(kind);
        self.bytes.extend_from_slice(value);
        self.close(start);
    }

    /// An attribute that is a text, with the NUL byte at its end.
    pub fn text(&mut self, kind: u16, value: &str) {
        let start = self.open(kind);
        self.bytes.extend_from_slice(value.as_bytes());
        self.bytes.push(0);
        self.close(start);
    }

    /// An attribute that is a number in the machine's order of bytes.
    pub fn number(&mut self, kind: u16, value: u32) {
        self.bytes(kind, &value.to_ne_bytes());
    }

    /// An attribute that is a number in the network's order of bytes.
    pub fn big(&mut self, kind: u16, value: u32) {
        self.bytes(kind, &value.to_be_bytes());
    }

    /// An attribute that holds others (`NLA_F_NESTED`).
    pub fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) {
        const NESTED: u16 = 0x8000;
        let start = self.open(kind | NESTED);
        fill(self);
        self.close(start);
    }

    /// As [`Self::nest`], with a fixed part before the others, and without the flag: as old parts of rtnetlink have it.
    pub fn nest_after(&mut self, kind: u16, fixed: &[u8], fill: impl FnOnce(&mut Self)) {
        let start = self.open(kind);
        self.bytes.extend_from_slice(fixed);
        fill(self);
        self.close(start);
    }

    /// All of them, numbered from `first`. The number leads back to the request.
    pub(crate) fn numbered(&mut self, first: u32) -> &[u8] {
        for (index, (start, _)) in self.requests.iter().enumerate() {
            let number = first.wrapping_add(index as u32);
            self.bytes[start + 8..start + 12].copy_from_slice(&number.to_ne_bytes());
        }
        &self.bytes
    }

    /// Asks for an answer to the last but `back` requests.
    pub(crate) fn acknowledge(&mut self, back: usize) {
        if let Some(&(start, _)) = self.requests.len().checked_sub(back + 1).and_then(|at| self.requests.get(at)) {
            self.bytes[start + 6] |= flag::ACK as u8;
        }
    }

    fn open(&mut self, kind: u16) -> usize {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0, 0]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        start
    }

    fn close(&mut self, start: usize) {
        match u16::try_from(self.bytes.len() - start) {
            Ok(length) => self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes()),
            Err(_) => self.too_large = true,
        }
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_as_the_manual_has_it() {
        let mut batch = Batch::new();
        batch.add("a thing", 16, flag::ACK, &[1, 2], |batch| {
            batch.text(3, "eth0");
            batch.nest(18, |batch| batch.number(1, 7));
        });
        let bytes = batch.numbered(9);
        assert_eq!(
            bytes,
            [
                44, 0, 0, 0, 16, 0, 5, 0, 9, 0, 0, 0, 0, 0, 0, 0, // length, kind, flags, number, port
                1, 2, 0, 0, // the fixed part, padded
                9, 0, 3, 0, b'e', b't', b'h', b'0', 0, 0, 0, 0, // a text, padded
                12, 0, 18, 128, 8, 0, 1, 0, 7, 0, 0, 0, // a number in another
            ]
        );
        assert_eq!(batch.request(0), Some("a thing"));
    }

    #[test]
    fn an_attribute_beyond_64_kib_is_told() {
        let mut batch = Batch::new();
        batch.add("much", 1, 0, &[], |batch| batch.bytes(1, &[0; 1 << 16]));
        assert!(batch.is_too_large());
    }
}
