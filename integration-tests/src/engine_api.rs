//! The Engine API as bytes on a socket: a client of the harness's own, so that no bug of ours is on both sides.

use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;

/// How long an answer may take.
const ANSWER_DEADLINE: Duration = Duration::from_secs(60);

/// The API on one socket; every request has a connection of its own.
#[derive(Debug, Clone)]
pub struct EngineApi {
    socket: PathBuf,
}

/// A complete answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The header lines as they came.
    pub headers: String,
    /// The body, its chunks joined.
    pub body: Vec<u8>,
}

impl EngineApi {
    /// The API at `socket`.
    #[must_use]
    pub fn new(socket: &Path) -> EngineApi {
        EngineApi { socket: socket.to_owned() }
    }

    /// Sends `body` as it is and reads the answer to its end.
    ///
    /// # Errors
    /// When the daemon cannot be reached, goes away, or does not answer in HTTP.
    pub fn send(&self, method: &str, path: &str, content_type: &str, body: &[u8]) -> io::Result<Answer> {
        let mut stream = UnixStream::connect(&self.socket)?;
        stream.set_read_timeout(Some(ANSWER_DEADLINE))?;
        stream.set_write_timeout(Some(ANSWER_DEADLINE))?;
        let length = body.len();
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: d\r\nConnection: close\r\n")?;
        write!(stream, "Content-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n")?;
        // A daemon may refuse a body before it has read all of it: its answer is then still there to be read.
        let sent = stream.write_all(body);
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        if answer.is_empty() {
            sent?;
            read?;
        }
        parse(&answer).ok_or_else(|| {
            let text = format!("{method} {path}: no whole answer: {:?}", String::from_utf8_lossy(&answer));
            io::Error::new(io::ErrorKind::UnexpectedEof, text)
        })
    }

    /// Sends JSON (`Value::Null`: no body) and reads the answer.
    ///
    /// # Errors
    /// When the daemon cannot be reached, goes away, or does not answer in HTTP.
    pub fn request(&self, method: &str, path: &str, body: &Value) -> io::Result<Answer> {
        let body = if body.is_null() { Vec::new() } else { serde_json::to_vec(body)? };
        self.send(method, path, "application/json", &body)
    }

    /// `GET path`.
    ///
    /// # Errors
    /// When the daemon cannot be reached, goes away, or does not answer in HTTP.
    pub fn get(&self, path: &str) -> io::Result<Answer> {
        self.request("GET", path, &Value::Null)
    }

    /// `POST path` with a JSON body.
    ///
    /// # Errors
    /// When the daemon cannot be reached, goes away, or does not answer in HTTP.
    pub fn post(&self, path: &str, body: &Value) -> io::Result<Answer> {
        self.request("POST", path, body)
    }

    /// `DELETE path`.
    ///
    /// # Errors
    /// When the daemon cannot be reached, goes away, or does not answer in HTTP.
    pub fn delete(&self, path: &str) -> io::Result<Answer> {
        self.request("DELETE", path, &Value::Null)
    }
}

impl Answer {
    /// Whether the status is 2xx (or 304: it already was so).
    #[must_use]
    pub fn is_ok(&self) -> bool {
        (200..300).contains(&self.status) || self.status == 304
    }

    /// The body as JSON; null when it is not.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

fn parse(answer: &[u8]) -> Option<Answer> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let headers = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = headers.split(' ').nth(1)?.parse().ok()?;
    let body = &answer[end + 4..];
    let chunked = headers.to_lowercase().contains("transfer-encoding: chunked");
    let body = if chunked { dechunk(body)? } else { body.to_vec() };
    Some(Answer { status, headers, body })
}

/// Joins the chunks; none when the last one is missing.
fn dechunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n")?;
        let size = std::str::from_utf8(&rest[..end]).ok()?.split(';').next()?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        rest = &rest[end + 2..];
        if size == 0 {
            return Some(body);
        }
        body.extend(rest.get(..size)?);
        rest = rest.get(size + 2..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_whole_or_not_at_all() {
        let whole = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nab\r\n\r\n1\r\nc\r\n0\r\n\r\n";
        assert_eq!(parse(whole).unwrap().body, b"ab\r\nc");
        assert_eq!(parse(&whole[..whole.len() - 6]), None);
        assert_eq!(parse(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap().status, 204);
        assert_eq!(parse(b"HTTP/1.1 204"), None);
    }
}
