//! `linux.seccomp` → a filter the child only has to hand to the kernel.

use std::path::PathBuf;
use std::sync::OnceLock;

use corten_seccomp::{Arch, Profile, compile};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::invalid;
use crate::spec::SpecError;

/// A system call filter, ready to be installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeccompPlan {
    /// The program, a `struct sock_filter` in each word.
    #[serde(with = "words")]
    pub program: Vec<u64>,
    /// Flags of seccomp(2).
    pub flags: u32,
    /// Who answers the calls that ask.
    pub listener: Option<Listener>,
}

/// A program as text: sixteen digits a word, which are written and passed over in a fraction of the time that numbers take.
mod words {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    const DIGITS: &[u8; 16] = b"0123456789abcdef";

    pub(super) fn serialize<S: Serializer>(words: &[u64], to: S) -> Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(16 * words.len());
        for word in words {
            text.extend((0..16).rev().map(|digit| char::from(DIGITS[(word >> (4 * digit) & 15) as usize])));
        }
        to.serialize_str(&text)
    }

    /// Numbers are what earlier runtimes kept.
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Kept {
        Digits(String),
        Numbers(Vec<u64>),
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u64>, D::Error> {
        let text = match Kept::deserialize(from)? {
            Kept::Numbers(words) => return Ok(words),
            Kept::Digits(text) => text,
        };
        let word = |digits: &[u8]| {
            let digits = std::str::from_utf8(digits).ok().filter(|digits| digits.len() == 16);
            digits.and_then(|digits| u64::from_str_radix(digits, 16).ok())
        };
        let words: Option<Vec<u64>> = text.as_bytes().chunks(16).map(word).collect();
        words.ok_or_else(|| D::Error::custom("a program is sixteen digits a word"))
    }
}

/// Where the descriptor that answers calls is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// The socket of the agent.
    pub path: PathBuf,
    /// What it is told.
    pub metadata: String,
}

/// The filter of a process, made of its profile by whoever needs it first: of all that is read in a spec nothing takes
/// longer, and nothing is needed later.
#[derive(Debug, Default)]
pub struct FilterPlan {
    profile: Option<Box<RawValue>>,
    made: OnceLock<Option<SeccompPlan>>,
}

impl FilterPlan {
    pub(crate) fn new(profile: Option<Box<RawValue>>) -> Self {
        Self { profile, made: OnceLock::new() }
    }

    /// Of a filter that is ready.
    #[must_use]
    pub fn ready(filter: Option<SeccompPlan>) -> Self {
        Self { profile: None, made: OnceLock::from(filter) }
    }

    /// Whether it has yet to be made.
    #[must_use]
    pub fn is_to_be_made(&self) -> bool {
        self.profile.is_some() && self.made.get().is_none()
    }

    /// The filter, made now unless it was before.
    ///
    /// # Errors
    /// [`SpecError`]: no profile, or one that cannot be.
    pub fn make(&self) -> Result<Option<&SeccompPlan>, SpecError> {
        if self.is_to_be_made() {
            self.keep(plan(self.profile.as_deref())?);
        }
        Ok(self.get())
    }

    /// The filter, when it was made.
    #[must_use]
    pub fn get(&self) -> Option<&SeccompPlan> {
        self.made.get()?.as_ref()
    }

    /// Takes what somebody else made of the same profile.
    pub(crate) fn keep(&self, filter: Option<SeccompPlan>) {
        let _ = self.made.set(filter); // what was made first is the same
    }
}

pub(crate) fn plan(profile: Option<&RawValue>) -> Result<Option<SeccompPlan>, SpecError> {
    let Some(profile) = profile else { return Ok(None) };
    let profile: Profile = serde_json::from_slice(profile.get().as_bytes())
        .map_err(|source| SpecError::Parse { file: "config.json: linux.seccomp".to_owned(), source })?;
    let native = Arch::native();
    let native = native.ok_or_else(|| invalid("linux.seccomp", "not supported yet on this architecture"))?;
    let filter = compile(&profile, native).map_err(|error| invalid(error.key, error.problem))?;
    Ok(filter.map(|filter| SeccompPlan {
        program: filter.words(),
        flags: filter.flags,
        listener: filter.has_listener().then(|| Listener {
            path: PathBuf::from(&profile.listener_path),
            metadata: profile.listener_metadata.clone(),
        }),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(json: &str) -> Result<Option<SeccompPlan>, String> {
        let filter = FilterPlan::new(Some(serde_json::from_str(json).expect(json)));
        assert!(filter.is_to_be_made() && filter.get().is_none());
        let made = filter.make().map_err(|error| error.to_string())?;
        assert!(!filter.is_to_be_made());
        Ok(made.cloned())
    }

    #[test]
    fn what_is_no_profile_is_named() {
        let error = planned(r#"{"defaultAction":1}"#).expect_err("no text");
        assert!(error.starts_with("config.json: linux.seccomp: invalid type: integer `1`"), "{error}");
    }

    #[test]
    fn a_profile_that_says_nothing_is_no_filter() {
        assert!(planned("{}").expect("plans").is_none());
        assert!(planned(r#"{"defaultAction":"SCMP_ACT_ALLOW"}"#).expect("plans").is_some());
    }

    #[test]
    fn calls_that_ask_need_somebody_who_answers() {
        let with = |more: &str| {
            planned(&format!(
                r#"{{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{{"names":["mkdir"],"action":"SCMP_ACT_NOTIFY"}}]{more}}}"#
            ))
        };
        let filter = with(r#","listenerPath":"/run/a","listenerMetadata":"m""#).expect("plans").expect("a filter");
        assert_eq!(filter.listener, Some(Listener { path: "/run/a".into(), metadata: "m".to_owned() }));
        assert_eq!(filter.flags, 4 | 8);
        let error = with("").expect_err("nobody");
        assert_eq!(error, "linux.seccomp.listenerPath: seccomp listenerPath is not set");
    }
}
