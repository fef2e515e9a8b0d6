//! What is in the packet filter now, as far as it is compared with what should be.

use super::{Data, Element, Table, Verdict, fixed, message, object::read_comment, set};
use crate::{Batch, Result, Socket, attributes::Attributes, batch::flag, reply::Message};

const GET_TABLE: u16 = 1;
const GET_CHAIN: u16 = 4;
const GET_RULE: u16 = 7;
const GET_ELEMENTS: u16 = 13;

/// The tables of a family, each with its comment.
///
/// # Errors
/// What the kernel refuses.
pub fn tables(socket: &mut Socket, family: super::Family) -> Result<Vec<(String, Option<String>)>> {
    let batch = request("list tables", GET_TABLE, family as u8, |_| {});
    socket.dump(&batch, |message| {
        let attributes = of(message, 0)?;
        let comment = attributes.value(6).and_then(read_comment);
        Some((attributes.text(1)?.to_owned(), comment.map(str::to_owned)))
    })
}

/// A chain as the kernel tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundChain {
    /// What it is called.
    pub name: String,
    /// Whether what no rule decides is dropped.
    pub drops: bool,
    /// How many rules it has, and how many lead to it.
    pub uses: u32,
}

/// The chains of a table.
///
/// # Errors
/// What the kernel refuses; none when there is no such table.
pub fn chains(socket: &mut Socket, table: &Table) -> Result<Vec<FoundChain>> {
    let batch = request("list chains", GET_CHAIN, table.family(), |batch| batch.text(1, &table.name));
    let chains = socket.dump(&batch, |message| {
        let attributes = of(message, 3)?;
        // The kernel tells those of all tables of the family.
        if attributes.text(1)? != table.name {
            return None;
        }
        let uses = attributes.big(6).unwrap_or_default();
        Some(FoundChain { name: attributes.text(3)?.to_owned(), drops: attributes.big(5) == Some(0), uses })
    });
    none_if_missing(chains)
}

/// The rules of a table: chain and comment of each, in order within the chain.
///
/// # Errors
/// What the kernel refuses; none when there is no such table.
pub fn rules(socket: &mut Socket, table: &Table) -> Result<Vec<(String, String)>> {
    let batch = request("list rules", GET_RULE, table.family(), |batch| batch.text(1, &table.name));
    let rules = socket.dump(&batch, |message| {
        let attributes = of(message, 6)?;
        // Before Linux 4.16 the kernel told those of all tables.
        if attributes.text(1)? != table.name {
            return None;
        }
        let comment = attributes.value(7).and_then(read_comment).unwrap_or_default();
        Some((attributes.text(2)?.to_owned(), comment.to_owned()))
    });
    none_if_missing(rules)
}

/// The elements of a set; `None` when there is no such set.
///
/// # Errors
/// What the kernel refuses.
pub fn elements(socket: &mut Socket, table: &Table, set: &str) -> Result<Option<Vec<Element>>> {
    let batch = request("list elements", GET_ELEMENTS, table.family(), |batch| {
        batch.text(1, &table.name);
        batch.text(2, set);
    });
    match socket.dump(&batch, |message| Some(read_elements(of(message, 12)?.nested(3)))) {
        Ok(lists) => Ok(Some(lists.into_iter().flatten().collect())),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}

fn none_if_missing<T>(result: Result<Vec<T>>) -> Result<Vec<T>> {
    match result {
        Err(error) if error.is_missing() => Ok(Vec::new()),
        other => other,
    }
}

/// The attributes of a message of that kind of nf_tables.
fn of<'a>(message: &Message<'a>, kind: u16) -> Option<Attributes<'a>> {
    (message.kind == self::message(kind)).then(|| message.attributes(fixed(0).len()))
}

fn request(what: &'static str, kind: u16, family: u8, fill: impl FnOnce(&mut Batch)) -> Batch {
    let mut batch = Batch::new();
    batch.add(what, message(kind), flag::DUMP, &fixed(family), fill);
    batch
}

/// Reads a list of elements.
#[must_use]
pub fn read_elements(list: Attributes<'_>) -> Vec<Element> {
    list.filter_map(|(_, element)| {
        let element = Attributes::new(element);
        let key = element.nested(set::KEY).value(set::VALUE)?.to_vec();
        let data = element.nested(set::DATA);
        let value = data.value(set::VALUE).map(|value| Data::Value(value.to_vec()));
        let data = value.or_else(|| Verdict::read(data).map(Data::Verdict)).unwrap_or(Data::None);
        Some(Element { key, data })
    })
    .collect()
}
