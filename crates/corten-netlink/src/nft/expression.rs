//! What a rule is made of: a packet's property is loaded into registers, compared or looked up, and a verdict given.

use std::borrow::Cow;

use crate::Batch;

mod attribute {
    pub(super) const NAME: u16 = 1;
    pub(super) const DATA: u16 = 2;
    pub(super) const VALUE: u16 = 1;
    pub(super) const VERDICT: u16 = 2;
    pub(super) const VERDICT_CODE: u16 = 1;
    pub(super) const VERDICT_CHAIN: u16 = 2;
}

/// A register of four bytes, of which there are sixteen. Longer values take those that follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Register(pub u8);

impl Register {
    fn number(self) -> u32 {
        const FIRST: u32 = 8;
        FIRST + u32::from(self.0)
    }
}

/// A property that is no part of the packet's bytes (`enum nft_meta_keys`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meta {
    /// The name of the interface it came by, 16 bytes.
    InputName = 6,
    /// The name of the interface it goes by, 16 bytes.
    OutputName = 7,
    /// 2 for IPv4, 10 for IPv6.
    Family = 15,
    /// The number of the transport protocol.
    Transport = 16,
    /// The number of the protocol in a frame.
    Protocol = 1,
    /// What somebody has marked the packet with, 4 bytes in the host's order.
    Mark = 3,
}

/// A property of the connection a packet belongs to (`enum nft_ct_keys`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tracked {
    /// A bit for each state: 2 established, 4 related, 8 new.
    State = 0,
    /// Bits of `enum ip_conntrack_status`: 32 when its destination was translated.
    Status = 2,
}

/// Where an offset counts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// The beginning of the IP header.
    Network = 1,
    /// The beginning of the transport's header.
    Transport = 2,
}

/// The checksum that is kept right when bytes of a packet are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksum {
    /// That of the transport, whichever it is; a datagram that has none gets none (`NFT_PAYLOAD_L4CSUM_PSEUDOHDR`,
    /// Linux 4.10).
    Transport,
    /// The one at this offset from the same base.
    At(u32),
}

/// What becomes of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is gone.
    Drop,
    /// This chain lets it pass.
    Accept,
    /// Back to the chain that led here; from the first, it passes.
    Return,
    /// On in another chain, and then back.
    Jump(Cow<'static, str>),
}

