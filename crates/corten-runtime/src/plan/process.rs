//! `process` → program, environment, identity, capabilities, limits.

use std::ffi::CString;

use corten_runtime_api::texts;
use corten_sys::credentials::CapabilitySets;
use corten_sys::descriptors::StringList;
use corten_sys::rlimit::LIMITS;
use corten_sys::schedule::Scheduler;
use corten_sys::status::OwnStatus;
use corten_sys::{apparmor, selinux};

use super::{Affinity, FilterPlan, c_string, invalid, schedule};
use crate::spec::{Capabilities, Process, SpecError, User};

/// What a process is and may do.
#[derive(Debug)]
pub struct ProcessPlan {
    /// What is executed.
    pub program: Program,
    /// Arguments.
    pub arguments: StringList,
    /// Environment.
    pub environment: StringList,
    /// Current directory.
    pub cwd: CString,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// File mode creation mask.
    pub umask: Option<u32>,
    /// Capability sets.
    pub capabilities: CapabilitySets,
    /// What of it is left out, in sentences.
    pub warnings: Vec<String>,
    /// Limits.
    pub rlimits: Vec<Rlimit>,
    /// Whether the parent sets them: the process is in a user namespace.
    pub limited_by_parent: bool,
    /// Whether it can gain no privileges.
    pub no_new_privileges: bool,
    /// What is written to name its AppArmor profile.
    pub apparmor_profile: Option<CString>,
    /// Its SELinux label.
    pub selinux_label: Option<CString>,
    /// Which system calls it can make.
    pub filter: FilterPlan,
    /// Scheduling policy.
    pub scheduler: Option<Scheduler>,
    /// Class and priority of block device access.
    pub io_priority: Option<(u16, u16)>,
    /// CPUs of an exec.
    pub affinity: Affinity,
    /// Execution domain.
    pub personality: Option<u32>,
    /// How readily it is killed for memory, as it is written to oom_score_adj.
    pub oom_score_adj: Option<String>,
    /// Whether it gets a terminal.
    pub terminal: bool,
    /// The terminal's rows and columns.
    pub console_size: Option<(u16, u16)>,
    /// Descriptors after 2 it inherits.
    pub preserve_fds: u32,
    /// Which streams are given to the process's user.
    pub streams: StandardStreams,
}

/// What is executed.
#[derive(Debug)]
pub struct Program {
    /// The first argument as it was given.
    pub name: String,
    /// Where it may be, in order: one path when the name has a slash, else one per directory of PATH.
    pub candidates: Vec<CString>,
    /// Whether PATH was searched.
    pub is_searched: bool,
}

/// Which standard streams change their owner to the process's user, so that it can open /dev/stdout again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum StandardStreams {
    /// All: the caller made them for this container.
    #[default]
    All,
    /// Pipes only: what else there is belongs to the caller, such as a user's terminal.
    PipesOnly,
}

/// A resource limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rlimit {
    /// The kernel's number.
    pub number: u32,
    /// What is enforced.
    pub soft: u64,
    /// What soft may be raised to.
    pub hard: u64,
}

/// What the command line says beside the process.
#[derive(Debug, Clone, Copy, Default)]
pub struct Extra<'a> {
    /// Capabilities added to bounding, effective and permitted (`exec --cap`).
    pub capabilities: &'a [String],
}

impl ProcessPlan {
    /// Refuses what needs a security module the kernel does not have.
    ///
    /// # Errors
    /// [`SpecError::Invalid`].
    pub fn check_security(&self) -> Result<(), SpecError> {
        if self.apparmor_profile.is_some() && !apparmor::is_enabled() {
            return Err(invalid("process.apparmorProfile", "apparmor is not enabled on this host"));
        }
        if self.selinux_label.is_some() && !selinux::is_enabled() {
            return Err(invalid("process.selinuxLabel", WITHOUT_SELINUX));
        }
        Ok(())
    }

