//! All containers: by id, by name, by the beginning of an id.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::container::Container;
use super::names;
use crate::errors::{EngineError, Result};

/// Ends that are remembered of containers that are gone: more clients than that were not attached to
/// containers that ended while no engine was there.
const REMEMBERED_ENDS: usize = 256;

/// All containers. No lock is held while anything else is done.
#[derive(Default)]
pub struct Index(RwLock<Tables>);

#[derive(Default)]
struct Tables {
    by_id: BTreeMap<String, Arc<Container>>,
    /// Names in use, also of containers being created.
    names: HashMap<String, String>,
    /// Id and exit code of containers that are gone, oldest first.
    ends: VecDeque<(String, i64)>,
}

/// A name and id set aside for a container that is being created; given back when dropped.
pub struct Reservation<'a> {
    index: &'a Index,
    /// The id.
    pub id: String,
    /// The name.
    pub name: String,
    kept: bool,
}

impl Index {
    fn read(&self) -> RwLockReadGuard<'_, Tables> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Tables> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every container, in the order of their ids.
    pub fn all(&self) -> Vec<Arc<Container>> {
        self.read().by_id.values().cloned().collect()
    }

    /// The container of exactly that id.
    pub fn get(&self, id: &str) -> Option<Arc<Container>> {
        self.read().by_id.get(id).cloned()
    }

    /// Whether the id belongs to a container, or to one that is being created.
    pub fn knows(&self, id: &str) -> bool {
        let tables = self.read();
        tables.by_id.contains_key(id) || tables.names.values().any(|known| known == id)
    }

    /// The container that a client calls `wanted`: its full id, else its name, else the beginning
    /// of its id.
    ///
    /// # Errors
    /// 404 when there is none, 400 when several ids begin so.
    pub fn find(&self, wanted: &str) -> Result<Arc<Container>> {
        let tables = self.read();
        let by_name = || tables.names.get(wanted.strip_prefix('/').unwrap_or(wanted));
        if let Some(container) = tables.by_id.get(wanted).or_else(|| tables.by_id.get(by_name()?)) {
            return Ok(Arc::clone(container));
        }
        let missing = || EngineError::not_found(format!("No such container: {wanted}"));
        if wanted.is_empty() {
            return Err(missing());
        }
        let mut matching = tables.by_id.range(wanted.to_owned()..).take_while(|(id, _)| id.starts_with(wanted));
        match (matching.next(), matching.next()) {
            (Some((_, container)), None) => Ok(Arc::clone(container)),
            (Some(_), Some(_)) => {
                Err(EngineError::invalid(format!("multiple IDs found with provided prefix: {wanted}")))
            }
            (None, _) => Err(missing()),
        }
    }

    /// Sets a name aside for a new container; without one, makes one up.
    ///
    /// # Errors
    /// 409 in docker's words when the name is in use.
    pub fn reserve(&self, name: Option<&str>, id: String) -> Result<Reservation<'_>> {
        let mut tables = self.write();
        let name = match name {
            Some(name) => name.to_owned(),
            None => names::made_up(&id, |name| tables.names.contains_key(name)),
        };
        if let Some(owner) = tables.names.get(&name) {
            return Err(name_in_use(&name, owner));
        }
        tables.names.insert(name.clone(), id.clone());
        Ok(Reservation { index: self, id, name, kept: false })
    }

    /// Adds a container found on disk. Of two with one name the older keeps it.
    pub fn adopt(&self, container: Arc<Container>) {
        let mut tables = self.write();
        let view = container.view();
        let owner = tables.names.get(&view.record.name).and_then(|id| tables.by_id.get(id));
        if owner.is_none_or(|owner| owner.view().record.created > view.record.created) {
            tables.names.insert(view.record.name.clone(), container.id.clone());
        }
        tables.by_id.insert(container.id.clone(), container);
    }

    /// Gives a container another name.
    ///
    /// # Errors
    /// 409 when the name is in use. The old name stays taken until [`Index::release_name`].
    pub fn claim_name(&self, name: &str, id: &str) -> Result<()> {
        let mut tables = self.write();
        if let Some(owner) = tables.names.get(name) {
            return Err(name_in_use(name, owner));
        }
        tables.names.insert(name.to_owned(), id.to_owned());
        Ok(())
    }

    /// Gives a name back, when it is `id`'s.
    pub fn release_name(&self, name: &str, id: &str) {
        let mut tables = self.write();
        if tables.names.get(name).is_some_and(|owner| owner == id) {
            tables.names.remove(name);
        }
    }

    /// Remembers how a container ended, also when it is gone.
    pub fn remember_end(&self, id: &str, exit_code: i64) {
        let ends = &mut self.write().ends;
        if ends.len() >= REMEMBERED_ENDS {
            ends.pop_front();
        }
        ends.push_back((id.to_owned(), exit_code));
    }

    /// The exit code that is remembered of the container of exactly that id.
    pub fn remembered_end(&self, id: &str) -> Option<i64> {
        self.read().ends.iter().rev().find(|(known, _)| known == id).map(|(_, exit_code)| *exit_code)
    }

    /// Forgets a container and its name.
    pub fn remove(&self, id: &str) {
        let mut tables = self.write();
        tables.by_id.remove(id);
        tables.names.retain(|_, owner| owner != id);
    }
}

