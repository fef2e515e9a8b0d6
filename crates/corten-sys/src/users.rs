//! The user namespace of this process (user_namespaces(7)).

use std::fs;

use crate::files;
use crate::syscall::HERE;

/// Whether ids of this process's user namespace are others outside: it is not the host's. `false` when the map cannot
/// be read, as on a kernel without user namespaces.
#[must_use]
pub fn are_mapped() -> bool {
    /// The inode of the host's own user namespace, fixed in the kernel (`PROC_USER_INIT_INO`). A host's within which
    /// the machine's container lies is not it, and is told by its map.
    const HOST: u64 = 0xEFFF_FFFD;
    let is_host = files::stat_following(HERE, c"/proc/self/ns/user").is_ok_and(|namespace| namespace.inode == HOST);
    !is_host && fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| !is_identity(&map))
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
