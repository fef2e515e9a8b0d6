//! `linux.seccomp` as config.json has it (runtime-spec, config-linux.md, "Seccomp").

use serde::{Deserialize, Deserializer, Serialize};

use crate::name::{self, Name};

/// Which calls a container may make.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Profile {
    /// What happens to a call that no rule names.
    pub default_action: String,
    /// The data of the default action.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_errno_ret: Option<u32>,
    /// The calling conventions beside the machine's own; calls by any other end the thread.
    #[serde(deserialize_with = "null_is_default")]
    pub architectures: Vec<String>,
    /// Flags of seccomp(2); `None` is not the same as none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flags: Option<Vec<String>>,
    /// Where the listener of SCMP_ACT_NOTIFY is sent.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "String::is_empty")]
    pub listener_path: String,
    /// What is sent along.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "String::is_empty")]
    pub listener_metadata: String,
    /// The rules.
    #[serde(deserialize_with = "null_is_default")]
    pub syscalls: Vec<Rule>,
}

/// One action for several calls.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Rule {
    /// The calls' names.
    #[serde(deserialize_with = "name::list")]
    pub names: Vec<Name>,
    /// What happens to them.
    pub action: String,
    /// The data of the action.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errno_ret: Option<u32>,
    /// What must hold about their arguments.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<Argument>,
}

/// What must hold about one argument.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Argument {
    /// Which, from 0 to 5.
    pub index: u32,
    /// What it is compared with; the mask of SCMP_CMP_MASKED_EQ.
    pub value: u64,
    /// What the masked argument is compared with.
    pub value_two: u64,
    /// How.
    pub op: String,
}

/// A profile that cannot be: where, and what about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct ProfileError {
    /// The key's path in config.json.
    pub key: String,
    /// What is wrong with it.
    pub problem: String,
}

impl ProfileError {
    pub(crate) fn new(key: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { key: key.into(), problem: problem.into() }
    }
}

fn null_is_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Option::deserialize(from).map(Option::unwrap_or_default)
}

/// The bits of a flag of seccomp(2) that a profile can ask for.
///
/// # Errors
/// [`ProfileError`] for any other name.
pub fn flag(name: &str) -> Result<u32, ProfileError> {
    match name {
        // There is one thread: runc takes this one and does nothing about it, too.
        "SECCOMP_FILTER_FLAG_TSYNC" => Ok(0),
        "SECCOMP_FILTER_FLAG_LOG" => Ok(LOG),
        "SECCOMP_FILTER_FLAG_SPEC_ALLOW" => Ok(SPEC_ALLOW),
        "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" => Ok(WAIT_KILLABLE_RECV),
        _ => Err(ProfileError::new("linux.seccomp.flags", format!("seccomp flag {name} is not known"))),
    }
}

/// The names [`flag`] knows, in the order runc lists them.
pub const FLAGS: [&str; 4] = [
    "SECCOMP_FILTER_FLAG_TSYNC",
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
    "SECCOMP_FILTER_FLAG_LOG",
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
];

/// `SECCOMP_FILTER_FLAG_LOG`: what is not allowed is logged.
pub const LOG: u32 = 2;
/// `SECCOMP_FILTER_FLAG_SPEC_ALLOW`: speculation stays as fast as without a filter.
pub const SPEC_ALLOW: u32 = 4;
/// `SECCOMP_FILTER_FLAG_NEW_LISTENER`: a descriptor answers SCMP_ACT_NOTIFY.
pub const NEW_LISTENER: u32 = 8;
/// `SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV`: once the listener has read a call, only fatal signals interrupt it.
pub const WAIT_KILLABLE_RECV: u32 = 32;
