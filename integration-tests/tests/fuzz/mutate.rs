//! Good inputs made bad: bytes exchanged, parts left out or doubled, values that parsers stumble over.

use serde_json::{Value, json};

/// Numbers that look random and come again with their seed (splitmix64).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Less than `limit`, which is not 0.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    pub fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    pub fn of<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.below(choices.len())]
    }
}

/// Words that mean something to somebody.
const WORDS: [&str; 24] = [
    "",
    "\0",
    "/",
    "..",
    "../../etc/passwd",
    "/proc/self/fd/7",
    ":",
    "::::::",
    ",",
    "=",
    "%s%n",
    "a\nb",
    "-1",
    "0",
    "18446744073709551615",
    "99999999999999999999",
    "1e999",
    "0x10",
    "ä€😀",
    "\u{feff}",
    "max",
    "unconfined",
    "SCMP_ACT_ALLOW",
    "RLIMIT_NOFILE",
];

pub fn word(random: &mut Random) -> String {
    match random.below(8) {
        0 => "a".repeat(random.below(5000)),
        1 => (0..random.below(12)).map(|_| char::from(random.next() as u8)).collect(),
        _ => random.of(&WORDS).to_owned(),
    }
}

/// A few changes of the bytes.
pub fn bytes(random: &mut Random, good: &[u8]) -> Vec<u8> {
    let mut text = good.to_vec();
    for _ in 0..=random.below(4) {
        let length = text.len();
        if length == 0 {
            return word(random).into_bytes();
        }
        let (from, to) = {
            let ends = [random.below(length), random.below(length)];
            (ends[0].min(ends[1]), ends[0].max(ends[1]).min(ends[0].min(ends[1]) + 200))
        };
        match random.below(6) {
            0 => text[from] = random.next() as u8,
            1 => text.truncate(from),
            2 => drop(text.drain(from..to)),
            3 => {
                let part = text[from..to].to_vec();
                text.splice(from..from, part);
            }
            4 => {
                text.splice(from..from, word(random).into_bytes());
            }
            _ => {
                text.splice(from..to, word(random).into_bytes());
            }
        }
    }
    text
}

/// A few changes of the values; the document stays JSON.
pub fn document(random: &mut Random, good: &Value) -> Value {
    let mut document = good.clone();
    for _ in 0..=random.below(4) {
        let nodes = count(&document);
        let mut at = random.below(nodes);
        let other = random.below(nodes);
        let mut moved = Value::Null;
        visit(&mut document.clone(), &mut { other }, &mut |node| moved = node.take());
        let replace = random.below(3);
        let made = value(random);
        visit(&mut document, &mut at, &mut |node| match (replace, &mut *node) {
            // Another part of the same document stands here.
            (0, node) => *node = moved.take(),
            (1, Value::Array(list)) if !list.is_empty() => list.push(list[0].clone()),
            (1, Value::Object(members)) => drop(members.pop_first()),
            (_, node) => *node = made.clone(),
        });
    }
    document
}

/// Removes the first member, whatever its name.
trait PopFirst {
    fn pop_first(&mut self) -> Option<Value>;
}

impl PopFirst for serde_json::Map<String, Value> {
    fn pop_first(&mut self) -> Option<Value> {
        let key = self.keys().next().cloned()?;
        self.remove(&key)
    }
}

fn value(random: &mut Random) -> Value {
    match random.below(10) {
        0 => Value::Null,
        1 => json!(random.one_in(2)),
        2 => json!([]),
        3 => json!({}),
        4 => json!(random.next() as i64),
        5 => json!(*random.of(&[&0_i64, &-1, &1, &i64::MIN, &i64::MAX, &4_294_967_296, &65_536])),
        6 => json!(u64::MAX),
        7 => json!(1.5e300),
        _ => json!(word(random)),
    }
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(list) => list.iter().map(count).sum(),
        Value::Object(members) => members.values().map(count).sum(),
        _ => 0,
    }
}

/// Calls `change` with the node that is `at` nodes away.
fn visit(value: &mut Value, at: &mut usize, change: &mut impl FnMut(&mut Value)) -> bool {
    if *at == 0 {
        change(value);
        return true;
    }
    *at -= 1;
    match value {
        Value::Array(list) => list.iter_mut().any(|value| visit(value, at, change)),
        Value::Object(members) => members.values_mut().any(|value| visit(value, at, change)),
        _ => false,
    }
}
