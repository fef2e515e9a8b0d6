//! What /proc says about a process: whether it lives, and when it started, which tells it from a later one of the
//! same id.

use std::ffi::CString;
use std::io;
use std::os::fd::OwnedFd;

use corten_sys::files;

/// State and start of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessStat {
    /// The kernel's letter: `R`, `S`, `Z` …
    pub state: u8,
    /// Clock ticks after boot.
    pub start: u64,
}

impl ProcessStat {
    /// Reads /proc/PID/stat.
    ///
    /// # Errors
    /// `NotFound` when there is no such process.
    pub fn read(pid: i32) -> io::Result<Self> {
        Self::read_keeping(pid, &mut Vec::new())
    }

    /// As [`ProcessStat::read`]; the file stays open in `spent`, to be closed with others in one call.
    ///
    /// # Errors
    /// As [`ProcessStat::read`].
    pub fn read_keeping(pid: i32, spent: &mut Vec<OwnedFd>) -> io::Result<Self> {
        let path = CString::new(format!("/proc/{pid}/stat"))?;
        let (text, file) = files::read_small_keeping(&path).map_err(|error| match error.raw_os_error() {
            // ESRCH: it ended between open and read.
            Some(3) => io::Error::from(io::ErrorKind::NotFound),
            _ => error,
        })?;
        spent.push(file);
        parse(&text).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
    }

    /// Whether it is a process and not the remains of one.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        !matches!(self.state, b'Z' | b'X' | b'x')
    }
}

/// The name, in parentheses, may hold anything: what follows its last parenthesis counts.
fn parse(stat: &[u8]) -> Option<ProcessStat> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(stat.get(end + 2..)?).ok()?;
    let mut fields = rest.split(' ');
    let state = *fields.next()?.as_bytes().first()?;
    // Field 22 of the file; the state is field 3.
    let start = fields.nth(18)?.parse().ok()?;
    Some(ProcessStat { state, start })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        let stat = b"42 (a) Z (b) S 1 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 12345 100 200\n";
        assert_eq!(parse(stat), Some(ProcessStat { state: b'S', start: 12345 }));
        assert_eq!(parse(b"42 (a"), None);
    }

    #[test]
    fn this_process_is_alive() {
        let stat = ProcessStat::read(i32::try_from(std::process::id()).expect("small")).expect("reads");
        assert!(stat.is_alive() && stat.start > 0);
    }
}
