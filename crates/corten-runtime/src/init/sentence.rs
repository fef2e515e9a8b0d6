//! A fault in the child → the sentence the caller reads. The parent has the plan, so the child sends no text.

use corten_sys::rlimit;

use super::report::{Fault, Operation, Stage};
use crate::plan::{Plan, ProcessPlan, Rlimit, Step};

pub(super) use corten_types::error::errno_text;

/// The sentence about a container's first process.
pub(crate) fn about_init(plan: &Plan, fault: &Fault) -> String {
    let index = fault.index as usize;
    let why = errno_text(&fault.error());
    let inside = |path: &corten_sys::openat2::InRootfs| path.display().to_string();
    let what = match fault.stage {
        Stage::JoinNamespace => {
            let joined = plan.namespaces.joined.get(index);
            let (name, path) = joined.map(|joined| (joined.name, joined.path.to_string_lossy())).unwrap_or_default();
            format!("join the {name} namespace {path}")
        }
        Stage::Sysctl => match plan.sysctls.get(index) {
            Some(sysctl) => format!("write sysctl {} = {:?}", sysctl.name, String::from_utf8_lossy(&sysctl.value)),
            None => "open /proc/sys".to_owned(),
        },
        Stage::Hostname => "sethostname".to_owned(),
        Stage::Domainname => "setdomainname".to_owned(),
        Stage::Root => format!("mount root filesystem {}", plan.rootfs.display()),
        Stage::Mount => return about_mount(plan, fault, &why),
        Stage::Device => {
            let node = plan.devices.as_ref().and_then(|devices| devices.nodes.get(index));
            format!("make device {}", node.map(|node| inside(&node.path)).unwrap_or_default())
        }
        Stage::Mask => format!("can't mask path {:?}", plan.masked.get(index).map(inside).unwrap_or_default()),
        Stage::Readonly => {
            format!(
                "can't make {:?} read-only",
                plan.readonly.get(index).map(|(path, _)| inside(path)).unwrap_or_default()
            )
        }
        Stage::Hook => return about_hook(plan, fault),
        // sched_setattr(2): a deadline cannot be kept by who may not run everywhere.
        Stage::Schedule if fault.index == 0 && fault.errno == EPERM && plan.limits.cpuset_cpus.is_some() => {
            "process scheduler can't be used together with AllowedCPUs".to_owned()
        }
        _ => return about_process(&plan.process, fault),
    };
    format!("{what}: {why}")
}

fn about_hook(plan: &Plan, fault: &Fault) -> String {
    let (kind, hooks) = match fault.operation {
        Operation::Create => ("createContainer", &plan.create_container),
        _ => ("startContainer", &plan.start_container),
    };
    let path = hooks.get(fault.index as usize).map(|hook| hook.path.to_string_lossy()).unwrap_or_default();
    let said = fault.message();
    let why = if said.is_empty() { errno_text(&fault.error()) } else { said };
    format!("error running {kind} hook #{}: {path}: {why}", fault.index)
}

fn about_mount(plan: &Plan, fault: &Fault, why: &str) -> String {
    let Some(step) = plan.steps.get(fault.index as usize) else { return format!("mount: {why}") };
    let (kind, destination, source) = match step {
        Step::Link { name, directory, .. } => {
            return format!("make link {:?} in {}: {why}", name, directory.display());
        }
        Step::Mount(step) => (&step.described.0, &step.described.1, step.source_text()),
    };
    let is_no_directory = matches!(fault.errno, ELOOP | ENOTDIR);
    let doing = match fault.operation {
        // runc's sentence, which its suite asserts.
        Operation::Target if is_no_directory && step_is_kernel_filesystem(plan, fault) => {
            return format!(
                "error during container init: error mounting {kind:?} to rootfs at {destination:?}: filesystem {kind:?} must be mounted on ordinary directory"
            );
        }
        Operation::Target => format!("create mount target {destination:?}"),
        Operation::Source => format!("stat {source}"),
        Operation::Option => "set options".to_owned(),
        Operation::Attributes => "set attributes".to_owned(),
        Operation::Attach => "attach".to_owned(),
        Operation::Copy => "copy what it covers".to_owned(),
        _ => format!("mount {kind}"),
    };
    let said = fault.message();
    let said = if said.is_empty() { said } else { format!(" ({said})") };
    let described = if source.is_empty() { kind } else { &source };
    format!(
        "error during container init: error mounting {described:?} to rootfs at {destination:?}: {doing}: {why}{said}"
    )
}

