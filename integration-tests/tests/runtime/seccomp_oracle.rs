//! One profile under runc and under ours: both filters are read back from the kernel and asked about every call.
//!
//! runc makes its filter with libseccomp, so that this compares names, numbers, the order of rules, comparisons in 64
//! bits and what happens to foreign architectures and newer calls, without repeating how either is written.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use corten_seccomp::interpret;
use corten_seccomp::profile::Argument;
use corten_seccomp::program::Instruction;
use corten_seccomp::rules::Data;
use corten_seccomp::{Arch, Profile, table};
use integration_tests::{DEADLINE, Ran, programs, seccomp_profile, wait_for_some};
use serde_json::{Value, json};

use crate::{Host, text};

type Program = Vec<Instruction>;

/// A filter and the profile it was made of, under both runtimes.
#[track_caller]
fn check(name: &str, profile: &Value) {
    let host = Host::new();
    let ours = filter_of(&host, &format!("ours-{name}"), profile, programs::path("corten-runtime").as_path());
    let theirs = filter_of(&host, &format!("runc-{name}"), profile, programs::original("runc").as_path());
    let parsed: Profile = serde_json::from_value(profile.clone()).expect("a profile");
    let arguments = arguments(&parsed);
    let mut asked = 0u64;
    for audit in Arch::ALL.map(Arch::audit).into_iter().chain([0xc000_00f3]).collect::<BTreeSet<_>>() {
        for number in numbers() {
            for arguments in &arguments {
                let call = Data { number, audit, arguments: *arguments };
                let (mine, other) = (interpret::run(&ours, &call), interpret::run(&theirs, &call));
                let (mine, other) = (mine.expect("ours ends").0, other.expect("runc's ends").0);
                assert_eq!(mine, other, "{name}: {audit:#x} call {number} ({number:#x}) {arguments:x?}");
                asked += 1;
            }
        }
    }
    println!("{name}: {asked} calls, {} instructions, runc's {}", ours.len(), theirs.len());
}

/// Creates a container under `runtime` and reads its first process's filter.
#[track_caller]
fn filter_of(host: &Host, name: &str, profile: &Value, runtime: &Path) -> Program {
    let bundle = host.bundle(name, &["true"], |config| config["linux"]["seccomp"] = profile.clone());
    let root = host.root.join(format!("state-{name}"));
    let run = |arguments: &[&str]| {
        let mut command = Command::new(runtime);
        command.arg("--root").arg(&root).args(arguments).stdin(Stdio::null());
        command
    };
    let log = fs::File::create(host.root.join(format!("{name}.out"))).expect("the root is writable");
    let mut create = run(&["create", "--bundle", text(&bundle), name]);
    let status = create.stdout(log.try_clone().expect("a descriptor")).stderr(log).status().expect("it starts");
    let said = fs::read_to_string(host.root.join(format!("{name}.out"))).unwrap_or_default();
    assert!(status.success(), "{name}: {said}");
    let state: Value = serde_json::from_str(&Ran::of(&mut run(&["state", name])).ok().stdout).expect("JSON");
    let pid = i32::try_from(state["pid"].as_i64().expect("a pid")).expect("a pid");
    // runc answers while its process is still about to install the filter.
    let filters = wait_for_some(&format!("the filter of {name}"), DEADLINE, || {
        corten_sys::seccomp::filters_of(pid).ok().filter(|filters| !filters.is_empty())
    });
    let _ = Ran::of(&mut run(&["delete", "--force", name])).ok();
    filters[0].iter().map(|word| Instruction::from_word(*word)).collect()
}

/// Every number there is and will be, x32's, those around each bit that means something, and ARM's own.
fn numbers() -> Vec<u32> {
    let edges = [0x3fff_ffff, 0x7fff_ffff, 0x8000_0000, 0x8000_0001, 0xbfff_ffff, 0xc000_0000, 0xc000_0001];
    let more = [1024, 65535, 65536, 0xffff_fffe, u32::MAX];
    let x32 = 0x4000_0000..0x4000_0400;
    (0..1024).chain(x32).chain(0xf_0000..0xf_0010).chain(edges).chain(more).collect()
}

