//! Writing a log: whole records, appended by one writer, rotated by rename.
//!
//! ```text
//! x.log  ──full──>  x.log.1  ──>  x.log.2  ──>  … removed          (compressed: x.log.1.gz, …)
//! ```
//! Records of one piece of output go out in one write(2), so a reader sees whole records, and what a
//! kill or a full disk cuts off is an unterminated tail: readers ignore it, the next writer cuts it
//! off. Readers that hold a renamed file read it to its end.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    thread::JoinHandle,
};

use flate2::{Compression, write::GzEncoder};

use crate::{StdioFile, Stream, Timestamp, json_file, lines::Lines};

/// How large a log may grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Size at which the file is rotated; 0 is never.
    pub max_size_bytes: u64,
    /// How many files there are, the current one included; 0 counts as 1.
    pub max_files: u32,
    /// Whether rotated files are compressed.
    pub compress: bool,
}

impl From<&StdioFile> for Limits {
    fn from(file: &StdioFile) -> Self {
        Self { max_size_bytes: file.max_size_bytes, max_files: file.max_files.max(1), compress: file.compress }
    }
}

/// The one writer of a log.
#[derive(Debug)]
pub struct LogWriter {
    path: PathBuf,
    file: File,
    size_bytes: u64,
    limits: Limits,
    attrs: String,
    stdout: Lines,
    stderr: Lines,
    last: Timestamp,
    records: Vec<u8>,
    compressing: Option<JoinHandle<io::Result<()>>>,
}

/// Room kept for encoded records between two writes; more goes back to the allocator.
const KEEP_BYTES: usize = 16 * 1024;

impl LogWriter {
    /// Opens the log at `path`, or makes it, readable by its owner and group as docker's is.
    ///
    /// # Errors
    /// Those of open(2), and of cutting off an unterminated tail.
    pub fn open(path: &Path, limits: Limits, attrs: &BTreeMap<String, String>) -> io::Result<Self> {
        let file = open_log(path)?;
        let size_bytes = cut_torn_tail(&file)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            size_bytes,
            limits,
            attrs: json_file::attrs_json(attrs),
            stdout: Lines::default(),
            stderr: Lines::default(),
            last: Timestamp::default(),
            records: Vec::new(),
            compressing: None,
        })
    }

    /// Takes a piece of output: its complete lines are in the file when this returns.
    ///
    /// # Errors
    /// Those of write(2): the lines are lost, the file holds whole records still, and the next call
    /// tries again.
    pub fn write(&mut self, stream: Stream, bytes: &[u8]) -> io::Result<()> {
        self.cut(stream, |lines, line| lines.push(bytes, line))
    }

    /// The end of a stream: what is left without a newline is written as it is.
    ///
    /// # Errors
    /// As [`LogWriter::write`].
    pub fn finish(&mut self, stream: Stream) -> io::Result<()> {
        self.cut(stream, |lines, line| lines.finish(line))
    }

    fn cut(&mut self, stream: Stream, cut: impl FnOnce(&mut Lines, &mut dyn FnMut(&[u8]))) -> io::Result<()> {
        let mut lines = std::mem::take(match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        });
        let mut result = Ok(());
        cut(&mut lines, &mut |line| {
            let time = self.next_time();
            json_file::encode(&mut self.records, stream, time, line, &self.attrs);
            if self.is_full() {
                result = std::mem::replace(&mut result, Ok(())).and(self.flush_and_rotate());
            }
        });
        match stream {
            Stream::Stdout => self.stdout = lines,
            Stream::Stderr => self.stderr = lines,
        }
        result.and(self.flush())
    }

    /// Strictly rising, so that a reader that lost its place finds it by time.
    fn next_time(&mut self) -> Timestamp {
        let after = Timestamp::from_unix_nanos(self.last.unix_nanos() + 1);
        self.last = Timestamp::now().max(after);
        self.last
    }

    fn is_full(&self) -> bool {
        let limit = self.limits.max_size_bytes;
        limit > 0 && self.size_bytes + self.records.len() as u64 >= limit
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.records.is_empty() {
            return Ok(());
        }
        let result = self.file.write_all(&self.records);
        match &result {
            Ok(()) => self.size_bytes += self.records.len() as u64,
            // A full disk took a part of it: back to whole records. Without that the tail is
            // unterminated until the next record, which readers would then skip.
            Err(_) => drop(self.file.set_len(self.size_bytes)),
        }
        self.records.clear();
        self.records.shrink_to(KEEP_BYTES);
        result
    }

    fn flush_and_rotate(&mut self) -> io::Result<()> {
        self.flush()?;
        self.rotate()
    }

    /// Moves the full file away and goes on in a new one. When that fails the full one grows on: a log
    /// too long is better than one that ends.
    fn rotate(&mut self) -> io::Result<()> {
        if let Some(compressing) = self.compressing.take() {
            // The last file must be `.1.gz` before names move on; an error leaves it uncompressed,
            // which readers understand.
            let _ = compressing.join();
        }
        let oldest = self.limits.max_files.saturating_sub(1);
        if oldest == 0 {
            // Readers may be in the middle of it, so it is unlinked, not truncated.
            remove_if_there(&self.path)?;
        } else {
            for suffix in ["", ".gz"] {
                remove_if_there(&numbered(&self.path, oldest, suffix))?;
                for number in (1..oldest).rev() {
                    let from = numbered(&self.path, number, suffix);
                    rename_if_there(&from, &numbered(&self.path, number + 1, suffix))?;
                }
            }
            rename_if_there(&self.path, &numbered(&self.path, 1, ""))?;
        }
        self.file = open_log(&self.path)?;
        self.size_bytes = 0;
        if self.limits.compress && oldest > 0 {
            let source = numbered(&self.path, 1, "");
            let spawned = std::thread::Builder::new().name("compress".to_owned()).spawn(move || compress(&source));
            self.compressing = spawned.ok();
        }
        Ok(())
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            // Nobody is left to tell.
            let _ = self.finish(stream);
        }
        if let Some(compressing) = self.compressing.take() {
            let _ = compressing.join();
        }
    }
}

