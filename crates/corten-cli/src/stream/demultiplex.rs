//! Output of a container to standard output and error: raw of a terminal, framed of all else.

use super::decoder::{Decoder, Piece};
use super::{Half, Parts};
use std::io::{self, Read, Write};

/// Largest piece moved at once.
const PIECE_BYTES: usize = 64 << 10;

/// Copies until the daemon closes.
pub fn copy(socket: Half, read_ahead: &[u8], parts: &Parts) -> io::Result<()> {
    let mut input = read_ahead.chain(socket);
    let is_raw = parts.tty && parts.stdout;
    let mut decoder = Decoder::default();
    let mut buffer = vec![0; PIECE_BYTES];
    loop {
        let count = match input.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if is_raw {
            show(&mut io::stdout(), &buffer[..count])?;
            continue;
        }
        let mut result = Ok(());
        let decoded = decoder.feed(&buffer[..count], |piece| {
            let written = match piece {
                Piece::Output(bytes) if parts.stdout => show(&mut io::stdout(), bytes),
                Piece::Errors(bytes) if parts.stderr && parts.tty => show(&mut io::stdout(), bytes),
                Piece::Errors(bytes) if parts.stderr => show(&mut io::stderr(), bytes),
                _ => Ok(()),
            };
            if result.is_ok() {
                result = written;
            }
        });
        decoded.map_err(io::Error::other)?;
        result?;
    }
}

fn show(output: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    output.write_all(bytes)?;
    output.flush()
}
