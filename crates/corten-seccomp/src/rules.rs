//! What a profile means, call by call: names resolved to numbers, rules of one call brought in order.
//!
//! The meaning is runc's, which is libseccomp's:
//! - a name that no table knows is left out, and a rule that says what the default says anyway;
//! - a rule holds when all its conditions hold; but when two of them look at one argument, each is a rule of its own;
//! - a rule without conditions decides alone, wherever it stands; of others the first that holds decides (libseccomp
//!   merges them into a tree and, where rules with different actions overlap, decides by the tree's own order, with
//!   mistakes; rules of one action, or that do not overlap, mean the same to both);
//! - a call by an architecture the profile does not name ends the thread;
//! - a call with a larger number than any the profile names, on its architecture, fails with ENOSYS (runc's addition,
//!   which glibc's fall-backs need): its author could not have known it. Not so where the default lets calls through.

use crate::action::Action;
use crate::arch::{Arch, X32_BIT};
use crate::compare::Condition;
use crate::multiplex;
use crate::profile::{Profile, ProfileError, Rule};
use crate::table::{self, Call};

/// A rule of one call: an action when all conditions hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch {
    /// What must hold; nothing, and it always does.
    pub conditions: Vec<Condition>,
    /// What happens then.
    pub action: Action,
}

/// The rules of one call, in the order they are tried.
pub type Branches = Vec<Branch>;

/// The rules of one calling convention.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calls {
    /// Which.
    pub arch: Arch,
    /// Rules by number, sorted by it.
    pub numbers: Vec<(u32, Branches)>,
    /// The largest number the profile names; larger ones fail with ENOSYS.
    pub newest: Option<u32>,
}

/// The rules of a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// What happens to calls without a rule.
    pub default: Action,
    /// The calling conventions, the machine's own first.
    pub calls: Vec<Calls>,
}

/// A system call as a filter sees it (struct seccomp_data).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Data {
    /// The number.
    pub number: u32,
    /// The architecture as the kernel calls it.
    pub audit: u32,
    /// The arguments.
    pub arguments: [u64; 6],
}

impl Rules {
    /// What `profile` means on a machine whose own calling convention is `native`.
    ///
    /// # Errors
    /// [`ProfileError`].
    pub fn new(profile: &Profile, native: Arch) -> Result<Self, ProfileError> {
        let key = "linux.seccomp.defaultAction";
        let default = Action::named(key, &profile.default_action, profile.default_errno_ret)?;
        if default == Action::NOTIFY {
            return Err(ProfileError::new(key, "SCMP_ACT_NOTIFY cannot be used as default action"));
        }
        let mut arches = vec![native];
        for name in &profile.architectures {
            let arch = Arch::named(name)?;
            if !arches.contains(&arch) {
                arches.push(arch);
            }
        }
        let mut named = Vec::new();
        for (index, rule) in profile.syscalls.iter().enumerate() {
            named.push((rule, meaning(index, rule)?));
        }
        let stubbed = !default.is_permissive();
        let calls = arches.into_iter().map(|arch| Calls::new(arch, &named, default, stubbed));
        Ok(Self { default, calls: calls.collect() })
    }

    /// What happens to a call: the meaning of the rules without any program, for tests to compare with.
    #[must_use]
    pub fn verdict(&self, call: &Data) -> Action {
        let of_arch = |wanted: Arch| self.calls.iter().find(|calls| calls.arch == wanted);
        let Some(first) = self.calls.iter().find(|calls| calls.arch.audit() == call.audit) else {
            return Action::KILL_THREAD;
        };
        if first.arch.audit() != Arch::X86_64.audit() {
            return first.verdict(call, call.number, self.default);
        }
        let is_x32 = call.number & X32_BIT != 0;
        match of_arch(if is_x32 { Arch::X32 } else { Arch::X86_64 }) {
            // No bit but bit 30 belongs to a number; what is beyond is newer than everything.
            Some(calls) if is_x32 => calls.verdict(call, call.number & !X32_BIT, self.default),
            Some(calls) => calls.verdict(call, call.number, self.default),
            // A tracer skips a call by making its number -1.
            None if call.number == u32::MAX => self.default,
            None => Action::KILL_THREAD,
        }
    }
}

