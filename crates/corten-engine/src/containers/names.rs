//! Names of containers: which are allowed, and made-up ones.

use crate::errors::{EngineError, Result};

/// Checks a name a client asks for; the slash that inspect shows in front may be there.
///
/// # Errors
/// 400 in docker's words.
pub fn check(name: &str) -> Result<&str> {
    let bare = name.strip_prefix('/').unwrap_or(name);
    let mut characters = bare.bytes();
    let first = characters.next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    // At least two characters, as docker wants it.
    let rest = bare.len() >= 2 && characters.all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    match first && rest && bare.len() <= MAX_BYTES {
        true => Ok(bare),
        false if bare.len() > MAX_BYTES => {
            Err(EngineError::invalid(format!("Invalid container name: longer than {MAX_BYTES} characters")))
        }
        false => Err(EngineError::invalid(format!(
            "Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
        ))),
    }
}

/// Longest name: names become parts of file names and labels, whose bounds are 255 and 4096 bytes.
const MAX_BYTES: usize = 255;

/// A name nobody has: two words, with a digit or the short id behind when all tries are taken.
pub fn made_up(id: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let seed = u64::from_str_radix(&id[..id.len().min(15)], 16).unwrap_or_default() as usize;
    let pairs = QUALITIES.len() * MAKERS.len();
    for attempt in 0..6 {
        let pick = (seed + attempt * 7919) % pairs;
        let name = format!("{}_{}", QUALITIES[pick % QUALITIES.len()], MAKERS[pick / QUALITIES.len()]);
        if !is_taken(&name) {
            return name;
        }
    }
    let name = format!("{}_{}{}", QUALITIES[seed % QUALITIES.len()], MAKERS[seed % MAKERS.len()], seed % 10);
    if is_taken(&name) { id[..id.len().min(12)].to_owned() } else { name }
}

/// What steel, ships and weather can be.
const QUALITIES: [&str; 48] = [
    "amber", "ample", "brave", "brisk", "bronze", "calm", "candid", "clear", "copper", "crisp", "deft", "eager",
    "early", "fair", "fleet", "frank", "gentle", "golden", "hardy", "humble", "jolly", "keen", "kind", "light",
    "lively", "loyal", "lucid", "mellow", "merry", "mild", "neat", "noble", "patient", "plain", "proud", "quick",
    "quiet", "rapid", "sharp", "silver", "sober", "solid", "steady", "stout", "sunny", "swift", "tidy", "vivid",
];

/// People who built, measured and found things out.
const MAKERS: [&str; 48] = [
    "agnesi",
    "ampere",
    "archimedes",
    "babbage",
    "banneker",
    "bell",
    "bose",
    "boyle",
    "brahe",
    "brunel",
    "carson",
    "curie",
    "darwin",
    "davy",
    "dijkstra",
    "edison",
    "eiffel",
    "euler",
    "faraday",
    "fermat",
    "franklin",
    "galileo",
    "gauss",
    "germain",
    "goddard",
    "gutenberg",
    "hamilton",
    "herschel",
    "hopper",
    "huygens",
    "joule",
    "kepler",
    "lamarr",
    "leavitt",
    "lovelace",
    "maxwell",
    "meitner",
    "mendel",
    "newton",
    "noether",
    "pascal",
    "raman",
    "shannon",
    "telford",
    "tesla",
    "turing",
    "volta",
    "watt",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_as_docker_does() {
        for good in ["ab", "/web", "a.b-c_d", "0a"] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in ["", "a", "-bad", "a b", "a/b", "ü1", "_a"] {
            assert!(check(bad).is_err(), "{bad}");
        }
        assert_eq!(
            check("-bad").unwrap_err().message(),
            "Invalid container name (-bad), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
        );
    }

    #[test]
    fn a_made_up_name_is_free_and_allowed() {
        let id = "0123456789abcdef";
        let first = made_up(id, |_| false);
        assert!(check(&first).is_ok());
        assert_ne!(made_up(id, |name| name == first), first);
        assert_eq!(made_up(id, |_| true), "0123456789ab");
    }
}
