//! What the engine is told: on descriptor 3 `0` and a line feed once the port is served, or `1`, a line feed and why not
//! (libnetwork's portmapper reads both, and waits 16 s). And what anybody may read on standard error.

use std::{
    fmt::Display,
    fs::File,
    io::{self, Write},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use corten_sys::descriptors;

/// Most lines in a [`WINDOW`]: clients cause them, and must not fill a disk.
const MOST_LINES: u32 = 100;
/// The time in which that many are said.
const WINDOW: Duration = Duration::from_secs(60);
/// Since when lines are counted, and how many there were.
static SAID: Mutex<Option<(Instant, u32)>> = Mutex::new(None);

/// Says `what` on standard error, unless a hundred things were said in this minute. Whether anybody reads that is no
/// reason to stop relaying.
pub fn complain(what: impl Display) {
    let now = Instant::now();
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    let (since, count) = said.filter(|(since, _)| now - *since < WINDOW).unwrap_or((now, 0));
    *said = Some((since, count.saturating_add(1)));
    let _ = match count {
        ..MOST_LINES => writeln!(io::stderr(), "corten-proxy: {what}"),
        MOST_LINES => writeln!(io::stderr(), "corten-proxy: more of this kind is not said for a while"),
        _ => Ok(()),
    };
}

/// The number under which an engine hands over its pipe.
const STATUS: i32 = 3;

/// Who started this program, if it listens. Dropped, it reads the end.
#[derive(Debug)]
pub struct Parent(Option<File>);

impl Parent {
    /// Takes the descriptor that was handed over, if one was: by hand, or by a test, the program runs without.
    ///
    /// To be called before anything else opens a descriptor.
    #[must_use]
    pub fn inherited() -> Parent {
        Parent(descriptors::take(STATUS).ok().map(File::from))
    }

    /// Says that the port is served.
    ///
    /// # Errors
    /// `EPIPE` when nobody reads any more: the engine has given up, and the port is not to be held.
    pub fn ready(&self) -> io::Result<()> {
        // In one write: the engine reads once.
        self.0.as_ref().map_or(Ok(()), |mut pipe| pipe.write_all(b"0\n"))
    }

    /// Says why it is not.
    pub fn failed(&self, why: &dyn Display) {
        if let Some(mut pipe) = self.0.as_ref() {
            // Nobody is left to be told when that fails, too; the exit status says it.
            let _ = pipe.write_all(format!("1\n{why}").as_bytes());
        }
    }
}
