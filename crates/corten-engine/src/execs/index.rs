//! All execs by id; dropped five minutes after their end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::exec::{Exec, Phase};
use crate::errors::{EngineError, Result};

/// How long an exec can be inspected after its end; dockerd's own.
pub const KEPT_AFTER_END: Duration = Duration::from_secs(5 * 60);

/// Most execs of one container that were not dropped yet: health checks and scripts leave some
/// hundred behind in five minutes.
const MAX_PER_CONTAINER: usize = 4096;

/// All execs.
#[derive(Default)]
pub struct Execs(Mutex<HashMap<String, Arc<Exec>>>);

impl Execs {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Exec>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The exec of exactly that id.
    ///
    /// # Errors
    /// 404 in dockerd's words.
    pub fn find(&self, id: &str) -> Result<Arc<Exec>> {
        self.get(id).ok_or_else(|| EngineError::not_found(format!("No such exec instance: {id}")))
    }

    /// The exec of exactly that id, if it is known.
    pub fn get(&self, id: &str) -> Option<Arc<Exec>> {
        self.lock().get(id).cloned()
    }

    /// Adds one.
    ///
    /// # Errors
    /// 409 when the container has as many as it may.
    pub fn add(&self, exec: Arc<Exec>) -> Result<()> {
        let mut all = self.lock();
        let count = all.values().filter(|other| other.container_id == exec.container_id).count();
        if count >= MAX_PER_CONTAINER {
            return Err(EngineError::conflict(format!(
                "container {} has {MAX_PER_CONTAINER} execs that are running or ended within five minutes",
                exec.container_id
            )));
        }
        all.insert(exec.id.clone(), exec);
        Ok(())
    }

    /// Forgets one.
    pub fn remove(&self, id: &str) {
        self.lock().remove(id);
    }

    /// The execs of a container that have not ended: what inspect lists.
    pub fn of(&self, container_id: &str) -> Vec<Arc<Exec>> {
        let has_begun = |exec: &&Arc<Exec>| !matches!(exec.phase(), Phase::Ended { .. });
        self.lock().values().filter(|exec| exec.container_id == container_id).filter(has_begun).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use corten_docker_api::exec::ExecCreate;

    use super::*;

    fn exec(id: &str, container_id: &str) -> Arc<Exec> {
        Arc::new(Exec::new(id.into(), container_id.into(), ExecCreate::default()))
    }

    #[test]
    fn an_unknown_one_is_refused_in_dockerds_words() {
        let execs = Execs::default();
        assert_eq!(execs.find("x").err().unwrap().message(), "No such exec instance: x");
    }

    #[test]
    fn a_container_has_a_bounded_number() {
        let execs = Execs::default();
        for number in 0..MAX_PER_CONTAINER {
            execs.add(exec(&number.to_string(), "c")).unwrap();
        }
        assert!(execs.add(exec("more", "c")).is_err());
        assert!(execs.add(exec("other", "d")).is_ok());
        execs.remove("0");
        assert!(execs.add(exec("more", "c")).is_ok());
    }

    #[test]
    fn those_that_ended_are_not_the_containers_any_more() {
        let execs = Execs::default();
        execs.add(exec("a", "c")).unwrap();
        execs.add(exec("b", "c")).unwrap();
        execs.get("a").unwrap().set_ended(0, 0);
        assert_eq!(execs.of("c").iter().map(|exec| exec.id.as_str()).collect::<Vec<_>>(), ["b"]);
    }
}
