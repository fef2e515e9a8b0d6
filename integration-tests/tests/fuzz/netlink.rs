//! Answers of the kernel, and what pretends to be some.

use corten_netlink::{
    address,
    attributes::Attributes,
    conntrack, events, link,
    nft::dump,
    reply::{Meaning, Messages},
    route,
};

use crate::{
    each_input,
    mutate::{Random, bytes},
};

/// A message of that kind, with a few attributes, one of them with others inside.
fn message(random: &mut Random) -> Vec<u8> {
    const KINDS: [u16; 12] = [2, 3, 16, 17, 20, 24, 0x100, 0xa00, 0xa06, 0xa0c, 0xa0f, 0xa10];
    let kind = KINDS[random.below(KINDS.len())];
    let fixed = [4, 8, 12, 16][random.below(4)];
    let mut body: Vec<u8> = (0..fixed).map(|_| random.next() as u8).collect();
    for _ in 0..random.below(5) {
        attribute(random, &mut body, 3);
    }
    let mut message = u32::try_from(16 + body.len()).unwrap().to_ne_bytes().to_vec();
    message.extend(kind.to_ne_bytes());
    message.extend((random.next() as u16).to_ne_bytes());
    message.extend([1, 0, 0, 0, 0, 0, 0, 0]);
    message.extend(body);
    message
}

fn attribute(random: &mut Random, into: &mut Vec<u8>, depth: usize) {
    let start = into.len();
    into.extend([0, 0]);
    into.extend((random.below(30) as u16).to_ne_bytes());
    if depth > 0 && random.one_in(2) {
        for _ in 0..random.below(4) {
            attribute(random, into, depth - 1);
        }
    } else {
        into.extend((0..random.below(20)).map(|_| random.next() as u8));
    }
    let length = u16::try_from(into.len() - start).unwrap();
    into[start..start + 2].copy_from_slice(&length.to_ne_bytes());
    into.resize(into.len().next_multiple_of(4), 0);
}

#[test]
fn answers_are_read_or_left() {
    each_input("answers of netlink", |random| {
        let good: Vec<u8> = (0..=random.below(3)).flat_map(|_| message(random)).collect();
        let answer = if random.one_in(3) { good } else { bytes(random, &good) };
        for message in Messages::new(&answer) {
            if let Meaning::Refused { error, .. } = message.meaning() {
                assert!(!error.to_string().is_empty());
            }
            let _ = (link::read(&message), address::read(&message), route::read(&message));
            let _ = (conntrack::read(&message), events::read(&message));
            let elements = dump::read_elements(message.attributes(4).nested(3));
            assert!(elements.len() <= answer.len());
        }
        assert!(Attributes::new(&answer).count() <= answer.len());
    });
}
