//! Docker's framing of an attached stream without a terminal: `[stream, 0, 0, 0, length BE]` and bytes.

use crate::Stream;

/// Bytes in front of each frame.
pub const HEADER_BYTES: usize = 8;

/// The header of a frame of `length` bytes from `stream`.
pub fn header(stream: Stream, length: u32) -> [u8; HEADER_BYTES] {
    let kind = match stream {
        Stream::Stdout => 1,
        Stream::Stderr => 2,
    };
    let [a, b, c, d] = length.to_be_bytes();
    [kind, 0, 0, 0, a, b, c, d]
}

/// Reads a header; `None` when the stream is neither of the two.
pub fn parse(bytes: [u8; HEADER_BYTES]) -> Option<(Stream, u32)> {
    let stream = match bytes[0] {
        1 => Stream::Stdout,
        2 => Stream::Stderr,
        _ => return None,
    };
    Some((stream, u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_back() {
        assert_eq!(header(Stream::Stderr, 258), [2, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(parse(header(Stream::Stdout, 7)), Some((Stream::Stdout, 7)));
        assert_eq!(parse([0; 8]), None);
    }
}
