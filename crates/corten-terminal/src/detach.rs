//! The key sequence that detaches from a container without stopping it.

/// A key sequence nobody can type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Unknown character: '{0}'")]
pub struct UnknownKey(pub String);

/// `ctrl-p,ctrl-q`
pub const DEFAULT_KEYS: [u8; 2] = [16, 17];

/// Reads a sequence such as `ctrl-p,ctrl-q` or `a,DEL`.
///
/// # Errors
/// [`UnknownKey`] names the key that is none.
pub fn parse(keys: &str) -> Result<Vec<u8>, UnknownKey> {
    keys.split(',').map(|key| parse_key(key).ok_or_else(|| UnknownKey(key.to_owned()))).collect()
}

fn parse_key(key: &str) -> Option<u8> {
    if let [byte] = key.as_bytes() {
        return Some(*byte);
    }
    if key == "DEL" {
        return Some(127);
    }
    let [control] = key.strip_prefix("ctrl-")?.as_bytes() else { return None };
    match control {
        b'@' => Some(0),
        b'a'..=b'z' => Some(control - b'a' + 1),
        b'[' | b'\\' | b']' | b'^' | b'_' => Some(control - b'@'),
        _ => None,
    }
}

/// Finds the sequence in what is typed and holds back its beginning until it is sure.
#[derive(Debug)]
pub struct Detector {
    keys: Vec<u8>,
    seen: usize,
}

/// What a piece of input amounts to.
#[derive(Debug, PartialEq, Eq)]
pub struct Scanned {
    /// Bytes to pass on.
    pub forward: Vec<u8>,
    /// Whether the sequence was completed; what came after it is dropped.
    pub detached: bool,
}

impl Detector {
    /// A detector of `keys`; an empty sequence never detaches.
    #[must_use]
    pub const fn new(keys: Vec<u8>) -> Self {
        Self { keys, seen: 0 }
    }

    /// Scans a piece of input.
    pub fn scan(&mut self, input: &[u8]) -> Scanned {
        if self.keys.is_empty() {
            return Scanned { forward: input.to_vec(), detached: false };
        }
        let mut forward = Vec::with_capacity(input.len() + self.seen);
        for byte in input {
            if *byte != self.keys[self.seen] {
                forward.extend_from_slice(&self.keys[..self.seen]);
                self.seen = 0;
            }
            // The byte that broke a sequence may begin the next one.
            if *byte != self.keys[self.seen] {
                forward.push(*byte);
                continue;
            }
            self.seen += 1;
            if self.seen == self.keys.len() {
                self.seen = 0;
                return Scanned { forward, detached: true };
            }
        }
        Scanned { forward, detached: false }
    }
}

#[cfg(test)]
mod tests {
    use super::{Detector, Scanned, UnknownKey, parse};

    #[test]
    fn sequences_are_read_as_docker_spells_them() {
        let check = |text: &str, expected: Result<&[u8], &str>| {
            assert_eq!(parse(text), expected.map(<[u8]>::to_vec).map_err(|key| UnknownKey(key.to_owned())), "{text}");
        };
        check("ctrl-p,ctrl-q", Ok(&[16, 17]));
        check("a,DEL,ctrl-@,ctrl-_", Ok(&[97, 127, 0, 31]));
        check("foo", Err("foo"));
        check("ctrl-p,", Err(""));
        check("ctrl-A", Err("ctrl-A"));
    }

    #[test]
    fn the_sequence_detaches_and_is_not_passed_on() {
        let mut detector = Detector::new(vec![16, 17]);
        assert_eq!(detector.scan(b"ab\x10"), Scanned { forward: b"ab".to_vec(), detached: false });
        assert_eq!(detector.scan(b"\x11cd"), Scanned { forward: vec![], detached: true });
    }

    #[test]
    fn a_broken_sequence_is_passed_on_whole() {
        let mut detector = Detector::new(vec![16, 17]);
        assert_eq!(detector.scan(b"\x10x"), Scanned { forward: b"\x10x".to_vec(), detached: false });
        assert_eq!(detector.scan(b"\x10\x10\x11"), Scanned { forward: b"\x10".to_vec(), detached: true });
    }
}
