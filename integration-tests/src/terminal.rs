//! A command on a pseudo-terminal of its own, typed at and read like a person would.

use std::{
    fs::File,
    io::{Read, Write},
    os::{
        fd::AsFd,
        unix::{fs::OpenOptionsExt, process::ExitStatusExt},
    },
    process::{Child, Command},
    sync::{Arc, Mutex},
    thread,
};

use corten_sys::{
    pty,
    termios::{self, WindowSize},
};

use crate::{DEADLINE, wait::poll};

/// The flag that keeps the opened terminal from becoming ours (open(2)); the harness links no libc.
const O_NOCTTY: i32 = 0o400;

/// A running command that leads a session with a terminal of 24 × 80.
///
/// Dropped, the terminal hangs up and the command is killed.
#[derive(Debug)]
pub struct Terminal {
    child: Child,
    command: String,
    master: File,
    slave: File,
    screen: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    /// Starts `command` on a new terminal.
    ///
    /// # Panics
    /// When there is no terminal to be had, or the command cannot be started.
    #[must_use]
    pub fn spawn(command: Command) -> Terminal {
        let master = File::options().read(true).write(true).custom_flags(O_NOCTTY).open("/dev/ptmx");
        let master = master.expect("/dev/ptmx can be opened");
        let slave = File::from(pty::open_peer(master.as_fd()).expect("a new terminal has another end"));
        termios::set_window_size(&slave, WindowSize { rows: 24, columns: 80 }).expect("it is a terminal");
        let shown = crate::ran::show(&command);
        let end = || slave.try_clone().expect("a descriptor can be had");
        // setsid(1) makes the terminal on its standard input the session's, without code of ours after the fork.
        let mut session = Command::new("setsid");
        session.args(["--ctty", "--wait"]).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => session.env(name, value),
                None => session.env_remove(name),
            };
        }
        session.env("TERM", "xterm").stdin(end()).stdout(end()).stderr(end());
        let child = session.spawn().unwrap_or_else(|error| panic!("start `{shown}`: {error}"));
        let screen = Arc::new(Mutex::new(Vec::new()));
        read_to(master.try_clone().expect("a descriptor can be had"), Arc::clone(&screen));
        Terminal { child, command: shown, master, slave, screen }
    }

    /// Types `text`.
    ///
    /// # Panics
    /// When the terminal is gone.
    pub fn send(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).unwrap_or_else(|error| panic!("type at `{}`: {error}", self.command));
    }

    /// Waits until `text` has appeared.
    ///
    /// # Panics
    /// With everything that appeared, when it does not.
    #[track_caller]
    pub fn expect(&mut self, text: &str) {
        let found = poll(DEADLINE, || self.output().contains(text).then_some(()));
        assert!(
            found.is_some(),
            "`{}`: waited {DEADLINE:?} for {text:?}; it printed {:?}",
            self.command,
            self.output()
        );
    }

    /// Everything that has appeared so far.
    #[must_use]
    pub fn output(&self) -> String {
        let screen = self.screen.lock().expect("the reader does not panic");
        String::from_utf8_lossy(&screen).into_owned()
    }

    /// Makes the terminal `rows` × `columns`; the kernel tells the command by SIGWINCH.
    ///
    /// # Panics
    /// When it is gone.
    pub fn resize(&self, rows: u16, columns: u16) {
        termios::set_window_size(&self.master, WindowSize { rows, columns }).expect("the terminal is there");
    }

    /// Whether what is typed is echoed: not so while the command holds the terminal in raw mode.
    ///
    /// # Panics
    /// When it is gone.
    #[must_use]
    pub fn echoes(&self) -> bool {
        termios::settings(&self.slave).expect("the terminal is there").echoes()
    }

    /// The process id of the command: setsid(1) executes it in place.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the end of the command: its exit code, or 128 + n when signal n ended it.
    ///
    /// # Panics
    /// With everything that appeared, when it does not end.
    #[track_caller]
    pub fn wait(&mut self) -> i32 {
        let ended = poll(DEADLINE, || self.child.try_wait().expect("the child is ours"));
        let Some(status) = ended else {
            panic!("`{}`: waited {DEADLINE:?} for its end; it printed {:?}", self.command, self.output());
        };
        status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended by itself already, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Collects what appears, in a thread of its own, until nobody holds the other end any more.
fn read_to(mut master: File, screen: Arc<Mutex<Vec<u8>>>) {
    thread::spawn(move || {
        let mut piece = [0; 4096];
        while let Ok(count @ 1..) = master.read(&mut piece) {
            match screen.lock() {
                Ok(mut screen) => screen.extend_from_slice(&piece[..count]),
                Err(_) => return,
            }
        }
    });
}
