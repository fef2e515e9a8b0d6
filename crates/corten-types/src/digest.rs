//! Content digests: `algorithm:hex` (image-spec descriptor.md, "Digests").

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A well-formed digest of a registered algorithm: `sha256:` and 64 lower-case hex digits, or
/// `sha512:` and 128.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

/// Why a text is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// No `algorithm:` in front, or nothing behind it.
    #[error("invalid checksum digest format: {0:?}")]
    Format(String),
    /// The algorithm is none we know.
    #[error("unsupported digest algorithm: {0:?}")]
    Algorithm(String),
    /// Too many or too few hex digits for the algorithm.
    #[error("invalid checksum digest length: {0:?}")]
    Length(String),
}

impl Digest {
    /// The digest of SHA-256 output.
    pub fn sha256(hash: [u8; 32]) -> Self {
        use fmt::Write;
        let mut text = String::with_capacity(71);
        text.push_str("sha256:");
        for byte in hash {
            let _ = write!(text, "{byte:02x}"); // writing to a String cannot fail
        }
        Self(text)
    }

    /// `sha256` or `sha512`.
    pub fn algorithm(&self) -> &str {
        self.0.split_once(':').map_or("", |(algorithm, _)| algorithm)
    }

    /// The hex digits without the algorithm.
    pub fn hex(&self) -> &str {
        self.0.split_once(':').map_or("", |(_, hex)| hex)
    }

    /// The whole text, `sha256:…`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let (algorithm, hex) = text.split_once(':').ok_or_else(|| DigestError::Format(text.to_owned()))?;
        let length = match algorithm {
            "sha256" => 64,
            "sha512" => 128,
            "" => return Err(DigestError::Format(text.to_owned())),
            _ => return Err(DigestError::Algorithm(text.to_owned())),
        };
        if !hex.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)) {
            return Err(DigestError::Format(text.to_owned()));
        }
        if hex.len() != length {
            return Err(DigestError::Length(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Self, DigestError> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl AsRef<str> for Digest {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_knows_its_parts() {
        let digest = Digest::sha256([0xab; 32]);
        assert_eq!(digest.algorithm(), "sha256");
        assert_eq!(digest.hex(), "ab".repeat(32));
        assert_eq!(digest.as_str().parse::<Digest>(), Ok(digest));
    }

    #[test]
    fn malformed_digests_are_refused() {
        let hex = "a".repeat(64);
        for text in
            ["", "sha256", "sha256:", ":abc", "md5:abc", &format!("sha256:{}", hex.to_uppercase()), "sha256:../../x"]
        {
            assert!(text.parse::<Digest>().is_err(), "{text} was accepted");
        }
        assert!(format!("sha256:{hex}").parse::<Digest>().is_ok());
    }
}
