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
        let mut backward = Backward::default();
        let start = backward.search(&ranges(rules, audit), rules.default);
        section.append(&mut backward.forward(start));
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
    let mut conditional = calls.conditional.iter().peekable();
    let mut add = |number: u32, leaf| {
        if known(number) {
            push(ranges, base + number, leaf);
            push(ranges, base + number + 1, Leaf::Always(default));
        }
    };
    for (number, action) in &calls.always {
        while let Some((before, branches)) = conditional.next_if(|(before, _)| before < number) {
            add(*before, Leaf::Branches(calls.arch, branches));
        }
        add(*number, Leaf::Always(*action));
    }
    conditional.for_each(|(number, branches)| add(*number, Leaf::Branches(calls.arch, branches)));
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

/// Where a comparison leads.
#[derive(Clone, Copy)]
enum Target {
    /// To the end of the call's way, which many comparisons share.
    Return(Action),
    /// To the instruction with so many behind it.
    At(usize),
}

/// A program that is written from its end, because jumps lead forward only: what a jump leads to is there before it.
#[derive(Default)]
struct Backward {
    /// The last instruction first.
    code: Vec<Instruction>,
    /// The newest return of each action.
    returns: Vec<(Action, usize)>,
}

impl Backward {
    /// Writes the search among `ranges`.
    fn search(&mut self, ranges: &[Range<'_>], default: Action) -> Target {
        let middle = ranges.len() / 2;
        if middle == 0 {
            return match ranges.first() {
                Some((_, Leaf::Always(action))) => Target::Return(*action),
                Some((_, Leaf::Branches(arch, branches))) => self.branches(*arch, branches, default),
                None => Target::Return(default),
            };
        }
        let above = self.search(&ranges[middle..], default);
        let below = self.search(&ranges[..middle], default);
        // Making one reachable can move the other out of reach, by one or two instructions.
        let (above, below) = (self.reachable(above, 2), self.reachable(below, 1));
        let distance = |target: usize| (self.code.len() - target - 1) as u8;
        let (jump_true, jump_false) = (distance(above), distance(below));
        self.push(Instruction { code: JUMP_GREATER_OR_EQUAL, jump_true, jump_false, operand: ranges[middle].0 })
    }

    /// The place of `target`, or of a new instruction that leads there, within a jump of 255 instructions when at most
    /// `more` come between.
    fn reachable(&mut self, target: Target, more: usize) -> usize {
        let is_near = |place: &usize, code: &Vec<Instruction>| code.len() + more - place - 1 <= usize::from(u8::MAX);
        match target {
            Target::Return(action) => {
                let known = self.returns.iter().find(|(known, _)| *known == action).map(|(_, place)| *place);
                known.filter(|place| is_near(place, &self.code)).unwrap_or_else(|| self.end(action))
            }
            Target::At(place) if is_near(&place, &self.code) => place,
            Target::At(place) => {
                self.code.push(Instruction::plain(JUMP, (self.code.len() - place - 1) as u32));
                self.code.len() - 1
            }
        }
    }

    fn end(&mut self, action: Action) -> usize {
        self.code.push(Instruction::plain(RETURN, action.0));
        let place = self.code.len() - 1;
        self.returns.retain(|(known, _)| *known != action);
        self.returns.push((action, place));
        place
    }

    fn push(&mut self, instruction: Instruction) -> Target {
        self.code.push(instruction);
        Target::At(self.code.len() - 1)
    }

    fn branches(&mut self, arch: Arch, branches: &[Branch], default: Action) -> Target {
        let mut code = Vec::new();
        verdict(&mut code, arch, branches, default);
        self.code.extend(code.into_iter().rev());
        Target::At(self.code.len() - 1)
    }

    /// The program from its first instruction, which `start` leads to.
    fn forward(mut self, start: Target) -> Vec<Instruction> {
        match start {
            Target::Return(action) => {
                self.end(action);
            }
            // What was written last is the first comparison.
            Target::At(_) => {}
        }
        self.code.reverse();
        self.code
    }
}

fn verdict(code: &mut Vec<Instruction>, arch: Arch, branches: &[Branch], default: Action) {
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