/// One step of a rule. A comparison that fails ends the rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expression {
    /// Loads a property.
    Meta(Meta, Register),
    /// Loads a property of the connection.
    Tracked(Tracked, Register),
    /// Loads bytes of the packet.
    Payload(Base, u32, u32, Register),
    /// Writes a register's bytes into the packet, and its checksum anew.
    Write(Base, u32, u32, Register, Checksum),
    /// Loads what kind of address the destination is: 2 for one of this host's.
    DestinationKind(Register),
    /// As [`Self::DestinationKind`], of the source.
    SourceKind(Register),
    /// Loads a value.
    Load(Register, Vec<u8>),
    /// Keeps the bits that are set in the mask.
    Mask(Register, Vec<u8>),
    /// Goes on when the register holds the value.
    Equal(Register, Vec<u8>),
    /// Goes on when the register holds another value.
    Unequal(Register, Vec<u8>),
    /// Goes on when the set holds the value.
    InSet(&'static str, Register),
    /// Goes on when the set does not hold the value.
    NotInSet(&'static str, Register),
    /// Goes on when the map holds the value, with what it stands for in the second register.
    Map(&'static str, Register, Register),
    /// Gives the verdict for which the value stands in a map; goes on when the map does not hold it.
    VerdictMap(&'static str, Register),
    /// Sends the packet to the address, and port, in registers.
    TranslateDestination {
        /// Whether the address is of IPv6.
        v6: bool,
        /// Where the address is.
        address: Register,
        /// Where the port is.
        port: Register,
    },
    /// Gives the packet the source address, and port, in registers.
    TranslateSource {
        /// Whether the address is of IPv6.
        v6: bool,
        /// Where the address is.
        address: Register,
        /// Where the port is, when it is to change.
        port: Option<Register>,
    },
    /// Gives the packet the source address of the interface it goes by.
    Masquerade,
    /// Gives a verdict.
    Verdict(Verdict),
}

impl Expression {
    /// Writes name and data.
    pub(crate) fn write(&self, batch: &mut Batch) {
        const OPERATOR_EQUAL: u32 = 0;
        const OPERATOR_UNEQUAL: u32 = 1;
        match self {
            Self::Meta(key, to) => named(batch, "meta", &[(2, *key as u32), (1, to.number())]),
            Self::Tracked(key, to) => named(batch, "ct", &[(2, *key as u32), (1, to.number())]),
            Self::Payload(base, offset, length, to) => {
                named(batch, "payload", &[(1, to.number()), (2, *base as u32), (3, *offset), (4, *length)]);
            }
            Self::Write(base, offset, length, from, checksum) => {
                let checksum = match checksum {
                    Checksum::Transport => [(6, 0), (8, 1)],
                    Checksum::At(offset) => [(6, 1), (7, *offset)],
                };
                let place = [(5, from.number()), (2, *base as u32), (3, *offset), (4, *length)];
                named(batch, "payload", &[&place[..], &checksum].concat());
            }
            Self::DestinationKind(to) => kind_of_address(batch, *to, 2),
            Self::SourceKind(to) => kind_of_address(batch, *to, 1),
            Self::Load(to, value) => with_data(batch, "immediate", &[(1, to.number())], |batch| {
                batch.nest(2, |batch| batch.bytes(attribute::VALUE, value));
            }),
            Self::Mask(register, mask) => {
                let numbers = [(1, register.number()), (2, register.number()), (3, mask.len() as u32)];
                with_data(batch, "bitwise", &numbers, |batch| {
                    batch.nest(4, |batch| batch.bytes(attribute::VALUE, mask));
                    batch.nest(5, |batch| batch.bytes(attribute::VALUE, &vec![0; mask.len()]));
                });
            }
            Self::Equal(register, value) => compare(batch, *register, OPERATOR_EQUAL, value),
            Self::Unequal(register, value) => compare(batch, *register, OPERATOR_UNEQUAL, value),
            Self::InSet(set, key) => look_up(batch, set, *key, &[]),
            Self::NotInSet(set, key) => {
                const INVERTED: u32 = 1;
                look_up(batch, set, *key, &[(5, INVERTED)]);
            }
            Self::Map(map, key, to) => look_up(batch, map, *key, &[(3, to.number())]),
            Self::VerdictMap(map, key) => look_up(batch, map, *key, &[(3, 0)]),
            Self::TranslateDestination { v6, address, port } => translate(batch, 1, *v6, *address, Some(*port)),
            Self::TranslateSource { v6, address, port } => translate(batch, 0, *v6, *address, *port),
            Self::Masquerade => named(batch, "masq", &[]),
            Self::Verdict(verdict) => with_data(batch, "immediate", &[(1, 0)], |batch| {
                batch.nest(2, |batch| verdict.write(batch));
            }),
        }
    }
}

impl Verdict {
    /// Writes it as data.
    pub(crate) fn write(&self, batch: &mut Batch) {
        let (code, chain) = match self {
            Self::Drop => (0, None),
            Self::Accept => (1, None),
            Self::Return => (-5, None),
            Self::Jump(chain) => (-3_i32, Some(chain)),
        };
        batch.nest(attribute::VERDICT, |batch| {
            batch.big(attribute::VERDICT_CODE, code.cast_unsigned());
            if let Some(chain) = chain {
                batch.text(attribute::VERDICT_CHAIN, chain);
            }
        });
    }

    /// Reads it from data.
    pub(crate) fn read(data: crate::attributes::Attributes<'_>) -> Option<Self> {
        let verdict = data.nested(attribute::VERDICT);
        match verdict.big(attribute::VERDICT_CODE)?.cast_signed() {
            0 => Some(Self::Drop),
            1 => Some(Self::Accept),
            -5 => Some(Self::Return),
            -3 => Some(Self::Jump(verdict.text(attribute::VERDICT_CHAIN)?.to_owned().into())),
            _ => None,
        }
    }
}

fn kind_of_address(batch: &mut Batch, to: Register, of: u32) {
    const RESULT_KIND: u32 = 3;
    named(batch, "fib", &[(1, to.number()), (2, RESULT_KIND), (3, of)]);
}

fn named(batch: &mut Batch, name: &str, numbers: &[(u16, u32)]) {
    with_data(batch, name, numbers, |_| {});
}

fn with_data(batch: &mut Batch, name: &str, numbers: &[(u16, u32)], fill: impl FnOnce(&mut Batch)) {
    batch.text(attribute::NAME, name);
    batch.nest(attribute::DATA, |batch| {
        for &(kind, number) in numbers {
            batch.big(kind, number);
        }
        fill(batch);
    });
}

fn compare(batch: &mut Batch, register: Register, operator: u32, value: &[u8]) {
    with_data(batch, "cmp", &[(1, register.number()), (2, operator)], |batch| {
        batch.nest(3, |batch| batch.bytes(attribute::VALUE, value));
    });
}

fn look_up(batch: &mut Batch, set: &str, key: Register, more: &[(u16, u32)]) {
    batch.text(attribute::NAME, "lookup");
    batch.nest(attribute::DATA, |batch| {
        batch.text(1, set);
        batch.big(2, key.number());
        for &(kind, number) in more {
            batch.big(kind, number);
        }
    });
}

fn translate(batch: &mut Batch, kind: u32, v6: bool, address: Register, port: Option<Register>) {
    let family = if v6 { 10 } else { 2 };
    let mut numbers = vec![(1, kind), (2, family), (3, address.number())];
    numbers.extend(port.map(|port| (5, port.number())));
    named(batch, "nat", &numbers);
}
