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
use crate::multiplex::{self, Carrier};
use crate::name::Name;
use crate::profile::{Profile, ProfileError, Rule};

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
    /// What always happens to a number, sorted by it: nearly all of a profile.
    pub always: Vec<(u32, Action)>,
    /// Numbers whose arguments decide, sorted; none of them is among the others.
    pub conditional: Vec<(u32, Branches)>,
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
        let mut named = Vec::with_capacity(profile.syscalls.len());
        for (index, rule) in profile.syscalls.iter().enumerate() {
            let branches = meaning(index, rule)?;
            named.push((rule.names.as_slice(), branches));
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
    if rule.names.iter().any(|name| name.as_str().is_empty()) {
        return Err(ProfileError::new(key, "an empty name is no system call"));
    }
    if action == Action::NOTIFY && rule.names.iter().any(|name| name.as_str() == "write") {
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
    fn new(arch: Arch, named: &[(&[Name], Vec<Branch>)], default: Action, stubbed: bool) -> Self {
        let mut always = Vec::with_capacity(named.iter().map(|(names, _)| names.len()).sum());
        let mut found: Vec<(u32, Branch)> = Vec::new();
        let mut newest = None;
        for (names, branches) in named {
            for call in names.iter().filter_map(Name::call) {
                let carrier = (arch == Arch::X86).then(|| multiplex::carrier(call)).flatten();
                let number = call.number(arch);
                // libseccomp gives the calls that 32-bit x86 carries no number here, so they make nothing known.
                newest = newest.max(number.filter(|_| carrier.is_none()));
                for branch in branches.iter().filter(|branch| branch.action != default) {
                    found.extend(carrier.as_ref().map(|carrier| carried(carrier, branch)));
                    let Some(number) = carrier.as_ref().map_or(number, |carrier| carrier.direct) else { continue };
                    if branch.conditions.is_empty() {
                        always.push((number, branch.action));
                    } else {
                        found.push((number, branch.clone()));
                    }
                }
            }
        }
        let always = in_order(always);
        let decided = |number: &u32| always.binary_search_by_key(number, |(known, _)| *known).is_ok();
        found.retain(|(number, _)| !decided(number));
        found.sort_by_key(|(number, _)| *number);
        let mut conditional: Vec<(u32, Branches)> = Vec::new();
        for (number, branch) in found {
            match conditional.last_mut() {
                Some((last, branches)) if *last == number => branches.push(branch),
                _ => conditional.push((number, vec![branch])),
            }
        }
        Self { arch, always, conditional, newest: newest.filter(|newest| stubbed && *newest > 0) }
    }

    fn verdict(&self, call: &Data, number: u32, default: Action) -> Action {
        if self.newest.is_some_and(|newest| number > newest) {
            return Action::ENOSYS;
        }
        if let Ok(at) = self.always.binary_search_by_key(&number, |(number, _)| *number) {
            return self.always[at].1;
        }
        let Ok(at) = self.conditional.binary_search_by_key(&number, |(number, _)| *number) else { return default };
        let holds =
            |branch: &&Branch| branch.conditions.iter().all(|condition| condition.holds(self.arch, &call.arguments));
        self.conditional[at].1.iter().find(holds).map_or(default, |branch| branch.action)
    }
}

/// Sorted by number; of one number's rules the first is kept. Numbers are few and small, but for ARM's private ones, which
/// are sorted in among the others.
fn in_order(always: Vec<(u32, Action)>) -> Vec<(u32, Action)> {
    const SMALL: usize = 512;
    let mut slots = [None; SMALL];
    let mut large = Vec::new();
    for (number, action) in &always {
        match slots.get_mut(*number as usize) {
            Some(slot) => *slot = slot.or(Some(*action)),
            None => large.push((*number, *action)),
        }
    }
    let mut sorted = always;
    sorted.clear();
    let small = slots.iter().enumerate();
    sorted.extend(small.filter_map(|(number, action)| Some((number as u32, (*action)?))));
    // Stable, as above.
    large.sort_by_key(|(number, _)| *number);
    large.dedup_by_key(|(number, _)| *number);
    sorted.append(&mut large);
    sorted
}

/// The number of the carrier, and the rule about it. The selector takes the place of the first argument; the others lie in
/// memory, where a filter cannot look, and what was asked of them is asked of the carrier's own arguments, as libseccomp
/// does.
fn carried(carrier: &Carrier, branch: &Branch) -> (u32, Branch) {
    let mut conditions = vec![Condition::equals(0, u64::from(carrier.selector))];
    conditions.extend(branch.conditions.iter().filter(|condition| condition.index != 0));
    (carrier.number, Branch { conditions, action: branch.action })
}
