//! Identifiers of containers, execs and everything containerd names.

use std::{fmt, str::FromStr};

/// An identifier as containerd accepts it: `[A-Za-z0-9]+([._-][A-Za-z0-9]+)*`, at most 76 bytes.
///
/// It is safe as one path component.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identifier(String);

/// Why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Nothing there.
    #[error("identifier must not be empty")]
    Empty,
    /// Longer than [`Identifier::MAX`].
    #[error("identifier {0:?} greater than maximum length (76 characters)")]
    TooLong(String),
    /// A character or an order of characters that is not allowed.
    #[error("identifier {0:?} must match [A-Za-z0-9]+(?:[._-](?:[A-Za-z0-9]+))*")]
    Characters(String),
}

impl Identifier {
    /// Longest identifier containerd stores, in bytes.
    pub const MAX: usize = 76;

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Identifier {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        if text.is_empty() {
            return Err(IdError::Empty);
        }
        if text.len() > Self::MAX {
            return Err(IdError::TooLong(text.to_owned()));
        }
        let well_formed = text
            .split(['.', '_', '-'])
            .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        if well_formed { Ok(Self(text.to_owned())) } else { Err(IdError::Characters(text.to_owned())) }
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The engine's id of a container, image config or exec: 64 lower-case hex digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContainerId(String);

impl ContainerId {
    /// An id from 32 random bytes, or `None` when its first twelve digits are all decimal: old tools
    /// read such a short id as a number, so the caller draws again.
    pub fn from_random(bytes: [u8; 32]) -> Option<Self> {
        use fmt::Write;
        let mut text = String::with_capacity(64);
        for byte in bytes {
            let _ = write!(text, "{byte:02x}"); // writing to a String cannot fail
        }
        let short_is_a_number = text.as_bytes()[..12].iter().all(u8::is_ascii_digit);
        (!short_is_a_number).then_some(Self(text))
    }

    /// All 64 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first twelve digits, as people see it.
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

impl FromStr for ContainerId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let hex = text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        match text.len() {
            0 => Err(IdError::Empty),
            64 if hex => Ok(Self(text.to_owned())),
            _ => Err(IdError::Characters(text.to_owned())),
        }
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_one_safe_path_component() {
        for good in ["a", "web-1", "A.b_c-9"] {
            assert!(good.parse::<Identifier>().is_ok(), "{good} was refused");
        }
        for bad in ["", ".", "..", "a/b", "-a", "a-", "a..b", "a b", "é", &"a".repeat(77)] {
            assert!(bad.parse::<Identifier>().is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn a_short_id_is_never_a_number() {
        assert_eq!(ContainerId::from_random([0x11; 32]), None);
        assert_eq!(ContainerId::from_random([0xab; 32]).expect("not decimal").short(), "abababababab");
    }
}
