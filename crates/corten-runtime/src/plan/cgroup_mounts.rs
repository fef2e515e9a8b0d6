//! A mount of type `cgroup` → steps.

use std::path::Path;

use corten_cgroups::Cgroup;
use corten_sys::mount::{Change, Extent, attr};
use corten_sys::openat2::InRootfs;

use super::mount_options::Options;
use super::mounts::{Last, MountStep, Source, Step, clean};
use super::{BindFlags, NamespacePlan, c_string, invalid};
use crate::spec::{Mount, SpecError};

/// A mount of type `cgroup`: the container's part of each hierarchy (runtime-spec, config-linux.md, "Mounts").
///
/// With a cgroup namespace the hierarchies are mounted anew, and show the container's part by themselves; without
/// one the container's directory of each hierarchy of v1 is bound.
pub(super) fn steps(
    key: &str,
    mount: &Mount,
    options: &Options,
    cgroup: &Cgroup,
    namespaces: &NamespacePlan,
) -> Result<Vec<Step>, SpecError> {
    if options.is_remount || options.counts_versions {
        return Err(invalid(key, "options \"remount\" and \"iversion\" do not go with type \"cgroup\""));
    }
    let root = clean(&mount.destination);
    let is_new = namespaces.has_own_cgroup();
    if cgroup.directories().is_empty() && !is_new {
        // The container has no cgroup to be shown; what is there must not be the host's (CVE-2023-25809).
        let mut empty = cgroup_step(key, &root, empty_tmpfs(), options, Last::AllBelow)?;
        if let Step::Mount(step) = &mut empty {
            step.attributes.set |= attr::RDONLY;
        }
        return Ok(vec![empty]);
    }
    if cgroup.is_v2() {
        // Without either namespace the whole hierarchy is shown, as runc shows it: who asks for the host's view gets it.
        // A user namespace may not mount it, and sees the container's part alone.
        let source = if is_new || !namespaces.has_own_users() {
            Source::New {
                fstype: c"cgroup2".to_owned(),
                source: None,
                options: Vec::new(),
                takes_mode: false,
                copies_up: false,
            }
        } else {
            bind_cgroup(key, cgroup.unified())?
        };
        return Ok(vec![cgroup_step(key, &root, source, options, Last::Nothing)?]);
    }
    let tmpfs = cgroup_step(key, &root, empty_tmpfs(), options, Last::AllBelow)?;
    let mut steps = vec![tmpfs];
    for directory in cgroup.directories().iter().filter(|directory| !directory.is_unified()) {
        let joined = directory.controllers.join(",");
        let name = joined.strip_prefix("name=").unwrap_or(&joined);
        let source =
            if is_new { new_v1(key, &directory.controllers)? } else { bind_cgroup(key, Some(&directory.path))? };
        let last = if is_new { Last::Nothing } else { Last::WithParent };
        steps.push(cgroup_step(key, &format!("{root}/{name}"), source, options, last)?);
        // Programs look for each controller by its own name.
        for controller in directory.controllers.iter().filter(|_| directory.controllers.len() > 1) {
            steps.push(Step::Link {
                target: c_string(key, name)?,
                directory: InRootfs::new(&root).map_err(|_| invalid(key, "destination holds a NUL byte"))?,
                name: c_string(key, controller.as_str())?,
            });
        }
    }
    Ok(steps)
}

fn empty_tmpfs() -> Source {
    Source::New {
        fstype: c"tmpfs".to_owned(),
        source: Some(c"tmpfs".to_owned()),
        options: vec![(c"mode".to_owned(), Some(c"755".to_owned()))],
        takes_mode: false,
        copies_up: false,
    }
}

fn cgroup_step(key: &str, target: &str, source: Source, options: &Options, last: Last) -> Result<Step, SpecError> {
    Ok(Step::Mount(Box::new(MountStep {
        target: InRootfs::new(target).map_err(|_| invalid(key, "destination holds a NUL byte"))?,
        path: clean(target),
        is_bind: matches!(source, Source::Bind { .. }),
        source,
        attributes: options.attributes,
        of_bind: BindFlags::default(),
        recursive: Change::default(),
        propagation: options.propagation,
        last,
        needs_real_directory: false,
        may_cover_proc: false,
        inside: None,
        counts_versions: false,
        is_remount: false,
        one_call: None,
        is_on_root: false,
        id_map: None,
        root_label: None,
        source_nofollow: false,
        target_nofollow: false,
        described: ("cgroup".to_owned(), target.to_owned()),
    })))
}

fn bind_cgroup(key: &str, path: Option<&Path>) -> Result<Source, SpecError> {
    let path = path.ok_or_else(|| invalid(key, "the machine has no cgroup hierarchy"))?;
    let source = c_string(key, path.as_os_str().as_encoded_bytes())?;
    Ok(Source::Bind { source, extent: Extent::Single, is_directory: true })
}

fn new_v1(key: &str, controllers: &[String]) -> Result<Source, SpecError> {
    let mut options = Vec::new();
    for controller in controllers {
        match controller.strip_prefix("name=") {
            Some(name) => {
                options.push((c"none".to_owned(), None));
                options.push((c"name".to_owned(), Some(c_string(key, name)?)));
            }
            None => options.push((c_string(key, controller.as_str())?, None)),
        }
    }
    Ok(Source::New { fstype: c"cgroup".to_owned(), source: None, options, takes_mode: false, copies_up: false })
}
