//! What is to be done for a spec: pure, so that it is tested by tables, and complete, so that the child allocates
//! nothing.
//!
//! The child walks the lists of a [`Plan`] in order. It reports a failure as the place in the plan, and the parent,
//! which holds the same plan, makes the sentence.

mod bind_flags;
mod cgroup;
mod cgroup_mounts;
mod devices;
mod hooks;
mod idmap;
mod mount_options;
mod mounts;
mod namespaces;
mod one_call;
mod process;
mod schedule;
pub(crate) mod seccomp;

use std::ffi::CString;
use std::path::{Path, PathBuf};

use corten_cgroups::{Cgroup, Limits};
use corten_sys::mount::{Extent, Propagation, attr};
use corten_sys::openat2::InRootfs;

use crate::spec::{Spec, SpecError};

pub use bind_flags::BindFlags;
pub use cgroup::limits;
pub use devices::{Device, DevicePlan, LINKS};
pub use hooks::ContainerHook;
pub use idmap::IdMap;
pub use mounts::{Last, MountStep, Source, Step};
pub use namespaces::{Joined, KINDS, NamespacePlan};
pub use process::{Extra, ProcessPlan, Program, Rlimit, StandardStreams};
pub use schedule::Affinity;
pub use seccomp::{FilterPlan, Listener, SeccompPlan};

/// Everything a container's set-up does.
#[derive(Debug)]
pub struct Plan {
    /// Namespaces made and joined.
    pub namespaces: NamespacePlan,
    /// The root filesystem on the host.
    pub rootfs: PathBuf,
    /// Whether it is read-only inside.
    pub is_root_readonly: bool,
    /// Propagation of the root mount, and whether it goes to the mounts below.
    pub root_propagation: Option<(Propagation, bool)>,
    /// Propagation given to bind mounts that name none.
    pub bind_propagation: Option<Propagation>,
    /// Mounts and what belongs to them, in order.
    pub steps: Vec<Step>,
    /// The step that made /dev, when it is sure to be there and empty but for what was mounted in it.
    pub fresh_dev: Option<usize>,
    /// Nodes in /dev; `None` when the spec binds /dev itself.
    pub devices: Option<DevicePlan>,
    /// What files of new filesystems are labelled (SELinux).
    pub mount_label: Option<CString>,
    /// Paths that cannot be read.
    pub masked: Vec<InRootfs>,
    /// Paths that cannot be written, and whether there may be mounts below, which come with them.
    pub readonly: Vec<(InRootfs, Extent)>,
    /// Kernel parameters: path below /proc/sys, value, name.
    pub sysctls: Vec<Sysctl>,
    /// The host name.
    pub hostname: Option<CString>,
    /// The domain name.
    pub domainname: Option<CString>,
    /// Made in the container when it is not there, as runc does; docker's `--workdir` relies on it.
    pub working_directory: InRootfs,
    /// The first process.
    pub process: ProcessPlan,
    /// The cgroup's limits.
    pub limits: Limits,
    /// Hooks in the container's namespaces, before the root is changed.
    pub create_container: Vec<ContainerHook>,
    /// Hooks in the container, after start was asked for.
    pub start_container: Vec<ContainerHook>,
}

/// A kernel parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sysctl {
    /// Its name with dots.
    pub name: String,
    /// Its path below /proc/sys.
    pub path: CString,
    /// Its value.
    pub value: Vec<u8>,
}

impl Plan {
    /// The plan for `spec` in `bundle`, whose cgroups will be `cgroup`.
    ///
    /// # Errors
    /// [`SpecError`]: a value that cannot be, or something not built yet.
    // Once in the program, for its size.
    #[inline(never)]
    pub fn from_spec(spec: &Spec, bundle: &Path, cgroup: &Cgroup) -> Result<Self, SpecError> {
        let process = spec.process.as_ref().ok_or(SpecError::Text(corten_runtime_api::texts::NO_PROCESS))?;
        let root = spec.root.as_ref().filter(|root| !root.path.is_empty());
        let root = root.ok_or_else(|| invalid("root", "must be given"))?;
        let namespaces = namespaces::plan(&spec.linux)?;
        let (root_propagation, bind_propagation) = root_propagation(&spec.linux.rootfs_propagation)?;
        let binds_dev = spec.mounts.iter().any(mounts::binds_dev);
        let rootfs = bundle.join(&root.path);
        let places = mounts::Places { bundle, rootfs: &rootfs };
        let mut steps = mounts::plan(&spec.mounts, &places, cgroup, &namespaces, &spec.linux)?;
        let fresh_dev = mounts::fresh(&steps, "/dev");
        one_call::mark(&mut steps, fresh_dev);
        Ok(Self {
            rootfs,
            is_root_readonly: root.readonly,
            root_propagation,
            bind_propagation,
            fresh_dev,
            readonly: mounts::read_only(&spec.linux.readonly_paths, &steps)?,
            steps,
            devices: if binds_dev {
                None
            } else {
                Some(devices::plan(&spec.linux.devices, namespaces.has_own_users())?)
            },
            mount_label: process::label("linux.mountLabel", &spec.linux.mount_label)?,
            masked: masked(&spec.linux.masked_paths)?,
            sysctls: sysctls(spec, &namespaces)?,
            hostname: name("hostname", &spec.hostname, &namespaces)?,
            domainname: name("domainname", &spec.domainname, &namespaces)?,
            working_directory: InRootfs::new(&process.cwd).map_err(|_| invalid("process.cwd", "holds a NUL byte"))?,
            process: ProcessPlan {
                // Its files are made under none; what it was called with is the caller's. As runc has it.
                umask: process.user.umask.or(Some(0o022)),
                limited_by_parent: namespaces.has_own_users(),
                personality: spec.linux.personality.as_ref().map(schedule::personality).transpose()?,
                filter: FilterPlan::new(spec.linux.seccomp.clone()),
                ..process::plan(process, &Extra::default())?
            },
            limits: cgroup::limits(&spec.linux.resources)?,
            create_container: hooks::plan("createContainer", &spec.hooks.create_container, &[])?,
            start_container: hooks::plan("startContainer", &spec.hooks.start_container, &process.env)?,
            namespaces,
        })
    }

