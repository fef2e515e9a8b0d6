//! What the engine is told: on descriptor 3 `0` and a line feed once the port is served, or `1`, a line feed and why not
//! (libnetwork's portmapper reads both, and waits 16 s). And what anybody may read on standard error.

use std::{
    fmt::Display,
    fs::File,
    io::{self, Write},
};

use corten_sys::descriptors;

/// Says `what` on standard error. Whether anybody reads that is no reason to stop relaying.
pub fn complain(what: impl Display) {
    let _ = writeln!(io::stderr(), "corten-proxy: {what}");
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
