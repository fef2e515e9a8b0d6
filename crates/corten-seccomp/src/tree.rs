//! Rules → program. The numbers of an architecture are cut into ranges of equal verdict, and the ranges are searched by
//! halves: nine steps for docker's default profile, where a list of comparisons takes hundreds.
//!
//! The kernel runs a new program once for every number to find those that are always allowed (Linux 5.11), so that a
//! short way to the verdict is also what makes installing it cheap.

use crate::action::Action;
use crate::arch::{Arch, X32_BIT};
use crate::compare::{Comparison, Condition};
use crate::program::{AND, Instruction, JUMP, JUMP_EQUAL, JUMP_GREATER, JUMP_GREATER_OR_EQUAL, LOAD, RETURN};
use crate::rules::{Branch, Calls, Rules};

/// Where the number stands in struct seccomp_data.
const NUMBER: u32 = 0;
/// Where the architecture stands.
const ARCH: u32 = 4;
/// Where the arguments begin.
const ARGUMENTS: u32 = 16;

/// What happens to the calls of a range.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Leaf<'r> {
    Always(Action),
    /// Arguments decide; of one number only.
    Branches(Arch, &'r [Branch]),
}

/// Where a range begins, and what happens in it.
type Range<'r> = (u32, Leaf<'r>);

/// The program for `rules`.
#[must_use]
pub fn program(rules: &Rules) -> Vec<Instruction> {
    let mut program = vec![Instruction::plain(LOAD, ARCH)];
    let mut done: Vec<u32> = Vec::new();
    for calls in &rules.calls {
        let audit = calls.arch.audit();
        if done.contains(&audit) {
            continue;
        }
        done.push(audit);
        let mut section = vec![Instruction::plain(LOAD, NUMBER)];
        search(&mut section, &ranges(rules, audit), rules.default);
        // Past the section when it is another architecture.
        program.push(Instruction { code: JUMP_EQUAL, jump_true: 1, jump_false: 0, operand: audit });
        program.push(Instruction::plain(JUMP, section.len() as u32));
        program.append(&mut section);
    }
    program.push(Instruction::plain(RETURN, Action::KILL_THREAD.0));
    program
}

/// Ranges of all numbers of one architecture, in order.
fn ranges(rules: &Rules, audit: u32) -> Vec<Range<'_>> {
    let of = |wanted: Arch| rules.calls.iter().find(|calls| calls.arch == wanted);
    let mut ranges = Vec::new();
    if audit != Arch::X86_64.audit() {
        let calls = rules.calls.iter().find(|calls| calls.arch.audit() == audit);
        numbers(&mut ranges, 0, calls, rules.default, Action::KILL_THREAD);
        return ranges;
    }
    // Bit 30 says whether it is a call of x32, whatever stands in bit 31: four quarters.
    let (own, x32) = (of(Arch::X86_64), of(Arch::X32));
    numbers(&mut ranges, 0, own, rules.default, Action::KILL_THREAD);
    numbers(&mut ranges, X32_BIT, x32, rules.default, Action::KILL_THREAD);
    let beyond = |calls: Option<&Calls>| match calls {
        Some(calls) if calls.newest.is_some() => Action::ENOSYS,
        Some(_) => rules.default,
        None => Action::KILL_THREAD,
    };
    push(&mut ranges, 2 * X32_BIT, Leaf::Always(beyond(own)));
    push(&mut ranges, 3 * X32_BIT, Leaf::Always(beyond(x32)));
    if x32.is_none() {
        // A tracer skips a call by making its number -1.
        push(&mut ranges, u32::MAX, Leaf::Always(rules.default));
    }
    ranges
}

/// The ranges of one calling convention, whose numbers begin at `base`.
fn numbers<'r>(ranges: &mut Vec<Range<'r>>, base: u32, calls: Option<&'r Calls>, default: Action, without: Action) {
    let Some(calls) = calls else { return push(ranges, base, Leaf::Always(without)) };
    push(ranges, base, Leaf::Always(default));
    let known = |number: u32| calls.newest.is_none_or(|newest| number <= newest);
    for (number, branches) in calls.numbers.iter().filter(|(number, _)| known(*number)) {
        let leaf = match branches.as_slice() {
            [branch] if branch.conditions.is_empty() => Leaf::Always(branch.action),
            several => Leaf::Branches(calls.arch, several),
        };
        push(ranges, base + number, leaf);
        push(ranges, base + number + 1, Leaf::Always(default));
    }
    if let Some(newest) = calls.newest {
        push(ranges, base + newest + 1, Leaf::Always(Action::ENOSYS));
    }
}

/// Adds a range; one that begins where the last did replaces it, and one that says the same continues it.
fn push<'r>(ranges: &mut Vec<Range<'r>>, start: u32, leaf: Leaf<'r>) {
    if ranges.last().is_some_and(|(last, _)| *last == start) {
        ranges.pop();
    }
    if ranges.last().is_none_or(|(_, last)| *last != leaf) {
        ranges.push((start, leaf));
    }
}

