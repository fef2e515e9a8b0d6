use std::{collections::BTreeMap, thread};

use super::*;
use crate::{Limits, LogWriter, Stream};

struct Log {
    directory: tempfile::TempDir,
    limits: Limits,
}

impl Log {
    fn new(max_size_bytes: u64, max_files: u32, compress: bool) -> Self {
        let directory = tempfile::Builder::new().prefix("corten-logs-").tempdir().unwrap();
        Self { directory, limits: Limits { max_size_bytes, max_files, compress } }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("x.log")
    }

    fn writer(&self) -> LogWriter {
        LogWriter::open(&self.path(), self.limits, &BTreeMap::new()).unwrap()
    }

    /// Writes the numbers of `range`, a line each.
    fn write(&self, range: std::ops::Range<u32>) {
        let mut writer = self.writer();
        for number in range {
            writer.write(Stream::Stdout, format!("{number}\n").as_bytes()).unwrap();
        }
    }

    fn reader(&self, options: Options) -> (Reader, Arc<Stop>) {
        let stop = Stop::new().unwrap();
        (Reader::open(&self.path(), options, Arc::clone(&stop)).unwrap(), stop)
    }

    fn read(&self, options: Options) -> Vec<u32> {
        numbers(self.reader(options).0)
    }
}

fn numbers(reader: Reader) -> Vec<u32> {
    reader.map(|record| String::from_utf8(record.unwrap().line).unwrap().trim().parse().unwrap()).collect()
}

#[test]
fn a_log_that_does_not_exist_has_no_records() {
    assert_eq!(Log::new(0, 1, false).read(Options::default()), [0u32; 0]);
}

#[test]
fn all_files_are_read_oldest_first() {
    for compress in [false, true] {
        let log = Log::new(2000, 100, compress);
        log.write(0..500);
        assert_eq!(log.read(Options::default()), (0..500).collect::<Vec<_>>(), "compress {compress}");
    }
}

#[test]
fn the_last_records_are_found_over_all_files() {
    for compress in [false, true] {
        let log = Log::new(2000, 100, compress);
        log.write(0..300);
        for count in [0, 1, 7, 29, 30, 31, 100, 299, 300, 1000] {
            let options = Options { tail: Some(count), ..Options::default() };
            let first = 300u32.saturating_sub(count as u32);
            assert_eq!(log.read(options), (first..300).collect::<Vec<_>>(), "tail {count}, compress {compress}");
        }
    }
}

#[test]
fn a_span_of_time_is_read() {
    let log = Log::new(0, 1, false);
    log.write(0..10);
    let times: Vec<Timestamp> = log.reader(Options::default()).0.map(|record| record.unwrap().time).collect();
    let options = Options { since: Some(times[3]), until: Some(times[6]), ..Options::default() };
    assert_eq!(log.read(options), [3, 4, 5, 6]);
}

#[test]
fn a_torn_or_foreign_line_is_skipped_and_a_torn_tail_ignored() {
    let log = Log::new(0, 1, false);
    let record = |number: u32| {
        format!("{{\"log\":\"{number}\\n\",\"stream\":\"stdout\",\"time\":\"1970-01-01T00:00:0{number}Z\"}}")
    };
    let text = format!("{}\n\0\0\0\n{}\n{}\n{}", record(1), "x".repeat(3 << 20), record(2), &record(3)[..20]);
    std::fs::write(log.path(), text).unwrap();
    assert_eq!(log.read(Options::default()), [1, 2]);
}

#[test]
fn following_goes_on_through_rotations_without_a_gap() {
    for compress in [false, true] {
        let log = Log::new(20_000, 1000, compress);
        log.write(0..100);
        let (reader, stop) = log.reader(Options { follow: true, ..Options::default() });
        let reading = thread::spawn(move || numbers(reader));
        log.write(100..20_000);
        stop.finish();
        let read = reading.join().unwrap();
        let gap = read.iter().zip(0..).find(|(read, expected)| *read != expected);
        assert_eq!((read.len(), gap), (20_000, None), "compress {compress}");
    }
}

#[test]
fn following_starts_before_the_log_exists() {
    let log = Log::new(0, 1, false);
    let (reader, stop) = log.reader(Options { follow: true, ..Options::default() });
    let reading = thread::spawn(move || numbers(reader));
    log.write(0..3);
    stop.finish();
    assert_eq!(reading.join().unwrap(), [0, 1, 2]);
}

#[test]
fn following_from_the_end_gives_only_what_is_new() {
    let log = Log::new(0, 1, false);
    log.write(0..5);
    let (reader, stop) = log.reader(Options { follow: true, tail: Some(0), ..Options::default() });
    log.write(5..8);
    stop.finish();
    assert_eq!(numbers(reader), [5, 6, 7]);
}

#[test]
fn a_reader_says_whether_the_next_record_is_in_memory() {
    let log = Log::new(0, 1, false);
    log.write(0..2);
    let (mut reader, _stop) = log.reader(Options { follow: true, ..Options::default() });
    assert!(!reader.has_buffered());
    for has_more in [true, false] {
        assert!(reader.next_record().unwrap().is_some());
        assert_eq!(reader.has_buffered(), has_more);
    }
}

#[test]
fn a_reader_is_stopped_while_it_waits() {
    let log = Log::new(0, 1, false);
    log.write(0..1);
    let (mut reader, stop) = log.reader(Options { follow: true, ..Options::default() });
    assert!(reader.next_record().unwrap().is_some());
    let waiting = thread::spawn(move || reader.next_record().unwrap());
    stop.now();
    assert_eq!(waiting.join().unwrap(), None);
}

#[test]
fn following_ends_at_the_time_to_read_until() {
    let log = Log::new(0, 1, false);
    log.write(0..2);
    let until = Timestamp::from_unix_nanos(Timestamp::now().unix_nanos() + 20_000_000);
    assert_eq!(log.read(Options { follow: true, until: Some(until), ..Options::default() }), [0, 1]);
}
