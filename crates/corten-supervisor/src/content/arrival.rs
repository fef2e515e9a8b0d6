//! Reading an ingest while it is written, so that a layer is unpacked as it comes.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use bytes::Bytes;

use super::store::{Store, lock};
use crate::error::{Error, Result};

/// Pieces that wait for a reader; one that is further behind reads the file. With those the writer and the reader hold,
/// an ingest has about 2 MiB in memory.
const PIECES_MAX: usize = 4;

/// How far an ingest that is being written is.
#[derive(Debug)]
pub struct Arrival {
    since: SystemTime,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    /// Bytes that can be read.
    offset: u64,
    end: Option<End>,
    /// Whether somebody reads along.
    is_read: bool,
    /// What was written last, with where it begins: a reader that keeps up needs no file.
    pieces: VecDeque<(u64, Bytes)>,
}

#[derive(Clone, Debug)]
enum End {
    /// Everything came; its digest.
    Whole(String),
    /// It is not written any more, or from its beginning.
    BrokenOff,
}

impl Arrival {
    pub(super) fn new() -> Self {
        let state = State { offset: 0, end: None, is_read: false, pieces: VecDeque::new() };
        Self { since: SystemTime::now(), state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Since when it is written.
    pub(super) fn since(&self) -> SystemTime {
        self.since
    }

    /// `offset` bytes are in the file now.
    pub(super) fn reached(&self, offset: u64) {
        self.state().offset = offset;
        self.changed.notify_all();
    }

    /// `piece` was appended to the file.
    pub(super) fn brought(&self, piece: Bytes) {
        let mut state = self.state();
        let offset = state.offset;
        state.offset += piece.len() as u64;
        if state.is_read && state.pieces.len() < PIECES_MAX {
            state.pieces.push_back((offset, piece));
        }
        drop(state);
        self.changed.notify_all();
    }

    /// All of it is there, and is `digest`.
    pub(super) fn is_whole(&self, digest: &str) {
        self.state().end.get_or_insert_with(|| End::Whole(digest.to_owned()));
        self.changed.notify_all();
    }

    /// Nobody goes on with it; without meaning once it is whole.
    pub(super) fn broke_off(&self) {
        self.state().end.get_or_insert(End::BrokenOff);
        self.changed.notify_all();
    }

    /// The blob's digest, once all of it came.
    pub fn digest(&self) -> Option<String> {
        match &self.state().end {
            Some(End::Whole(digest)) => Some(digest.clone()),
            Some(End::BrokenOff) | None => None,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// Reads an ingest from its beginning as it is written, in a thread that may block. Its end is the blob's; an ingest
/// that is broken off is an error of the kind `ConnectionAborted`.
#[derive(Debug)]
pub struct Follower {
    data: File,
    arrival: Arc<Arrival>,
    position: u64,
    /// What was brought, of which the beginning was read.
    piece: Bytes,
}

/// What is to be read next.
enum Next {
    Piece(Bytes),
    /// So many bytes of the file; none at the end.
    File(u64),
}

impl Follower {
    /// Follows the ingest `reference`, which somebody writes just now.
    ///
    /// # Errors
    /// `NotFound` when nobody does.
    pub fn open(store: &Store, namespace: &str, reference: &str) -> Result<Self> {
        let directory = store.ingest(namespace, reference);
        let arrival = lock(&store.writing).get(&directory).cloned();
        let arrival = arrival.ok_or_else(|| Error::not_found(format!("writer of ingest {reference}")))?;
        let data = File::open(directory.join("data"))
            .map_err(|error| Error::io(format!("read ingest {reference}"), &error))?;
        Ok(Self { data, arrival, position: 0, piece: Bytes::new() })
    }

    /// How far it is.
    pub fn arrival(&self) -> Arc<Arrival> {
        self.arrival.clone()
    }

    /// Waits for bytes after what was read.
    fn next(&self) -> io::Result<Next> {
        self.arrival.state().is_read = true;
        let waiting = |state: &mut State| state.offset <= self.position && state.end.is_none();
        // A panic elsewhere leaves the state whole: each change is one assignment.
        let state = self.arrival.changed.wait_while(self.arrival.state(), waiting);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        if let Some(End::BrokenOff) = state.end {
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the blob was broken off on its way"));
        }
        while state.pieces.front().is_some_and(|(offset, _)| *offset < self.position) {
            state.pieces.pop_front();
        }
        match state.pieces.front() {
            Some((offset, _)) if *offset > self.position => Ok(Next::File(offset - self.position)),
            Some(_) => Ok(state.pieces.pop_front().map_or(Next::File(0), |(_, piece)| Next::Piece(piece))),
            None => Ok(Next::File(state.offset.saturating_sub(self.position))),
        }
    }

    fn read_file(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.data.read_at(buffer, self.position)?;
        if read == 0 && !buffer.is_empty() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the ingest is shorter than what was written"));
        }
        Ok(read)
    }
}

impl Read for Follower {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut read = 0;
        if self.piece.is_empty() {
            match self.next()? {
                Next::Piece(piece) => self.piece = piece,
                Next::File(available) => {
                    let length = buffer.len().min(usize::try_from(available).unwrap_or(usize::MAX));
                    read = self.read_file(&mut buffer[..length])?;
                }
            }
        }
        if !self.piece.is_empty() {
            read = buffer.len().min(self.piece.len());
            buffer[..read].copy_from_slice(&self.piece.split_to(read));
        }
        self.position += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Ingest;

    #[test]
    fn a_reader_that_falls_behind_misses_nothing() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path()).unwrap();
        let mut ingest = Ingest::open(&store, "n", "a", 0).unwrap();
        let mut follower = Follower::open(&store, "n", "a").unwrap();
        let mut read = vec![0; 3];
        let mut expected = Vec::new();
        for round in 0..4 * PIECES_MAX {
            for _ in 0..round {
                let piece = vec![expected.len() as u8; 5];
                expected.extend_from_slice(&piece);
                ingest.append(piece.into()).unwrap();
            }
            if round == 2 {
                follower.read_exact(&mut read).unwrap();
            }
        }
        let digest = ingest.digest();
        ingest.into_blob(&store, &digest).unwrap();
        follower.read_to_end(&mut read).unwrap();
        assert_eq!(read, expected);
    }

    #[test]
    fn an_ingest_is_read_as_it_is_written() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path()).unwrap();
        assert!(Follower::open(&store, "n", "a").is_err());
        drop({
            let mut ingest = Ingest::open(&store, "n", "a", 0).unwrap();
            ingest.write(b"old ").unwrap();
            ingest
        });

        let mut ingest = Ingest::open(&store, "n", "a", 0).unwrap();
        let mut follower = Follower::open(&store, "n", "a").unwrap();
        let reader = std::thread::spawn(move || {
            let mut text = String::new();
            follower.read_to_string(&mut text).unwrap();
            (text, follower.arrival().digest())
        });
        ingest.write(b"and ").unwrap();
        ingest.write(b"new").unwrap();
        let digest = ingest.digest();
        ingest.into_blob(&store, &digest).unwrap();
        assert_eq!(reader.join().unwrap(), ("old and new".to_owned(), Some(digest)));
    }

    #[test]
    fn one_that_is_broken_off_has_no_end() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path()).unwrap();
        for restarts in [false, true] {
            let mut ingest = Ingest::open(&store, "n", "a", 0).unwrap();
            ingest.write(b"half").unwrap();
            let mut follower = Follower::open(&store, "n", "a").unwrap();
            let reader = std::thread::spawn(move || io::copy(&mut follower, &mut io::sink()).unwrap_err().kind());
            match restarts {
                true => ingest.restart().unwrap(),
                false => drop(ingest),
            }
            assert_eq!(reader.join().unwrap(), io::ErrorKind::ConnectionAborted);
        }
    }
}
