//! A seccomp profile: from JSON to a program that the kernel would take, or a sentence.

use corten_seccomp::{Arch, Profile, compile, interpret, rules::Data};
use serde_json::json;

use crate::{
    each_input,
    mutate::{bytes, document},
};

#[test]
fn a_profile_becomes_a_program_that_ends_or_a_sentence() {
    let good = json!({
        "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38,
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
        "flags": ["SECCOMP_FILTER_FLAG_LOG"], "listenerPath": "/run/a", "listenerMetadata": "m",
        "syscalls": [
            {"names": ["read", "write", "openat", "nothing_of_the_kind"], "action": "SCMP_ACT_ALLOW"},
            {"names": ["personality"], "action": "SCMP_ACT_ALLOW",
                "args": [{"index": 0, "value": 8, "op": "SCMP_CMP_EQ"}, {"index": 0, "value": 131_072, "op": "SCMP_CMP_NE"}]},
            {"names": ["clone"], "action": "SCMP_ACT_TRACE", "errnoRet": 5,
                "args": [{"index": 0, "value": 2_114_060_288, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]},
            {"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"},
            {"names": ["kexec_load"], "action": "SCMP_ACT_KILL_PROCESS", "args": [{"index": 5, "value": 1, "op": "SCMP_CMP_GT"}]},
        ],
    });
    let mut compiled = 0;
    each_input("seccomp profile", |random| {
        let changed = document(random, &good);
        let text = changed.to_string().into_bytes();
        let text = if random.one_in(3) { bytes(random, &text) } else { text };
        let Ok(profile) = serde_json::from_slice::<Profile>(&text) else { return };
        let filter = match compile(&profile, Arch::X86_64) {
            Ok(Some(filter)) => filter,
            Ok(None) => return,
            Err(error) => return assert!(!error.problem.is_empty()),
        };
        compiled += 1;
        // The kernel takes at most 4096 instructions, and every call must meet a verdict.
        assert!(filter.program.len() <= 4096, "{} instructions", filter.program.len());
        for audit in [0xc000_003e, 0x4000_0003, 0xc000_00b7, 0x4000_0028, 0] {
            let number = random.next() as u32 % if random.one_in(2) { 512 } else { u32::MAX };
            let arguments = std::array::from_fn(|_| random.next() >> random.below(64));
            let call = Data { number, audit, arguments };
            assert!(interpret::run(&filter.program, &call).is_some(), "no verdict about {number} of {audit:#x}");
        }
    });
    assert!(compiled > 50, "only {compiled} inputs were good enough to become a program");
}
