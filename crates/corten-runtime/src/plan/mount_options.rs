//! `options` of one mount → attributes, propagation, and what the filesystem is told.

use std::ffi::CString;

use corten_sys::mount::{Change, Extent, Propagation, attr};

use super::mounts::is_bind;
use super::{BindFlags, c_string, invalid};
use crate::spec::{Mount, SpecError};

/// What the options of one mount say.
#[derive(Debug, Default)]
pub(super) struct Options {
    pub attributes: Change,
    pub of_bind: BindFlags,
    pub recursive: Change,
    pub propagation: Option<(Propagation, Extent)>,
    pub is_recursive_bind: bool,
    pub copies_up: bool,
    pub id_map: Option<Extent>,
    pub source_nofollow: bool,
    pub target_nofollow: bool,
    pub counts_versions: bool,
    pub is_remount: bool,
    pub data: Vec<(CString, Option<CString>)>,
}

/// Options that change an attribute: name, bits, whether they are set or cleared.
const ATTRIBUTES: [(&str, u64, bool); 12] = [
    ("ro", attr::RDONLY, true),
    ("rw", attr::RDONLY, false),
    ("nosuid", attr::NOSUID, true),
    ("suid", attr::NOSUID, false),
    ("nodev", attr::NODEV, true),
    ("dev", attr::NODEV, false),
    ("noexec", attr::NOEXEC, true),
    ("exec", attr::NOEXEC, false),
    ("nosymfollow", attr::NOSYMFOLLOW, true),
    ("symfollow", attr::NOSYMFOLLOW, false),
    ("nodiratime", attr::NODIRATIME, true),
    ("diratime", attr::NODIRATIME, false),
];

/// Options about access times: name, the new value of the field, or `None` for the kernel's choice.
const TIMES: [(&str, u64); 6] = [
    ("noatime", attr::NOATIME),
    ("atime", attr::RELATIME),
    ("relatime", attr::RELATIME),
    ("norelatime", attr::RELATIME),
    ("strictatime", attr::STRICTATIME),
    ("nostrictatime", attr::RELATIME),
];

/// Flags of the filesystem itself, which fsconfig(2) takes by name.
const SUPERBLOCK: [&str; 4] = ["sync", "dirsync", "lazytime", "mand"];

/// Those that take such a flag away. A bind has none to begin with.
const NO_SUPERBLOCK: [&str; 3] = ["async", "nolazytime", "nomand"];

/// Options without an effect of their own.
const NEUTRAL: [&str; 4] = ["defaults", "silent", "loud", "bind"];

pub(super) fn options(key: &str, mount: &Mount) -> Result<Options, SpecError> {
    let mut options = Options::default();
    let is_bind = is_bind(mount);
    for option in &mount.options {
        if special(key, mount, &mut options, option)? {
            continue;
        }
        if let Some(propagation) = propagation(option) {
            options.propagation = Some(propagation);
            continue;
        }
        options.of_bind.take(option);
        let changes_attributes = apply(&mut options.attributes, option)
            || option.strip_prefix('r').is_some_and(|rest| apply(&mut options.recursive, rest));
        if changes_attributes || option.is_empty() || NEUTRAL.contains(&option.as_str()) {
            continue;
        }
        if is_bind && NO_SUPERBLOCK.contains(&option.as_str()) {
            continue;
        }
        if is_bind {
            // The kernel takes data and flags of a filesystem only when it makes one, and would not say so.
            return Err(invalid(key, format!("option {option:?} cannot be set on a bind mount")));
        }
        if SUPERBLOCK.contains(&option.as_str()) || NO_SUPERBLOCK.contains(&option.as_str()) {
            options.data.push((c_string(key, option.as_str())?, None));
        } else if option == "newinstance" && mount.fstype == "devpts" {
            // Every mount is one since Linux 4.7.
        } else {
            let (name, value) = match option.split_once('=') {
                Some((name, value)) => (name, Some(c_string(key, value)?)),
                None => (option.as_str(), None),
            };
            options.data.push((c_string(key, name)?, value));
        }
    }
    Ok(options)
}

/// Takes an option that is neither an attribute nor data; `false` for any other.
fn special(key: &str, mount: &Mount, options: &mut Options, option: &str) -> Result<bool, SpecError> {
    match option {
        "rbind" => options.is_recursive_bind = true,
        "idmap" => options.id_map = Some(Extent::Single),
        "ridmap" => options.id_map = Some(Extent::Recursive),
        "tmpcopyup" => options.copies_up = true,
        "src-nofollow" if is_bind(mount) => options.source_nofollow = true,
        "src-nofollow" => return Err(invalid(key, "option \"src-nofollow\" is for a bind mount only")),
        "dest-nofollow" => options.target_nofollow = true,
        "iversion" if !is_bind(mount) => options.counts_versions = true,
        "noiversion" => options.counts_versions = false,
        "remount" => options.is_remount = true,
        _ => return Ok(false),
    }
    Ok(true)
}

/// Takes an option that changes an attribute; `false` for any other.
fn apply(change: &mut Change, option: &str) -> bool {
    if let Some((_, bits, sets)) = ATTRIBUTES.iter().find(|(name, ..)| *name == option) {
        let (to, from) =
            if *sets { (&mut change.set, &mut change.clear) } else { (&mut change.clear, &mut change.set) };
        *to |= bits;
        *from &= !bits;
        return true;
    }
    if let Some((_, value)) = TIMES.iter().find(|(name, _)| *name == option) {
        change.set = change.set & !attr::ATIME_MASK | value;
        change.clear |= attr::ATIME_MASK;
        return true;
    }
    false
}

fn propagation(option: &str) -> Option<(Propagation, Extent)> {
    let (name, extent) = match option.strip_prefix('r') {
        Some(name) => (name, Extent::Recursive),
        None => (option, Extent::Single),
    };
    let propagation = match name {
        "shared" => Propagation::Shared,
        "slave" => Propagation::Slave,
        "private" => Propagation::Private,
        "unbindable" => Propagation::Unbindable,
        _ => return None,
    };
    Some((propagation, extent))
}
