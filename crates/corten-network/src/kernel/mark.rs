//! Packets that somebody else has marked pass where an unpublished port or a neighbour would not be reached
//! (`--bridge-accept-fwmark`). A network that is shut off stays so, as in dockerd 29: what goes to it is decided before
//! these rules are looked at.

use corten_netlink::nft::{
    Expression, Verdict,
    expression::{Meta, Register},
};

use super::ruleset::{CHAIN_NAT, CHAIN_ROUTED, CHAIN_SAME};
use crate::plan::Mark;

/// Chains of the table of packets that a marked packet leaves accepted. The one of containers that everybody but other
/// networks reaches leads into the first.
const OF_PACKETS: [&str; 3] = [CHAIN_NAT, CHAIN_ROUTED, CHAIN_SAME];

/// Chains of the table of frames.
const OF_FRAMES: [&str; 1] = ["forward"];

/// The rules, each the first of its chain.
#[derive(Clone, Debug)]
pub struct Rules {
    mark: Option<Mark>,
    chains: &'static [&'static str],
}

impl Rules {
    /// Those of the table of packets.
    pub fn of_packets(mark: Option<Mark>) -> Self {
        Self { mark, chains: &OF_PACKETS }
    }

    /// Those of the table of frames.
    pub fn of_frames(mark: Option<Mark>) -> Self {
        Self { mark, chains: &OF_FRAMES }
    }

    /// Chain, note and steps of each. The note has the mark in it, so that another one is another rule.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, String, Vec<Expression>)> {
        let mark = self.mark.into_iter();
        mark.flat_map(|mark| self.chains.iter().map(move |chain| (*chain, format!("marked {mark}"), accept(mark))))
    }
}

fn accept(mark: Mark) -> Vec<Expression> {
    const FIRST: Register = Register(0);
    let of = |number: u32| number.to_ne_bytes().to_vec();
    let mut steps = vec![Expression::Meta(Meta::Mark, FIRST)];
    if mark.mask != u32::MAX {
        steps.push(Expression::Mask(FIRST, of(mark.mask)));
    }
    steps.extend([Expression::Equal(FIRST, of(mark.value)), Expression::Verdict(Verdict::Accept)]);
    steps
}
