//! zstd, frame by frame: each frame's header says how much memory its window takes (RFC 8878, 3.1.1.1).

use std::io::{self, BufRead, Read};

use zstd::stream::raw::{Decoder, InBuffer, Operation, OutBuffer};
use zstd::zstd_safe::DParameter;

use super::windows::{ORDINARY, Turn};

/// Largest window a frame may ask for, as zstd(1) itself refuses by default.
const WINDOW_MAX: u64 = 128 << 20;
/// Magic number, descriptor, window, dictionary and content size of a frame, each at its longest.
const HEADER_MAX: usize = 4 + 1 + 1 + 4 + 8;
/// The same as a power of two, for the decoder's own check.
const WINDOW_LOG_MAX: u32 = 27;

/// A stream of frames.
pub(super) struct Zstd<R: BufRead> {
    reader: R,
    /// The start of the next frame, read ahead to look at its header.
    head: Vec<u8>,
    decoder: Decoder<'static>,
    in_frame: bool,
    turn: Option<Turn>,
}

impl<R: BufRead> Zstd<R> {
    pub(super) fn new(reader: R) -> io::Result<Self> {
        let mut decoder = Decoder::new()?;
        decoder.set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX))?;
        Ok(Self { reader, head: Vec::new(), decoder, in_frame: false, turn: None })
    }

    /// Looks at the next frame; false at the end of the stream.
    fn begin_frame(&mut self) -> io::Result<bool> {
        (&mut self.reader).take(HEADER_MAX as u64).read_to_end(&mut self.head)?;
        if self.head.is_empty() {
            return Ok(false);
        }
        let window = window_of(&self.head);
        if window > WINDOW_MAX {
            let text = format!("a zstd window of {window} bytes is over the bound of {WINDOW_MAX}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        if window > ORDINARY && self.turn.is_none() {
            self.turn = Some(Turn::take());
        }
        self.in_frame = true;
        Ok(true)
    }
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if !self.in_frame && !self.begin_frame()? {
                return Ok(0);
            }
            let from_head = !self.head.is_empty();
            let input = if from_head { &self.head[..] } else { self.reader.fill_buf()? };
            let at_end = input.is_empty();
            let (mut input, mut output) = (InBuffer::around(input), OutBuffer::around(&mut *buffer));
            let hint = self.decoder.run(&mut input, &mut output)?;
            let (taken, given) = (input.pos(), output.pos());
            if from_head {
                self.head.drain(..taken);
            } else {
                self.reader.consume(taken);
            }
            // The decoder says zero once a frame is over and all of it was given out.
            self.in_frame = hint != 0;
            if given > 0 {
                return Ok(given);
            }
            if self.in_frame && at_end {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the zstd stream is cut off"));
            }
        }
    }
}

/// Bytes of window the frame that starts with `head` needs; zero for what is no ordinary frame, which the decoder
/// skips or refuses.
fn window_of(head: &[u8]) -> u64 {
    let [0x28, 0xb5, 0x2f, 0xfd, descriptor, rest @ ..] = head else { return 0 };
    let is_single_segment = descriptor & 0x20 != 0;
    if !is_single_segment {
        let Some(window) = rest.first() else { return 0 };
        let base = 1_u64 << (10 + (window >> 3));
        return base + base / 8 * u64::from(window & 7);
    }
    // Without a window the content itself is one.
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let length = [1, 2, 4, 8][usize::from(descriptor >> 6)];
    let Some(field) = rest.get(dictionary..dictionary + length) else { return 0 };
    let mut bytes = [0; 8];
    bytes[..length].copy_from_slice(field);
    u64::from_le_bytes(bytes) + if length == 2 { 256 } else { 0 }
}
