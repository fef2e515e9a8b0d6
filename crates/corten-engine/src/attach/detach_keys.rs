//! The key sequence that detaches, as clients write it: `ctrl-p,ctrl-q`, `a`, `ctrl-],x`, `DEL`.

use crate::errors::{EngineError, Result};

/// What detaches when neither the client nor the container says otherwise.
pub const DEFAULT: [u8; 2] = [16, 17];

/// The bytes a terminal sends for `keys`; nothing for an empty text.
///
/// # Errors
/// 400 for a key that is none.
pub fn parse(keys: &str) -> Result<Vec<u8>> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    keys.split(',')
        .map(|key| byte(key).ok_or_else(|| EngineError::invalid(format!("Invalid detach keys ({keys}) provided"))))
        .collect()
}

fn byte(key: &str) -> Option<u8> {
    match key.as_bytes() {
        [byte] => Some(*byte),
        b"DEL" => Some(127),
        [b'c', b't', b'r', b'l', b'-', letter @ (b'a'..=b'z')] => Some(letter - b'a' + 1),
        b"ctrl-@" => Some(0),
        b"ctrl-[" => Some(27),
        b"ctrl-\\" => Some(28),
        b"ctrl-]" => Some(29),
        b"ctrl-^" => Some(30),
        b"ctrl-_" => Some(31),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_become_what_a_terminal_sends() {
        for (text, bytes) in [
            ("", &[][..]),
            ("ctrl-p,ctrl-q", &DEFAULT),
            ("a", b"a"),
            ("ctrl-],x,DEL", &[29, b'x', 127]),
            ("ctrl-@,ctrl-[,ctrl-\\,ctrl-^,ctrl-_", &[0, 27, 28, 30, 31]),
        ] {
            assert_eq!(parse(text).unwrap(), bytes, "{text}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused_whole() {
        for text in ["ctrl-", "ctrl-P", "ctrl-1", "ab", "a,,b", "ctrl-p,"] {
            assert_eq!(parse(text).unwrap_err().message(), format!("Invalid detach keys ({text}) provided"));
        }
    }
}
