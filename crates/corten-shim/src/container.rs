//! A container and the processes in it.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use corten_cgroups::Cgroup;
use corten_proto::containerd::runc::v1::Options;
use corten_runtime_api::Runtime;
use corten_types::TaskStatus;
use serde::Deserialize;
use tokio::sync::watch;

use crate::{error::TaskError, process::Process};

/// A container.
#[derive(Debug)]
pub struct Container {
    /// Its id.
    pub id: String,
    /// The bundle's directory.
    pub bundle: PathBuf,
    /// What runs it.
    pub runtime: Runtime,
    /// The options it was created with.
    pub options: Options,
    /// What the shim looks at in config.json.
    pub config: Config,
    /// Its init process.
    pub init: Arc<Process>,
    /// Where its processes are counted; known once it is created.
    pub cgroup: Mutex<Option<Arc<Cgroup>>>,
    /// Execs started or being started whose exit is not announced: init's waits for none.
    pub live_execs: watch::Sender<usize>,
    execs: Mutex<BTreeMap<String, Arc<Process>>>,
    init_is_gone: AtomicBool,
    is_paused: AtomicBool,
}

/// What the shim looks at in config.json.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Annotations; some group containers in one shim.
    pub annotations: BTreeMap<String, String>,
    linux: LinuxConfig,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct LinuxConfig {
    namespaces: Vec<NamespaceConfig>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct NamespaceConfig {
    r#type: String,
    path: String,
}

impl Config {
    /// Reads `config.json` in `bundle`.
    ///
    /// # Errors
    /// Those of reading; `InvalidData`.
    pub fn load(bundle: &Path) -> io::Result<Self> {
        let text = fs::read(bundle.join("config.json"))?;
        serde_json::from_slice(&text).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// Whether the container's init is the init of a pid namespace of its own, with which all its
    /// processes end.
    pub fn has_own_pid_namespace(&self) -> bool {
        self.linux.namespaces.iter().any(|namespace| namespace.r#type == "pid" && namespace.path.is_empty())
    }
}

impl Container {
    /// A container that is being created.
    pub fn new(
        id: &str,
        bundle: PathBuf,
        runtime: Runtime,
        options: Options,
        config: Config,
        init: Arc<Process>,
    ) -> Self {
        Self {
            id: id.to_owned(),
            bundle,
            runtime,
            options,
            config,
            init,
            cgroup: Mutex::default(),
            live_execs: watch::channel(0).0,
            execs: Mutex::default(),
            init_is_gone: AtomicBool::new(false),
            is_paused: AtomicBool::new(false),
        }
    }

    /// The log its runtime writes.
    pub fn runtime_log(&self) -> PathBuf {
        self.bundle.join("log.json")
    }

    /// The runtime, with a log of its own for one call: execs are started side by side, and the error of
    /// one must not be told for another's.
    pub fn runtime_logging_to(&self, log: &Path) -> Runtime {
        let mut runtime = self.runtime.clone();
        runtime.global.log = Some(log.to_owned());
        runtime
    }

    /// The process of an exec; init's for the empty id.
    ///
    /// # Errors
    /// [`TaskError::NoProcess`].
    pub fn process(&self, exec_id: &str) -> Result<Arc<Process>, TaskError> {
        if exec_id.is_empty() {
            return Ok(Arc::clone(&self.init));
        }
        self.execs().get(exec_id).cloned().ok_or_else(|| TaskError::NoProcess(exec_id.to_owned()))
    }

    /// Adds an exec.
    ///
    /// # Errors
    /// [`TaskError::ExecExists`].
    pub fn add_exec(&self, process: Arc<Process>) -> Result<(), TaskError> {
        match self.execs().entry(process.id.clone()) {
            std::collections::btree_map::Entry::Occupied(entry) => Err(TaskError::ExecExists(entry.key().clone())),
            std::collections::btree_map::Entry::Vacant(entry) => {
                entry.insert(process);
                Ok(())
            }
        }
    }

    /// Forgets an exec.
    pub fn remove_exec(&self, exec_id: &str) {
        self.execs().remove(exec_id);
    }

    /// The execs there are.
    pub fn all_execs(&self) -> Vec<Arc<Process>> {
        self.execs().values().cloned().collect()
    }

    /// Whether init has ended, from the moment it was seen: no exec starts any more.
    pub fn init_is_gone(&self) -> bool {
        self.init_is_gone.load(Ordering::SeqCst)
    }

    /// Says that init has ended.
    pub fn set_init_gone(&self) {
        self.init_is_gone.store(true, Ordering::SeqCst);
    }

    /// Whether the container is frozen.
    pub fn is_paused(&self) -> bool {
        self.is_paused.load(Ordering::SeqCst)
    }

    /// Says whether it is frozen.
    pub fn set_paused(&self, paused: bool) {
        self.is_paused.store(paused, Ordering::SeqCst);
    }

    /// What the init process is doing.
    pub fn status(&self) -> TaskStatus {
        match self.init.status() {
            TaskStatus::Running if self.is_paused() => TaskStatus::Paused,
            status => status,
        }
    }

    /// Its cgroup, once it is known.
    pub fn cgroup(&self) -> Option<Arc<Cgroup>> {
        self.cgroup.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The map stays whole when a holder panics: each critical section is one operation on it.
    fn execs(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Process>>> {
        self.execs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
