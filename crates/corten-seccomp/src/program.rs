//! A filter ready to be installed, and the instructions it is made of (linux/filter.h, linux/bpf_common.h).

use crate::action::Action;
use crate::arch::Arch;
use crate::profile::{self, Profile, ProfileError};
use crate::rules::Rules;
use crate::tree;

/// One instruction of classic BPF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// How many instructions are passed over when the condition holds.
    pub jump_true: u8,
    /// How many when it does not.
    pub jump_false: u8,
    /// Operand.
    pub operand: u32,
}

/// Loads a word of the call's data: `BPF_LD | BPF_W | BPF_ABS`.
pub const LOAD: u16 = 0x20;
/// Keeps the operand's bits: `BPF_ALU | BPF_AND | BPF_K`.
pub const AND: u16 = 0x54;
/// Passes over as many instructions as the operand says: `BPF_JMP | BPF_JA`.
pub const JUMP: u16 = 0x05;
/// Jumps by whether it is equal: `BPF_JMP | BPF_JEQ | BPF_K`.
pub const JUMP_EQUAL: u16 = 0x15;
/// Jumps by whether it is greater: `BPF_JMP | BPF_JGT | BPF_K`.
pub const JUMP_GREATER: u16 = 0x25;
/// Jumps by whether it is greater or equal: `BPF_JMP | BPF_JGE | BPF_K`.
pub const JUMP_GREATER_OR_EQUAL: u16 = 0x35;
/// Jumps by whether any of the bits is set: `BPF_JMP | BPF_JSET | BPF_K`.
pub const JUMP_ANY_BIT: u16 = 0x45;
/// Ends with the operand as the verdict: `BPF_RET | BPF_K`.
pub const RETURN: u16 = 0x06;

/// The most instructions the kernel takes (`BPF_MAXINSNS`).
pub const INSTRUCTIONS_MAX: usize = 4096;

impl Instruction {
    /// An operation without a condition.
    #[must_use]
    pub const fn plain(code: u16, operand: u32) -> Self {
        Self { code, jump_true: 0, jump_false: 0, operand }
    }

    /// The eight bytes of a `struct sock_filter` on a little-endian machine.
    #[must_use]
    pub const fn word(self) -> u64 {
        self.code as u64 | (self.jump_true as u64) << 16 | (self.jump_false as u64) << 24 | (self.operand as u64) << 32
    }

    /// What [`Self::word`] made.
    #[must_use]
    pub const fn from_word(word: u64) -> Self {
        Self {
            code: word as u16,
            jump_true: (word >> 16) as u8,
            jump_false: (word >> 24) as u8,
            operand: (word >> 32) as u32,
        }
    }
}

/// A program and how it is to be installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// The program.
    pub program: Vec<Instruction>,
    /// Flags of seccomp(2).
    pub flags: u32,
}

impl Filter {
    /// The program as the kernel reads it.
    #[must_use]
    pub fn words(&self) -> Vec<u64> {
        self.program.iter().map(|instruction| instruction.word()).collect()
    }

    /// Whether calls are answered by a listener.
    #[must_use]
    pub const fn has_listener(&self) -> bool {
        self.flags & profile::NEW_LISTENER != 0
    }
}

/// The filter for `profile`; `None` when it says nothing at all.
///
/// # Errors
/// [`ProfileError`]: a word that does not exist, a NOTIFY that cannot be, or more than the kernel takes.
pub fn compile(profile: &Profile, native: Arch) -> Result<Option<Filter>, ProfileError> {
    if profile.default_action.is_empty() && profile.syscalls.is_empty() {
        return Ok(None);
    }
    let rules = Rules::new(profile, native)?;
    let flags = flags(profile)?;
    let program = tree::program(&rules);
    if program.len() > INSTRUCTIONS_MAX {
        let problem = format!("needs {} instructions, and the kernel takes {INSTRUCTIONS_MAX}", program.len());
        return Err(ProfileError::new("linux.seccomp", problem));
    }
    Ok(Some(Filter { program, flags }))
}

fn flags(profile: &Profile) -> Result<u32, ProfileError> {
    let mut flags = match &profile.flags {
        // As runc: who says nothing about flags wants no mitigation he did not ask for.
        None => profile::SPEC_ALLOW,
        Some(names) => names.iter().try_fold(0, |all, name| Ok::<_, ProfileError>(all | profile::flag(name)?))?,
    };
    let notify = |rule: &&profile::Rule| rule.action == "SCMP_ACT_NOTIFY" && !rule.names.is_empty();
    if profile.syscalls.iter().any(|rule| notify(&rule)) {
        if profile.listener_path.is_empty() {
            return Err(ProfileError::new("linux.seccomp.listenerPath", "seccomp listenerPath is not set"));
        }
        flags |= profile::NEW_LISTENER;
    } else if flags & profile::WAIT_KILLABLE_RECV != 0 {
        let problem = "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV needs a rule with SCMP_ACT_NOTIFY";
        return Err(ProfileError::new("linux.seccomp.flags", problem));
    }
    Ok(flags)
}

/// A program that lets every call through: what a filter costs at least.
#[must_use]
pub fn allow_all() -> Vec<Instruction> {
    vec![Instruction::plain(RETURN, Action::ALLOW.0)]
}