    /// Refuses a capability that this process, which is to give it, does not have itself.
    ///
    /// # Errors
    /// [`SpecError::Invalid`] with its name.
    pub fn check_capabilities(&self, own: &OwnStatus) -> Result<(), SpecError> {
        let sets = &self.capabilities;
        for (name, wanted, held) in [
            ("bounding", sets.bounding, own.bounding),
            ("permitted", sets.permitted, own.permitted),
            ("effective", sets.effective, own.permitted),
            ("inheritable", sets.inheritable, own.bounding),
            ("ambient", sets.ambient, own.permitted),
        ] {
            if wanted & !held != 0 {
                let mut missing =
                    caps::all().into_iter().filter(|capability| capability.bitmask() & wanted & !held != 0);
                let missing = missing.next().map(|capability| capability.to_string()).unwrap_or_default();
                let problem = format!("{missing}: the runtime does not have it itself");
                return Err(invalid(format!("process.capabilities.{name}"), problem));
            }
        }
        Ok(())
    }
}

/// The kernel takes the highest number for "leave it as it is", which is root (setresuid(2)); programs take the upper
/// half for negative.
fn check_ids(user: &User) -> Result<(), SpecError> {
    const HIGHEST: u32 = i32::MAX.cast_unsigned();
    let ids = [("uid", user.uid), ("gid", user.gid)];
    let groups = user.additional_gids.iter().map(|gid| ("additionalGids", *gid));
    match ids.into_iter().chain(groups).find(|(_, id)| *id > HIGHEST) {
        Some((key, id)) => Err(invalid(format!("process.user.{key}"), format!("{id}: {}", texts::IDS_OUT_OF_RANGE))),
        None => Ok(()),
    }
}

pub(super) fn plan(process: &Process, extra: &Extra<'_>) -> Result<ProcessPlan, SpecError> {
    let name = process.args.first().ok_or(SpecError::Text(texts::NO_ARGS))?;
    if !process.cwd.starts_with('/') {
        return Err(SpecError::Text(texts::CWD_NOT_ABSOLUTE));
    }
    let list = |key: &str, texts: &[String]| -> Result<Vec<CString>, SpecError> {
        texts.iter().map(|text| c_string(key, text.as_str())).collect()
    };
    check_ids(&process.user)?;
    let mut warnings = Vec::new();
    Ok(ProcessPlan {
        program: program(name, &process.env)?,
        arguments: StringList::new(list("process.args", &process.args)?),
        environment: StringList::new(environment(&process.env)?),
        cwd: c_string("process.cwd", process.cwd.as_str())?,
        uid: process.user.uid,
        gid: process.user.gid,
        groups: process.user.additional_gids.clone(),
        umask: process.user.umask,
        capabilities: capabilities(process.capabilities.as_ref(), extra.capabilities, &mut warnings),
        warnings,
        rlimits: rlimits(process)?,
        limited_by_parent: false,
        no_new_privileges: process.no_new_privileges,
        apparmor_profile: profile(&process.apparmor_profile)?,
        selinux_label: label("process.selinuxLabel", &process.selinux_label)?,
        filter: FilterPlan::default(),
        scheduler: process.scheduler.as_ref().map(schedule::scheduler).transpose()?,
        io_priority: process.io_priority.as_ref().map(schedule::io_priority).transpose()?,
        affinity: process.exec_cpu_affinity.as_ref().map(schedule::affinity).transpose()?.unwrap_or_default(),
        personality: None,
        oom_score_adj: process.oom_score_adj.map(|score| score.to_string()),
        terminal: process.terminal,
        console_size: process.console_size.map(|size| (size.height, size.width)).filter(|size| *size != (0, 0)),
        preserve_fds: 0,
        streams: StandardStreams::default(),
    })
}