fn step_is_kernel_filesystem(plan: &Plan, fault: &Fault) -> bool {
    matches!(plan.steps.get(fault.index as usize), Some(Step::Mount(step)) if step.needs_real_directory)
}

const EPERM: i32 = 1;
const ENOTDIR: i32 = 20;
const ELOOP: i32 = 40;

/// The limit by its name: without CAP_SYS_RESOURCE it cannot be more than the runtime's own.
pub(super) fn about_limit(limit: Option<&Rlimit>, why: &str) -> String {
    let limit = limit.map(|limit| format!("{} to {}:{}", rlimit::name(limit.number), limit.soft, limit.hard));
    format!("set {}: {why}", limit.unwrap_or_else(|| "rlimits".to_owned()))
}

/// Below what the runtime has itself it needs CAP_SYS_RESOURCE.
pub(super) fn about_oom_score(process: &ProcessPlan, why: &str) -> String {
    format!("set process.oomScoreAdj to {}: {why}", process.oom_score_adj.as_deref().unwrap_or_default())
}

/// The sentence about any process: the first one's last stages, and an exec.
pub(crate) fn about_process(process: &ProcessPlan, fault: &Fault) -> String {
    let why = errno_text(&fault.error());
    let name = &process.program.name;
    let what = match fault.stage {
        Stage::Session => "start a session",
        Stage::JoinCgroup => "join the cgroup",
        Stage::BecomeRoot => "become root of the user namespace",
        Stage::JoinNamespace => "join the container's namespaces",
        Stage::JoinNetwork => "enter the network namespace",
        Stage::CgroupNamespace => "make the cgroup namespace",
        Stage::TimeNamespace => "make the time namespace",
        Stage::Keyring => "join a session keyring",
        Stage::Isolate => "cut the mounts off the host's",
        Stage::Loopback => "bring the loopback device up",
        Stage::DeviceLinks => "make the links of /dev",
        Stage::Console => "set up the terminal",
        Stage::Pivot => "pivot_root",
        Stage::RootAttributes => "set the attributes of the root mount",
        Stage::Descriptors => "close the runtime's descriptors",
        Stage::Streams => "give the standard streams to the process's user",
        Stage::Cwd => {
            return format!("chdir to cwd ({:?}) set in config.json failed: {why}", process.cwd.to_string_lossy());
        }
        Stage::Capabilities => "unable to apply caps",
        Stage::Identity => "set user and groups",
        Stage::Limits => return about_limit(process.rlimits.get(fault.index as usize), &why),
        Stage::NoNewPrivileges => "set no_new_privs",
        Stage::Schedule => match fault.index {
            0 => "set process.scheduler",
            1 => "set process.ioPriority",
            2 => "set linux.personality",
            _ => "set process.execCPUAffinity",
        },
        Stage::OomScore => return about_oom_score(process, &why),
        Stage::Confine => {
            let written =
                process.apparmor_profile.as_ref().map(|profile| profile.to_string_lossy()).unwrap_or_default();
            let profile = written.strip_prefix("exec ").unwrap_or_default();
            return format!("unable to apply apparmor profile: {profile}: {why}");
        }
        Stage::Label => {
            let label = process.selinux_label.as_ref().map(|label| label.to_string_lossy()).unwrap_or_default();
            return format!("unable to set the selinux label {label}: {why}");
        }
        Stage::Filter => "error loading seccomp filter",
        Stage::Wait => "wait for start",
        Stage::Hook => "run a hook in the container",
        Stage::Execute => return format!("exec {name}: {why}"),
        Stage::Lookup => return about_lookup(process, fault, &why),
        _ => "set up the container",
    };
    format!("{what}: {why}")
}

/// Go's words: dockerd and containerd tell exit codes 126 and 127 by them.
fn about_lookup(process: &ProcessPlan, fault: &Fault, why: &str) -> String {
    const ENOENT: i32 = 2;
    let name = &process.program.name;
    if process.program.is_searched && fault.errno == ENOENT {
        return format!("exec: {name:?}: {}", corten_runtime_api::texts::NOT_IN_PATH);
    }
    match fault.operation {
        Operation::Source => format!("exec: {name:?}: stat {name}: {why}"),
        _ => format!("exec: {name:?}: {why}"),
    }
}
