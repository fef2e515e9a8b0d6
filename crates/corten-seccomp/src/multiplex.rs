//! Calls that 32-bit x86 also, or only, makes through another: socketcall(2) and ipc(2), whose first argument says
//! which. A rule about `connect` must hold on both ways.

use crate::table::{self, Call};

/// What carries a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Carrier {
    /// The number of socketcall or ipc.
    pub number: u32,
    /// Its first argument for this call.
    pub selector: u32,
    /// Whether the call's own number, where it has one, means the same. libseccomp leaves the two calls out that were
    /// there long before the others.
    pub direct: Option<u32>,
}

const SOCKETCALL: u32 = 102;
const IPC: u32 = 117;

/// Name, selector (linux/net.h `SYS_…`, linux/ipc.h), own number since Linux 4.3 and 5.1.
const CARRIED: [(&str, u32, u32, Option<u32>); 32] = [
    ("accept", SOCKETCALL, 5, None),
    ("accept4", SOCKETCALL, 18, Some(364)),
    ("bind", SOCKETCALL, 2, Some(361)),
    ("connect", SOCKETCALL, 3, Some(362)),
    ("getpeername", SOCKETCALL, 7, Some(368)),
    ("getsockname", SOCKETCALL, 6, Some(367)),
    ("getsockopt", SOCKETCALL, 15, Some(365)),
    ("listen", SOCKETCALL, 4, Some(363)),
    ("msgctl", IPC, 14, Some(402)),
    ("msgget", IPC, 13, Some(399)),
    ("msgrcv", IPC, 12, Some(401)),
    ("msgsnd", IPC, 11, Some(400)),
    ("recv", SOCKETCALL, 10, None),
    ("recvfrom", SOCKETCALL, 12, Some(371)),
    ("recvmmsg", SOCKETCALL, 19, Some(337)),
    ("recvmsg", SOCKETCALL, 17, Some(372)),
    ("semctl", IPC, 3, Some(394)),
    ("semget", IPC, 2, Some(393)),
    ("semop", IPC, 1, None),
    ("semtimedop", IPC, 4, None),
    ("send", SOCKETCALL, 9, None),
    ("sendmmsg", SOCKETCALL, 20, Some(345)),
    ("sendmsg", SOCKETCALL, 16, Some(370)),
    ("sendto", SOCKETCALL, 11, Some(369)),
    ("setsockopt", SOCKETCALL, 14, Some(366)),
    ("shmat", IPC, 21, Some(397)),
    ("shmctl", IPC, 24, Some(396)),
    ("shmdt", IPC, 22, Some(398)),
    ("shmget", IPC, 23, Some(395)),
    ("shutdown", SOCKETCALL, 13, Some(373)),
    ("socket", SOCKETCALL, 1, Some(359)),
    ("socketpair", SOCKETCALL, 8, Some(360)),
];

/// For each line of the table its place in [`CARRIED`].
static PLACES: [Option<u8>; table::LINES] = table::places(names());

const fn names() -> [&'static str; CARRIED.len()] {
    let mut names = [""; CARRIED.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = CARRIED[at].0;
        at += 1;
    }
    names
}

/// How 32-bit x86 carries a call; `None` when it does not.
pub(crate) fn carrier(call: Call) -> Option<Carrier> {
    let (_, number, selector, direct) = CARRIED[usize::from(PLACES[call.line()]?)];
    Some(Carrier { number, selector, direct })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Arch;

    #[test]
    fn carried_calls_have_the_numbers_of_the_table() {
        assert!(CARRIED.is_sorted_by(|a, b| a.0 < b.0));
        for (name, _, _, direct) in CARRIED {
            let call = table::find(name).expect(name);
            assert_eq!(call.number(Arch::X86), direct, "{name}");
            assert_eq!(carrier(call).map(|carrier| carrier.direct), Some(direct), "{name}");
        }
        assert_eq!(carrier(table::find("read").expect("read")), None);
        assert_eq!(table::all().filter(|call| carrier(*call).is_some()).count(), CARRIED.len());
    }
}