impl Reservation<'_> {
    /// The container is there: the name stays taken.
    pub fn keep(mut self, container: Arc<Container>) {
        self.index.write().by_id.insert(self.id.clone(), container);
        self.kept = true;
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        if !self.kept {
            self.index.release_name(&self.name, &self.id);
        }
    }
}

fn name_in_use(name: &str, owner: &str) -> EngineError {
    EngineError::conflict(format!(
        "Conflict. The container name \"/{name}\" is already in use by container \"{owner}\". You have to remove (or rename) that container to be able to reuse that name."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Moment;
    use crate::containers::record::{FORMAT, Record, State};

    fn container(id: &str, name: &str) -> Arc<Container> {
        let record = Record {
            format: FORMAT,
            id: id.to_owned(),
            name: name.to_owned(),
            created: Moment::from_nanos(0),
            image_id: String::new(),
            snapshotter: String::new(),
            runtime: String::new(),
            config: Default::default(),
            host_config: Default::default(),
            endpoints: Default::default(),
            left_mode: false,
        };
        Arc::new(Container::new(record, State::default(), "/nonexistent".into()))
    }

    fn index() -> Index {
        let index = Index::default();
        for (id, name) in [("aa11", "web"), ("aa22", "aa11"), ("bb33", "db")] {
            let reservation = index.reserve(Some(name), id.to_owned()).unwrap();
            reservation.keep(container(id, name));
        }
        index
    }

    #[test]
    fn a_full_id_wins_over_a_name_and_a_name_over_a_prefix() {
        let index = index();
        let find = |wanted: &str| index.find(wanted).map(|found| found.id.clone()).map_err(|error| error.message());
        assert_eq!(find("aa11").unwrap(), "aa11");
        assert_eq!(find("/web").unwrap(), "aa11");
        assert_eq!(find("bb").unwrap(), "bb33");
        assert_eq!(find("aa").unwrap_err(), "multiple IDs found with provided prefix: aa");
        assert_eq!(find("cc").unwrap_err(), "No such container: cc");
        assert_eq!(find("").unwrap_err(), "No such container: ");
    }

    #[test]
    fn a_bounded_number_of_ends_is_remembered() {
        let index = index();
        for number in 0..=REMEMBERED_ENDS {
            index.remember_end(&number.to_string(), 42);
        }
        assert_eq!(index.remembered_end("0"), None);
        assert_eq!(index.remembered_end("1"), Some(42));
    }

    #[test]
    fn a_name_in_use_is_refused_in_dockers_words_and_given_back() {
        let index = index();
        let error = index.reserve(Some("web"), "cc".to_owned()).err().unwrap();
        assert_eq!(
            error.message(),
            "Conflict. The container name \"/web\" is already in use by container \"aa11\". You have to remove (or rename) that container to be able to reuse that name."
        );
        drop(index.reserve(Some("new"), "cc".to_owned()).unwrap());
        assert!(index.reserve(Some("new"), "dd".to_owned()).is_ok());
    }
}
