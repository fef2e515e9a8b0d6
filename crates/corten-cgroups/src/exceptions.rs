//! What the devices controller of v1 would ignore without a word.
//!
//! It knows one default, allow or deny, and a list of exceptions to it. A rule that takes back part of a wider exception
//! changes nothing there, so that a device would stay open that was to be closed: such a rule is refused, as runc does.

use crate::devices::{Access, DeviceKind, DeviceRule};

/// A kind, `*` or a major, `*` or a minor.
type Nodes = (DeviceKind, Option<u32>, Option<u32>);

/// The first rule that v1 would ignore, and the exception it is a part of, in words.
pub(crate) fn ignored(rules: &[DeviceRule]) -> Option<(String, String)> {
    let mut allows_by_default = false;
    let mut exceptions: Vec<(Nodes, Access)> = Vec::new();
    for rule in rules {
        if rule.covers_everything() {
            allows_by_default = rule.allow;
            exceptions.clear();
            continue;
        }
        for kind in rule.kinds() {
            let nodes = (*kind, rule.major, rule.minor);
            if rule.allow != allows_by_default {
                exceptions.push((nodes, rule.access));
                continue;
            }
            let (same, wider) = exceptions.iter().partition::<Vec<_>, _>(|(other, _)| *other == nodes);
            let overlaps =
                |(other, access): &&(Nodes, Access)| is_part(nodes, *other) && access.and(rule.access).is_some();
            if let Some((other, access)) = wider.iter().find(|other| overlaps(other)) {
                return Some((words(nodes, rule.access), words(*other, *access)));
            }
            let left = same.iter().filter_map(|(nodes, access)| Some((*nodes, access.without(rule.access)?)));
            exceptions = left.chain(wider).collect();
        }
    }
    None
}

/// Whether what `nodes` are is among `others`.
fn is_part(nodes: Nodes, others: Nodes) -> bool {
    let within = |number: Option<u32>, other: Option<u32>| other.is_none() || other == number;
    nodes.0 == others.0 && within(nodes.1, others.1) && within(nodes.2, others.2)
}

fn words((kind, major, minor): Nodes, access: Access) -> String {
    let number = |number: Option<u32>| number.map_or("*".to_owned(), |number| number.to_string());
    format!("{} {}:{} {}", kind.letter(), number(major), number(minor), access.letters())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> DeviceRule {
        let words: Vec<&str> = text.split([' ', ':']).collect();
        let number = |text: &str| text.parse().ok();
        let kind = match words[1] {
            "a" => DeviceKind::All,
            "b" => DeviceKind::Block,
            _ => DeviceKind::Char,
        };
        let access = Access::parse(words[4]).expect("letters of rwm");
        DeviceRule { allow: words[0] == "+", kind, major: number(words[2]), minor: number(words[3]), access }
    }

    #[test]
    fn a_hole_in_a_wider_exception_is_found() {
        for (rules, expected) in [
            ("- a *:* rwm,+ c 1:3 rw", None),
            ("- a *:* rwm,+ c *:* rwm,- c 1:3 r", Some(("c 1:3 r", "c *:* rwm"))),
            ("- a *:* rwm,+ c 1:* rw,- c 1:3 m", None),
            ("- a *:* rwm,+ c 1:* rw,- c 2:3 rw", None),
            ("- a *:* rwm,+ c 1:3 rw,- c 1:3 w,+ c 1:3 m", None),
            ("- a *:* rwm,+ c 1:3 rw,- c 1:* rw", None),
            ("- a *:* rwm,+ a 8:* r,- b 8:0 r", Some(("b 8:0 r", "b 8:* r"))),
            ("+ a *:* rwm,- c 1:* rw,+ c 1:3 rw", Some(("c 1:3 rw", "c 1:* rw"))),
            ("+ a *:* rwm,- c 1:3 rw,+ c 1:* rw", None),
            ("+ c *:* rwm,- a *:* rwm,- c 1:3 rw", None),
        ] {
            let list: Vec<DeviceRule> = rules.split(',').map(rule).collect();
            let expected = expected.map(|(hole, wider)| (hole.to_owned(), wider.to_owned()));
            assert_eq!(ignored(&list), expected, "{rules}");
        }
    }
}
