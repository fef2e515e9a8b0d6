//! Which devices a container may use: lines for v1, an eBPF program for v2.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use corten_sys::bpf::{Instruction, load_device_program, replace_device_programs};

/// Which nodes a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceKind {
    /// Block and character devices.
    All,
    /// Block devices.
    Block,
    /// Character devices.
    Char,
}

impl DeviceKind {
    /// As v1 writes it.
    pub(crate) const fn letter(self) -> char {
        match self {
            Self::All => 'a',
            Self::Block => 'b',
            Self::Char => 'c',
        }
    }
}

/// What is done with a device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Access {
    /// Opened for reading.
    pub read: bool,
    /// Opened for writing.
    pub write: bool,
    /// Made with mknod.
    pub make: bool,
}

impl Access {
    /// Everything.
    pub const ALL: Self = Self { read: true, write: true, make: true };
    /// Only mknod.
    pub const MAKE: Self = Self { read: false, write: false, make: true };

    /// Reads letters out of `rwm`; `None` for any other. An `a`, which means all of them elsewhere, means nothing here:
    /// runc passes it over.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let known = text.chars().all(|letter| "rwma".contains(letter));
        let has = |letter| text.contains(letter);
        known.then(|| Self { read: has('r'), write: has('w'), make: has('m') })
    }

    /// What both allow; `None` for nothing.
    pub(crate) const fn and(self, other: Self) -> Option<Self> {
        let both =
            Self { read: self.read && other.read, write: self.write && other.write, make: self.make && other.make };
        if both.bits() == 0 { None } else { Some(both) }
    }

    /// What only this allows; `None` for nothing.
    pub(crate) const fn without(self, other: Self) -> Option<Self> {
        self.and(Self { read: !other.read, write: !other.write, make: !other.make })
    }

    pub(crate) fn letters(self) -> String {
        let letters = [(self.read, 'r'), (self.write, 'w'), (self.make, 'm')];
        letters.into_iter().filter(|(given, _)| *given).map(|(_, letter)| letter).collect()
    }

    /// The kernel's bits: BPF_DEVCG_ACC_MKNOD 1, READ 2, WRITE 4.
    const fn bits(self) -> i32 {
        (self.make as i32) | (self.read as i32) << 1 | (self.write as i32) << 2
    }
}

/// One rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceRule {
    /// Allowed or denied.
    pub allow: bool,
    /// Kind of device.
    pub kind: DeviceKind,
    /// The major number; `None` for any.
    pub major: Option<u32>,
    /// The minor number; `None` for any.
    pub minor: Option<u32>,
    /// What the rule is about.
    pub access: Access,
}

impl DeviceRule {
    /// The kinds v1 has to be told one by one.
    pub(crate) const fn kinds(&self) -> &'static [DeviceKind] {
        match self.kind {
            DeviceKind::All => &[DeviceKind::Block, DeviceKind::Char],
            DeviceKind::Block => &[DeviceKind::Block],
            DeviceKind::Char => &[DeviceKind::Char],
        }
    }

    pub(crate) const fn covers_everything(&self) -> bool {
        let access = self.access.read && self.access.write && self.access.make;
        matches!(self.kind, DeviceKind::All) && access && self.major.is_none() && self.minor.is_none()
    }
}

/// The files and lines of v1, in order: everything is denied first, since a new cgroup has its parent's rights.
pub(crate) fn v1_lines(rules: &[DeviceRule]) -> Vec<(&'static str, String)> {
    let mut lines = Vec::with_capacity(rules.len() + 1);
    let starts_afresh = rules.first().is_some_and(DeviceRule::covers_everything);
    if !starts_afresh {
        lines.push(("devices.deny", "a".to_owned()));
    }
    for rule in rules {
        let file = if rule.allow { "devices.allow" } else { "devices.deny" };
        if rule.covers_everything() {
            lines.push((file, "a".to_owned()));
            continue;
        }
        let number = |number: Option<u32>| number.map_or("*".to_owned(), |number| number.to_string());
        let (major, minor, access) = (number(rule.major), number(rule.minor), rule.access.letters());
        lines.extend(rule.kinds().iter().map(|kind| (file, format!("{} {major}:{minor} {access}", kind.letter()))));
    }
    lines
}

/// Loads the rules as a program and makes it the only one of the v2 cgroup at `path`.
pub(crate) fn attach_filter(path: &Path, rules: &[DeviceRule]) -> io::Result<()> {
    let program = load_device_program(&v2_program(rules))?;
    let directory = File::open(path)?;
    replace_device_programs(directory.as_fd(), program.as_fd())
}

