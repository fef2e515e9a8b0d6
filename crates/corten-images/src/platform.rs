//! What an image runs on, and which of several fits this machine best (containerd's platforms package).

use std::fmt;
use std::str::FromStr;

/// An operating system, an architecture and its variant, normalised.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Platform {
    /// `linux`.
    pub os: String,
    /// Go's word: `amd64`, `arm64`.
    pub architecture: String,
    /// `v7` of arm, `v2` of amd64; empty when there is none.
    pub variant: String,
}

/// A platform that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a platform: expected OS/ARCHITECTURE[/VARIANT], such as linux/arm64")]
pub struct InvalidPlatform(String);

impl Platform {
    /// A platform in normal form: `x86_64` is `amd64`, `amd64/v1` and `arm64/v8` have no variant.
    pub fn new(os: &str, architecture: &str, variant: &str) -> Self {
        let architecture = architecture.to_ascii_lowercase();
        let variant = variant.to_ascii_lowercase();
        let (architecture, variant) = match (architecture.as_str(), variant.as_str()) {
            ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", ""),
            ("x86_64" | "x86-64" | "amd64", variant) => ("amd64", variant),
            ("i386", _) => ("386", ""),
            ("aarch64" | "arm64", "8" | "v8" | "v8.0") => ("arm64", ""),
            ("aarch64" | "arm64", variant) => ("arm64", variant),
            ("armhf", _) | ("arm", "" | "7") => ("arm", "v7"),
            ("armel", _) | ("arm", "6") => ("arm", "v6"),
            ("arm", "5") => ("arm", "v5"),
            ("arm", "8") => ("arm", "v8"),
            (architecture, variant) => (architecture, variant),
        };
        let os = if os.eq_ignore_ascii_case("macos") { "darwin".to_owned() } else { os.to_ascii_lowercase() };
        Self { os, architecture: architecture.to_owned(), variant: variant.to_owned() }
    }

    /// What this program runs on.
    pub fn host() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86" => "386",
            "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
            architecture => architecture,
        };
        Self::new("linux", architecture, "")
    }

    /// How well `image` runs on `self`, 0 best; none when it does not.
    pub fn rank(&self, image: &Self) -> Option<usize> {
        if self.os != image.os {
            return None;
        }
        self.runs()
            .iter()
            .position(|(architecture, variant)| *architecture == image.architecture && *variant == image.variant)
    }

    /// Architectures and variants that run here, best first.
    fn runs(&self) -> Vec<(String, String)> {
        let own = (self.architecture.clone(), self.variant.clone());
        let number = self.variant.trim_start_matches('v').parse::<u8>().ok();
        let numbered = |architecture: &str, from: u8, to: u8| {
            (to..=from).rev().map(|n| (architecture.to_owned(), format!("v{n}"))).collect::<Vec<_>>()
        };
        match self.architecture.as_str() {
            // Up to v4; v1 is written without a variant. Then what the processor still runs in 32 bits.
            "amd64" => {
                let mut all = numbered("amd64", number.unwrap_or(1).min(9), 2);
                all.push(("amd64".into(), String::new()));
                all.push(("386".into(), String::new()));
                all
            }
            "arm" => numbered("arm", number.unwrap_or(7).min(9), 5),
            "arm64" => {
                let mut all = vec![own];
                if !self.variant.is_empty() {
                    all.push(("arm64".into(), String::new()));
                }
                all.extend(numbered("arm", 8, 5));
                all
            }
            _ => vec![own],
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.os, self.architecture)?;
        if self.variant.is_empty() { Ok(()) } else { write!(formatter, "/{}", self.variant) }
    }
}

impl FromStr for Platform {
    type Err = InvalidPlatform;

    fn from_str(text: &str) -> Result<Self, InvalidPlatform> {
        let invalid = || InvalidPlatform(text.to_owned());
        let parts: Vec<&str> = text.split('/').collect();
        let is_word = |part: &&str| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
        };
        if !parts.iter().all(is_word) {
            return Err(invalid());
        }
        match parts[..] {
            // One word is an operating system or an architecture.
            ["linux" | "windows" | "darwin" | "freebsd"] => Ok(Self { os: parts[0].to_owned(), ..Self::host() }),
            [architecture] => Ok(Self::new("linux", architecture, "")),
            [os, architecture] => Ok(Self::new(os, architecture, "")),
            [os, architecture, variant] => Ok(Self::new(os, architecture, variant)),
            _ => Err(invalid()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(text: &str) -> Platform {
        text.parse().unwrap()
    }

    #[test]
    fn names_are_normalised() {
        for (text, expected) in [
            ("linux/x86_64", "linux/amd64"),
            ("linux/amd64/v1", "linux/amd64"),
            ("linux/aarch64/v8", "linux/arm64"),
            ("linux/armhf", "linux/arm/v7"),
            ("linux/arm", "linux/arm/v7"),
            ("arm64", "linux/arm64"),
            ("Linux/AMD64", "linux/amd64"),
        ] {
            assert_eq!(platform(text).to_string(), expected);
        }
        for text in ["", "linux/", "a/b/c/d", "linux/am d64"] {
            assert!(text.parse::<Platform>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_best_of_what_runs_comes_first() {
        for (host, image, expected) in [
            ("linux/amd64", "linux/amd64", Some(0)),
            ("linux/amd64", "linux/386", Some(1)),
            ("linux/amd64/v3", "linux/amd64/v2", Some(1)),
            ("linux/amd64", "linux/amd64/v2", None),
            ("linux/amd64", "linux/arm64", None),
            ("linux/arm64", "linux/arm/v7", Some(2)),
            ("linux/arm/v6", "linux/arm/v7", None),
            ("linux/arm/v7", "linux/arm/v5", Some(2)),
            ("linux/amd64", "windows/amd64", None),
        ] {
            assert_eq!(platform(host).rank(&platform(image)), expected, "{image} on {host}");
        }
    }
}
