//! Signals as a new program should find them (signal(7)): an execve keeps what is ignored and what is blocked.

use std::io;

use crate::wait;

/// Gives SIGPIPE its default action back, which the start of every Rust program takes away, and unblocks all signals.
///
/// What the caller of this program ignores on purpose, as nohup(1) does with SIGHUP, stays ignored.
///
/// # Errors
/// None are known.
pub fn restore_for_program() -> io::Result<()> {
    // SAFETY: SIG_DFL installs no handler of ours, and this program has one thread.
    let previous = unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    if previous == libc::SIG_ERR {
        return Err(io::Error::last_os_error());
    }
    wait::unblock_all_signals()
}