/// `x.log.N` and a suffix; `x.log` for 0.
pub(crate) fn numbered(path: &Path, number: u32, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    if number > 0 {
        name.push(format!(".{number}{suffix}"));
    }
    name.into()
}

fn open_log(path: &Path) -> io::Result<File> {
    File::options().read(true).append(true).create(true).mode(0o640).open(path)
}

/// Cuts off what a kill or a full disk left without a newline; the size of the rest.
fn cut_torn_tail(file: &File) -> io::Result<u64> {
    let length = file.metadata()?.len();
    let mut end = length;
    let mut block = [0; 4096];
    while end > 0 {
        let start = end.saturating_sub(block.len() as u64);
        let window = &mut block[..(end - start) as usize];
        file.read_exact_at(window, start)?;
        if let Some(at) = window.iter().rposition(|byte| *byte == b'\n') {
            end = start + at as u64 + 1;
            break;
        }
        end = start;
    }
    if end < length {
        file.set_len(end)?;
    }
    Ok(end)
}

fn compress(source: &Path) -> io::Result<()> {
    let mut name = source.as_os_str().to_owned();
    name.push(".gz");
    let target = PathBuf::from(&name);
    name.push(".tmp");
    let temporary = PathBuf::from(name);
    let result = (|| {
        let mut input = File::open(source)?;
        input.seek(SeekFrom::Start(0))?;
        let output = File::options().write(true).create(true).truncate(true).mode(0o640).open(&temporary)?;
        let mut encoder = GzEncoder::new(output, Compression::fast());
        let mut block = vec![0; 64 * 1024];
        loop {
            match input.read(&mut block)? {
                0 => break,
                count => encoder.write_all(&block[..count])?,
            }
        }
        encoder.finish()?;
        fs::rename(&temporary, &target)?;
        fs::remove_file(source)
    })();
    if result.is_err() {
        let _ = fs::remove_file(&temporary); // the first error is the one that matters
    }
    result
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    ignore_absent(fs::remove_file(path))
}

