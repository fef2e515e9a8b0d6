//! Compression, told by the first bytes of a stream and never by its media type: registries and tools get types wrong.

use std::io::{self, BufRead, BufReader, Read};

mod windows;
mod xz;
mod zstd_frames;

use bzip2::bufread::MultiBzDecoder;
use xz::Xz;
use zstd_frames::Zstd;

/// How a blob is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// Not at all.
    Plain,
    /// gzip, one or more members.
    Gzip,
    /// zstd, one or more frames, skippable ones included.
    Zstd,
    /// bzip2, one or more streams.
    Bzip2,
    /// xz, one or more streams.
    Xz,
}

/// What is looked at for a magic number: a page, so that what follows is copied from where in a page it is copied to
/// (see [`buffers`](crate::buffers)).
const HEAD: usize = 4096;
/// What is read from the underlying stream at once.
const BUFFER: usize = 256 << 10;

impl Codec {
    /// The codec of a stream that starts with `head`.
    ///
    /// # Errors
    /// The name of a compression that is recognised and not supported (lz4, compress); docker knows neither.
    pub fn detect(head: &[u8]) -> Result<Self, &'static str> {
        match head {
            [0x1f, 0x8b, ..] => Ok(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Ok(Self::Zstd),
            [b'B', b'Z', b'h', ..] => Ok(Self::Bzip2),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Ok(Self::Xz),
            [0x04, 0x22, 0x4d, 0x18, ..] => Err("lz4"),
            [0x1f, 0x9d, ..] => Err("compress"),
            _ => Ok(Self::Plain),
        }
    }
}

/// A stream after decompression; what it was compressed with is known once it was made.
pub struct Decoder<'a> {
    codec: Codec,
    inner: Box<dyn Read + Send + 'a>,
}

impl<'a> Decoder<'a> {
    /// Looks at the first bytes and sets up the matching decompressor.
    ///
    /// # Errors
    /// `Unsupported` naming lz4 or compress; otherwise what reading gave.
    pub fn new(mut reader: impl Read + Send + 'a) -> io::Result<Self> {
        let head = read_head(&mut reader)?;
        let codec = detected(&head)?;
        let whole = io::Cursor::new(head).chain(reader);
        let inner: Box<dyn Read + Send + 'a> = match codec {
            Codec::Plain => Box::new(whole),
            Codec::Gzip => Box::new(Gzip::new(BufReader::with_capacity(BUFFER, whole))),
            Codec::Zstd => Box::new(Zstd::new(BufReader::with_capacity(BUFFER, whole))?),
            Codec::Bzip2 => Box::new(MultiBzDecoder::new(BufReader::with_capacity(BUFFER, whole))),
            Codec::Xz => Box::new(Xz::new(BufReader::with_capacity(BUFFER, whole))),
        };
        Ok(Self { codec, inner })
    }

    /// What the stream was compressed with.
    pub fn codec(&self) -> Codec {
        self.codec
    }
}

impl Read for Decoder<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer)
    }
}

/// The stream as images keep it: bzip2 and xz, which no registry's other clients read, are decompressed, everything else
/// stays as it is.
///
/// # Errors
/// As [`Decoder::new`].
pub fn in_common_use<'a>(mut reader: impl Read + Send + 'a) -> io::Result<Box<dyn Read + Send + 'a>> {
    let head = read_head(&mut reader)?;
    let codec = detected(&head)?;
    let whole = io::Cursor::new(head).chain(reader);
    Ok(match codec {
        Codec::Bzip2 | Codec::Xz => Box::new(Decoder::new(whole)?),
        _ => Box::new(whole),
    })
}

/// The first bytes of a stream.
fn read_head(reader: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = vec![0; HEAD];
    let mut filled = 0;
    while filled < HEAD {
        match reader.read(&mut head[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    head.truncate(filled);
    Ok(head)
}

fn detected(head: &[u8]) -> io::Result<Codec> {
    let unsupported = |name| io::Error::new(io::ErrorKind::Unsupported, format!("{name} compression: not supported"));
    Codec::detect(head).map_err(unsupported)
}

/// Several gzip members, and padding of zeroes after the last, which gzip(1) and Go accept and flate2 does not.
struct Gzip<R: BufRead> {
    member: Option<flate2::bufread::GzDecoder<R>>,
}

impl<R: BufRead> Gzip<R> {
    fn new(reader: R) -> Self {
        Self { member: Some(flate2::bufread::GzDecoder::new(reader)) }
    }
}

impl<R: BufRead> Read for Gzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let read = member.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            let Some(member) = self.member.take() else { break };
            let mut rest = member.into_inner();
            if skip_zeroes(&mut rest)? {
                self.member = Some(flate2::bufread::GzDecoder::new(rest));
            }
        }
        Ok(0)
    }
}

