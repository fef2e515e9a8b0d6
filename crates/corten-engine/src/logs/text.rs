//! Records of a log as the bytes a client reads.

use std::collections::BTreeMap;
use std::fmt::Write;

use corten_stdio::{Record, Stream, framing};

use super::query::LogsQuery;

/// How records are printed to one client.
#[derive(Debug)]
pub struct Printer {
    stdout: bool,
    stderr: bool,
    timestamps: bool,
    details: bool,
    is_multiplexed: bool,
    /// Whether the last record of the stream was a piece that the next one goes on: [stdout, stderr].
    is_inside_line: [bool; 2],
}

impl Printer {
    /// A printer for `query`; frames for a container without a terminal.
    pub fn new(query: &LogsQuery, is_multiplexed: bool) -> Self {
        Self {
            stdout: query.stdout,
            stderr: query.stderr,
            timestamps: query.timestamps,
            details: query.details,
            is_multiplexed,
            is_inside_line: [false; 2],
        }
    }

    /// Prints everything of both streams as it is: what an attached client is shown of the past.
    pub fn replay(stdout: bool, stderr: bool, is_multiplexed: bool) -> Self {
        Self { stdout, stderr, timestamps: false, details: false, is_multiplexed, is_inside_line: [false; 2] }
    }

    /// Appends `record` to `buffer`, when its stream was asked for.
    ///
    /// A line longer than 16 KiB comes in several records: time and details stand before the first only.
    pub fn print(&mut self, record: &Record, buffer: &mut Vec<u8>) {
        let (is_wanted, index) = match record.stream {
            Stream::Stdout => (self.stdout, 0),
            Stream::Stderr => (self.stderr, 1),
        };
        if !is_wanted {
            return;
        }
        let mut prefix = String::new();
        if !self.is_inside_line[index] {
            if self.timestamps {
                push_time(&mut prefix, record.time.unix_nanos());
            }
            if self.details {
                push_details(&mut prefix, &record.attrs);
            }
        }
        self.is_inside_line[index] = record.line.last() != Some(&b'\n');
        let length = prefix.len() + record.line.len();
        if self.is_multiplexed {
            buffer.extend_from_slice(&framing::header(record.stream, u32::try_from(length).unwrap_or(u32::MAX)));
        }
        buffer.extend_from_slice(prefix.as_bytes());
        buffer.extend_from_slice(&record.line);
    }

    /// Appends an error that came after the header of the answer was sent: dockerd's words, and the
    /// stream number 3 when there are frames.
    pub fn print_error(&self, reason: &str, buffer: &mut Vec<u8>) {
        let text = format!("Error grabbing logs: {reason}\n");
        if self.is_multiplexed {
            buffer.extend_from_slice(&[3, 0, 0, 0]);
            buffer.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
        }
        buffer.extend_from_slice(text.as_bytes());
    }
}

/// RFC 3339 with always nine digits, so that lines stand below each other.
fn push_time(text: &mut String, unix_nanos: i64) {
    let Ok(time) = time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(unix_nanos)) else { return };
    let (month, nanos) = (u8::from(time.month()), time.nanosecond());
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "{:04}-{month:02}-{:02}T{:02}:{:02}:{:02}.{nanos:09}Z ",
        time.year(),
        time.day(),
        time.hour(),
        time.minute(),
        time.second()
    );
}

/// `k=v,k=v ` as in a query; the space stands there without any, too.
fn push_details(text: &mut String, attrs: &BTreeMap<String, String>) {
    for (index, (key, value)) in attrs.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        push_escaped(text, key);
        text.push('=');
        push_escaped(text, value);
    }
    text.push(' ');
}

/// Go's `url.QueryEscape`.
fn push_escaped(text: &mut String, value: &str) {
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => text.push(byte as char),
            b' ' => text.push('+'),
            other => {
                let _ = write!(text, "%{other:02X}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use corten_stdio::Timestamp;

    use super::*;

    fn record(stream: Stream, line: &str) -> Record {
        let attrs = BTreeMap::from([("b".to_owned(), "1 &".to_owned()), ("a".to_owned(), "x".to_owned())]);
        Record { stream, time: Timestamp::from_unix_nanos(1_500_000_000), line: line.into(), attrs }
    }

    fn printer(text: &str, is_multiplexed: bool) -> Printer {
        let query = LogsQuery::decode(&crate::http::Query::decode(text)).expect("a query in a test");
        Printer::new(&query, is_multiplexed)
    }

    fn print(mut printer: Printer, records: &[Record]) -> String {
        let mut buffer = Vec::new();
        for record in records {
            printer.print(record, &mut buffer);
        }
        String::from_utf8(buffer).expect("text in a test")
    }

    #[test]
    fn only_the_streams_asked_for_are_printed() {
        let records = [record(Stream::Stdout, "out\n"), record(Stream::Stderr, "err\n")];
        assert_eq!(print(printer("stderr=1", false), &records), "err\n");
        assert_eq!(print(printer("stderr=1&stdout=1", false), &records), "out\nerr\n");
    }

    #[test]
    fn frames_carry_the_stream_and_the_length_with_the_prefix() {
        let text = print(printer("stderr=1&details=1", true), &[record(Stream::Stderr, "err\n")]);
        assert_eq!(text, "\u{2}\0\0\0\0\0\0\u{10}a=x,b=1+%26 err\n");
    }

    #[test]
    fn a_long_line_has_its_time_once_although_another_stream_interrupts_it() {
        let records = [
            record(Stream::Stdout, "lo"),
            record(Stream::Stderr, "err\n"),
            record(Stream::Stdout, "ng\n"),
            record(Stream::Stdout, "next\n"),
        ];
        let time = "1970-01-01T00:00:01.500000000Z ";
        assert_eq!(
            print(printer("stdout=1&stderr=1&timestamps=1", false), &records),
            format!("{time}lo{time}err\nng\n{time}next\n")
        );
    }

    #[test]
    fn a_late_error_is_a_frame_of_its_own_kind() {
        let mut buffer = Vec::new();
        printer("stdout=1", true).print_error("gone", &mut buffer);
        assert_eq!(buffer, b"\x03\0\0\0\0\0\0\x1aError grabbing logs: gone\n");
    }
}