/// The variables in order, each once: the last value of a name counts, as in a shell.
pub(super) fn environment(variables: &[String]) -> Result<Vec<CString>, SpecError> {
    let key = "process.env";
    let mut kept: Vec<(&str, &str)> = Vec::with_capacity(variables.len());
    for variable in variables.iter().rev() {
        let (name, _) = variable.split_once('=').ok_or_else(|| invalid(key, format!("{variable:?} holds no '='")))?;
        if name.is_empty() {
            return Err(invalid(key, format!("{variable:?} has no name")));
        }
        if !kept.iter().any(|(known, _)| *known == name) {
            kept.push((name, variable));
        }
    }
    kept.iter().rev().map(|(_, variable)| c_string(key, *variable)).collect()
}

/// As the kernel takes it: `exec NAME`. That there is AppArmor is checked where the plan is carried out.
fn profile(profile: &str) -> Result<Option<CString>, SpecError> {
    match profile {
        "" => Ok(None),
        profile => c_string("process.apparmorProfile", format!("exec {profile}")).map(Some),
    }
}

/// `None` when none is given; its words are the policy's. That there is SELinux is checked as above.
pub(super) fn label(key: &str, label: &str) -> Result<Option<CString>, SpecError> {
    if label.is_empty() { Ok(None) } else { c_string(key, label).map(Some) }
}

/// What a label asks for in vain.
pub(super) const WITHOUT_SELINUX: &str =
    "selinux label is specified in config, but selinux is disabled or not supported";

fn program(name: &str, environment: &[String]) -> Result<Program, SpecError> {
    let key = "process.args";
    if name.contains('/') {
        return Ok(Program { name: name.to_owned(), candidates: vec![c_string(key, name)?], is_searched: false });
    }
    let path = environment.iter().rev().find_map(|variable| variable.strip_prefix("PATH=")).unwrap_or("");
    let directories = path.split(':').filter(|directory| !directory.is_empty() && !name.is_empty());
    let candidates = directories.map(|directory| c_string(key, format!("{directory}/{name}")));
    Ok(Program { name: name.to_owned(), candidates: candidates.collect::<Result<_, _>>()?, is_searched: true })
}

fn capabilities(given: Option<&Capabilities>, added: &[String], warnings: &mut Vec<String>) -> CapabilitySets {
    let none = Capabilities::default();
    let given = given.unwrap_or(&none);
    let mut set = |names: &[String]| bits(names, warnings);
    let mut sets = CapabilitySets {
        bounding: set(&given.bounding),
        effective: set(&given.effective),
        permitted: set(&given.permitted),
        inheritable: set(&given.inheritable),
        ambient: set(&given.ambient),
    };
    let added = set(added);
    sets.bounding |= added;
    sets.effective |= added;
    sets.permitted |= added;
    if sets.inheritable != 0 {
        sets.ambient |= added & sets.inheritable;
    }
    // The kernel raises an ambient capability only when it is permitted and inheritable; runc leaves the others out.
    let raised = sets.ambient & sets.permitted & sets.inheritable;
    let left_out = |capability: &caps::Capability| capability.bitmask() & sets.ambient & !raised != 0;
    for capability in given.ambient.iter().filter_map(|name| name.parse().ok()).filter(left_out) {
        warnings.push(format!("can't raise ambient capability {capability}: it is not permitted and inheritable"));
    }
    sets.ambient = raised;
    sets
}

/// A name this machine's tables do not know is left out, as runc does: newer engines name newer capabilities.
fn bits(names: &[String], warnings: &mut Vec<String>) -> u64 {
    let mut bits = 0;
    for name in names {
        match name.parse::<caps::Capability>() {
            Ok(capability) => bits |= capability.bitmask(),
            Err(_) => warnings.push(format!("ignoring unknown capability {name:?}")),
        }
    }
    bits
}

