//! One exec: what it runs, and how far it is.
//!
//! ```text
//! created ──start──> starting ──tasks.start──> running ──exit──> ended
//!                        └──────── failed ───────────────────────^
//! ```

use corten_docker_api::exec::{ExecCreate, ExecInspect, ExecProcess};
use tokio::sync::watch;

use crate::errors::{EngineError, Result};

/// How far an exec is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not started yet.
    Created,
    /// Being started.
    Starting,
    /// Its process lives.
    Running {
        /// On the host.
        pid: u32,
    },
    /// It ended, or never came up.
    Ended {
        /// On the host; 0 when it never came up.
        pid: u32,
        /// As a shell would show it.
        exit_code: i64,
    },
}

/// A process added to a running container.
pub struct Exec {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Its container.
    pub container_id: String,
    /// What it runs.
    pub config: ExecCreate,
    /// Whether an engine before this one has started it.
    pub is_adopted: bool,
    phase: watch::Sender<Phase>,
}

impl Exec {
    /// An exec that is not started.
    pub fn new(id: String, container_id: String, config: ExecCreate) -> Self {
        Self { id, container_id, config, is_adopted: false, phase: watch::Sender::new(Phase::Created) }
    }

    /// An exec of an engine before this one.
    pub fn found(id: String, container_id: String, config: ExecCreate, phase: Phase) -> Self {
        Self { id, container_id, config, is_adopted: true, phase: watch::Sender::new(phase) }
    }

    /// How far it is.
    pub fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// For those who wait for it.
    pub fn watch(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// Takes the only start it has.
    ///
    /// # Errors
    /// 409 in dockerd's words when it was started before.
    pub fn claim_start(&self) -> Result<()> {
        let mut refusal = None;
        self.phase.send_if_modified(|phase| match phase {
            Phase::Created => {
                *phase = Phase::Starting;
                true
            }
            Phase::Starting | Phase::Running { .. } => {
                refusal = Some(format!("exec command {} is already running", self.id));
                false
            }
            Phase::Ended { .. } => {
                refusal = Some(format!("exec command {} has already run", self.id));
                false
            }
        });
        refusal.map_or(Ok(()), |text| Err(EngineError::conflict(text)))
    }

    /// Its process lives. A fast one may have ended before the call that started it was answered.
    pub fn set_running(&self, pid: u32) {
        self.phase.send_if_modified(|phase| match phase {
            Phase::Starting => {
                *phase = Phase::Running { pid };
                true
            }
            _ => false,
        });
    }

    /// It ended; whether that is news.
    pub fn set_ended(&self, pid: u32, exit_code: i64) -> bool {
        self.phase.send_if_modified(|phase| {
            let is_news = !matches!(phase, Phase::Ended { .. });
            if is_news {
                *phase = Phase::Ended { pid, exit_code };
            }
            is_news
        })
    }

    /// What `docker inspect` shows of it.
    pub fn inspect(&self, detach_keys: Option<String>) -> ExecInspect {
        let config = &self.config;
        let (pid, running, exit_code) = match self.phase() {
            Phase::Created => (0, false, None),
            Phase::Starting => (0, true, None),
            Phase::Running { pid } => (pid, true, None),
            Phase::Ended { pid, exit_code } => (pid, false, Some(exit_code)),
        };
        let mut words = config.cmd.iter().flatten().cloned();
        ExecInspect {
            id: self.id.clone(),
            running,
            exit_code,
            process_config: ExecProcess {
                tty: config.tty,
                entrypoint: words.next().unwrap_or_default(),
                arguments: Some(words.collect()),
                privileged: Some(config.privileged),
                user: config.user.clone(),
            },
            open_stdin: config.attach_stdin,
            open_stderr: config.attach_stderr,
            open_stdout: config.attach_stdout,
            can_remove: matches!(self.phase(), Phase::Ended { .. }),
            container_id: self.container_id.clone(),
            detach_keys,
            pid: i64::from(pid),
        }
    }

    /// `exec_start: cmd args`, as events name what happens to an exec.
    pub fn action(&self, verb: &str) -> String {
        format!("{verb}: {}", self.config.cmd.iter().flatten().map(String::as_str).collect::<Vec<_>>().join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exec() -> Exec {
        let config = ExecCreate { cmd: Some(vec!["ls".into(), "-l".into()]), ..ExecCreate::default() };
        Exec::new("e1".into(), "c1".into(), config)
    }

    #[test]
    fn it_starts_once() {
        let exec = exec();
        assert!(exec.claim_start().is_ok());
        let text = |exec: &Exec| exec.claim_start().map_err(|error| error.message());
        assert_eq!(text(&exec), Err("exec command e1 is already running".to_owned()));
        exec.set_ended(7, 3);
        assert_eq!(text(&exec), Err("exec command e1 has already run".to_owned()));
    }

    #[test]
    fn an_end_before_the_start_is_answered_stands() {
        let exec = exec();
        exec.claim_start().expect("the first start");
        assert!(exec.set_ended(7, 3));
        exec.set_running(7);
        assert!(!exec.set_ended(7, 4));
        assert_eq!(exec.phase(), Phase::Ended { pid: 7, exit_code: 3 });
    }

    #[test]
    fn inspect_shows_no_exit_code_while_it_runs() {
        let exec = exec();
        exec.claim_start().expect("the first start");
        exec.set_running(9);
        let shown = exec.inspect(None);
        assert_eq!((shown.running, shown.exit_code, shown.pid), (true, None, 9));
        assert_eq!(shown.process_config.entrypoint, "ls");
        assert_eq!(shown.process_config.arguments, Some(vec!["-l".to_owned()]));
        assert_eq!(exec.action("exec_create"), "exec_create: ls -l");
    }
}