/// The branches a rule stands for on any architecture.
fn meaning(index: usize, rule: &Rule) -> Result<Vec<Branch>, ProfileError> {
    let key = format!("linux.seccomp.syscalls[{index}]");
    let action = Action::named(&key, &rule.action, rule.errno_ret)?;
    if rule.names.iter().any(String::is_empty) {
        return Err(ProfileError::new(key, "an empty name is no system call"));
    }
    if action == Action::NOTIFY && rule.names.iter().any(|name| name == "write") {
        // The process hands the listener over by it (runc refuses it, too).
        return Err(ProfileError::new(key, "SCMP_ACT_NOTIFY cannot be used for the write syscall"));
    }
    let conditions = rule.args.iter().map(|argument| Condition::new(&key, argument));
    let conditions = conditions.collect::<Result<Vec<_>, _>>()?;
    let is_repeated = |at: usize, index: u8| conditions[..at].iter().any(|other| other.index == index);
    if conditions.iter().enumerate().any(|(at, condition)| is_repeated(at, condition.index)) {
        return Ok(conditions.into_iter().map(|one| Branch { conditions: vec![one], action }).collect());
    }
    Ok(vec![Branch { conditions, action }])
}

impl Calls {
    fn new(arch: Arch, named: &[(&Rule, Vec<Branch>)], default: Action, stubbed: bool) -> Self {
        let mut found: Vec<(u32, Branch)> = Vec::new();
        let mut newest = None;
        for (rule, branches) in named {
            let calls = rule.names.iter().filter_map(|name| table::find(name));
            for call in calls {
                newest = newest.max(newest_number(arch, call));
                for branch in branches.iter().filter(|branch| branch.action != default) {
                    add(&mut found, arch, call, branch);
                }
            }
        }
        // Stable: of one number's rules the first stays the first.
        found.sort_by_key(|(number, _)| *number);
        let mut numbers: Vec<(u32, Branches)> = Vec::with_capacity(found.len());
        for (number, branch) in found {
            match numbers.last_mut() {
                Some((last, branches)) if *last == number => join(branches, branch),
                _ => numbers.push((number, vec![branch])),
            }
        }
        Self { arch, numbers, newest: newest.filter(|newest| stubbed && *newest > 0) }
    }

    fn verdict(&self, call: &Data, number: u32, default: Action) -> Action {
        if self.newest.is_some_and(|newest| number > newest) {
            return Action::ENOSYS;
        }
        let Ok(at) = self.numbers.binary_search_by_key(&number, |(number, _)| *number) else { return default };
        let holds =
            |branch: &&Branch| branch.conditions.iter().all(|condition| condition.holds(self.arch, &call.arguments));
        self.numbers[at].1.iter().find(holds).map_or(default, |branch| branch.action)
    }
}

/// A branch without conditions stands alone.
fn join(branches: &mut Branches, branch: Branch) {
    if branches.first().is_some_and(|first| first.conditions.is_empty()) {
        return;
    }
    if branch.conditions.is_empty() {
        branches.clear();
    }
    branches.push(branch);
}

/// libseccomp gives the calls that 32-bit x86 carries no number here, so they make nothing known.
fn newest_number(arch: Arch, call: Call) -> Option<u32> {
    if arch == Arch::X86 && multiplex::carrier(call.name()).is_some() { None } else { call.number(arch) }
}

fn add(found: &mut Vec<(u32, Branch)>, arch: Arch, call: Call, branch: &Branch) {
    let Some(carrier) = (arch == Arch::X86).then(|| multiplex::carrier(call.name())).flatten() else {
        found.extend(call.number(arch).map(|number| (number, branch.clone())));
        return;
    };
    // The selector takes the place of the first argument; the others lie in memory, where a filter cannot look, and
    // what was asked of them is asked of the carrier's own arguments, as libseccomp does.
    let mut conditions = vec![Condition::equals(0, u64::from(carrier.selector))];
    conditions.extend(branch.conditions.iter().filter(|condition| condition.index != 0));
    found.push((carrier.number, Branch { conditions, action: branch.action }));
    found.extend(carrier.direct.map(|number| (number, branch.clone())));
}
