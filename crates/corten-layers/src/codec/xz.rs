//! xz, within a bound of memory: the dictionary is what the stream asks for at its beginning.

use std::io::{self, Chain, Cursor, Read};

use lzma_rust2::XzReader;

use super::windows::{ORDINARY, Turn};

/// What `xz -9` needs, which nothing that is in use exceeds: a dictionary of 64 MiB, and a MiB beside it.
const MEMORY_MAX_KIB: u32 = 65 << 10;
/// What `xz -6` needs, and a MiB beside it.
const MEMORY_ORDINARY_KIB: u32 = 9 << 10;
/// The stream's header and the longest of its first block (xz file format 1.2.1, 2.1.1 and 3.1).
const HEAD_MAX: u64 = 12 + 1024;

/// One or more streams. After an error there is nothing more.
pub(super) struct Xz<R: Read> {
    state: State<R>,
}

enum State<R: Read> {
    /// Nothing was read.
    New(R),
    Open {
        inner: Box<XzReader<Chain<Cursor<Vec<u8>>, R>>>,
        /// Of a large dictionary.
        turn: Option<Turn>,
    },
    Broken,
}

impl<R: Read> Xz<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { state: State::New(reader) }
    }

    /// Looks at the first block's dictionary: every program writes the same into all blocks.
    fn open(mut reader: R) -> io::Result<State<R>> {
        let mut head = Vec::new();
        (&mut reader).take(HEAD_MAX).read_to_end(&mut head)?;
        let is_large = dictionary(&head).is_none_or(|size| size > ORDINARY);
        let turn = is_large.then(Turn::take);
        let limit = if is_large { MEMORY_MAX_KIB } else { MEMORY_ORDINARY_KIB };
        let inner = XzReader::new_mem_limit(Cursor::new(head).chain(reader), true, limit);
        Ok(State::Open { inner: Box::new(inner), turn })
    }
}

impl<R: Read> Read for Xz<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let state = std::mem::replace(&mut self.state, State::Broken);
        let mut state = match state {
            State::New(reader) => Self::open(reader)?,
            state => state,
        };
        let State::Open { inner, turn } = &mut state else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the xz stream is broken"));
        };
        match inner.read(buffer) {
            Ok(read) => {
                self.state = state;
                Ok(read)
            }
            Err(error) if error.kind() == io::ErrorKind::OutOfMemory => {
                let text = match turn {
                    Some(_) => format!("an xz dictionary is over the bound of {MEMORY_MAX_KIB} KiB"),
                    None => "an xz stream asks for a larger dictionary than its beginning did".to_owned(),
                };
                Err(io::Error::new(io::ErrorKind::InvalidData, text))
            }
            Err(error) => Err(error),
        }
    }
}

/// Bytes of the dictionary of the first block; zero where the stream has none, `None` where it cannot be told.
fn dictionary(head: &[u8]) -> Option<u64> {
    let mut block = head.get(12..)?.iter().copied();
    if block.next()? == 0 {
        return Some(0);
    }
    let flags = block.next()?;
    // Compressed and uncompressed size, where they are said.
    for bit in [0x40, 0x80] {
        if flags & bit != 0 {
            number(&mut block)?;
        }
    }
    // The last filter is LZMA2, which has one byte of properties.
    for _ in 0..=(flags & 3) {
        let (id, length) = (number(&mut block)?, number(&mut block)?);
        let properties: Vec<u8> = block.by_ref().take(usize::try_from(length).ok()?).collect();
        if id == 0x21 {
            let bits = u64::from(*properties.first()?);
            return (bits < 40).then(|| (2 | (bits & 1)) << (bits / 2 + 11));
        }
    }
    None
}

/// A number of seven bits a byte, the lowest first.
fn number(bytes: &mut impl Iterator<Item = u8>) -> Option<u64> {
    let mut value = 0;
    for shift in (0..63).step_by(7) {
        let byte = bytes.next()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
