//! Output of a container to standard output and error: raw of a terminal, framed of all else.
//!
//! A frame is a byte that names the stream (1 output, 2 errors, 3 the daemon's own trouble), three zero
//! bytes, the length in big endian, the bytes (Engine API, "Stream format").

use super::{Half, Parts};
use std::io::{self, Read, Write};

/// Largest piece moved at once.
const PIECE_BYTES: usize = 64 << 10;

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const SYSTEM: u8 = 3;

/// Copies until the daemon closes.
pub fn copy(socket: Half, read_ahead: &[u8], parts: &Parts) -> io::Result<()> {
    let mut input = read_ahead.chain(socket);
    if parts.tty && parts.stdout { copy_raw(&mut input) } else { copy_frames(&mut input, parts) }
}

fn copy_raw(input: &mut impl Read) -> io::Result<()> {
    let mut buffer = vec![0; PIECE_BYTES];
    loop {
        let count = read_some(input, &mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        show(&mut io::stdout(), &buffer[..count])?;
    }
}

fn copy_frames(input: &mut impl Read, parts: &Parts) -> io::Result<()> {
    demultiplex(input, |stream, bytes| match stream {
        STDERR if parts.tty && parts.stderr => show(&mut io::stdout(), bytes),
        STDERR if parts.stderr => show(&mut io::stderr(), bytes),
        STDIN | STDOUT if parts.stdout => show(&mut io::stdout(), bytes),
        _ => Ok(()),
    })
}

fn show(output: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    output.write_all(bytes)?;
    output.flush()
}

fn read_some(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match input.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Calls `show` with the pieces of each frame, in order.
pub fn demultiplex(input: &mut impl Read, mut show: impl FnMut(u8, &[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut buffer = vec![0; PIECE_BYTES];
    loop {
        let mut header = [0_u8; 8];
        let mut filled = 0;
        while filled < header.len() {
            match read_some(input, &mut header[filled..])? {
                // A daemon that went away in the middle of a header said nothing more.
                0 => return Ok(()),
                count => filled += count,
            }
        }
        let [stream, _, _, _, length @ ..] = header;
        if stream > SYSTEM {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("Unrecognized input header: {stream}")));
        }
        let mut left = u32::from_be_bytes(length) as usize;
        let mut trouble = Vec::new();
        while left > 0 {
            let most = left.min(buffer.len());
            let count = read_some(input, &mut buffer[..most])?;
            if count == 0 {
                return Ok(());
            }
            left -= count;
            if stream == SYSTEM {
                trouble.extend_from_slice(&buffer[..count]);
            } else {
                show(stream, &buffer[..count])?;
            }
        }
        if stream == SYSTEM {
            return Err(io::Error::other(format!(
                "error from daemon in stream: {}",
                String::from_utf8_lossy(&trouble)
            )));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::demultiplex;
    use std::io::Read;

    fn frame(stream: u8, text: &[u8]) -> Vec<u8> {
        let mut bytes = vec![stream, 0, 0, 0];
        bytes.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
        bytes.extend(text);
        bytes
    }

    /// Gives one byte a read, as a slow network may.
    struct Slowly<'a>(&'a [u8]);

    impl Read for Slowly<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let count = usize::from(!self.0.is_empty() && !buffer.is_empty());
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn collect(bytes: &[u8]) -> (std::io::Result<()>, Vec<u8>, Vec<u8>) {
        let (mut output, mut errors) = (Vec::new(), Vec::new());
        let result = demultiplex(&mut Slowly(bytes), |stream, piece| {
            if stream == 2 { &mut errors } else { &mut output }.extend_from_slice(piece);
            Ok(())
        });
        (result, output, errors)
    }

    #[test]
    fn frames_are_taken_apart_however_they_arrive() {
        let bytes = [frame(1, b"out"), frame(2, b"err"), frame(1, b""), frame(1, b"put")].concat();
        let (result, output, errors) = collect(&bytes);
        assert!(result.is_ok());
        assert_eq!((output.as_slice(), errors.as_slice()), (&b"output"[..], &b"err"[..]));
    }

    #[test]
    fn the_daemon_s_own_trouble_ends_the_stream() {
        let (result, output, _) = collect(&[frame(1, b"a"), frame(3, b"lost")].concat());
        assert_eq!(result.unwrap_err().to_string(), "error from daemon in stream: lost");
        assert_eq!(output, b"a");
    }

    #[test]
    fn bytes_that_are_no_frame_are_refused() {
        assert_eq!(collect(b"HTTP/1.1 200").0.unwrap_err().to_string(), "Unrecognized input header: 72");
    }

    #[test]
    fn a_cut_frame_ends_quietly() {
        assert!(collect(&frame(1, b"abc")[..9]).0.is_ok());
        assert!(collect(&[1, 0, 0]).0.is_ok());
    }
}