/// Skips zeroes; true when something else follows.
fn skip_zeroes(reader: &mut impl BufRead) -> io::Result<bool> {
    loop {
        let available = reader.fill_buf()?;
        if available.is_empty() {
            return Ok(false);
        }
        let zeroes = available.iter().take_while(|byte| **byte == 0).count();
        let more = zeroes < available.len();
        reader.consume(zeroes);
        if more {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn every_codec_gives_back_what_went_in() {
        let skippable =
            [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3][..], &zstd::encode_all(&b"text"[..], 3).unwrap()];
        for (stream, codec) in [
            (b"text".to_vec(), Codec::Plain),
            (gzip(b"text"), Codec::Gzip),
            ([gzip(b"te"), gzip(b"xt"), vec![0; 700]].concat(), Codec::Gzip),
            (zstd::encode_all(&b"text"[..], 3).unwrap(), Codec::Zstd),
            (skippable.concat(), Codec::Zstd),
        ] {
            let mut decoder = Decoder::new(&stream[..]).unwrap();
            let mut out = Vec::new();
            decoder.read_to_end(&mut out).unwrap();
            assert_eq!((out.as_slice(), decoder.codec()), (&b"text"[..], codec));
        }
    }

    #[test]
    fn a_cut_stream_is_an_error_and_not_an_end() {
        for stream in [gzip(&[7; 100_000]), zstd::encode_all(&[7; 100_000][..], 3).unwrap()] {
            let mut decoder = Decoder::new(&stream[..stream.len() - 5]).unwrap();
            assert!(io::copy(&mut decoder, &mut io::sink()).is_err());
        }
    }

    #[test]
    fn windows_of_zstd_are_bounded_and_the_large_ones_are_opened_one_at_a_time() {
        let data: Vec<u8> = (0..3_000_000_u32).flat_map(|number| (number % 251).to_le_bytes()).collect();
        let with_window = |log: u32| {
            let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
            encoder.set_parameter(zstd::zstd_safe::CParameter::WindowLog(log)).unwrap();
            encoder.write_all(&data).unwrap();
            encoder.finish().unwrap()
        };
        let wide = with_window(25);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut out = Vec::new();
                    Decoder::new(&[wide.clone(), with_window(20)].concat()[..]).unwrap().read_to_end(&mut out).unwrap();
                    assert_eq!(out.len(), 2 * data.len());
                });
            }
        });
        // A window of 2 GiB, as `zstd --ultra --long=31` asks for.
        let mut huge = with_window(25);
        huge[5] = 21 << 3;
        let error = io::copy(&mut Decoder::new(&huge[..]).unwrap(), &mut io::sink()).unwrap_err();
        assert_eq!(error.to_string(), "a zstd window of 2147483648 bytes is over the bound of 134217728");
    }

    /// `printf text | bzip2`, and `| xz`.
    const BZIP2: &str = "425a6839314159265359cb28d32d0000008180020004402000219819832c2ee48a70a1219651a65a";
    const XZ: &str = "fd377a585a000004e6d6b4460200210116000000742fe5a3010003746578740055cde833ff4a0c1700011c046f2c9cc11fb6f37d010000000004595a";

    /// `printf text | xz -9`: a dictionary of 64 MiB.
    const XZ_LARGE: &str = "fd377a585a000004e6d6b446020021011c00000010cf58cc010003746578740055cde833ff4a0c1700011c046f2c9cc11fb6f37d010000000004595a";

    #[test]
    fn large_dictionaries_of_xz_are_opened_one_at_a_time_and_none_comes_in_by_stealth() {
        let (small, large) = (unhex(XZ), unhex(XZ_LARGE));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut out = Vec::new();
                    Decoder::new(&[&large[..], &small].concat()[..]).unwrap().read_to_end(&mut out).unwrap();
                    assert_eq!(out, b"texttext");
                });
            }
        });
        // While one is open, small ones are read beside it.
        let mut open = Decoder::new(&large[..]).unwrap();
        open.read_exact(&mut [0]).unwrap();
        let mut out = Vec::new();
        Decoder::new(&small[..]).unwrap().read_to_end(&mut out).unwrap();
        assert_eq!(out, b"text");
        let hidden = [&small[..], &large].concat();
        let error = Decoder::new(&hidden[..]).unwrap().read_to_end(&mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("larger dictionary than its beginning"), "{error}");
    }

    fn unhex(text: &str) -> Vec<u8> {
        (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap()).collect()
    }

    #[test]
    fn bzip2_and_xz_are_read_to_the_end_of_their_last_stream_and_a_cut_one_is_an_error() {
        for (stream, codec) in [(unhex(BZIP2), Codec::Bzip2), (unhex(XZ), Codec::Xz)] {
            let twice = [&stream[..], &stream].concat();
            let mut decoder = Decoder::new(&twice[..]).unwrap();
            let mut out = Vec::new();
            decoder.read_to_end(&mut out).unwrap();
            assert_eq!((out.as_slice(), decoder.codec()), (&b"texttext"[..], codec));
            for length in 7..stream.len() {
                let cut = Decoder::new(&stream[..length]).unwrap().read_to_end(&mut Vec::new());
                assert!(cut.is_err(), "{length} bytes of {codec:?}");
            }
            let mut kept = Vec::new();
            in_common_use(&stream[..]).unwrap().read_to_end(&mut kept).unwrap();
            assert_eq!(kept, b"text");
        }
        let mut kept = Vec::new();
        in_common_use(&gzip(b"text")[..]).unwrap().read_to_end(&mut kept).unwrap();
        assert_eq!(kept, gzip(b"text"));
    }

    #[test]
    fn damaged_streams_end_in_an_error_or_in_other_text_and_never_in_a_panic() {
        for stream in [unhex(BZIP2), unhex(XZ)] {
            for at in 0..stream.len() * 8 {
                let mut damaged = stream.clone();
                damaged[at / 8] ^= 1 << (at % 8);
                if let Ok(mut decoder) = Decoder::new(&damaged[..]) {
                    let mut out = Vec::new();
                    let first = decoder.by_ref().take(1 << 20).read_to_end(&mut out);
                    // Asked again after an error, it must not panic either.
                    let _ = first.is_err() && decoder.read(&mut [0; 16]).is_ok();
                }
            }
        }
    }

    #[test]
    fn unsupported_compression_is_named() {
        let error = Decoder::new(&[0x04, 0x22, 0x4d, 0x18, 0x64, 0x40][..]).err().unwrap();
        assert_eq!(error.to_string(), "lz4 compression: not supported");
    }
}
