//! Sets and maps, and what is in them. Fields of a key are each padded to four bytes.

use super::{MAKE, Table, Verdict, fixed, message};
use crate::Batch;

const NEW_SET: u16 = 9;
const NEW_ELEMENT: u16 = 12;
const DELETE_ELEMENT: u16 = 14;

mod attribute {
    pub(super) const SET_TABLE: u16 = 1;
    pub(super) const SET_NAME: u16 = 2;
    pub(super) const SET_FLAGS: u16 = 3;
    pub(super) const SET_KEY_TYPE: u16 = 4;
    pub(super) const SET_KEY_LENGTH: u16 = 5;
    pub(super) const SET_DATA_TYPE: u16 = 6;
    pub(super) const SET_DATA_LENGTH: u16 = 7;
    pub(super) const SET_ID: u16 = 10;
    pub(super) const SET_USER: u16 = 13;
    pub(super) const LIST_TABLE: u16 = 1;
    pub(super) const LIST_SET: u16 = 2;
    pub(super) const LIST_ELEMENTS: u16 = 3;
    pub(super) const LIST_ELEMENT: u16 = 1;
    pub(crate) const KEY: u16 = 1;
    pub(crate) const DATA: u16 = 2;
    pub(crate) const VALUE: u16 = 1;
}
pub(crate) use attribute::{DATA, KEY, VALUE};

const FLAG_MAP: u32 = 8;
const BYTE_ORDER_HOST: u32 = 1;
const DATA_TYPE_VERDICT: u32 = 0xffff_ff00;
const VERDICT_BYTES: u32 = 16;
/// How many elements go into one message, whose list cannot be longer than 64 KiB.
const ELEMENTS_PER_MESSAGE: usize = 400;
/// Bytes of an interface's name in a key.
pub const NAME_BYTES: usize = 16;

/// The type of a field, by the number nft(8) has for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// An IPv4 address.
    Ipv4 = 7,
    /// An IPv6 address.
    Ipv6 = 8,
    /// A transport protocol.
    Transport = 12,
    /// A port.
    Port = 13,
    /// The name of an interface.
    Interface = 41,
}

impl Type {
    /// Its bytes in a key.
    const fn bytes(self) -> u32 {
        match self {
            Self::Ipv4 | Self::Transport | Self::Port => 4,
            Self::Ipv6 | Self::Interface => 16,
        }
    }

    /// Its bytes where it is the only field.
    const fn bytes_alone(self) -> u32 {
        match self {
            Self::Transport => 1,
            Self::Port => 2,
            other => other.bytes(),
        }
    }
}

/// A set, or with values a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Set {
    /// What it is called.
    pub name: &'static str,
    /// The fields of its keys.
    pub key: &'static [Type],
    /// What its keys stand for; nothing for a set.
    pub values: Values,
}

/// What the keys of a set stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Values {
    /// Nothing.
    None,
    /// Verdicts.
    Verdicts,
    /// Values of these fields.
    Fields(&'static [Type]),
}

/// What one key stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    /// Nothing.
    None,
    /// A verdict.
    Verdict(Verdict),
    /// A value.
    Value(Vec<u8>),
}

/// One key, and what it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// Its fields, each padded.
    pub key: Vec<u8>,
    /// What it stands for.
    pub data: Data,
}

/// The numbers of the fields' types in one, as nft(8) has it.
fn type_number(fields: &[Type]) -> u32 {
    const BITS: u32 = 6;
    fields.iter().fold(0, |number, field| (number << BITS) | *field as u32)
}

fn length(fields: &[Type]) -> u32 {
    match fields {
        [one] => one.bytes_alone(),
        several => several.iter().map(|field| field.bytes()).sum(),
    }
}

/// An interface's name as a field.
#[must_use]
pub fn name_field(name: &str) -> [u8; NAME_BYTES] {
    let mut field = [0; NAME_BYTES];
    // One byte is left for the end; the kernel has no longer names.
    let length = name.len().min(NAME_BYTES - 1);
    field[..length].copy_from_slice(&name.as_bytes()[..length]);
    field
}

impl Batch {
    /// Makes a set. `number` tells it from others of this batch.
    pub fn add_set(&mut self, table: &Table, set: &Set, number: u32) {
        let what = format!("make set {} in table {}", set.name, table.name);
        self.add(what, message(NEW_SET), MAKE, &fixed(table.family()), |batch| {
            batch.text(attribute::SET_TABLE, &table.name);
            batch.text(attribute::SET_NAME, set.name);
            batch.big(attribute::SET_FLAGS, if set.values == Values::None { 0 } else { FLAG_MAP });
            batch.big(attribute::SET_KEY_TYPE, type_number(set.key));
            batch.big(attribute::SET_KEY_LENGTH, length(set.key));
            match set.values {
                Values::None => {}
                Values::Verdicts => {
                    batch.big(attribute::SET_DATA_TYPE, DATA_TYPE_VERDICT);
                    batch.big(attribute::SET_DATA_LENGTH, VERDICT_BYTES);
                }
                Values::Fields(fields) => {
                    batch.big(attribute::SET_DATA_TYPE, type_number(fields));
                    batch.big(attribute::SET_DATA_LENGTH, length(fields));
                }
            }
            batch.big(attribute::SET_ID, number);
            if let [Type::Interface] = set.key {
                // nft(8) shows names as such only where it is told that their bytes are in the machine's order
                // (NFTNL_UDATA_SET_KEYBYTEORDER).
                let [a, b, c, d] = BYTE_ORDER_HOST.to_ne_bytes();
                batch.bytes(attribute::SET_USER, &[0, 4, a, b, c, d]);
            }
        });
    }

    /// Adds elements; those that are there with the same value stay.
    pub fn add_elements(&mut self, table: &Table, set: &str, elements: &[Element]) {
        self.elements("add", NEW_ELEMENT, MAKE, table, set, elements);
    }

    /// Removes elements, which are there.
    pub fn delete_elements(&mut self, table: &Table, set: &str, elements: &[Element]) {
        self.elements("remove", DELETE_ELEMENT, 0, table, set, elements);
    }

    fn elements(&mut self, verb: &str, kind: u16, flags: u16, table: &Table, set: &str, elements: &[Element]) {
        for some in elements.chunks(ELEMENTS_PER_MESSAGE) {
            let what = format!("{verb} elements of set {set} in table {}", table.name);
            self.add(what, message(kind), flags, &fixed(table.family()), |batch| {
                batch.text(attribute::LIST_TABLE, &table.name);
                batch.text(attribute::LIST_SET, set);
                batch.nest(attribute::LIST_ELEMENTS, |batch| {
                    for element in some {
                        batch.nest(attribute::LIST_ELEMENT, |batch| {
                            batch.nest(KEY, |batch| batch.bytes(VALUE, &element.key));
                            if kind == NEW_ELEMENT {
                                element.data.write(batch);
                            }
                        });
                    }
                });
            });
        }
    }
}

impl Data {
    fn write(&self, batch: &mut Batch) {
        match self {
            Self::None => {}
            Self::Verdict(verdict) => batch.nest(DATA, |batch| verdict.write(batch)),
            Self::Value(value) => batch.nest(DATA, |batch| batch.bytes(VALUE, value)),
        }
    }
}
