//! Staying with a process: signals are passed on, a terminal's bytes are carried both ways, the status is returned.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use corten_runtime_api::console;
use corten_sys::descriptors::{STANDARD_STREAMS, wait_readable};
use corten_sys::pidfd::PidFd;
use corten_sys::termios::{self, Settings};
use corten_sys::wait::SignalFd;
use corten_sys::{files, wait};
use corten_types::Signal;

use crate::log::Log;
use crate::notify::Notify;

/// The user's terminal and the container's, and signals as a descriptor.
pub(crate) struct Relay {
    signals: SignalFd,
    master: Option<OwnedFd>,
    before: Option<Settings>,
}

impl Relay {
    /// Receives the container's terminal, when it has one, and puts the user's into raw mode.
    pub(crate) fn prepare(console: Option<OwnedFd>, terminal: bool) -> io::Result<Self> {
        let signals = SignalFd::block(&passed_on())?;
        let mut relay = Self { signals, master: None, before: None };
        if let Some(console) = console.filter(|_| terminal) {
            let (_, master) = console::receive_from(&console)?;
            // What the container writes ends at the user's terminal, which makes the line ends itself.
            termios::apply(&master, &termios::settings(&master)?.with_plain_newlines())?;
            relay.before = raw_mode()?;
            copy_size(master.as_fd());
            relay.master = Some(master);
        }
        Ok(relay)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = termios::apply(STANDARD_STREAMS[0], before); // the terminal may be gone
        }
    }
}

/// Raw mode for what the user types; output is still processed, so that every line begins at the left.
fn raw_mode() -> io::Result<Option<Settings>> {
    let Ok(before) = termios::settings(STANDARD_STREAMS[0]) else { return Ok(None) };
    termios::apply(STANDARD_STREAMS[0], &before.to_raw_input())?;
    Ok(Some(before))
}

fn copy_size(master: BorrowedFd<'_>) {
    if let Ok(size) = termios::window_size(STANDARD_STREAMS[0]) {
        let _ = termios::set_window_size(master, size); // the container may have ended
    }
}

/// Every signal a caller can send that has no meaning for this program itself.
fn passed_on() -> Vec<Signal> {
    // KILL, STOP cannot be caught; CHLD is ours; SEGV and its like must end this program when they are its own.
    const OURS: [u32; 9] = [4, 7, 8, 9, 11, 17, 19, 21, 22];
    (1..=31).filter(|number| !OURS.contains(number)).filter_map(Signal::from_number).collect()
}

/// Waits for the process; its status as a shell has it.
///
/// `notify` is told about once; the process systemd is to watch is then this program, which stays.
pub(crate) fn wait(
    process: &PidFd,
    pid: u32,
    mut relay: Relay,
    mut notify: Option<Notify>,
    log: &Log,
) -> io::Result<u8> {
    let mut stdin_open = relay.master.is_some();
    loop {
        if let Some(status) = process.try_wait()? {
            if let Some(master) = &relay.master {
                drain(master.as_fd());
            }
            return Ok(u8::try_from(status.code()).unwrap_or(u8::MAX));
        }
        let readiness = notify.as_ref().map_or(relay.signals.as_fd(), AsFd::as_fd);
        let is_told = match &relay.master {
            None => {
                let [_, _, told] = wait_readable([process.as_fd(), relay.signals.as_fd(), readiness], None)?;
                told
            }
            Some(master) => {
                // A closed standard input is always readable: it is asked only as long as it is open.
                let stdin = if stdin_open { STANDARD_STREAMS[0] } else { relay.signals.as_fd() };
                let fds = [process.as_fd(), relay.signals.as_fd(), master.as_fd(), stdin, readiness];
                let [_, _, output, input, told] = wait_readable(fds, None)?;
                if output && !copy(master.as_fd(), STANDARD_STREAMS[1]) {
                    relay.master = None;
                } else if input && stdin_open && !copy(STANDARD_STREAMS[0], master.as_fd()) {
                    stdin_open = false;
                }
                told
            }
        };
        if is_told {
            notify = still_waiting(notify, log);
        }
        while let Some(signal) = relay.signals.read()? {
            match (signal, &relay.master) {
                (Signal::WINCH, Some(master)) => copy_size(master.as_fd()),
                _ => {
                    let _ = process.send(signal); // it may have ended
                }
            }
        }
        // Orphans of the container that were given to this program; the process itself is waited for by its handle.
        while let Some(ended) = wait::peek_ended()?.filter(|ended| ended.pid != pid) {
            wait::reap(ended.pid)?;
        }
    }
}

/// Passes on what the container said; `None` once it was ready, or nobody listens any more.
fn still_waiting(notify: Option<Notify>, log: &Log) -> Option<Notify> {
    notify.filter(|notify| match notify.pass_on(std::process::id(), log) {
        Ok(is_ready) => !is_ready,
        Err(error) => {
            log.warn(&format!("pass the notification socket on: {error}"));
            false
        }
    })
}

/// Copies what is there; `false` at the end.
fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> bool {
    let mut buffer = [0u8; 16 * 1024];
    match files::read(from, &mut buffer) {
        Ok(0) | Err(_) => false,
        Ok(length) => write_all(to, &buffer[..length]),
    }
}

fn write_all(to: BorrowedFd<'_>, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        match files::write_some(to, bytes) {
            Ok(length) => bytes = &bytes[length..],
            Err(_) => return false,
        }
    }
    true
}

/// What the container wrote before it ended.
fn drain(master: BorrowedFd<'_>) {
    while matches!(wait_readable([master], Some(0)), Ok([true])) && copy(master, STANDARD_STREAMS[1]) {}
}
