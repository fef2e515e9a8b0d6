//! Cutting a stream of output into lines of at most 16 KiB.
//!
//! As docker's copier does: a line that fills the 16 KiB without a newline goes out as a piece, what
//! is left at the end of the stream too.

use crate::record::MAX_LINE_BYTES;

/// What of one stream has not become a line yet.
#[derive(Debug, Default)]
pub struct Lines {
    pending: Vec<u8>,
}

impl Lines {
    /// Cuts `bytes`, calling `line` with each complete line (newline included) or full piece.
    pub fn push(&mut self, mut bytes: &[u8], mut line: impl FnMut(&[u8])) {
        while !bytes.is_empty() {
            let room = MAX_LINE_BYTES - self.pending.len();
            // A newline right behind 16 KiB of text still belongs to the next record, as in docker.
            let window = &bytes[..bytes.len().min(room)];
            let end = window.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
            let complete = end.is_some() || window.len() == room;
            let (taken, rest) = bytes.split_at(end.unwrap_or(window.len()));
            bytes = rest;
            match (complete, self.pending.is_empty()) {
                (true, true) => line(taken),
                (true, false) => {
                    self.pending.extend_from_slice(taken);
                    line(&self.pending);
                    self.pending.clear();
                }
                (false, _) => self.pending.extend_from_slice(taken),
            }
        }
        if self.pending.is_empty() && self.pending.capacity() > 0 {
            self.pending = Vec::new();
        }
    }

    /// The end of the stream: what is left goes out as it is.
    pub fn finish(&mut self, mut line: impl FnMut(&[u8])) {
        let rest = std::mem::take(&mut self.pending);
        if !rest.is_empty() {
            line(&rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(chunks: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut lines = Lines::default();
        let mut found = Vec::new();
        for chunk in chunks {
            lines.push(chunk, |line| found.push(line.to_vec()));
        }
        lines.finish(|line| found.push(line.to_vec()));
        found
    }

    #[test]
    fn lines_are_found_however_the_output_is_cut() {
        let text = b"one\n\ntwo\nthree";
        let expected: Vec<&[u8]> = vec![b"one\n", b"\n", b"two\n", b"three"];
        for size in 1..=text.len() {
            let chunks: Vec<&[u8]> = text.chunks(size).collect();
            assert_eq!(cut(&chunks), expected, "chunks of {size}");
        }
    }

    #[test]
    fn a_long_line_comes_in_pieces_of_16_kib() {
        let mut text = vec![b'x'; 2 * MAX_LINE_BYTES + 5];
        text.push(b'\n');
        for size in [1000, 16 * 1024, 64 * 1024] {
            let chunks: Vec<&[u8]> = text.chunks(size).collect();
            let lengths: Vec<usize> = cut(&chunks).iter().map(Vec::len).collect();
            assert_eq!(lengths, [MAX_LINE_BYTES, MAX_LINE_BYTES, 6], "chunks of {size}");
        }
    }
}