fn rename_if_there(from: &Path, to: &Path) -> io::Result<()> {
    ignore_absent(fs::rename(from, to))
}

fn ignore_absent(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_ATTRS: BTreeMap<String, String> = BTreeMap::new();

    fn limits(max_size_bytes: u64, max_files: u32, compress: bool) -> Limits {
        Limits { max_size_bytes, max_files, compress }
    }

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn lines_are_records_as_soon_as_they_are_complete() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.log");
        let mut writer = LogWriter::open(&path, limits(0, 1, false), &NO_ATTRS).unwrap();
        writer.write(Stream::Stdout, b"one\ntw").unwrap();
        let lines = |path: &Path| -> Vec<Vec<u8>> {
            let text = fs::read_to_string(path).unwrap();
            text.lines().map(|line| json_file::decode(line.as_bytes()).unwrap().line).collect()
        };
        assert_eq!(lines(&path), [b"one\n"]);
        writer.write(Stream::Stderr, b"err\n").unwrap();
        writer.write(Stream::Stdout, b"o\nrest").unwrap();
        drop(writer);
        let expected: [&[u8]; 4] = [b"one\n", b"err\n", b"two\n", b"rest"];
        assert_eq!(lines(&path), expected);
    }

    #[test]
    fn full_files_move_on_and_the_oldest_goes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.log");
        let mut writer = LogWriter::open(&path, limits(200, 3, false), &NO_ATTRS).unwrap();
        for number in 0..40 {
            writer.write(Stream::Stdout, format!("line {number}\n").as_bytes()).unwrap();
        }
        assert_eq!(names(directory.path()), ["x.log", "x.log.1", "x.log.2"]);
        for name in ["x.log.1", "x.log.2"] {
            let size = fs::metadata(directory.path().join(name)).unwrap().len();
            assert!((200..400).contains(&size), "{name} has {size} bytes");
        }
    }

    #[test]
    fn one_file_starts_over() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.log");
        let mut writer = LogWriter::open(&path, limits(200, 1, false), &NO_ATTRS).unwrap();
        let long: String = (0..100).map(|number| format!("line {number}\n")).collect();
        writer.write(Stream::Stdout, long.as_bytes()).unwrap();
        assert_eq!(names(directory.path()), ["x.log"]);
        assert!(fs::metadata(&path).unwrap().len() < 400);
    }

    #[test]
    fn compressed_files_keep_their_names_in_order() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.log");
        let mut writer = LogWriter::open(&path, limits(200, 3, true), &NO_ATTRS).unwrap();
        for number in 0..40 {
            writer.write(Stream::Stdout, format!("line {number}\n").as_bytes()).unwrap();
        }
        drop(writer);
        assert_eq!(names(directory.path()), ["x.log", "x.log.1.gz", "x.log.2.gz"]);
    }

    #[test]
    fn a_torn_tail_is_cut_off_when_the_log_is_opened_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.log");
        let whole = br#"{"log":"a\n","stream":"stdout","time":"1970-01-01T00:00:00Z"}"#;
        for (content, expected) in [
            ([whole.as_slice(), b"\n{\"log\":\"tor"].concat(), [whole.as_slice(), b"\n"].concat()),
            (b"no newline at all".to_vec(), Vec::new()),
            ([whole.as_slice(), b"\n", &[0; 9000]].concat(), [whole.as_slice(), b"\n"].concat()),
        ] {
            fs::write(&path, content).unwrap();
            drop(LogWriter::open(&path, limits(0, 1, false), &NO_ATTRS).unwrap());
            assert_eq!(fs::read(&path).unwrap(), expected);
        }
    }
}
