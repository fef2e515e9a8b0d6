//! A daemon that a test started: its process, its log, and how it ends.

use std::{
    fs::{self, File},
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use crate::{
    DEADLINE, TempRoot, ran, send_signal,
    temp_root::MARK_VARIABLE,
    wait::{poll, wait_for},
};

/// How long a daemon may take to end after SIGTERM before it is killed.
const TERM_DEADLINE: Duration = Duration::from_secs(20);
/// How much of the log a failed test shows.
const SHOWN_LOG_LINES: usize = 60;

/// A running daemon. Dropped, it is killed; its log's end is shown when the test failed.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    command: String,
    log: PathBuf,
}

impl Daemon {
    /// Starts `command` in a process group of its own, its output appended to `log`, marked as `root`'s.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn spawn(root: &TempRoot, command: &mut Command, log: &Path) -> Daemon {
        use std::os::unix::process::CommandExt;
        let shown = ran::show(command);
        let file = File::options().create(true).append(true).open(log);
        let file = file.unwrap_or_else(|error| panic!("open {}: {error}", log.display()));
        let errors = file.try_clone().expect("a descriptor can be had");
        command.env(MARK_VARIABLE, root.name()).process_group(0);
        command.stdin(Stdio::null()).stdout(file).stderr(errors);
        let child = command.spawn().unwrap_or_else(|error| panic!("start `{shown}`: {error}"));
        Daemon { child, command: shown, log: log.to_owned() }
    }

    /// Waits until it accepts connections on `socket`.
    ///
    /// # Panics
    /// With its log when it ends instead, or takes longer than the deadline.
    pub fn wait_for_socket(&mut self, socket: &Path) {
        self.wait_until_ready(&format!("{} to accept connections", socket.display()), || {
            UnixStream::connect(socket).is_ok()
        });
    }

    /// Waits until `GET /_ping` on `socket` is answered with 200.
    ///
    /// # Panics
    /// With its log when it ends instead, or takes longer than the deadline.
    pub fn wait_for_ping(&mut self, socket: &Path) {
        self.wait_until_ready(&format!("/_ping on {}", socket.display()), || ping(socket).unwrap_or(false));
    }

    /// Waits until `ready`, whatever that is: `what` says it in words.
    ///
    /// # Panics
    /// With its log when it ends instead, or takes longer than the deadline.
    pub fn wait_until_ready(&mut self, what: &str, mut ready: impl FnMut() -> bool) {
        let found = poll(DEADLINE, || {
            let ended = self.child.try_wait().expect("the child is ours");
            if let Some(status) = ended {
                panic!("`{}` ended with {status} instead of {what}\n{}", self.command, self.log_tail());
            }
            ready().then_some(())
        });
        assert!(found.is_some(), "`{}`: waited {DEADLINE:?} for {what}\n{}", self.command, self.log_tail());
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its command as one would type it.
    #[must_use]
    pub fn command(&self) -> &str {
        &self.command
    }

    /// Everything it has logged, over all its starts.
    #[must_use]
    pub fn log(&self) -> String {
        // A device that a test has put there need not end.
        let is_file = fs::metadata(&self.log).is_ok_and(|found| found.is_file());
        let log = if is_file { fs::read(&self.log).unwrap_or_default() } else { Vec::new() };
        String::from_utf8_lossy(&log).into_owned()
    }

    /// `kill -9`, and waits for its end. What it started is left alone.
    pub fn kill(&mut self) {
        // It may have ended by itself already, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM, and waits for its end.
    ///
    /// # Panics
    /// When it does not end within 20 s.
    pub fn terminate(&mut self) {
        let _ = send_signal(self.pid(), "TERM");
        let command = self.command.clone();
        wait_for(&format!("`{command}` to end after SIGTERM"), TERM_DEADLINE, || {
            self.child.try_wait().is_ok_and(|status| status.is_some())
        });
    }

    fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines[lines.len().saturating_sub(SHOWN_LOG_LINES)..].join("\n");
        format!("--- end of {}:\n{tail}\n---", self.log.display())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            eprintln!("{}", self.log_tail());
        }
    }
}

fn ping(socket: &Path) -> std::io::Result<bool> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"GET /_ping HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n")?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer)?;
    Ok(answer.ends_with(b" 200"))
}
