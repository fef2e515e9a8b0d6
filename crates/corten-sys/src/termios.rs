//! termios(3) and the window size of a terminal, ioctl_tty(2).

use nix::sys::termios::{self, SetArg, Termios};
use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// A terminal's settings, to be put back later.
#[derive(Debug, Clone)]
pub struct Settings(Termios);

/// Rows and columns of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WindowSize {
    /// Height in lines.
    pub rows: u16,
    /// Width in cells.
    pub columns: u16,
}

/// Reads the settings of the terminal `fd`.
///
/// # Errors
/// `ENOTTY` when it is none.
pub fn settings(fd: impl AsFd) -> io::Result<Settings> {
    Ok(Settings(termios::tcgetattr(fd)?))
}

/// Puts `settings` in force at once.
///
/// # Errors
/// `EIO` when the terminal hung up.
pub fn apply(fd: impl AsFd, settings: &Settings) -> io::Result<()> {
    Ok(termios::tcsetattr(fd, SetArg::TCSANOW, &settings.0)?)
}

impl Settings {
    /// The same with echo, line editing, signals and output processing off (cfmakeraw(3)).
    #[must_use]
    pub fn to_raw(&self) -> Self {
        let mut raw = self.0.clone();
        termios::cfmakeraw(&mut raw);
        Self(raw)
    }

    /// As [`Settings::to_raw`], but with output processed as it is now.
    #[must_use]
    pub fn to_raw_input(&self) -> Self {
        let mut raw = self.to_raw();
        raw.0.output_flags = self.0.output_flags;
        raw
    }

    /// The same with newlines passed on as they are, without a carriage return before them (ONLCR).
    #[must_use]
    pub fn with_plain_newlines(&self) -> Self {
        let mut plain = self.0.clone();
        plain.output_flags.remove(termios::OutputFlags::ONLCR);
        Self(plain)
    }

    /// The same with typed characters not shown.
    #[must_use]
    pub fn without_echo(&self) -> Self {
        let mut hidden = self.0.clone();
        hidden.local_flags.remove(termios::LocalFlags::ECHO);
        Self(hidden)
    }

    /// Whether typed characters are shown.
    #[must_use]
    pub fn echoes(&self) -> bool {
        self.0.local_flags.contains(termios::LocalFlags::ECHO)
    }
}

/// Reads the window size of the terminal `fd`.
///
/// # Errors
/// `ENOTTY` when it is none.
pub fn window_size(fd: impl AsFd) -> io::Result<WindowSize> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCGWINSZ writes one `winsize`, which outlives the call.
    let result = unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), libc::TIOCGWINSZ, &mut size) };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(WindowSize { rows: size.ws_row, columns: size.ws_col })
    }
}

/// Sets the window size of the terminal `fd`; its foreground group gets SIGWINCH.
///
/// # Errors
/// `ENOTTY` when it is none.
pub fn set_window_size(fd: impl AsFd, size: WindowSize) -> io::Result<()> {
    let size = libc::winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCSWINSZ reads one `winsize`, which outlives the call.
    let result = unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), libc::TIOCSWINSZ, &size) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
