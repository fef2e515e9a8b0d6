//! The user namespace of this process (user_namespaces(7)).

use std::fs;

/// Whether ids of this process's user namespace are others outside: it is not the host's. `false` when the map cannot
/// be read, as on a kernel without user namespaces.
#[must_use]
pub fn are_mapped() -> bool {
    fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| !is_identity(&map))
}

/// The host's own map: every id to itself.
fn is_identity(map: &str) -> bool {
    let words: Vec<_> = map.split_whitespace().collect();
    words == ["0", "0", "4294967295"]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_range_to_itself_is_the_hosts() {
        assert!(is_identity("         0          0 4294967295\n"));
        for map in ["0 1000 1\n", "0 0 65536\n", "0 0 1000\n1000 0 5\n", ""] {
            assert!(!is_identity(map), "{map:?}");
        }
    }
}
