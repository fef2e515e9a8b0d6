//! One ttrpc frame: a ten byte header and a payload.
//!
//! ```text
//! u32 BE length │ u32 BE stream id │ u8 type │ u8 flags │ payload
//! ```
//! There is no handshake, no ping and no flow control (ttrpc PROTOCOL.md). The client counts its
//! streams in odd, strictly rising numbers. Decoding is pure, so that it can be fuzzed.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// Bytes of a header.
pub const HEADER_BYTES: usize = 10;
/// Longest payload either side accepts: the limit of Go's ttrpc (4 MiB).
pub const MAX_PAYLOAD_BYTES: usize = 4 << 20;

/// What a frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A call, from client to server.
    Request,
    /// The answer of a call, from server to client.
    Response,
    /// A message of a stream; Corten's services have none.
    Data,
    /// A type this version of the protocol does not know.
    Unknown(u8),
}

impl Kind {
    const fn from_byte(byte: u8) -> Self {
        match byte {
            1 => Self::Request,
            2 => Self::Response,
            3 => Self::Data,
            other => Self::Unknown(other),
        }
    }

    const fn to_byte(self) -> u8 {
        match self {
            Self::Request => 1,
            Self::Response => 2,
            Self::Data => 3,
            Self::Unknown(other) => other,
        }
    }
}

/// The header of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Bytes of the payload that follows.
    pub length: u32,
    /// The call this frame belongs to.
    pub stream: u32,
    /// What the payload is.
    pub kind: Kind,
    /// 1 remote closed, 2 remote open, 4 no data; only streams use them.
    pub flags: u8,
}

impl Header {
    /// Reads a header; every ten bytes are one.
    pub fn decode(bytes: [u8; HEADER_BYTES]) -> Self {
        let word = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        Self { length: word(0), stream: word(4), kind: Kind::from_byte(bytes[8]), flags: bytes[9] }
    }

    /// Writes a header.
    pub fn encode(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..4].copy_from_slice(&self.length.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.stream.to_be_bytes());
        bytes[8] = self.kind.to_byte();
        bytes[9] = self.flags;
        bytes
    }
}

/// A frame that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its header.
    pub header: Header,
    /// The payload; `None` when it was longer than [`MAX_PAYLOAD_BYTES`] and was thrown away.
    pub payload: Option<Vec<u8>>,
}

/// Encodes `message` as one frame, header and payload in one buffer, so that it goes out in one write.
///
/// # Errors
/// The length of the message when it is longer than [`MAX_PAYLOAD_BYTES`].
pub fn encode<M: prost::Message>(stream: u32, kind: Kind, message: &M) -> Result<Vec<u8>, usize> {
    let length = message.encoded_len();
    if length > MAX_PAYLOAD_BYTES {
        return Err(length);
    }
    let header = Header { length: u32::try_from(length).map_err(|_| length)?, stream, kind, flags: 0 };
    let mut bytes = Vec::with_capacity(HEADER_BYTES + length);
    bytes.extend_from_slice(&header.encode());
    message.encode(&mut bytes).map_err(|_| length)?;
    Ok(bytes)
}

/// Reads one frame; `None` at the end of the stream between two frames.
///
/// A payload over the limit is read and thrown away, so that the call can be answered and the
/// connection goes on, as Go's server does.
///
/// # Errors
/// Those of reading; `UnexpectedEof` when the stream ends inside a frame.
pub async fn read<R: AsyncRead + Unpin>(reader: &mut R) -> io::Result<Option<Frame>> {
    let mut bytes = [0; HEADER_BYTES];
    let mut have = 0;
    while have < HEADER_BYTES {
        match reader.read(&mut bytes[have..]).await? {
            0 if have == 0 => return Ok(None),
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => have += count,
        }
    }
    let header = Header::decode(bytes);
    let length = header.length as usize;
    if length > MAX_PAYLOAD_BYTES {
        let discarded = tokio::io::copy(&mut reader.take(length as u64), &mut tokio::io::sink()).await?;
        return if discarded == length as u64 {
            Ok(Some(Frame { header, payload: None }))
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        };
    }
    let mut payload = vec![0; length];
    reader.read_exact(&mut payload).await?;
    Ok(Some(Frame { header, payload: Some(payload) }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Request;

    fn run<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    #[test]
    fn a_header_is_what_go_writes() {
        let header = Header { length: 0x0102, stream: 7, kind: Kind::Request, flags: 0 };
        assert_eq!(header.encode(), [0, 0, 1, 2, 0, 0, 0, 7, 1, 0]);
        assert_eq!(Header::decode(header.encode()), header);
    }

    #[test]
    fn every_kind_survives_a_round_trip() {
        for byte in 0..=u8::MAX {
            assert_eq!(Kind::from_byte(byte).to_byte(), byte);
        }
    }

    #[test]
    fn a_frame_is_read_back() {
        let request = Request { service: "s".into(), method: "m".into(), ..Request::default() };
        let bytes = encode(3, Kind::Request, &request).unwrap();
        let frame = run(read(&mut bytes.as_slice())).unwrap().unwrap();
        assert_eq!(frame.header.stream, 3);
        assert_eq!(frame.payload.unwrap().len(), frame.header.length as usize);
    }

    #[test]
    fn an_over_long_payload_is_skipped_and_the_next_frame_is_found() {
        let length = MAX_PAYLOAD_BYTES + 1;
        let mut bytes = Header { length: length as u32, stream: 1, kind: Kind::Request, flags: 0 }.encode().to_vec();
        bytes.resize(HEADER_BYTES + length, 0);
        bytes.extend(encode(3, Kind::Request, &Request::default()).unwrap());
        run(async {
            let mut reader = bytes.as_slice();
            assert_eq!(read(&mut reader).await.unwrap().unwrap().payload, None);
            assert_eq!(read(&mut reader).await.unwrap().unwrap().header.stream, 3);
            assert!(read(&mut reader).await.unwrap().is_none());
        });
    }

    #[test]
    fn a_stream_that_ends_inside_a_frame_is_an_error() {
        let bytes = encode(1, Kind::Request, &Request { service: "s".into(), ..Request::default() }).unwrap();
        for end in 1..bytes.len() {
            let error = run(read(&mut &bytes[..end])).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "cut at {end}");
        }
    }
}
