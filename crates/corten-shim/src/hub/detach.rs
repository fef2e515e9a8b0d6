//! Finding the detach keys in what an attached client types.

/// Looks for a sequence of keys.
#[derive(Debug, Default)]
pub(super) struct Detach {
    keys: Vec<u8>,
    matched: usize,
}

/// What is left of typed bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Typed {
    /// For the process.
    pub bytes: Vec<u8>,
    /// The sequence is complete: the client leaves.
    pub detached: bool,
}

impl Detach {
    /// No keys never detach.
    pub(super) fn new(keys: Option<Vec<u8>>) -> Self {
        Self { keys: keys.unwrap_or_default(), matched: 0 }
    }

    /// Takes typed bytes. A beginning of the sequence is held back until it is complete or broken.
    pub(super) fn feed(&mut self, typed: &[u8]) -> Typed {
        if self.keys.is_empty() {
            return Typed { bytes: typed.to_vec(), detached: false };
        }
        let mut bytes = Vec::with_capacity(typed.len() + self.matched);
        for byte in typed {
            if *byte == self.keys[self.matched] {
                self.matched += 1;
                if self.matched == self.keys.len() {
                    self.matched = 0;
                    return Typed { bytes, detached: true };
                }
                continue;
            }
            bytes.extend_from_slice(&self.keys[..self.matched]);
            self.matched = 0;
            if *byte == self.keys[0] {
                self.matched = 1;
            } else {
                bytes.push(*byte);
            }
        }
        Typed { bytes, detached: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::type_complexity, reason = "a table of pieces, what passes, and whether it detaches")]
    fn keys_are_found_however_they_arrive() {
        let cases: [(&[&[u8]], &[u8], bool); 6] = [
            (&[b"abc"], b"abc", false),
            (&[b"a\x10\x11b"], b"a", true),
            (&[b"a\x10", b"\x11"], b"a", true),
            (&[b"a\x10", b"b"], b"a\x10b", false),
            (&[b"\x10\x10\x11"], b"\x10", true),
            (&[b"\x10", b"\x10", b"x"], b"\x10\x10x", false),
        ];
        for (pieces, expected, detached) in cases {
            let mut detach = Detach::new(Some(vec![0x10, 0x11]));
            let mut bytes = Vec::new();
            let mut found = false;
            for piece in pieces {
                let typed = detach.feed(piece);
                bytes.extend(typed.bytes);
                found |= typed.detached;
            }
            assert_eq!((bytes.as_slice(), found), (expected, detached), "{pieces:?}");
        }
    }

    #[test]
    fn without_keys_everything_passes() {
        assert_eq!(Detach::new(None).feed(b"\x10\x11"), Typed { bytes: b"\x10\x11".to_vec(), detached: false });
    }
}