/// Writes the search among `ranges`; what it finds returns.
fn search(code: &mut Vec<Instruction>, ranges: &[Range<'_>], default: Action) {
    let middle = ranges.len() / 2;
    if middle == 0 {
        if let Some((_, leaf)) = ranges.first() {
            verdict(code, leaf, default);
        }
        return;
    }
    let at = code.len();
    code.push(Instruction::plain(JUMP_GREATER_OR_EQUAL, ranges[middle].0));
    search(code, &ranges[..middle], default);
    let distance = code.len() - at - 1;
    match u8::try_from(distance) {
        Ok(near) => code[at].jump_true = near,
        Err(_) => {
            // Jumps with a condition reach 255 instructions.
            code[at].jump_false = 1;
            code.insert(at + 1, Instruction::plain(JUMP, distance as u32));
        }
    }
    search(code, &ranges[middle..], default);
}

fn verdict(code: &mut Vec<Instruction>, leaf: &Leaf<'_>, default: Action) {
    let (arch, branches) = match leaf {
        Leaf::Always(action) => return code.push(Instruction::plain(RETURN, action.0)),
        Leaf::Branches(arch, branches) => (*arch, *branches),
    };
    for branch in branches {
        let mut test = Test::default();
        branch.conditions.iter().for_each(|condition| test.condition(arch, condition));
        test.end(code, branch.action);
        if branch.conditions.is_empty() {
            return;
        }
    }
    code.push(Instruction::plain(RETURN, default.0));
}

/// Where a jump within a branch leads.
#[derive(Clone, Copy, PartialEq, Eq)]
enum To {
    /// To the instruction after it.
    Here,
    /// Behind the condition: it holds.
    Holds,
    /// Behind the branch: it does not.
    Fails,
}

/// The instructions of one branch, with jumps whose distance is not known yet. Six conditions of five instructions are
/// far below the 255 that a jump reaches.
#[derive(Default)]
struct Test {
    code: Vec<Instruction>,
    /// Jumps that leave the branch: place, and whether it is the one taken when the comparison is true.
    fails: Vec<(usize, bool)>,
    /// Jumps to the end of the condition at hand.
    holds: Vec<(usize, bool)>,
}

impl Test {
    fn condition(&mut self, arch: Arch, condition: &Condition) {
        use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, MaskedEqual, NotEqual};
        use To::{Fails, Here, Holds};
        // Less is what greater or equal is not: the same comparisons with both ends exchanged.
        let (yes, no) = match condition.comparison {
            NotEqual | Less | LessOrEqual => (Fails, Holds),
            _ => (Holds, Fails),
        };
        let low_test = match condition.comparison {
            Equal | NotEqual | MaskedEqual => JUMP_EQUAL,
            GreaterOrEqual | Less => JUMP_GREATER_OR_EQUAL,
            Greater | LessOrEqual => JUMP_GREATER,
        };
        let is_masked = condition.comparison == MaskedEqual;
        let (high, low) = ((condition.value >> 32) as u32, condition.value as u32);
        let at = ARGUMENTS + 8 * u32::from(condition.index);
        if arch.has_wide_arguments() {
            self.load(at + 4, is_masked.then_some((condition.mask >> 32) as u32));
            if low_test != JUMP_EQUAL {
                self.jump(JUMP_GREATER, high, yes, Here);
            }
            self.jump(JUMP_EQUAL, high, Here, no);
        }
        self.load(at, is_masked.then_some(condition.mask as u32));
        self.jump(low_test, low, yes, no);
        let end = self.code.len();
        for (place, when) in std::mem::take(&mut self.holds) {
            self.land(place, when, end);
        }
    }

    fn load(&mut self, offset: u32, mask: Option<u32>) {
        self.code.push(Instruction::plain(LOAD, offset));
        self.code.extend(mask.map(|mask| Instruction::plain(AND, mask)));
    }

    fn jump(&mut self, code: u16, operand: u32, when_true: To, when_false: To) {
        for (to, when) in [(when_true, true), (when_false, false)] {
            match to {
                To::Here => {}
                To::Holds => self.holds.push((self.code.len(), when)),
                To::Fails => self.fails.push((self.code.len(), when)),
            }
        }
        self.code.push(Instruction::plain(code, operand));
    }

    fn land(&mut self, place: usize, when: bool, target: usize) {
        let distance = (target - place - 1) as u8;
        let jump = &mut self.code[place];
        *(if when { &mut jump.jump_true } else { &mut jump.jump_false }) = distance;
    }

    fn end(mut self, code: &mut Vec<Instruction>, action: Action) {
        self.code.push(Instruction::plain(RETURN, action.0));
        let end = self.code.len();
        for (place, when) in std::mem::take(&mut self.fails) {
            self.land(place, when, end);
        }
        code.append(&mut self.code);
    }
}
