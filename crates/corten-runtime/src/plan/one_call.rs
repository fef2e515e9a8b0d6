//! Which new filesystems one call makes and attaches, mount(2), where the newer calls take six to nine; and what it is told.
//!
//! Nobody has a handle on what that call made, and it gives no reason when it fails: then the child does it the long way,
//! which tells.

use std::ffi::{CStr, CString};

use super::mounts::{Last, MountStep, Source, Step};

/// Filesystems whose options mean the same one by one and in one string.
const FILESYSTEMS: [&CStr; 7] = [c"proc", c"tmpfs", c"devpts", c"mqueue", c"sysfs", c"cgroup", c"cgroup2"];

/// What mount(2) takes: a page with its NUL.
const DATA_BYTES: usize = 4095;

/// What fsconfig(2) takes of one value.
const VALUE_BYTES: usize = 255;

/// Marks the steps; `fresh_dev` is the one that nodes are made in.
pub(super) fn mark(steps: &mut [Step], fresh_dev: Option<usize>) {
    let mut needed: Vec<usize> = fresh_dev.into_iter().collect();
    for step in steps.iter() {
        if let Step::Mount(step) = step {
            needed.extend(step.inside.as_ref().map(|(parent, _)| *parent));
        }
    }
    for (index, step) in steps.iter_mut().enumerate() {
        if let Step::Mount(step) = step {
            step.one_call = match &step.source {
                // There is no other way for these.
                Source::New { options, .. } if step.is_remount || step.counts_versions => join(options),
                _ if needed.contains(&index) => None,
                _ => data(step),
            };
        }
    }
}

/// The options in one string; `None` when something of the step needs more than one call, or the string would be read
/// otherwise than the options are one by one.
fn data(step: &MountStep) -> Option<CString> {
    let Source::New { fstype, options, takes_mode: false, copies_up: false, .. } = &step.source else { return None };
    let is_plain = step.last == Last::Nothing && step.propagation.is_none() && step.root_label.is_none();
    if !is_plain || step.target_nofollow || !FILESYSTEMS.contains(&fstype.as_c_str()) {
        return None;
    }
    let is_same = |(name, value): &(CString, Option<CString>)| {
        let (name, value) = (name.to_bytes(), value.as_deref().map(CStr::to_bytes));
        // tmpfs takes what begins with a digit for the rest of the option before it.
        let begins_well = name.first().is_some_and(|first| !first.is_ascii_digit());
        let is_value = value.is_none_or(|value| (1..=VALUE_BYTES).contains(&value.len()));
        let is_plain = |part: &[u8]| !part.iter().any(|byte| b",\"\\".contains(byte));
        begins_well && is_value && is_plain(name) && value.is_none_or(is_plain)
    };
    if options.iter().all(is_same) { join(options) } else { None }
}

/// `None` for more than mount(2) takes.
fn join(options: &[(CString, Option<CString>)]) -> Option<CString> {
    let mut text = Vec::new();
    for (name, value) in options {
        if !text.is_empty() {
            text.push(b',');
        }
        text.extend_from_slice(name.to_bytes());
        if let Some(value) = value {
            text.push(b'=');
            text.extend_from_slice(value.to_bytes());
        }
    }
    CString::new(text).ok().filter(|text| text.count_bytes() <= DATA_BYTES)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use corten_cgroups::Cgroup;

    use super::super::mounts::{Places, fresh, plan};
    use crate::spec::{Linux, Mount};

    use super::*;

    fn marked(json: &str) -> Vec<Option<CString>> {
        let mounts: Vec<Mount> = serde_json::from_str(json).expect(json);
        let linux: Linux = serde_json::from_str(r#"{"namespaces":[{"type":"mount"}]}"#).expect("parses");
        let namespaces = super::super::namespaces::plan(&linux).expect("plans");
        let places = Places { bundle: Path::new("/b"), rootfs: Path::new("/b/rootfs") };
        let mut steps = plan(&mounts, &places, &Cgroup::default(), &namespaces, &linux).expect("plans");
        let dev = fresh(&steps, "/dev");
        mark(&mut steps, dev);
        let marks = steps.into_iter().map(|step| match step {
            Step::Mount(step) => step.one_call,
            Step::Link { .. } => None,
        });
        marks.collect()
    }

    #[test]
    fn options_come_in_one_string_and_parents_keep_a_handle() {
        let json = r#"[{"destination":"/proc","type":"proc","source":"proc"},
            {"destination":"/dev","type":"tmpfs","source":"tmpfs","options":["nosuid","mode=755"]},
            {"destination":"/dev/pts","type":"devpts","options":["noexec","newinstance","ptmxmode=0666","gid=5"]},
            {"destination":"/sys","type":"sysfs","options":["ro","sync"]}]"#;
        let text = |text: &CStr| Some(text.to_owned());
        assert_eq!(marked(json), [text(c""), None, text(c"ptmxmode=0666,gid=5"), text(c"sync")]);
    }

    #[test]
    fn what_one_string_cannot_say_goes_the_long_way() {
        for options in [
            r#""mode=1777","mpol=bind:0,1""#,
            r#""mode=1777","1""#,
            r#""mode=""#,
            r#""mode=755","ro""#,
            r#""mode=755","rshared""#,
            r#""mode=755","tmpcopyup""#,
            r#""mode=755","dest-nofollow""#,
            // Without a word about its mode it has that of what it covers.
            r#""size=1m""#,
        ] {
            let json = format!(r#"[{{"destination":"/tmp","type":"tmpfs","options":[{options}]}}]"#);
            assert_eq!(marked(&json), [None], "{options}");
        }
        let json = r#"[{"destination":"/tmp","type":"tmpfs","options":["iversion","mpol=bind:0,1","size=1m"]}]"#;
        assert_eq!(marked(json), [Some(c"mpol=bind:0,1,size=1m".to_owned())]);
        assert_eq!(marked(r#"[{"destination":"/data","type":"ext4","source":"/dev/vdb"}]"#), [None]);
    }
}
