//! The terminal of a process, in the child: opened in the container's own devpts, sent to whoever asked for it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use corten_sys::openat2::{self, InRootfs, Resolve};
use corten_sys::termios::{self, WindowSize};
use corten_sys::{credentials, descriptors, files, mount, pty, rootfs, scm};

use super::report::{At, Fault, Stage};
use crate::plan::ProcessPlan;

const DEVPTS_SUPER_MAGIC: i64 = 0x1cd1;

/// Paths the child needs, made before the clone.
#[derive(Debug)]
pub struct ConsolePaths {
    ptmx: InRootfs,
    console: InRootfs,
}

impl ConsolePaths {
    /// The container's multiplexer and console.
    ///
    /// # Errors
    /// None: the texts are constants.
    pub fn new() -> io::Result<Self> {
        Ok(Self { ptmx: InRootfs::new("/dev/pts/ptmx")?, console: InRootfs::new("/dev/console")? })
    }
}

/// Opens a terminal in the tree under `root`, sends its master end to `receiver`, and returns the other end.
pub(super) fn open(
    root: BorrowedFd<'_>,
    paths: &ConsolePaths,
    receiver: BorrowedFd<'_>,
    process: &ProcessPlan,
) -> Result<OwnedFd, Fault> {
    let result = open_pair(root, paths, process).and_then(|(master, slave)| {
        let mut name = *b"/dev/pts/0000000000";
        let length = write_number(&mut name, pty::number(master.as_fd())?);
        scm::send(receiver, &name[..length], &[master.as_fd()])?;
        Ok(slave)
    });
    result.at(Stage::Console)
}

fn open_pair(root: BorrowedFd<'_>, paths: &ConsolePaths, process: &ProcessPlan) -> io::Result<(OwnedFd, OwnedFd)> {
    let master = openat2::open(root, &paths.ptmx, files::O_RDWR | files::O_NOCTTY, 0, Resolve::IN_ROOT)?;
    // Something else under that name could be any file (CVE-2025-52565).
    if files::filesystem_type(master.as_fd())? != DEVPTS_SUPER_MAGIC {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    let slave = pty::open_peer(master.as_fd())?;
    if let Some((rows, columns)) = process.console_size {
        termios::set_window_size(slave.as_fd(), WindowSize { rows, columns })?;
    }
    Ok((master, slave))
}

/// Shows the terminal at /dev/console.
pub(super) fn bind(root: BorrowedFd<'_>, paths: &ConsolePaths, slave: BorrowedFd<'_>) -> Result<(), Fault> {
    let result = rootfs::make_file(root, &paths.console).and_then(|target| {
        let tree = mount::clone_tree(slave, c"", mount::Extent::Single)?;
        mount::attach(tree.as_fd(), target.as_fd())
    });
    result.at(Stage::Console)
}

/// Makes the terminal the standard streams and the session's controlling terminal.
pub(super) fn take(slave: &OwnedFd) -> Result<(), Fault> {
    let result = (0..=2).try_for_each(|stream| descriptors::replace_standard_stream(stream, slave.as_fd()));
    result.and_then(|()| pty::set_controlling(slave.as_fd())).at(Stage::Console)
}

/// Starts a session, so that a terminal can be taken.
pub(super) fn session() -> Result<(), Fault> {
    credentials::new_session().at(Stage::Session)
}

/// Writes `number` in decimal behind `/dev/pts/`; the length of the whole.
fn write_number(name: &mut [u8; 19], number: u32) -> usize {
    const PREFIX: usize = 9;
    let mut digits = [0u8; 10];
    let (mut rest, mut count) = (number, 0);
    loop {
        digits[count] = b'0' + (rest % 10) as u8;
        (rest, count) = (rest / 10, count + 1);
        if rest == 0 {
            break;
        }
    }
    for (place, digit) in name[PREFIX..].iter_mut().zip(digits[..count].iter().rev()) {
        *place = *digit;
    }
    PREFIX + count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_named_by_its_number() {
        for (number, text) in [(0, "/dev/pts/0"), (17, "/dev/pts/17"), (u32::MAX, "/dev/pts/4294967295")] {
            let mut name = *b"/dev/pts/0000000000";
            let length = write_number(&mut name, number);
            assert_eq!(&name[..length], text.as_bytes());
        }
    }
}
