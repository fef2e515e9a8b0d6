//! Frames of output taken apart as they arrive in pieces of any size.

/// A piece of output.
#[derive(Debug)]
pub enum Piece<'a> {
    /// For standard output.
    Output(&'a [u8]),
    /// For standard error.
    Errors(&'a [u8]),
}

/// Length of a frame's header.
const HEADER: usize = 8;

/// Takes frames apart; keeps nothing but a header's beginning and the daemon's own words.
#[derive(Debug, Default)]
pub struct Decoder {
    header: Vec<u8>,
    stream: u8,
    left: usize,
    trouble: Vec<u8>,
}

impl Decoder {
    /// Takes in the next bytes and hands on what they hold.
    ///
    /// # Errors
    /// Bytes that are no frame; the daemon's own trouble, which is a frame of its own.
    pub fn feed(&mut self, mut bytes: &[u8], mut show: impl FnMut(Piece<'_>)) -> Result<(), String> {
        while !bytes.is_empty() {
            if self.left == 0 {
                let wanted = HEADER - self.header.len();
                let (head, rest) = bytes.split_at(wanted.min(bytes.len()));
                self.header.extend_from_slice(head);
                bytes = rest;
                let Ok([stream, _, _, _, length @ ..]) = <[u8; HEADER]>::try_from(self.header.as_slice()) else {
                    return Ok(());
                };
                self.header.clear();
                if stream > 3 {
                    return Err(format!("Unrecognized input header: {stream}"));
                }
                self.stream = stream;
                self.left = u32::from_be_bytes(length) as usize;
                continue;
            }
            let (piece, rest) = bytes.split_at(self.left.min(bytes.len()));
            bytes = rest;
            self.left -= piece.len();
            match self.stream {
                2 => show(Piece::Errors(piece)),
                3 => {
                    self.trouble.extend_from_slice(piece);
                    if self.left == 0 {
                        return Err(format!("error from daemon in stream: {}", String::from_utf8_lossy(&self.trouble)));
                    }
                }
                _ => show(Piece::Output(piece)),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Decoder, Piece};

    fn frame(stream: u8, text: &[u8]) -> Vec<u8> {
        let mut bytes = vec![stream, 0, 0, 0];
        bytes.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
        bytes.extend(text);
        bytes
    }

    fn collect(bytes: &[u8], step: usize) -> (Result<(), String>, String, String) {
        let (mut output, mut errors) = (Vec::new(), Vec::new());
        let mut decoder = Decoder::default();
        let mut result = Ok(());
        for chunk in bytes.chunks(step) {
            result = decoder.feed(chunk, |piece| match piece {
                Piece::Output(bytes) => output.extend_from_slice(bytes),
                Piece::Errors(bytes) => errors.extend_from_slice(bytes),
            });
            if result.is_err() {
                break;
            }
        }
        (result, String::from_utf8(output).unwrap(), String::from_utf8(errors).unwrap())
    }

    #[test]
    fn frames_are_taken_apart_however_they_arrive() {
        let bytes = [frame(1, b"out"), frame(2, b"err"), frame(1, b""), frame(0, b"put")].concat();
        for step in [1, 3, 8, 100] {
            assert_eq!(collect(&bytes, step), (Ok(()), "output".to_owned(), "err".to_owned()), "{step}");
        }
    }

    #[test]
    fn the_daemon_s_own_trouble_ends_the_stream() {
        let (result, output, _) = collect(&[frame(1, b"a"), frame(3, b"lost")].concat(), 5);
        assert_eq!((result, output.as_str()), (Err("error from daemon in stream: lost".to_owned()), "a"));
        assert_eq!(collect(b"HTTP/1.1 200", 4).0, Err("Unrecognized input header: 72".to_owned()));
    }
}