    /// Refuses what needs a security module the kernel does not have.
    ///
    /// # Errors
    /// [`SpecError::Invalid`].
    pub fn check_security(&self) -> Result<(), SpecError> {
        if self.mount_label.is_some() && !corten_sys::selinux::is_enabled() {
            return Err(invalid("linux.mountLabel", process::WITHOUT_SELINUX));
        }
        self.process.check_security()
    }
}

impl Plan {
    /// Makes mounts of cgroups read-only, whatever was asked for: some are not the container's own (CVE-2023-25809).
    pub fn protect_cgroups(&mut self) {
        for step in &mut self.steps {
            if let Step::Mount(step) = step
                && step.described.0 == "cgroup"
            {
                step.attributes.set |= attr::RDONLY;
                step.attributes.clear &= !attr::RDONLY;
            }
        }
    }
}

/// The plan for a process in a running container, under the container's system call filter.
///
/// # Errors
/// [`SpecError`].
pub fn exec_process(
    process: &crate::spec::Process,
    extra: &Extra<'_>,
    filter: Option<SeccompPlan>,
) -> Result<ProcessPlan, SpecError> {
    Ok(ProcessPlan { filter: FilterPlan::ready(filter), ..process::plan(process, extra)? })
}

pub(crate) fn invalid(key: impl Into<String>, problem: impl Into<String>) -> SpecError {
    SpecError::Invalid { key: key.into(), problem: problem.into() }
}

pub(crate) fn c_string(key: &str, text: impl Into<Vec<u8>>) -> Result<CString, SpecError> {
    CString::new(text).map_err(|_| invalid(key, "holds a NUL byte"))
}

/// Each path once: a second mask would only hide the first.
fn masked(paths: &[String]) -> Result<Vec<InRootfs>, SpecError> {
    let mut cleaned: Vec<String> = Vec::with_capacity(paths.len());
    let is_first = |path: &&String| {
        let path = mounts::clean(path);
        let is_new = !cleaned.contains(&path);
        if is_new {
            cleaned.push(path);
        }
        is_new
    };
    let paths: Vec<String> = paths.iter().filter(is_first).cloned().collect();
    in_rootfs("linux.maskedPaths", &paths)
}

fn in_rootfs(key: &str, paths: &[String]) -> Result<Vec<InRootfs>, SpecError> {
    let absolute = paths.iter().map(|path| match path.starts_with('/') {
        true => InRootfs::new(path).map_err(|_| invalid(key, "holds a NUL byte")),
        false => Err(invalid(key, format!("{path:?} is not an absolute path"))),
    });
    absolute.collect()
}

/// A propagation, and whether it goes to the mounts below.
type Spread = (Propagation, bool);

/// The propagation at the end, and the one of binds that name none: slave like runc's, or what the root has.
fn root_propagation(text: &str) -> Result<(Option<Spread>, Option<Propagation>), SpecError> {
    let (propagation, is_recursive) = match text {
        "" => return Ok((None, Some(Propagation::Slave))),
        "shared" => (Propagation::Shared, false),
        "rshared" => (Propagation::Shared, true),
        "slave" => (Propagation::Slave, false),
        "rslave" => (Propagation::Slave, true),
        "private" => (Propagation::Private, false),
        "rprivate" => (Propagation::Private, true),
        "unbindable" => (Propagation::Unbindable, false),
        "runbindable" => (Propagation::Unbindable, true),
        other => return Err(invalid("linux.rootfsPropagation", format!("{other:?} is no propagation"))),
    };
    let of_binds = (propagation != Propagation::Shared).then_some(Propagation::Slave);
    Ok((Some((propagation, is_recursive)), of_binds))
}