// eBPF operations: class | source | operation (Documentation/bpf/standardization/instruction-set.rst).
const LDX_WORD: u8 = 0x61;
const MOV_IMMEDIATE: u8 = 0xb4;
const MOV_REGISTER: u8 = 0xbc;
const AND_IMMEDIATE: u8 = 0x54;
const SHIFT_RIGHT_IMMEDIATE: u8 = 0x74;
const JUMP_EQUAL_IMMEDIATE: u8 = 0x16;
const JUMP_NOT_EQUAL_IMMEDIATE: u8 = 0x56;
const JUMP_NOT_EQUAL_REGISTER: u8 = 0x5e;
const EXIT: u8 = 0x95;

// Registers of the program: the context comes in r1, the verdict leaves in r0.
const VERDICT: u8 = 0;
const CONTEXT: u8 = 1;
const SCRATCH: u8 = 1;
const KIND: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

const fn instruction(code: u8, destination: u8, source: u8, offset: i16, immediate: i32) -> Instruction {
    Instruction { code, registers: destination | source << 4, offset, immediate }
}

/// The program: rules from last to first, the first that matches decides; what none matches is denied.
fn v2_program(rules: &[DeviceRule]) -> Vec<Instruction> {
    // struct bpf_cgroup_dev_ctx { u32 access_type; u32 major; u32 minor; }: kind in the low half, access in the high.
    let mut program = vec![
        instruction(LDX_WORD, KIND, CONTEXT, 0, 0),
        instruction(LDX_WORD, ACCESS, CONTEXT, 0, 0),
        instruction(LDX_WORD, MAJOR, CONTEXT, 4, 0),
        instruction(LDX_WORD, MINOR, CONTEXT, 8, 0),
        instruction(AND_IMMEDIATE, KIND, 0, 0, 0xffff),
        instruction(SHIFT_RIGHT_IMMEDIATE, ACCESS, 0, 0, 16),
    ];
    for rule in rules.iter().rev() {
        program.extend(v2_rule(rule));
        if rule.covers_everything() {
            // What would follow cannot be reached, and the verifier refuses such code.
            return program;
        }
    }
    program.extend(verdict(false));
    program
}

const fn verdict(allow: bool) -> [Instruction; 2] {
    [instruction(MOV_IMMEDIATE, VERDICT, 0, 0, allow as i32), instruction(EXIT, 0, 0, 0, 0)]
}

/// One rule: conditions that jump behind it, then its verdict.
fn v2_rule(rule: &DeviceRule) -> Vec<Instruction> {
    let mut conditions = Vec::new();
    let kind = match rule.kind {
        DeviceKind::All => None,
        DeviceKind::Block => Some(1),
        DeviceKind::Char => Some(2),
    };
    let differs = |register: u8, value: i32| instruction(JUMP_NOT_EQUAL_IMMEDIATE, register, 0, 0, value);
    conditions.extend(kind.map(|kind| differs(KIND, kind)));
    if rule.access != Access::ALL {
        conditions.push(instruction(MOV_REGISTER, SCRATCH, ACCESS, 0, 0));
        conditions.push(instruction(AND_IMMEDIATE, SCRATCH, 0, 0, rule.access.bits()));
        conditions.push(if rule.allow {
            // Allowed only when everything asked for is in the rule,
            instruction(JUMP_NOT_EQUAL_REGISTER, SCRATCH, ACCESS, 0, 0)
        } else {
            // denied already when anything is.
            instruction(JUMP_EQUAL_IMMEDIATE, SCRATCH, 0, 0, 0)
        });
    }
    conditions.extend(rule.major.map(|major| differs(MAJOR, major as i32)));
    conditions.extend(rule.minor.map(|minor| differs(MINOR, minor as i32)));
    let length = conditions.len();
    for (index, condition) in conditions.iter_mut().enumerate() {
        let is_jump = !matches!(condition.code, MOV_REGISTER | AND_IMMEDIATE);
        if is_jump {
            // From the next instruction to the one after the verdict's two.
            condition.offset = (length - index - 1 + 2) as i16;
        }
    }
    conditions.extend(verdict(rule.allow));
    conditions
}

#[cfg(test)]
mod tests {
    use super::*;

    const DENY_ALL: DeviceRule =
        DeviceRule { allow: false, kind: DeviceKind::All, major: None, minor: None, access: Access::ALL };