fn rlimits(process: &Process) -> Result<Vec<Rlimit>, SpecError> {
    let mut limits: Vec<Rlimit> = Vec::with_capacity(process.rlimits.len());
    for given in &process.rlimits {
        let key = "process.rlimits";
        let known = LIMITS.iter().find(|(name, _)| *name == given.kind);
        let Some((_, number)) = known else {
            return Err(invalid(key, format!("wrong rlimit value: {}", given.kind)));
        };
        if limits.iter().any(|limit| limit.number == *number) {
            return Err(invalid(key, format!("{} is given twice", given.kind)));
        }
        limits.push(Rlimit { number: *number, soft: given.soft, hard: given.hard });
    }
    Ok(limits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(json: &str) -> Result<ProcessPlan, String> {
        let process: Process = serde_json::from_str(json).expect(json);
        plan(&process, &Extra::default()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_name_without_a_slash_is_searched_in_path() {
        let found = planned(r#"{"args":["ls"],"cwd":"/","env":["PATH=/a","PATH=/bin:/sbin:"]}"#).expect("plans");
        assert_eq!(found.program.candidates, [c"/bin/ls".to_owned(), c"/sbin/ls".to_owned()]);
        let given = planned(r#"{"args":["./ls"],"cwd":"/","env":["PATH=/bin"]}"#).expect("plans");
        assert_eq!(given.program.candidates, [c"./ls".to_owned()]);
        let empty = planned(r#"{"args":[""],"cwd":"/","env":["PATH=/bin"]}"#).expect("plans");
        assert!(empty.program.candidates.is_empty());
    }

    #[test]
    fn capabilities_become_bits() {
        let json = r#"{"args":["a"],"cwd":"/","capabilities":{"bounding":["CAP_KILL","CAP_FROM_THE_FUTURE"],
            "effective":["CAP_CHOWN"],"permitted":["CAP_CHOWN"],"ambient":["CAP_CHOWN"]}}"#;
        let sets = planned(json).expect("plans").capabilities;
        assert_eq!((sets.bounding, sets.effective, sets.ambient), (1 << 5, 1, 0));
    }

    #[test]
    fn ambient_capabilities_that_cannot_be_are_named_in_their_order() {
        let json = r#"{"args":["a"],"cwd":"/","capabilities":{"permitted":["CAP_SETUID"],"inheritable":["CAP_SETUID"],
            "ambient":["CAP_SETUID","CAP_KILL","CAP_CHOWN"]}}"#;
        let plan = planned(json).expect("plans");
        assert_eq!(plan.capabilities.ambient, 1 << 7);
        let named: Vec<_> = plan.warnings.iter().filter_map(|warning| warning.split([' ', ':']).nth(4)).collect();
        assert_eq!(named, ["CAP_KILL", "CAP_CHOWN"]);
    }

    #[test]
    fn a_capability_the_runtime_lacks_is_named() {
        let json = r#"{"args":["a"],"cwd":"/","capabilities":{"bounding":["CAP_KILL","CAP_CHOWN"]}}"#;
        let plan = planned(json).expect("plans");
        let own = |bounding| OwnStatus { bounding, ..OwnStatus::UNKNOWN };
        plan.check_capabilities(&own(1 << 5 | 1)).expect("it has both");
        let error = plan.check_capabilities(&own(1)).expect_err("CAP_KILL is missing").to_string();
        assert_eq!(error, "process.capabilities.bounding: CAP_KILL: the runtime does not have it itself");
    }

    #[test]
    fn without_capabilities_there_are_none() {
        let sets = planned(r#"{"args":["a"],"cwd":"/"}"#).expect("plans").capabilities;
        assert_eq!(sets, CapabilitySets::default());
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (json, text) in [
            (r#"{"cwd":"/"}"#, "args must not be empty"),
            (r#"{"args":["a"]}"#, "Cwd must be an absolute path"),
            (
                r#"{"args":["a"],"cwd":"/","rlimits":[{"type":"RLIMIT_X","soft":1,"hard":1}]}"#,
                "process.rlimits: wrong rlimit value: RLIMIT_X",
            ),
        ] {
            assert_eq!(planned(json).expect_err(json), text);
        }
    }
}