/// Arguments on both sides of whatever the profile compares them with, rule by rule.
fn arguments(profile: &Profile) -> BTreeSet<[u64; 6]> {
    let mut all = BTreeSet::from([[0; 6], [u64::MAX; 6]]);
    for rule in &profile.syscalls {
        let mut of_rule = vec![[0u64; 6]];
        for argument in &rule.args {
            let with = |arguments: &[u64; 6]| {
                let mut arguments = *arguments;
                let index = argument.index as usize;
                boundaries(argument, rule.args.len()).into_iter().map(move |value| {
                    arguments[index] = value;
                    arguments
                })
            };
            let more: Vec<_> = of_rule.iter().flat_map(with).collect();
            of_rule.extend(more);
        }
        // What the carriers of 32-bit x86 look at is a small number in the first argument.
        all.extend(of_rule);
    }
    all.extend((0..30).map(|selector| [selector, 1, 2, 3, 4, 5]));
    all
}

/// Of a rule with many conditions every combination is asked, so that each has fewer.
fn boundaries(argument: &Argument, conditions: usize) -> BTreeSet<u64> {
    let (value, second) = (argument.value, argument.value_two);
    let around = |value: u64| [value.wrapping_sub(1), value, value.wrapping_add(1)];
    if conditions > 2 {
        return around(value).into_iter().collect();
    }
    let halves = [value ^ 1 << 32, value ^ 1 << 63, value & 0xffff_ffff, value & !0xffff_ffff, second | !value];
    around(value).into_iter().chain(around(second)).chain(halves).collect()
}

fn rule(names: &[&str], action: &str, args: Value) -> Value {
    json!({"names": names, "action": action, "args": args})
}

fn arg(index: u32, op: &str, value: u64, value_two: u64) -> Value {
    json!({"index": index, "op": op, "value": value, "valueTwo": value_two})
}

const X86: [&str; 3] = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"];

/// Calls a program needs to start, and `rules`.
fn denying(architectures: &[&str], mut rules: Vec<Value>) -> Value {
    // What runc's own process and ours still do under the filter is among them.
    let names: Vec<&str> = table::all().map(table::Call::name).filter(|name| is_old(name)).collect();
    rules.push(json!({"names": names, "action": "SCMP_ACT_ALLOW"}));
    json!({"defaultAction": "SCMP_ACT_ERRNO", "architectures": architectures, "syscalls": rules})
}

const HELD_BACK: [&str; 12] = [
    "add_key",
    "bpf",
    "clock_settime",
    "delete_module",
    "kexec_load",
    "personality",
    "quotactl",
    "reboot",
    "semtimedop",
    "socket",
    "swapon",
    "uselib",
];

/// Known to the oldest libseccomp this is compared with, and not named in [`HELD_BACK`].
fn is_old(name: &str) -> bool {
    let number = table::find(name).and_then(|call| call.number(Arch::X86_64).or(call.number(Arch::X86)));
    let is_new = |number: u32| (440..512).contains(&number) || name == "uretprobe" || name == "uprobe";
    !number.is_some_and(is_new) && !HELD_BACK.contains(&name)
}

#[test]
fn a_long_list_of_allowed_calls() {
    check("long", &denying(&X86, Vec::new()));
    check("native", &denying(&["SCMP_ARCH_X86_64"], Vec::new()));
    check("two", &denying(&["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"], Vec::new()));
    check("foreign", &denying(&["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"], Vec::new()));
    check("all", &denying(&Arch::ALL.map(Arch::name), Vec::new()));
}

#[test]
fn every_comparison_on_every_argument() {
    let operations = ["EQ", "NE", "LT", "LE", "GT", "GE", "MASKED_EQ"];
    for (at, value) in [0u64, 5, 0xffff_ffff, 0x1_0000_0000, 0x1234_5678_9abc_def0, u64::MAX].into_iter().enumerate() {
        let rules = operations.iter().zip(HELD_BACK).enumerate().map(|(index, (operation, call))| {
            let index = u32::try_from((index + at) % 6).expect("below six");
            let operation = format!("SCMP_CMP_{operation}");
            let second = if operation.ends_with("MASKED_EQ") { value & 0x00ff_00ff_0f0f_0ff0 } else { 0 };
            rule(&[call], "SCMP_ACT_ALLOW", json!([arg(index, &operation, value, second)]))
        });
        check(&format!("compare-{at}"), &denying(&X86, rules.collect()));
    }
}

