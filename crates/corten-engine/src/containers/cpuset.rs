//! Sets of processors and memory nodes: `0-2,4`, as cpuset(7) writes them.

use std::collections::BTreeSet;

use crate::errors::{EngineError, Result};

/// Largest number in a set; dockerd's own bound, above what any kernel counts.
const NUMBER_AT_MOST: u32 = 8192;

/// The numbers of a set; `None` for a text that is none.
pub fn parse(text: &str) -> Option<BTreeSet<u32>> {
    let mut numbers = BTreeSet::new();
    for part in text.split(',').map(str::trim).filter(|_| !text.is_empty()) {
        let number = |text: &str| text.parse::<u32>().ok().filter(|number| *number <= NUMBER_AT_MOST);
        match part.split_once('-') {
            None => drop(numbers.insert(number(part)?)),
            Some((first, last)) => {
                let (first, last) = (number(first)?, number(last)?);
                if first > last {
                    return None;
                }
                numbers.extend(first..=last);
            }
        }
    }
    Some(numbers)
}

/// Checks that the host has what is asked for.
///
/// # Errors
/// 400 in dockerd's words.
pub fn check(cpus: &str, mems: &str) -> Result<()> {
    check_against("cpuset cpus", "CPUs", cpus, &available("cpus"))?;
    check_against("cpuset mems", "memory nodes", mems, &available("mems"))
}

fn check_against(field: &str, things: &str, asked: &str, available: &str) -> Result<()> {
    let Some(wanted) = parse(asked) else {
        return Err(EngineError::invalid(format!("Invalid value {asked} for {field}: invalid format: {asked}")));
    };
    // Where the kernel does not tell, it has the last word itself.
    match parse(available).filter(|there| !there.is_empty()) {
        Some(there) if !wanted.is_subset(&there) => Err(EngineError::invalid(format!(
            "Requested {things} are not available - requested {asked}, available: {available}"
        ))),
        _ => Ok(()),
    }
}

/// What the root of the hierarchy has: cgroup v2, then v1.
fn available(what: &str) -> String {
    let paths = [format!("/sys/fs/cgroup/cpuset.{what}.effective"), format!("/sys/fs/cgroup/cpuset/cpuset.{what}")];
    let text = paths.iter().find_map(|path| std::fs::read_to_string(path).ok());
    text.unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_numbers_and_ranges() {
        for (text, numbers) in [
            ("", Some(vec![])),
            ("0", Some(vec![0])),
            ("0-2,4", Some(vec![0, 1, 2, 4])),
            ("1, 3", Some(vec![1, 3])),
            ("2-1", None),
            ("x", None),
            ("0-", None),
            ("1,,2", None),
            ("99999", None),
        ] {
            assert_eq!(parse(text).map(Vec::from_iter), numbers, "{text:?}");
        }
    }

    #[test]
    fn what_the_host_lacks_is_named_in_dockerds_words() {
        let refusal = |asked, available| {
            check_against("cpuset cpus", "CPUs", asked, available).err().map(|error| error.message())
        };
        assert_eq!(refusal("0-1", "0-3"), None);
        assert_eq!(refusal("9", ""), None);
        assert_eq!(
            refusal("9", "0-1").as_deref(),
            Some("Requested CPUs are not available - requested 9, available: 0-1")
        );
        assert_eq!(refusal("x", "0-1").as_deref(), Some("Invalid value x for cpuset cpus: invalid format: x"));
    }
}
