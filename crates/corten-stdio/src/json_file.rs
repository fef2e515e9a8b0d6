//! json-file records, byte for byte as dockerd 28 writes them, so that whatever reads those files reads
//! ours: `{"log":"line\n","stream":"stdout","attrs":{…},"time":"…"}` and a newline.
//!
//! What is not UTF-8 becomes U+FFFD, as in docker.

use std::{borrow::Cow, collections::BTreeMap};

use serde::Deserialize;

use crate::{Record, Stream, Timestamp};

/// Appends a record to `buffer`. `attrs` is a JSON object, or empty for none.
pub fn encode(buffer: &mut Vec<u8>, stream: Stream, time: Timestamp, line: &[u8], attrs: &str) {
    buffer.push(b'{');
    if !line.is_empty() {
        buffer.extend_from_slice(b"\"log\":");
        encode_string(buffer, line);
        buffer.push(b',');
    }
    buffer.extend_from_slice(b"\"stream\":\"");
    buffer.extend_from_slice(stream.as_str().as_bytes());
    buffer.push(b'"');
    if !attrs.is_empty() {
        buffer.extend_from_slice(b",\"attrs\":");
        buffer.extend_from_slice(attrs.as_bytes());
    }
    buffer.extend_from_slice(b",\"time\":\"");
    time.write_to(buffer);
    buffer.extend_from_slice(b"\"}\n");
}

fn encode_string(buffer: &mut Vec<u8>, text: &[u8]) {
    buffer.push(b'"');
    for chunk in text.utf8_chunks() {
        encode_valid(buffer, chunk.valid());
        for _ in chunk.invalid() {
            buffer.extend_from_slice(b"\\ufffd");
        }
    }
    buffer.push(b'"');
}

/// The escapes of Go's encoder: HTML's characters and the two line separators as well as JSON's own.
fn encode_valid(buffer: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let bytes = text.as_bytes();
    let mut copied = 0;
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        let width = match byte {
            b'\\' | b'"' | b'<' | b'>' | b'&' | 0..0x20 => 1,
            0xe2 if bytes[at..].starts_with(&[0xe2, 0x80, 0xa8]) || bytes[at..].starts_with(&[0xe2, 0x80, 0xa9]) => 3,
            _ => {
                at += 1;
                continue;
            }
        };
        buffer.extend_from_slice(&bytes[copied..at]);
        match byte {
            b'\\' | b'"' => buffer.extend_from_slice(&[b'\\', byte]),
            b'\n' => buffer.extend_from_slice(b"\\n"),
            b'\r' => buffer.extend_from_slice(b"\\r"),
            0xe2 => buffer.extend_from_slice(&[b'\\', b'u', b'2', b'0', b'2', HEX[usize::from(bytes[at + 2] & 0xf)]]),
            _ => {
                let digits = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 0xf)]];
                buffer.extend_from_slice(b"\\u00");
                buffer.extend_from_slice(&digits);
            }
        }
        at += width;
        copied = at;
    }
    buffer.extend_from_slice(&bytes[copied..]);
}

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow, default)]
    log: Cow<'a, str>,
    #[serde(borrow, default)]
    stream: Cow<'a, str>,
    #[serde(default)]
    attrs: BTreeMap<String, String>,
    #[serde(borrow)]
    time: Cow<'a, str>,
}

/// Reads one record; `None` when `line` is none, as a torn write leaves it.
pub fn decode(line: &[u8]) -> Option<Record> {
    let wire: Wire<'_> = serde_json::from_slice(line).ok()?;
    let stream = Stream::from_word(&wire.stream)?;
    let time = Timestamp::parse(&wire.time)?;
    Some(Record { stream, time, line: wire.log.into_owned().into_bytes(), attrs: wire.attrs })
}

/// A JSON object of `attrs` for [`encode`]; empty for none.
pub fn attrs_json(attrs: &BTreeMap<String, String>) -> String {
    if attrs.is_empty() { String::new() } else { serde_json::to_string(attrs).unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(line: &[u8], attrs: &str) -> String {
        let mut buffer = Vec::new();
        encode(&mut buffer, Stream::Stdout, Timestamp::from_unix_nanos(1_500_000_000), line, attrs);
        String::from_utf8(buffer).unwrap()
    }

    #[test]
    fn records_are_dockers() {
        let cases: [(&[u8], &str); 6] = [
            (b"hi\n", r#"{"log":"hi\n","stream":"stdout","time":"1970-01-01T00:00:01.5Z"}"#),
            (b"\"\\\t\r\x01", r#"{"log":"\"\\\u0009\r\u0001","stream":"stdout","time":"1970-01-01T00:00:01.5Z"}"#),
            (b"<&>", r#"{"log":"\u003c\u0026\u003e","stream":"stdout","time":"1970-01-01T00:00:01.5Z"}"#),
            (b"\xff\xfe", r#"{"log":"\ufffd\ufffd","stream":"stdout","time":"1970-01-01T00:00:01.5Z"}"#),
            ("é\u{2028}".as_bytes(), r#"{"log":"é\u2028","stream":"stdout","time":"1970-01-01T00:00:01.5Z"}"#),
            (b"", r#"{"stream":"stdout","time":"1970-01-01T00:00:01.5Z"}"#),
        ];
        for (line, expected) in cases {
            assert_eq!(encoded(line, ""), format!("{expected}\n"));
        }
        let with_attrs = r#"{"log":"x\n","stream":"stdout","attrs":{"a":"b"},"time":"1970-01-01T00:00:01.5Z"}"#;
        assert_eq!(encoded(b"x\n", r#"{"a":"b"}"#), format!("{with_attrs}\n"));
    }

    #[test]
    fn a_record_is_read_back() {
        let text = "all \"of\" \\ it\t\u{2029}é<>&\u{1}\r\n".as_bytes();
        let record = decode(encoded(text, r#"{"k":"v"}"#).as_bytes()).unwrap();
        assert_eq!((record.line.as_slice(), record.stream), (text, Stream::Stdout));
        assert_eq!(record.time, Timestamp::from_unix_nanos(1_500_000_000));
        assert_eq!(record.attrs.get("k").map(String::as_str), Some("v"));
    }

    #[test]
    fn what_is_no_record_is_none() {
        for line in
            ["", "{", "[]", "\0\0\0", r#"{"log":"x","stream":"stdin","time":"1970-01-01T00:00:00Z"}"#, r#"{"log":"x"}"#]
        {
            assert_eq!(decode(line.as_bytes()), None, "{line:?}");
        }
    }
}
