//! System call names and their numbers.
//!
//! `syscalls.txt` has a line for each name: the numbers on x86_64, x86, x32 (without its bit 30), aarch64 and arm, `-`
//! where there is no such call. The numbers are the kernel's: asm/unistd_64.h, unistd_32.h and unistd_x32.h as Linux
//! 6.1 exports them, asm-generic/unistd.h for aarch64, arch/arm/tools/syscall.tbl with ARM's private range from
//! asm/unistd.h; and from Linux 6.5 on the numbers that all architectures share, up to 469. A test compares every
//! column with libseccomp's. A new call is a new line.
//!
//! The text is cut into arrays while compiling, so that the program neither parses nor relocates it.

use crate::arch::Arch;

const TEXT: &str = include_str!("syscalls.txt");
pub(crate) const LINES: usize = count_lines(TEXT.as_bytes());
const COLUMNS: usize = 5;

/// Where each name begins and ends.
const NAMES: [(u16, u16); LINES] = names(TEXT.as_bytes());
static NUMBERS: [[u32; COLUMNS]; LINES] = numbers(TEXT.as_bytes());

/// In [`NUMBERS`], for a call that the architecture does not have.
const NONE: u32 = u32::MAX;

/// A name in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call(usize);

/// Finds a name.
#[must_use]
pub fn find(name: &str) -> Option<Call> {
    let (mut low, mut high) = (0, LINES);
    while low < high {
        let middle = low + (high - low) / 2;
        match Call(middle).name().cmp(name) {
            std::cmp::Ordering::Equal => return Some(Call(middle)),
            std::cmp::Ordering::Less => low = middle + 1,
            std::cmp::Ordering::Greater => high = middle,
        }
    }
    None
}

/// Finds names that are sorted, as they are in profiles, mostly with a look at the line after the last one.
#[derive(Debug, Default)]
pub struct Finder {
    next: usize,
}

impl Finder {
    /// Finds a name, wherever it stands.
    pub fn find(&mut self, name: &str) -> Option<Call> {
        /// A profile leaves calls out here and there.
        const LOOKS: usize = 4;
        let following = (self.next..LINES.min(self.next + LOOKS)).map(Call);
        let found = following.into_iter().find(|call| call.name() == name).or_else(|| find(name))?;
        self.next = found.0 + 1;
        Some(found)
    }
}

/// For each name of the table whether it is in `wanted`: its place there, or `None`.
pub(crate) const fn places<const N: usize>(wanted: [&str; N]) -> [Option<u8>; LINES] {
    let mut places = [None; LINES];
    let (mut line, mut at) = (0, 0);
    // Both are sorted.
    while line < LINES && at < N {
        let (start, end) = NAMES[line];
        if is_at(start as usize, end as usize, wanted[at].as_bytes()) {
            places[line] = Some(at as u8);
            at += 1;
        }
        line += 1;
    }
    assert!(at == N, "a name is not in the table, or out of order");
    places
}

const fn is_at(start: usize, end: usize, name: &[u8]) -> bool {
    if end - start != name.len() {
        return false;
    }
    let mut at = 0;
    while at < name.len() {
        if TEXT.as_bytes()[start + at] != name[at] {
            return false;
        }
        at += 1;
    }
    true
}

/// Every name, sorted.
pub fn all() -> impl Iterator<Item = Call> {
    (0..LINES).map(Call)
}

impl Call {
    /// Its line.
    pub(crate) const fn line(self) -> usize {
        self.0
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        let (start, end) = NAMES[self.0];
        &TEXT[usize::from(start)..usize::from(end)]
    }

    /// Its number, on x32 without the bit; `None` where the architecture has no such call.
    #[must_use]
    pub fn number(self, arch: Arch) -> Option<u32> {
        Some(NUMBERS[self.0][arch as usize]).filter(|number| *number != NONE)
    }
}

const fn count_lines(text: &[u8]) -> usize {
    let (mut at, mut count) = (0, 0);
    while at < text.len() {
        count += (text[at] == b'\n') as usize;
        at += 1;
    }
    count
}

const fn names(text: &[u8]) -> [(u16, u16); LINES] {
    assert!(text.len() <= u16::MAX as usize);
    let mut names = [(0, 0); LINES];
    let (mut line, mut start) = (0, 0);
    while line < LINES {
        let mut end = start;
        while text[end] != b' ' {
            end += 1;
        }
        names[line] = (start as u16, end as u16);
        while text[end] != b'\n' {
            end += 1;
        }
        (line, start) = (line + 1, end + 1);
    }
    names
}

const fn numbers(text: &[u8]) -> [[u32; COLUMNS]; LINES] {
    let mut numbers = [[NONE; COLUMNS]; LINES];
    // The name is column 0 here.
    let (mut at, mut line, mut column) = (0, 0, 0);
    while at < text.len() {
        match text[at] {
            b'\n' => {
                assert!(column == COLUMNS);
                (line, column) = (line + 1, 0);
            }
            b' ' => column += 1,
            digit if column > 0 && digit.is_ascii_digit() => {
                let before = numbers[line][column - 1];
                let before = if before == NONE { 0 } else { before };
                numbers[line][column - 1] = before * 10 + (digit - b'0') as u32;
            }
            _ => {}
        }
        at += 1;
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_found() {
        let names: Vec<&str> = all().map(Call::name).collect();
        assert!(names.is_sorted_by(|a, b| a < b));
        assert!(names.iter().all(|name| find(name).is_some_and(|call| call.name() == *name)));
        assert_eq!(find("frobnicate"), None);
        let mut finder = Finder::default();
        for name in ["read", "write", "accept", "accept4", "frobnicate", "bind"] {
            assert_eq!(finder.find(name), find(name), "{name}");
        }
    }

    #[test]
    fn numbers_are_the_kernels() {
        for (name, numbers) in [
            ("read", [Some(0), Some(3), Some(0), Some(63), Some(3)]),
            ("ioctl", [Some(16), Some(54), Some(514), Some(29), Some(54)]),
            ("recv", [None, None, None, None, Some(291)]),
            ("cacheflush", [None, None, None, None, Some(983_042)]),
            ("mseal", [Some(462); 5]),
            ("zlast", [None; 5]),
        ] {
            let found = Arch::ALL.map(|arch| find(name).and_then(|call| call.number(arch)));
            assert_eq!(found, numbers, "{name}");
        }
    }

    #[test]
    fn no_two_names_share_a_number() {
        for arch in Arch::ALL {
            let mut numbers: Vec<u32> = all().filter_map(|call| call.number(arch)).collect();
            let count = numbers.len();
            numbers.sort_unstable();
            numbers.dedup();
            assert_eq!(numbers.len(), count, "{arch:?}");
        }
    }
}
