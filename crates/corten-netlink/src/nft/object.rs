//! Tables, chains and rules.

use std::borrow::Cow;

use super::{Expression, MAKE, fixed, message};
use crate::{Batch, batch::flag};

const NEW_TABLE: u16 = 0;
const DELETE_TABLE: u16 = 2;
const NEW_CHAIN: u16 = 3;
const NEW_RULE: u16 = 6;

mod attribute {
    pub(super) const TABLE_NAME: u16 = 1;
    pub(super) const TABLE_USER: u16 = 6;
    pub(super) const CHAIN_TABLE: u16 = 1;
    pub(super) const CHAIN_NAME: u16 = 3;
    pub(super) const CHAIN_HOOK: u16 = 4;
    pub(super) const CHAIN_POLICY: u16 = 5;
    pub(super) const CHAIN_KIND: u16 = 7;
    pub(super) const HOOK_NUMBER: u16 = 1;
    pub(super) const HOOK_PRIORITY: u16 = 2;
    pub(super) const RULE_TABLE: u16 = 1;
    pub(super) const RULE_CHAIN: u16 = 2;
    pub(super) const RULE_EXPRESSIONS: u16 = 4;
    pub(super) const RULE_USER: u16 = 7;
    pub(super) const LIST_ELEMENT: u16 = 1;
}

const POLICY_ACCEPT: u32 = 1;

/// Which packets a table sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4 and IPv6.
    Inet = 1,
    /// IPv4.
    Ipv4 = 2,
    /// IPv6.
    Ipv6 = 10,
    /// What a bridge passes from port to port.
    Bridge = 7,
}

/// The name of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Which packets it sees.
    pub family: Family,
    /// What it is called.
    pub name: Cow<'static, str>,
}

impl Table {
    /// The number of its family.
    pub(crate) fn family(&self) -> u8 {
        self.family as u8
    }
}

/// A chain of rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain {
    /// What it is called.
    pub name: &'static str,
    /// Where packets enter it; `None` when only rules lead to it.
    pub hook: Option<Hook>,
}

/// Where packets enter a chain, which they pass when no rule says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hook {
    /// `filter` or `nat`.
    pub kind: &'static str,
    /// The place in the stack.
    pub place: Place,
    /// The order among chains at that place.
    pub priority: i32,
}

/// A place in the stack (`enum nf_inet_hooks`; of bridges the same numbers).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Before it is known where a packet goes.
    Prerouting = 0,
    /// For this host.
    Input = 1,
    /// From one interface to another.
    Forward = 2,
    /// From this host.
    Output = 3,
    /// On the way out.
    Postrouting = 4,
}

/// A comment as nft(8) keeps it: kind 0, length, text with its NUL byte.
pub(crate) fn comment(text: &str) -> Vec<u8> {
    const LENGTH_MAX: usize = 250;
    let mut end = text.len().min(LENGTH_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let text = &text[..end];
    let mut bytes = vec![0, text.len() as u8 + 1];
    bytes.extend_from_slice(text.as_bytes());
    bytes.push(0);
    bytes
}

/// The comment in what nft(8) keeps for itself.
pub(crate) fn read_comment(mut user: &[u8]) -> Option<&str> {
    while let &[kind, length, ref rest @ ..] = user {
        let value = rest.get(..usize::from(length))?;
        if kind == 0 {
            return crate::attributes::text(value);
        }
        user = &rest[usize::from(length)..];
    }
    None
}

impl Batch {
    /// Makes a table; one of that name is not changed.
    pub fn add_table(&mut self, table: &Table, note: &str) {
        self.add(format!("make table {}", table.name), message(NEW_TABLE), MAKE, &fixed(table.family()), |batch| {
            batch.text(attribute::TABLE_NAME, &table.name);
            batch.bytes(attribute::TABLE_USER, &comment(note));
        });
    }

    /// Removes a table and everything in it.
    pub fn delete_table(&mut self, table: &Table) {
        self.add(format!("remove table {}", table.name), message(DELETE_TABLE), 0, &fixed(table.family()), |batch| {
            batch.text(attribute::TABLE_NAME, &table.name);
        });
    }

    /// Makes a chain.
    pub fn add_chain(&mut self, table: &Table, chain: &Chain) {
        let what = format!("make chain {} in table {}", chain.name, table.name);
        self.add(what, message(NEW_CHAIN), MAKE, &fixed(table.family()), |batch| {
            batch.text(attribute::CHAIN_TABLE, &table.name);
            batch.text(attribute::CHAIN_NAME, chain.name);
            let Some(hook) = chain.hook else { return };
            batch.nest(attribute::CHAIN_HOOK, |batch| {
                batch.big(attribute::HOOK_NUMBER, hook.place as u32);
                batch.big(attribute::HOOK_PRIORITY, hook.priority.cast_unsigned());
            });
            batch.big(attribute::CHAIN_POLICY, POLICY_ACCEPT);
            batch.text(attribute::CHAIN_KIND, hook.kind);
        });
    }

    /// Adds a rule at the end of a chain.
    pub fn add_rule(&mut self, table: &Table, chain: &str, note: &str, expressions: &[Expression]) {
        let what = format!("make the rule {note:?} of chain {chain} in table {}", table.name);
        self.add(what, message(NEW_RULE), MAKE | flag::APPEND, &fixed(table.family()), |batch| {
            batch.text(attribute::RULE_TABLE, &table.name);
            batch.text(attribute::RULE_CHAIN, chain);
            batch.nest(attribute::RULE_EXPRESSIONS, |batch| {
                for expression in expressions {
                    batch.nest(attribute::LIST_ELEMENT, |batch| expression.write(batch));
                }
            });
            batch.bytes(attribute::RULE_USER, &comment(note));
        });
    }
}
