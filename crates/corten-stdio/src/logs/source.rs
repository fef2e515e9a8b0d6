//! One file of a log, read line by line.

use std::{
    collections::VecDeque,
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::MetadataExt,
    path::Path,
};

use flate2::read::MultiGzDecoder;

use crate::{Timestamp, writer::numbered};

/// Longest line of a log: 16 KiB of text in escapes six bytes wide, and attributes. Longer ones are no
/// record and are skipped.
const MAX_RECORD_BYTES: usize = 1 << 20;
/// Bytes per read.
const BLOCK_BYTES: usize = 64 * 1024;
/// Most rotated files looked for; docker users keep 3 to 10.
const MAX_FILES: u32 = 1000;
/// Tries to open a set of files that is being rotated.
const OPEN_TRIES: usize = 10_000;
/// How far the kernel's clock for file times may lag behind the clock of records.
const FILE_TIME_SLACK_NANOS: i64 = 1_000_000_000;

/// Who a file is, whatever it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    fn of(metadata: &fs::Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}

/// A file that is being read.
#[derive(Debug)]
pub(super) struct Source {
    content: Content,
    identity: Identity,
    buffer: Vec<u8>,
    /// Where in the buffer the next line begins.
    start: usize,
    /// How far from `start` was searched for a newline already.
    searched: usize,
    /// Inside a line too long to be a record.
    skipping: bool,
    /// Opened again after the place was lost: records that were read before come again.
    resumed: bool,
}

#[derive(Debug)]
enum Content {
    Plain(File),
    Compressed(Box<MultiGzDecoder<File>>),
}

impl Source {
    fn open(path: &Path, compressed: bool) -> io::Result<Option<Self>> {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let identity = Identity::of(&file.metadata()?);
        let content =
            if compressed { Content::Compressed(Box::new(MultiGzDecoder::new(file))) } else { Content::Plain(file) };
        Ok(Some(Self { content, identity, buffer: Vec::new(), start: 0, searched: 0, skipping: false, resumed: false }))
    }

    /// Opens the file that is `number` rotations old, compressed or not.
    fn open_numbered(path: &Path, number: u32) -> io::Result<Option<Self>> {
        match Self::open(&numbered(path, number, ""), false)? {
            None if number > 0 => Self::open(&numbered(path, number, ".gz"), true),
            plain => Ok(plain),
        }
    }

    /// The file itself, when it is not compressed.
    pub(super) fn plain(&self) -> Option<&File> {
        match &self.content {
            Content::Plain(file) => Some(file),
            Content::Compressed(_) => None,
        }
    }

    /// Back to the beginning of a compressed file.
    pub(super) fn rewind(&mut self) -> io::Result<()> {
        if let Content::Compressed(decoder) = &mut self.content {
            let mut file = decoder.get_ref().try_clone()?;
            file.seek(SeekFrom::Start(0))?;
            **decoder = MultiGzDecoder::new(file);
        }
        (self.start, self.searched, self.skipping) = (0, 0, false);
        self.buffer.clear();
        Ok(())
    }

    /// Whether records of it may have been handed out already.
    pub(super) fn is_resumed(&self) -> bool {
        self.resumed
    }

    /// The next line without its newline; `None` at the end, where an unterminated line waits for its
    /// rest.
    pub(super) fn next_line(&mut self) -> io::Result<Option<&[u8]>> {
        loop {
            let from = self.start + self.searched;
            if let Some(at) = self.buffer[from..].iter().position(|byte| *byte == b'\n') {
                let (start, end) = (self.start, from + at);
                self.start = end + 1;
                self.searched = 0;
                if std::mem::take(&mut self.skipping) {
                    continue;
                }
                return Ok(Some(&self.buffer[start..end]));
            }
            self.searched = self.buffer.len() - self.start;
            if self.searched > MAX_RECORD_BYTES {
                self.skipping = true;
                self.start = self.buffer.len();
                self.searched = 0;
            }
            if !self.has_more()? {
                return Ok(None);
            }
        }
    }

    /// Whether a whole line is in memory.
    pub(super) fn has_buffered(&self) -> bool {
        self.buffer[self.start + self.searched..].contains(&b'\n')
    }

    /// Reads on; whether there was something.
    pub(super) fn has_more(&mut self) -> io::Result<bool> {
        self.buffer.drain(..self.start);
        self.start = 0;
        let length = self.buffer.len();
        self.buffer.resize(length + BLOCK_BYTES, 0);
        let result = match &mut self.content {
            Content::Plain(file) => file.read(&mut self.buffer[length..]),
            Content::Compressed(decoder) => decoder.read(&mut self.buffer[length..]),
        };
        self.buffer.truncate(length + result.as_ref().copied().unwrap_or(0));
        Ok(result? > 0)
    }

    /// Whether `path` still names this file.
    pub(super) fn is_still(&self, path: &Path) -> io::Result<bool> {
        match fs::metadata(path) {
            Ok(metadata) => Ok(Identity::of(&metadata) == self.identity),
            // Between the two steps of a rotation; the new file's creation wakes us again.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
            Err(error) => Err(error),
        }
    }
}

/// Opens every file of the log, oldest first; those last written before `since` are left out.
pub(super) fn open_all(path: &Path, since: Option<Timestamp>) -> io::Result<VecDeque<Source>> {
    open_newest(path, since, None).map(|(sources, _)| sources)
}

/// Opens the files of the log down to the one that is `known`, which is left out, or the oldest; and whether `known`
/// was met.
fn open_newest(path: &Path, since: Option<Timestamp>, known: Option<Identity>) -> io::Result<(VecDeque<Source>, bool)> {
    'again: for _ in 0..OPEN_TRIES {
        let mut sources: VecDeque<Source> = VecDeque::new();
        for number in 0..MAX_FILES {
            let Some(source) = Source::open_numbered(path, number)? else {
                // The current file is missing for a moment while it is rotated, and before the first
                // record.
                if number == 0 {
                    continue;
                }
                // Names move up one after the other, the oldest first: a hole in the row is a rotation under way.
                if Source::open_numbered(path, number + 1)?.is_some() {
                    continue 'again;
                }
                break;
            };
            if sources.iter().any(|newer| newer.identity == source.identity) {
                continue 'again; // rotated while we were opening
            }
            if known == Some(source.identity) {
                return Ok((sources, true));
            }
            let too_old = since.is_some_and(|since| is_older(&source, since));
            sources.push_front(source);
            if too_old && number > 0 {
                sources.pop_front();
                break;
            }
        }
        return Ok((sources, false));
    }
    Err(io::Error::other(format!("{} is rotated faster than it can be opened", path.display())))
}

fn is_older(source: &Source, since: Timestamp) -> bool {
    // A compressed file is written after its last record, so its time says nothing against it.
    let metadata = source.plain().and_then(|file| file.metadata().ok());
    let written = metadata.and_then(|metadata| metadata.modified().ok()).map(Timestamp::from);
    written.is_some_and(|written| written.unix_nanos().saturating_add(FILE_TIME_SLACK_NANOS) < since.unix_nanos())
}

/// Opens the files newer than `current`, oldest first. When `current` is none of them any more
/// (removed, or compressed), all are opened, and marked as holding what was read before.
pub(super) fn open_after(path: &Path, current: &Source) -> io::Result<VecDeque<Source>> {
    let (mut sources, met) = open_newest(path, None, Some(current.identity))?;
    if !met {
        sources.iter_mut().for_each(|source| source.resumed = true);
    }
    Ok(sources)
}
