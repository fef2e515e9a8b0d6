//! What went through the interfaces of a container's network.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};

use corten_docker_api::containers::NetworkStats;

/// More than any network namespace with a sane number of interfaces has.
const LIMIT_BYTES: u64 = 1 << 20;

/// Each interface in the network of the process `pid`, the loopback device left out as docker leaves it out.
///
/// # Errors
/// When the process is gone.
pub fn of(pid: u32) -> io::Result<BTreeMap<String, NetworkStats>> {
    let mut text = String::new();
    File::open(format!("/proc/{pid}/net/dev"))?.take(LIMIT_BYTES).read_to_string(&mut text)?;
    Ok(text.lines().filter_map(line).collect())
}

/// `eth0: bytes packets errs drop fifo frame compressed multicast`, and eight of what was sent (proc(5)).
fn line(text: &str) -> Option<(String, NetworkStats)> {
    let (name, rest) = text.split_once(':')?;
    let name = name.trim();
    let counted: Vec<u64> = rest.split_whitespace().map_while(|word| word.parse().ok()).collect();
    let [rx_bytes, rx_packets, rx_errors, rx_dropped, _, _, _, _, tx_bytes, tx_packets, tx_errors, tx_dropped, ..] =
        counted[..]
    else {
        return None;
    };
    let stats =
        NetworkStats { rx_bytes, rx_packets, rx_errors, rx_dropped, tx_bytes, tx_packets, tx_errors, tx_dropped };
    (name != "lo").then(|| (name.to_owned(), stats))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_interfaces_and_headers_are_none() {
        assert!(line("Inter-|   Receive                                                |  Transmit").is_none());
        assert!(line(" face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets").is_none());
        assert!(line("    lo: 100 1 0 0 0 0 0 0 100 1 0 0 0 0 0 0").is_none());
        let (name, stats) = line("  eth0:    1016  12    1    2 0 0 0 0 866 11 3 4 0 0 0 0").unwrap();
        assert_eq!(
            (name.as_str(), stats.rx_bytes, stats.rx_packets, stats.rx_errors, stats.rx_dropped),
            ("eth0", 1016, 12, 1, 2)
        );
        assert_eq!((stats.tx_bytes, stats.tx_packets, stats.tx_errors, stats.tx_dropped), (866, 11, 3, 4));
    }
}
