//! Reading a log: its last lines, a span of time, and what is still to come.
//!
//! The reader needs nobody but the files. It follows by inotify on their directory, reads a rotated file
//! to its end before it goes on in the next, and ends when it is told that nothing more will come
//! ([`Stop::finish`]). All of it blocks: an asynchronous program gives it a thread.

mod follow;
mod source;
mod tail;

use std::{
    collections::VecDeque,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

use corten_sys::eventfd::EventFd;

use crate::{Record, Timestamp, json_file};
use follow::Watcher;
use source::Source;

/// What to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// How many of the last records; all without.
    pub tail: Option<u64>,
    /// Nothing from before.
    pub since: Option<Timestamp>,
    /// Nothing from after; following ends then.
    pub until: Option<Timestamp>,
    /// Goes on with what is written later, until it is stopped.
    pub follow: bool,
}

/// Ends a following reader from another thread.
#[derive(Debug)]
pub struct Stop {
    state: AtomicU8,
    wake: EventFd,
}

const RUNNING: u8 = 0;
const FINISH: u8 = 1;
const NOW: u8 = 2;

impl Stop {
    /// A reader that is to go on.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`.
    pub fn new() -> io::Result<Arc<Self>> {
        Ok(Arc::new(Self { state: AtomicU8::new(RUNNING), wake: EventFd::new()? }))
    }

    /// Nothing more will be written: the reader reads to the end, and ends.
    pub fn finish(&self) {
        self.set(FINISH);
    }

    /// Nobody listens any more: the reader ends before the next record.
    pub fn now(&self) {
        self.set(NOW);
    }

    fn set(&self, state: u8) {
        self.state.fetch_max(state, Ordering::SeqCst);
        // The counter cannot overflow; the state is set in any case.
        let _ = self.wake.signal();
    }

    fn state(&self) -> u8 {
        self.state.load(Ordering::SeqCst)
    }
}

/// The records of a log, oldest first.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    options: Options,
    stop: Arc<Stop>,
    /// Being read, and those after it; the last one is the current file.
    sources: VecDeque<Source>,
    watcher: Option<Watcher>,
    /// Time of the last record read, also of those not handed out.
    last: Option<Timestamp>,
    ended: bool,
}

impl Reader {
    /// Opens the log at `path`. One that does not exist has no records yet.
    ///
    /// # Errors
    /// Those of opening the files, and of watching their directory when following.
    pub fn open(path: &Path, options: Options, stop: Arc<Stop>) -> io::Result<Self> {
        // Watching begins before reading, so that nothing written in between is missed.
        let watcher = if options.follow { Some(Watcher::new(path)?) } else { None };
        let mut sources = source::open_all(path, options.since)?;
        if let Some(count) = options.tail {
            tail::keep_last(&mut sources, count)?;
        }
        Ok(Self { path: path.to_owned(), options, stop, sources, watcher, last: None, ended: false })
    }

    /// The next record; `None` at the end. Blocks while following.
    ///
    /// # Errors
    /// Those of reading.
    pub fn next_record(&mut self) -> io::Result<Option<Record>> {
        while !self.ended {
            let stop = self.stop.state();
            if stop == NOW {
                break;
            }
            if let Some(record) = self.read()? {
                if self.last.is_some_and(|last| record.time <= last)
                    && self.sources.front().is_some_and(Source::is_resumed)
                {
                    continue; // read before the place was lost
                }
                self.last = Some(record.time);
                if self.options.since.is_some_and(|since| record.time < since) {
                    continue;
                }
                if self.options.until.is_some_and(|until| record.time > until) {
                    break;
                }
                return Ok(Some(record));
            }
            if self.advance()? {
                continue;
            }
            let Some(watcher) = self.watcher.as_ref().filter(|_| stop == RUNNING) else { break };
            if watcher.wait(&self.stop.wake, self.options.until)? == follow::Woken::TimeIsOver {
                break;
            }
        }
        self.ended = true;
        Ok(None)
    }

    /// Whether the next record is in memory already, so that [`Reader::next_record`] does not wait: who
    /// gathers records into larger pieces hands on what there is before it asks for one that is not.
    pub fn has_buffered(&self) -> bool {
        self.sources.front().is_some_and(Source::has_buffered)
    }

    /// The next whole record of the files opened so far. Lines that are none are skipped: a power cut
    /// may leave some.
    fn read(&mut self) -> io::Result<Option<Record>> {
        while let Some(source) = self.sources.front_mut() {
            while let Some(line) = source.next_line()? {
                if let Some(record) = json_file::decode(line) {
                    return Ok(Some(record));
                }
            }
            if self.sources.len() == 1 {
                return Ok(None);
            }
            self.sources.pop_front();
        }
        Ok(None)
    }

    /// Looks, at the end of the current file, whether there is a newer one.
    fn advance(&mut self) -> io::Result<bool> {
        if !self.options.follow {
            return Ok(false);
        }
        let Some(current) = self.sources.back_mut() else {
            self.sources = source::open_all(&self.path, None)?;
            return Ok(!self.sources.is_empty());
        };
        if current.is_still(&self.path)? {
            return Ok(false);
        }
        // It was renamed: the writer may have written between our last read and the rename.
        if current.has_more()? {
            return Ok(true);
        }
        let newer = source::open_after(&self.path, current)?;
        if newer.is_empty() {
            return Ok(false);
        }
        self.sources = newer;
        Ok(true)
    }
}

impl Iterator for Reader {
    type Item = io::Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_record().transpose()
    }
}

#[cfg(test)]
mod tests;
