//! The pipes that streams are spliced through. A flow holds one only while bytes are in it, so that an idle connection
//! costs its two sockets and nothing else.

use std::io;

use corten_sys::splice::SplicePipe;

/// The room of a pipe: what one turn of a fast flow moves at once. Above it nothing gets faster.
pub const ROOM: usize = 1 << 20;
/// How many empty pipes are kept for the next flow; as many flows as this are busy at once without a new pipe.
const MOST_KEPT: usize = 16;

/// Empty pipes.
#[derive(Debug, Default)]
pub struct Pipes(Vec<SplicePipe>);

impl Pipes {
    /// An empty pipe.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`.
    pub fn take(&mut self) -> io::Result<SplicePipe> {
        self.0.pop().map_or_else(|| SplicePipe::with_room(ROOM), Ok)
    }

    /// Takes an empty pipe back.
    pub fn give_back(&mut self, pipe: SplicePipe) {
        if self.0.len() < MOST_KEPT {
            self.0.push(pipe);
        }
    }
}
