//! Raw mode and hidden input, given back on every way out.
//!
//! The settings found are kept in the guard and in one process-wide place, so that besides the
//! guard's drop a panic hook and a signal path ([`restore_now`]) can put them back: a shell whose
//! terminal stayed raw is unusable.

use corten_sys::termios::{self, Settings};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::{Mutex, Once, PoisonError};

/// The terminal in raw mode and its settings before.
struct Saved {
    terminal: File,
    before: Settings,
}

static SAVED: Mutex<Option<Saved>> = Mutex::new(None);
static HOOK: Once = Once::new();

/// A terminal in raw mode or without echo; dropping it restores the settings.
#[derive(Debug)]
#[must_use = "dropping the guard restores the terminal"]
pub struct RawMode(());

impl RawMode {
    /// Puts the terminal `fd` into raw mode.
    ///
    /// # Errors
    /// `ENOTTY` when it is no terminal.
    pub fn enter(fd: impl AsFd) -> io::Result<Self> {
        Self::change(fd, Settings::to_raw)
    }

    /// Leaves the terminal `fd` in line mode but shows nothing of what is typed, for a password.
    ///
    /// # Errors
    /// `ENOTTY` when it is no terminal.
    pub fn without_echo(fd: impl AsFd) -> io::Result<Self> {
        Self::change(fd, Settings::without_echo)
    }

    fn change(fd: impl AsFd, to: fn(&Settings) -> Settings) -> io::Result<Self> {
        let terminal = File::from(fd.as_fd().try_clone_to_owned()?);
        let before = termios::settings(&terminal)?;
        HOOK.call_once(|| {
            let previous = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                restore_now();
                previous(panic);
            }));
        });
        // Known to the hook before the change, so that no moment is uncovered.
        let changed = to(&before);
        let mut saved = SAVED.lock().unwrap_or_else(PoisonError::into_inner);
        termios::apply(&terminal, &changed)?;
        *saved = Some(Saved { terminal, before });
        Ok(Self(()))
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        restore_now();
    }
}

/// Ends raw mode if the process is in it. Safe to call any number of times.
pub fn restore_now() {
    let saved = SAVED.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(saved) = saved {
        // A terminal that hung up has nothing left to restore.
        let _ = termios::apply(&saved.terminal, &saved.before);
    }
}