    fn char(allow: bool, major: u32, minor: Option<u32>, access: &str) -> DeviceRule {
        let access = Access::parse(access).expect("letters of rwm");
        DeviceRule { allow, kind: DeviceKind::Char, major: Some(major), minor, access }
    }

    #[test]
    fn v1_denies_everything_first() {
        let lines = v1_lines(&[char(true, 1, Some(3), "rwm"), char(true, 136, None, "rw")]);
        let found: Vec<_> = lines.iter().map(|(file, line)| (*file, line.as_str())).collect();
        let expected = [("devices.deny", "a"), ("devices.allow", "c 1:3 rwm"), ("devices.allow", "c 136:* rw")];
        assert_eq!(found, expected);
        assert_eq!(v1_lines(&[DENY_ALL]), [("devices.deny", "a".to_owned())]);
        let all = DeviceRule { allow: true, ..DENY_ALL };
        assert_eq!(v1_lines(&[all]), [("devices.allow", "a".to_owned())]);
    }

    /// Runs the program as the kernel would.
    fn run(program: &[Instruction], kind: u32, access: u32, major: u32, minor: u32) -> u32 {
        let context = [kind | access << 16, major, minor];
        let mut registers = [0u32; 6];
        let mut at = 0usize;
        loop {
            let Instruction { code, registers: both, offset, immediate } = program[at];
            let (destination, source) = ((both & 15) as usize, (both >> 4) as usize);
            let jump = |taken: bool| if taken { offset as usize } else { 0 };
            at += 1;
            match code {
                LDX_WORD => registers[destination] = context[offset as usize / 4],
                MOV_IMMEDIATE => registers[destination] = immediate as u32,
                MOV_REGISTER => registers[destination] = registers[source],
                AND_IMMEDIATE => registers[destination] &= immediate as u32,
                SHIFT_RIGHT_IMMEDIATE => registers[destination] >>= immediate,
                JUMP_EQUAL_IMMEDIATE => at += jump(registers[destination] == immediate as u32),
                JUMP_NOT_EQUAL_IMMEDIATE => at += jump(registers[destination] != immediate as u32),
                JUMP_NOT_EQUAL_REGISTER => at += jump(registers[destination] != registers[source]),
                EXIT => return registers[0],
                other => panic!("instruction {other:#x}"),
            }
        }
    }

    #[test]
    fn the_program_decides_as_the_rules_do() {
        let (block, character, make, read, write) = (1, 2, 1, 2, 4);
        let rules = [
            DENY_ALL,
            char(true, 1, Some(3), "rwm"),
            char(true, 136, None, "rw"),
            char(true, 10, Some(229), "r"),
            char(false, 136, Some(7), "w"),
        ];
        let program = v2_program(&rules);
        for (kind, access, major, minor, expected) in [
            (character, read | write, 1, 3, 1),
            (character, read, 1, 4, 0),
            (block, read, 1, 3, 0),
            (character, read | write, 136, 5, 1),
            (character, make, 136, 5, 0),
            (character, read, 10, 229, 1),
            (character, read | write, 10, 229, 0),
            (character, read | write, 136, 7, 0),
            (character, read, 136, 7, 1),
        ] {
            assert_eq!(run(&program, kind, access, major, minor), expected, "{kind} {access} {major}:{minor}");
        }
        let everything = v2_program(&[DeviceRule { allow: true, ..DENY_ALL }]);
        assert_eq!(run(&everything, character, read, 1, 1), 1);
        assert_eq!(everything.len(), 8);
    }

    /// On a hybrid machine the v2 hierarchy has no controllers, but programs can be attached to it.
    #[test]
    fn a_program_replaces_the_one_that_was_there() {
        let host = crate::Host::detect().expect("this process is in a cgroup");
        let Some(unified) = host.unified else { return };
        let path = unified.mount.join(format!("corten-devices-{}", std::process::id()));
        // Without the privilege there is nothing to show.
        if std::fs::create_dir(&path).is_err() {
            return;
        }
        let count = || {
            let directory = File::open(&path).expect("it was made");
            corten_sys::bpf::count_device_programs(directory.as_fd()).expect("it can be asked")
        };
        let results: Vec<_> = (0..3).map(|_| attach_filter(&path, &[DENY_ALL]).map(|()| count())).collect();
        std::fs::remove_dir(&path).expect("nobody is in it");
        for result in results {
            assert_eq!(result.expect("attached"), 1);
        }
    }
}