#[test]
fn several_conditions_and_several_rules_of_one_call() {
    let rules = vec![
        // All of them, on arguments of their own.
        rule(
            &["personality", "socket", "semtimedop"],
            "SCMP_ACT_ALLOW",
            json!([arg(0, "SCMP_CMP_GE", 7, 0), arg(2, "SCMP_CMP_NE", 1 << 40, 0), arg(5, "SCMP_CMP_LT", 9, 0)]),
        ),
        // Any of them, on one argument.
        rule(
            &["bpf", "reboot"],
            "SCMP_ACT_ALLOW",
            json!([arg(0, "SCMP_CMP_EQ", 3, 0), arg(0, "SCMP_CMP_EQ", 8, 0), arg(1, "SCMP_CMP_EQ", 1 << 33, 0)]),
        ),
        // One rule after the other.
        rule(&["quotactl"], "SCMP_ACT_ALLOW", json!([arg(0, "SCMP_CMP_EQ", 0, 0)])),
        rule(&["quotactl"], "SCMP_ACT_ALLOW", json!([arg(0, "SCMP_CMP_EQ", 8, 0)])),
        rule(&["quotactl"], "SCMP_ACT_ALLOW", json!([arg(0, "SCMP_CMP_EQ", 0x2_0008, 0), arg(1, "SCMP_CMP_GT", 1, 0)])),
        rule(&["quotactl"], "SCMP_ACT_ALLOW", json!([arg(0, "SCMP_CMP_EQ", 0xffff_ffff, 0)])),
        // A condition beside a rule without one, which decides alone.
        rule(&["swapon"], "SCMP_ACT_TRAP", json!([arg(0, "SCMP_CMP_EQ", 1, 0)])),
        rule(&["swapon"], "SCMP_ACT_ALLOW", json!([])),
        rule(&["uselib"], "SCMP_ACT_ALLOW", json!([])),
        rule(&["uselib"], "SCMP_ACT_TRAP", json!([arg(0, "SCMP_CMP_EQ", 1, 0)])),
        // What the default says anyway.
        json!({"names": ["add_key"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}),
        json!({"names": ["kexec_load"], "action": "SCMP_ACT_ERRNO", "errnoRet": 22}),
    ];
    check("several", &denying(&X86, rules));
}

#[test]
fn every_action_as_the_default_and_as_a_rule() {
    let rules = |arguments: Value| {
        let mut rules = Vec::new();
        for (action, name) in
            ["KILL", "KILL_THREAD", "KILL_PROCESS", "TRAP", "LOG", "ERRNO", "TRACE"].iter().zip(HELD_BACK)
        {
            rules.push(rule(&[name], &format!("SCMP_ACT_{action}"), arguments.clone()));
        }
        rules.push(json!({"names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": 97}));
        rules.push(json!({"names": ["swapon"], "action": "SCMP_ACT_TRACE", "errnoRet": 4095}));
        rules.push(json!({"names": ["no_such_call"], "action": "SCMP_ACT_KILL"}));
        rules
    };
    for default in ["ALLOW", "LOG"] {
        let profile = |rules: Vec<Value>| json!({"defaultAction": format!("SCMP_ACT_{default}"), "architectures": X86, "syscalls": rules});
        check(&format!("default-{default}"), &profile(rules(json!([]))));
        check(&format!("default-{default}-args"), &profile(rules(json!([arg(3, "SCMP_CMP_LE", 1 << 35, 0)]))));
    }
    for default in ["KILL", "KILL_PROCESS", "TRAP", "ERRNO"] {
        let mut profile = denying(&X86, rules(json!([])));
        profile["defaultAction"] = json!(format!("SCMP_ACT_{default}"));
        check(&format!("default-{default}"), &profile);
    }
    let mut profile = denying(&X86, Vec::new());
    profile["defaultErrnoRet"] = json!(38);
    check("default-enosys", &profile);
}

#[test]
fn dockers_default_profile() {
    check("docker", &seccomp_profile::dockers_default());
}
