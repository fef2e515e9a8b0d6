//! The engine's tables in the packet filter, and what is in their sets.

use std::collections::{BTreeMap, HashSet};

use corten_netlink::{
    Batch, Error, Socket,
    nft::{self, Element, Family, Table, dump},
};

use super::{Result, elements::Elements, refused, ruleset};
use crate::error::NetworkError;
use crate::plan::Mark;

/// The engine's tables.
#[derive(Debug)]
pub struct Tables {
    /// Of packets.
    pub packets: Table,
    /// Of frames within bridges; only where containers are not to reach each other.
    pub frames: Table,
    note: String,
    /// What packets carry that pass.
    mark: Option<Mark>,
}

/// How often a change is begun again because somebody else changed rules meanwhile.
const ATTEMPTS: u32 = 20;

impl Tables {
    /// Those of the engine `owner`, which lets packets with that mark pass.
    pub fn of(owner: &str, mark: Option<Mark>) -> Self {
        let name = crate::plan::table(owner);
        let note = format!("corten:{owner}");
        Self { packets: ruleset::packets(&name), frames: ruleset::frames(&name), note, mark }
    }

    /// Makes the table of packets unless it is there as it should be.
    pub fn make_packets(&self, socket: &mut Socket) -> Result<()> {
        self.make(socket, &self.packets)
    }

    /// Makes the table of frames unless it is there as it should be.
    pub fn make_frames(&self, socket: &mut Socket) -> Result<()> {
        self.make(socket, &self.frames)
    }

    fn make(&self, socket: &mut Socket, table: &Table) -> Result<()> {
        let object = format!("table {}", table.name);
        for _ in 0..ATTEMPTS {
            let generation = nft::generation(socket).map_err(|error| lacking(&object, error))?;
            let state = self.state(socket, table)?;
            if state == State::Good {
                return Ok(());
            }
            match nft::commit(socket, self.rebuild(table, state), Some(generation)) {
                Err(error) if error.is_stale() => {}
                other => return other.map_err(|error| lacking(&object, error)),
            }
        }
        Err(NetworkError::Conflict(format!("{object}: somebody else changes rules all the time")))
    }

    /// A batch that makes a table anew, without elements.
    pub fn rebuild(&self, table: &Table, state: State) -> Batch {
        let mut batch = Batch::new();
        if state == State::Changed {
            batch.delete_table(table);
        }
        batch.append(match table.family {
            Family::Bridge => ruleset::make_frames(table, &self.note, self.mark),
            _ => ruleset::make_packets(table, &self.note, self.mark),
        });
        batch
    }

    /// How a table is.
    pub fn state(&self, socket: &mut Socket, table: &Table) -> Result<State> {
        let object = format!("table {}", table.name);
        let tables = dump::tables(socket, table.family).map_err(|error| lacking(&object, error))?;
        let Some((_, note)) = tables.into_iter().find(|(name, _)| *name == table.name) else {
            return Ok(State::Missing);
        };
        if note.as_ref() != Some(&self.note) {
            return Err(NetworkError::Foreign { object });
        }
        let rules = dump::rules(socket, table).map_err(refused(&object))?;
        Ok(if by_chain(rules) == by_chain(ruleset::expected(table, self.mark)) { State::Good } else { State::Changed })
    }

    /// Adds elements; those that are there are brought to the same value.
    pub fn add(&self, socket: &mut Socket, table: &Table, elements: &Elements, object: &str) -> Result<()> {
        let elements = once(elements);
        let mut batch = Batch::new();
        for (set, elements) in &elements.0 {
            batch.add_elements(table, set, elements);
        }
        match nft::commit(socket, batch.clone(), None) {
            Ok(()) => Ok(()),
            // Somebody flushed the rules; what else was in them comes back when that is noticed.
            Err(error) if error.is_missing() => {
                self.make(socket, table)?;
                nft::commit(socket, batch, None).map_err(refused(object))
            }
            Err(error) if error.is_present() || error.is_busy() => self.exchange(socket, table, &elements, object),
            Err(error) => Err(refused(object)(error)),
        }
    }

    /// Takes elements out; those that are not there are as well as taken out.
    pub fn remove(&self, socket: &mut Socket, table: &Table, elements: &Elements, object: &str) -> Result<()> {
        let elements = once(elements);
        for _ in 0..ATTEMPTS {
            match nft::commit(socket, removal(table, &elements), None) {
                Err(error) if error.is_missing() => {}
                other => return other.map_err(refused(object)),
            }
            let mut present = Elements::default();
            for (set, elements) in &elements.0 {
                let found = dump::elements(socket, table, set).map_err(refused(object))?.unwrap_or_default();
                let found: HashSet<Vec<u8>> = found.into_iter().map(|element| element.key).collect();
                let some = elements.iter().filter(|element| found.contains(&element.key)).cloned().collect();
                present.0.insert(set, some);
            }
            match nft::commit(socket, removal(table, &present), None) {
                Err(error) if error.is_missing() => {}
                other => return other.map_err(refused(object)),
            }
        }
        Err(NetworkError::Conflict(format!("{object}: somebody else changes its rules all the time")))
    }

    /// Adds elements in the place of those with the same keys.
    fn exchange(&self, socket: &mut Socket, table: &Table, elements: &Elements, object: &str) -> Result<()> {
        let mut batch = Batch::new();
        for (set, wanted) in &elements.0 {
            let found = dump::elements(socket, table, set).map_err(refused(object))?.unwrap_or_default();
            let other = |element: &Element| {
                wanted.iter().any(|wanted| wanted.key == element.key && wanted.data != element.data)
            };
            let stale: Vec<Element> = found.into_iter().filter(other).collect();
            batch.delete_elements(table, set, &stale);
            batch.add_elements(table, set, wanted);
        }
        nft::commit(socket, batch, None).map_err(refused(object))
    }
}

/// How a table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// As it should be, elements aside.
    Good,
    /// Not there.
    Missing,
    /// Rules are missing, or there are others.
    Changed,
}

fn removal(table: &Table, elements: &Elements) -> Batch {
    let mut batch = Batch::new();
    for (set, elements) in &elements.0 {
        batch.delete_elements(table, set, elements);
    }
    batch
}

/// The elements without those that are said twice, such as a container's port that is published at two of the host's: the
/// kernel would refuse to remove the second.
fn once(elements: &Elements) -> Elements {
    let mut once = elements.clone();
    for elements in once.0.values_mut() {
        let mut seen = HashSet::new();
        elements.retain(|element| seen.insert(element.key.clone()));
    }
    once
}

fn by_chain(rules: Vec<(String, String)>) -> BTreeMap<String, Vec<String>> {
    let mut chains: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (chain, note) in rules {
        chains.entry(chain).or_default().push(note);
    }
    chains
}

/// A refusal while rules are made may mean that the kernel was built without what they need.
fn lacking(object: &str, error: Error) -> NetworkError {
    const PARTS: &str = "CONFIG_NF_TABLES_INET, CONFIG_NFT_NAT, CONFIG_NFT_MASQ, CONFIG_NFT_CT and CONFIG_NFT_FIB_INET";
    const NO_SUCH_FAMILY: i32 = 97;
    let what = "a bridge network".to_owned();
    if error.is_lacking() {
        return NetworkError::Lacking { what, option: "CONFIG_NF_TABLES" };
    }
    // A kind of chain or expression it does not have is "not found".
    if error.is_missing() || error.number() == Some(NO_SUCH_FAMILY) {
        return NetworkError::Lacking { what, option: PARTS };
    }
    refused(object)(error)
}