fn name(key: &str, text: &str, namespaces: &NamespacePlan) -> Result<Option<CString>, SpecError> {
    if text.is_empty() {
        return Ok(None);
    }
    if !namespaces.has_own_uts() {
        return Err(invalid(key, "unable to set without a private UTS namespace"));
    }
    c_string(key, text).map(Some)
}

/// Parameters of the container's own namespaces only: any other would change the host.
fn sysctls(spec: &Spec, namespaces: &NamespacePlan) -> Result<Vec<Sysctl>, SpecError> {
    const IPC: [&str; 9] = [
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
        "kernel.msg_next_id",
    ];
    let mut sysctls = Vec::new();
    for (given, value) in &spec.linux.sysctl {
        let key = || format!("linux.sysctl[{given}]");
        // A name may be written with slashes, so that an interface's name can hold a dot.
        let first_separator = given.find(['.', '/']).map(|at| given.as_bytes()[at]);
        let path: String = match first_separator {
            Some(b'/') => given.clone(),
            _ => given
                .chars()
                .map(|c| {
                    if c == '.' {
                        '/'
                    } else if c == '/' {
                        '.'
                    } else {
                        c
                    }
                })
                .collect(),
        };
        let name = path.replace('/', ".");
        let needs = if name.starts_with("net.") {
            ("network", namespaces.has_own_network())
        } else if IPC.contains(&name.as_str()) || name.starts_with("fs.mqueue.") {
            ("IPC", namespaces.has_own_ipc())
        } else if name == "kernel.domainname" {
            ("UTS", namespaces.has_own_uts())
        } else {
            return Err(invalid(key(), format!("sysctl {given:?} is not in a separate kernel namespace")));
        };
        if !needs.1 {
            let problem = format!("sysctl {given:?} is not allowed in the hosts {} namespace", needs.0);
            return Err(invalid(key(), problem));
        }
        if path.split('/').any(|part| part.is_empty() || part == "..") {
            return Err(invalid(key(), "is no name of a kernel parameter"));
        }
        let path = c_string("linux.sysctl", path)?;
        sysctls.push(Sysctl { name, path, value: value.clone().into_bytes() });
    }
    Ok(sysctls)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = r#""root":{"path":"rootfs"},"process":{"args":["/bin/sh"],"cwd":"/"}"#;

    fn plan(more: &str) -> Result<Plan, SpecError> {
        let spec = format!("{{{BASE}{more}}}");
        let spec = Spec::parse(spec.as_bytes())?;
        Plan::from_spec(&spec, Path::new("/b"), &Cgroup::default())
    }

    const NAMESPACES: &str = r#""namespaces":[{"type":"mount"},{"type":"network"},{"type":"uts"}]"#;

    #[test]
    fn a_relative_root_lies_in_the_bundle() {
        let plan = plan(&format!(r#","linux":{{{NAMESPACES}}}"#)).expect("plans");
        assert_eq!(plan.rootfs, Path::new("/b/rootfs"));
    }

    #[test]
    fn only_parameters_of_own_namespaces_can_be_set() {
        let with = |sysctl: &str| plan(&format!(r#","linux":{{{NAMESPACES},"sysctl":{{{sysctl}}}}}"#));
        let found = with(r#""net.ipv4.conf.eth0/1.forwarding":"1""#).expect("plans").sysctls;
        assert_eq!(found[0].path.as_c_str(), c"net/ipv4/conf/eth0.1/forwarding");
        for (sysctl, problem) in [
            (r#""kernel.panic":"1""#, "sysctl \"kernel.panic\" is not in a separate kernel namespace"),
            (r#""kernel.shmmax":"1""#, "sysctl \"kernel.shmmax\" is not allowed in the hosts IPC namespace"),
            (r#""net..x":"1""#, "is no name of a kernel parameter"),
        ] {
            let error = with(sysctl).expect_err(sysctl).to_string();
            assert!(error.ends_with(problem), "{error}");
        }
    }

    #[test]
    fn a_host_name_needs_a_uts_namespace() {
        let error = plan(r#","hostname":"a","linux":{"namespaces":[{"type":"mount"}]}"#).expect_err("no uts");
        assert_eq!(error.to_string(), "hostname: unable to set without a private UTS namespace");
    }

    #[test]
    fn what_must_be_given_is_named() {
        for (spec, text) in [
            (r#"{"root":{"path":"r"}}"#, "process property must not be empty"),
            (
                r#"{"root":{"path":"r"},"process":{"cwd":"/"},"linux":{"namespaces":[{"type":"mount"}]}}"#,
                "args must not be empty",
            ),
            (
                r#"{"root":{"path":"r"},"process":{"args":["a"],"cwd":"x"},"linux":{"namespaces":[{"type":"mount"}]}}"#,
                "Cwd must be an absolute path",
            ),
            (r#"{"process":{"args":["a"],"cwd":"/"}}"#, "root: must be given"),
        ] {
            let parsed = Spec::parse(spec.as_bytes()).expect(spec);
            let error = Plan::from_spec(&parsed, Path::new("/b"), &Cgroup::default()).expect_err(spec);
            assert_eq!(error.to_string(), text, "{spec}");
        }
    }
}
