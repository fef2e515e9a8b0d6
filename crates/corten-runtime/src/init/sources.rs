//! What a container is made of on the host, its root filesystem, bound trees and devices, as detached copies of mounts.
//!
//! The parent opens them with the host's rights, which a user namespace might lack. A parent that may not copy mounts,
//! an unprivileged user, leaves them to the child, which may in its own mount namespace.

use std::ffi::CStr;
use std::io;
use std::os::fd::OwnedFd;

use corten_sys::clone::Namespaces;
use corten_sys::files;
use corten_sys::mount::{self, Change, Extent};
use corten_sys::syscall::HERE;

use super::binds::{self, BindSource};
use super::report::{At, Fault, Operation, Stage};
use super::spawn::{InitError, Kit};
use crate::plan::{Plan, Source, Step};

/// What was opened. When it is left to the child, `tree` is a handle on the root filesystem, and the lists are empty
/// places.
#[derive(Debug)]
pub(super) struct Sources {
    pub tree: OwnedFd,
    pub binds: Vec<Option<BindSource>>,
    pub devices: Vec<Option<OwnedFd>>,
    pub is_left_to_child: bool,
}

/// Opens everything; `root` is the path of the root filesystem.
pub(super) fn open(plan: &Plan, root: &CStr) -> Result<Sources, InitError> {
    const EPERM: i32 = 1;
    let fail = |why| InitError::Root { path: plan.rootfs.clone(), why };
    match root_tree(root) {
        Err(error) if error.raw_os_error() == Some(EPERM) && plan.namespaces.new.contains(Namespaces::MOUNT) => {
            let tree = files::open(HERE, root, files::O_PATH | files::O_DIRECTORY, 0).map_err(fail)?;
            leave_to_child(plan, tree)
        }
        tree => Ok(Sources {
            tree: tree.map_err(fail)?,
            binds: binds::sources(plan)?,
            devices: devices(plan)?,
            is_left_to_child: false,
        }),
    }
}

fn leave_to_child(plan: &Plan, tree: OwnedFd) -> Result<Sources, InitError> {
    let is_mapped = |step: &Step| matches!(step, Step::Mount(step) if step.id_map.is_some());
    if let Some(index) = plan.steps.iter().position(is_mapped) {
        let text = format!("mount {index} of config.json: id-mapped mounts are not supported for rootless containers");
        return Err(InitError::Child(text));
    }
    let devices = plan.devices.as_ref().map_or(0, |devices| devices.nodes.len());
    Ok(Sources {
        tree,
        binds: plan.steps.iter().map(|_| None).collect(),
        devices: (0..devices).map(|_| None).collect(),
        is_left_to_child: true,
    })
}

/// Opens in the child what the parent could not.
pub(super) fn open_in_child(plan: &Plan, kit: &mut Kit) -> Result<(), Fault> {
    if !kit.opens_sources {
        return Ok(());
    }
    kit.tree = root_tree(&kit.root_path).at(Stage::Root)?;
    for (index, step) in plan.steps.iter().enumerate() {
        if let Step::Mount(step) = step
            && let Source::Bind { source, extent, is_directory } = &step.source
        {
            let opened = binds::open(step, source, *extent, *is_directory, plan);
            kit.binds[index] = Some(opened.at_index(Stage::Mount, Operation::Source, index)?);
        }
    }
    let bound = plan.devices.as_ref().filter(|devices| devices.is_bound);
    for (index, node) in bound.into_iter().flat_map(|devices| devices.nodes.iter().enumerate()) {
        let tree = mount::clone_tree(HERE, &node.host, Extent::Single);
        kit.device_binds[index] = Some(tree.at_index(Stage::Device, Operation::Source, index)?);
    }
    Ok(())
}

/// A detached copy of the root filesystem's mounts, cut off the host's. The path ends with a slash, so that what is no
/// directory is refused.
fn root_tree(path: &CStr) -> io::Result<OwnedFd> {
    // pivot_root refuses a shared root; what the specification asks for is set at the end.
    let change = Change { propagation: Some(mount::Propagation::Slave), ..Change::default() };
    mount::clone_tree_changed(HERE, path, Extent::Recursive, change)
}

fn devices(plan: &Plan) -> Result<Vec<Option<OwnedFd>>, InitError> {
    let Some(devices) = plan.devices.as_ref().filter(|devices| devices.is_bound) else { return Ok(Vec::new()) };
    let bind = devices.nodes.iter().map(|node| {
        let path = || node.host.to_string_lossy().into_owned();
        let tree = mount::clone_tree(HERE, &node.host, Extent::Single);
        tree.map(Some).map_err(|why| InitError::Bind { path: path(), target: path(), why })
    });
    bind.collect()
}
