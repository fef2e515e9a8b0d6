//! Random profiles: the compiler never panics, the kernel takes every program, and a program says of every call what
//! the rules say. The seeds are fixed, so that a failure comes again.

use corten_seccomp::name::Name;
use corten_seccomp::profile::{Argument, FLAGS, Profile, Rule};
use corten_seccomp::program::{Instruction, JUMP_EQUAL, LOAD, RETURN};
use corten_seccomp::rules::{Data, Rules};
use corten_seccomp::{Arch, action, compare, compile, interpret, table};
use corten_sys::clone::{Cloned, Namespaces, clone};
use corten_sys::pidfd::PidFd;
use corten_sys::{descriptors, prctl, seccomp};

/// Enough to meet every pair of actions and comparisons many times.
const PROFILES: u64 = 400;

/// What a child that could not install its program ends with.
const REFUSED: i32 = 43;

/// xorshift64*: no dependency, and the same everywhere.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).expect("it is below")
    }

    fn of<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.below(choices.len())]
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    /// A number near those where comparisons in halves go wrong.
    fn value(&mut self) -> u64 {
        let edges = [0, 1, 7, 0x7fff_ffff, 0xffff_ffff, 1 << 32, 0x1_0000_0007, u64::MAX, self.next()];
        edges[self.below(edges.len())].wrapping_add(self.next() % 3).wrapping_sub(1)
    }
}

fn random_profile(random: &mut Random) -> Profile {
    let names: Vec<&str> = table::all().map(table::Call::name).collect();
    let action = |random: &mut Random| {
        let action = random.of(&action::NAMES).to_owned();
        let takes_data = action.ends_with("ERRNO") || action.ends_with("TRACE");
        (action, (takes_data && random.one_in(2)).then(|| u32::try_from(random.below(65536)).expect("it is small")))
    };
    let (default_action, default_errno_ret) = loop {
        let found = action(random);
        if found.0 != "SCMP_ACT_NOTIFY" {
            break found;
        }
    };
    let syscalls = (0..random.below(30)).map(|_| {
        let (action, errno_ret) = action(random);
        let mut called: Vec<String> = (0..1 + random.below(40)).map(|_| random.of(&names).to_owned()).collect();
        called.retain(|name| name != "write");
        if random.one_in(3) {
            // Several rules of one call.
            called.truncate(1);
            called.push(random.of(&["socket", "clone", "personality"]).to_owned());
        }
        let arguments = if random.one_in(2) { 0 } else { random.below(5) };
        if arguments > 0 {
            // Each name costs its comparisons: the kernel takes only so many.
            called.truncate(5);
        }
        let args = (0..arguments).map(|_| Argument {
            index: u32::try_from(random.below(6)).expect("it is small"),
            value: random.value(),
            value_two: random.value(),
            op: random.of(&compare::NAMES).to_owned(),
        });
        Rule {
            args: args.collect(),
            names: called.iter().map(|name| name.as_str().into()).collect(),
            action,
            errno_ret,
        }
    });
    let syscalls = syscalls.collect();
    let architectures = (0..random.below(4)).map(|_| random.of(&Arch::ALL.each_ref()).name().to_owned()).collect();
    Profile {
        default_action,
        default_errno_ret,
        architectures,
        flags: random.one_in(2).then(|| vec![FLAGS[random.below(3)].to_owned()]),
        listener_path: "/run/agent".to_owned(),
        listener_metadata: String::new(),
        syscalls,
    }
}

/// Calls the profile names and their neighbours, by every architecture, with arguments around what is compared.
fn calls(profile: &Profile, random: &mut Random) -> Vec<Data> {
    let mut numbers: Vec<u32> =
        vec![0, 1023, 0x3fff_ffff, 0x4000_0000, 0x7fff_ffff, 0x8000_0000, 0xc000_0000, u32::MAX];
    let named = profile.syscalls.iter().flat_map(|rule| &rule.names).filter_map(Name::call);
    for number in named.flat_map(|call| Arch::ALL.map(|arch| call.number(arch))).flatten().chain([102, 117]) {
        numbers.extend([number, number + 1, number | 0x4000_0000, number | 0x8000_0000]);
    }
    numbers.sort_unstable();
    numbers.dedup();
    let compared: Vec<&Argument> = profile.syscalls.iter().flat_map(|rule| &rule.args).collect();
    let mut calls = Vec::new();
    for number in numbers {
        for audit in [0xc000_003e, 0x4000_0003, 0xc000_00b7, 0x4000_0028, 7] {
            let mut arguments = [0; 6].map(|_: u64| random.value());
            if !compared.is_empty() {
                for _ in 0..3 {
                    let argument = random.of(&compared);
                    let value = if random.one_in(2) { argument.value } else { argument.value_two };
                    arguments[argument.index as usize] = value.wrapping_add(random.next() % 3).wrapping_sub(1);
                }
            }
            calls.push(Data { number, audit, arguments });
        }
    }
    calls
}

