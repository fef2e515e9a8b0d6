//! Finding the last records of a log without reading what is before them.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, Seek, SeekFrom},
    os::unix::fs::FileExt,
};

use super::source::Source;

/// Bytes searched at once, from the end of a file backwards.
const BLOCK_BYTES: u64 = 64 * 1024;

/// Moves `sources` forward so that `count` records are left, over all of them.
pub(super) fn keep_last(sources: &mut VecDeque<Source>, count: u64) -> io::Result<()> {
    let mut wanted = count;
    for at in (0..sources.len()).rev() {
        wanted -= match sources[at].plain() {
            Some(file) => keep_last_of(file, wanted)?,
            None => keep_last_of_compressed(&mut sources[at], wanted)?,
        };
        if wanted == 0 {
            sources.drain(..at);
            return Ok(());
        }
    }
    Ok(())
}

/// Seeks `file` to the first of its last `wanted` lines; tells how many there are. With none wanted
/// it is seeked behind its last whole line.
fn keep_last_of(mut file: &File, wanted: u64) -> io::Result<u64> {
    let mut end = file.metadata()?.len();
    let mut found = 0;
    let mut block = vec![0; BLOCK_BYTES as usize];
    while end > 0 {
        let start = end.saturating_sub(BLOCK_BYTES);
        let window = &mut block[..(end - start) as usize];
        file.read_exact_at(window, start)?;
        for at in (0..window.len()).rev().filter(|at| window[*at] == b'\n') {
            // The newline that ends the line before the wanted ones.
            if found == wanted {
                file.seek(SeekFrom::Start(start + at as u64 + 1))?;
                return Ok(wanted);
            }
            found += 1;
        }
        end = start;
    }
    file.seek(SeekFrom::Start(0))?;
    Ok(found)
}

/// Reads a compressed file through once to count its lines, and again past those before the wanted.
fn keep_last_of_compressed(source: &mut Source, wanted: u64) -> io::Result<u64> {
    let mut lines = 0u64;
    while source.next_line()?.is_some() {
        lines += 1;
    }
    source.rewind()?;
    for _ in wanted..lines {
        source.next_line()?;
    }
    Ok(lines.min(wanted))
}
