//! All networks: by id, by name, by the beginning of an id; and which addresses in them are in use.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::record::Record;
use crate::errors::{EngineError, Result};

/// All networks. No lock is held while anything else is done.
#[derive(Default)]
pub struct Index {
    tables: Mutex<Tables>,
    /// Held by whoever makes or removes a network, so that two never get one subnet.
    pub changes: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Tables {
    by_id: BTreeMap<String, Arc<Record>>,
    /// Addresses of running containers, and of those about to run: network id → address → container id.
    taken: BTreeMap<String, BTreeMap<IpAddr, String>>,
}

impl Index {
    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every network, by name.
    pub fn all(&self) -> Vec<Arc<Record>> {
        let mut all: Vec<_> = self.lock().by_id.values().cloned().collect();
        all.sort_by(|one, other| one.name.cmp(&other.name).then(one.created.cmp(&other.created)));
        all
    }

    /// The network of exactly that id.
    pub fn get(&self, id: &str) -> Option<Arc<Record>> {
        self.lock().by_id.get(id).cloned()
    }

    /// The network that a client calls `wanted`: its full id, else its name, else the beginning of its id.
    ///
    /// # Errors
    /// 404 when there is none, 400 when several ids begin so.
    pub fn find(&self, wanted: &str) -> Result<Arc<Record>> {
        let tables = self.lock();
        if let Some(record) = tables.by_id.get(wanted) {
            return Ok(Arc::clone(record));
        }
        let mut named = tables.by_id.values().filter(|record| record.name == wanted);
        if let Some(record) = named.next() {
            return Ok(Arc::clone(record));
        }
        let mut beginning = tables.by_id.values().filter(|record| !wanted.is_empty() && record.id.starts_with(wanted));
        match (beginning.next(), beginning.next()) {
            (Some(record), None) => Ok(Arc::clone(record)),
            (None, _) => Err(EngineError::not_found(format!("network {wanted} not found"))),
            (Some(_), Some(_)) => {
                Err(EngineError::invalid(format!("network {wanted} is ambiguous (2 or more matches found on id)")))
            }
        }
    }

    /// Takes a network in, in place of the one of its id.
    pub fn put(&self, record: Record) -> Arc<Record> {
        let record = Arc::new(record);
        self.lock().by_id.insert(record.id.clone(), Arc::clone(&record));
        record
    }

    /// Takes a network out.
    pub fn remove(&self, id: &str) {
        let mut tables = self.lock();
        tables.by_id.remove(id);
        tables.taken.remove(id);
    }

    /// Chooses addresses in the network `id` while nobody else does: `choose` gets those in use, with who has them, and
    /// answers which ones it takes for `container`.
    ///
    /// # Errors
    /// What `choose` answers; nothing is taken then.
    pub fn take<T>(
        &self,
        id: &str,
        container: &str,
        choose: impl FnOnce(&BTreeMap<IpAddr, String>) -> Result<(T, Vec<IpAddr>)>,
    ) -> Result<T> {
        let mut tables = self.lock();
        let taken = tables.taken.entry(id.to_owned()).or_default();
        let (chosen, addresses) = choose(taken)?;
        taken.extend(addresses.into_iter().map(|address| (address, container.to_owned())));
        Ok(chosen)
    }

    /// Gives an address back, if `container` has it.
    pub fn give_back(&self, id: &str, container: &str, addresses: &[IpAddr]) {
        let mut tables = self.lock();
        let Some(taken) = tables.taken.get_mut(id) else { return };
        for address in addresses {
            if taken.get(address).is_some_and(|holder| holder == container) {
                taken.remove(address);
            }
        }
    }
}