#[test]
fn a_program_says_what_the_rules_say() {
    for seed in 0..PROFILES {
        let mut random = Random::new(seed);
        let profile = random_profile(&mut random);
        let native = [Arch::X86_64, Arch::Aarch64, Arch::X86][random.below(3)];
        let filter = compile(&profile, native).expect("it is valid").expect("it says something");
        let rules = Rules::new(&profile, native).expect("as above");
        for call in calls(&profile, &mut random) {
            let (found, _) = interpret::run(&filter.program, &call).expect("it ends");
            assert_eq!(found, rules.verdict(&call), "seed {seed}: {call:x?}");
        }
    }
}

/// Put before a program, so that the child can end whatever it says.
fn allow_exit() -> [Instruction; 3] {
    let exit_group = table::find("exit_group").and_then(|call| call.number(Arch::native()?)).expect("a number");
    let is_exit = Instruction { code: JUMP_EQUAL, jump_true: 0, jump_false: 1, operand: exit_group };
    [Instruction::plain(LOAD, 0), is_exit, Instruction::plain(RETURN, action::Action::ALLOW.0)]
}

#[test]
fn the_kernel_takes_every_program() {
    for seed in 0..PROFILES {
        let profile = random_profile(&mut Random::new(seed));
        let filter = compile(&profile, Arch::X86_64).expect("it is valid").expect("it says something");
        let mut words: Vec<u64> = allow_exit().iter().map(|instruction| instruction.word()).collect();
        words.extend(filter.words());
        // Nobody would answer here: without the listener such calls fail.
        let flags =
            filter.flags & !(corten_seccomp::profile::NEW_LISTENER | corten_seccomp::profile::WAIT_KILLABLE_RECV);
        match clone(Namespaces::NONE, None).expect("a child") {
            Cloned::Child => {
                let installed = prctl::no_new_privileges().and_then(|()| seccomp::install(&words, flags));
                descriptors::exit_now(if installed.is_ok() { 0 } else { REFUSED })
            }
            Cloned::Parent { pidfd, .. } => {
                let status = PidFd::from_owned(pidfd).wait().expect("it is ours");
                assert_eq!(status.code(), 0, "seed {seed} is refused");
            }
        }
    }
}

#[test]
fn a_program_too_long_for_the_kernel_is_refused() {
    let rule = |value| Rule {
        names: vec!["clone".into()],
        action: "SCMP_ACT_ALLOW".to_owned(),
        args: vec![Argument { op: "SCMP_CMP_EQ".to_owned(), value, ..Argument::default() }],
        ..Rule::default()
    };
    let profile = |count| Profile {
        default_action: "SCMP_ACT_ERRNO".to_owned(),
        syscalls: (0..count).map(rule).collect(),
        ..Profile::default()
    };
    assert!(compile(&profile(800), Arch::X86_64).is_ok());
    let error = compile(&profile(900), Arch::X86_64).expect_err("it is too long").to_string();
    assert!(error.starts_with("linux.seccomp: needs 45"), "{error}");
    assert!(error.ends_with(", and the kernel takes 4096"), "{error}");
}

#[test]
fn broken_profiles_are_errors() {
    let mut accepted = 0;
    for seed in 0..PROFILES {
        let mut random = Random::new(seed);
        let mut json = serde_json::to_vec(&random_profile(&mut random)).expect("it can be written");
        for _ in 0..1 + random.below(4) {
            let at = random.below(json.len());
            match random.below(3) {
                0 => json[at] = random.next() as u8,
                1 => drop(json.remove(at)),
                _ => json.truncate(at.max(1)),
            }
        }
        if let Ok(profile) = serde_json::from_slice::<Profile>(&json) {
            accepted += usize::from(compile(&profile, Arch::X86_64).is_ok());
        }
    }
    assert!(accepted < PROFILES as usize, "some of them were broken");
}
