//! One 512-byte tar header: checksum, numbers, names (POSIX.1-1988 ustar, GNU, and the old v7 form).

use crate::archive::{ArchiveError, Problem};

/// Every header and every padding of a tar archive is a multiple of this.
pub const BLOCK: usize = 512;

/// One header as it lies in the archive.
#[derive(Clone)]
pub struct Header(pub [u8; BLOCK]);

impl Header {
    /// True of the block of zeroes that ends an archive.
    pub fn is_end(&self) -> bool {
        self.0.iter().all(|byte| *byte == 0)
    }

    /// Checks the sum; historic archives summed signed bytes, so both are accepted, as GNU tar does.
    pub fn checksum_matches(&self) -> bool {
        let Some(stated) = octal(&self.0[148..156]) else { return false };
        let byte_at = |index: usize| if (148..156).contains(&index) { b' ' } else { self.0[index] };
        let unsigned: u64 = (0..BLOCK).map(|index| u64::from(byte_at(index))).sum();
        let signed: i64 = (0..BLOCK).map(|index| i64::from(byte_at(index).cast_signed())).sum();
        stated == unsigned || i64::try_from(stated) == Ok(signed)
    }

    /// The type letter.
    pub fn typeflag(&self) -> u8 {
        self.0[156]
    }

    /// The name, with ustar's prefix in front.
    pub fn path(&self) -> Vec<u8> {
        let name = until_nul(&self.0[..100]);
        let prefix = if self.is_ustar() { until_nul(&self.0[345..500]) } else { &[] };
        if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
    }

    /// Where a link points.
    pub fn link(&self) -> Vec<u8> {
        until_nul(&self.0[157..257]).to_vec()
    }

    /// Permission bits.
    pub fn mode(&self) -> Result<u32, Problem> {
        Ok((number(&self.0[100..108]).ok_or(Problem::Number("mode"))? & 0o7777) as u32)
    }

    /// Owner.
    pub fn uid(&self) -> Result<u64, Problem> {
        unsigned(&self.0[108..116], "uid")
    }

    /// Group.
    pub fn gid(&self) -> Result<u64, Problem> {
        unsigned(&self.0[116..124], "gid")
    }

    /// Bytes of data that follow.
    pub fn size(&self) -> Result<u64, Problem> {
        unsigned(&self.0[124..136], "size")
    }

    /// Modification time, seconds since 1970; GNU stores times before it in base 256.
    pub fn mtime(&self) -> Result<i64, Problem> {
        number(&self.0[136..148]).ok_or(Problem::Number("mtime"))
    }

    /// Major and minor number of a device.
    pub fn rdev(&self) -> Result<(u32, u32), Problem> {
        let part = |range: std::ops::Range<usize>| {
            unsigned(&self.0[range], "device number")
                .and_then(|value| u32::try_from(value).map_err(|_| Problem::Number("device number")))
        };
        Ok((part(329..337)?, part(337..345)?))
    }

    fn is_ustar(&self) -> bool {
        &self.0[257..263] == b"ustar\0"
    }

    /// True of GNU's own format, whose sparse map lies where ustar has the prefix.
    pub fn is_gnu(&self) -> bool {
        &self.0[257..265] == b"ustar  \0"
    }
}

fn unsigned(field: &[u8], name: &'static str) -> Result<u64, Problem> {
    number(field).and_then(|value| u64::try_from(value).ok()).ok_or(Problem::Number(name))
}

/// A number in octal digits or, when the first bit is set, in base 256 (GNU tar, "Large or Negative Values").
pub fn number(field: &[u8]) -> Option<i64> {
    if field[0] & 0x80 == 0 {
        return octal(field).and_then(|value| i64::try_from(value).ok());
    }
    let negative = field[0] & 0x40 != 0;
    let first = if negative { field[0] } else { field[0] & 0x7f };
    let bytes = std::iter::once(first).chain(field[1..].iter().copied());
    let fill: i128 = if negative { -1 } else { 0 };
    let mut value = fill;
    for byte in bytes {
        value = value.checked_mul(256)? | i128::from(byte);
    }
    i64::try_from(value).ok()
}

fn octal(field: &[u8]) -> Option<u64> {
    let digits = field.iter().skip_while(|byte| **byte == b' ').take_while(|byte| !matches!(byte, b' ' | 0));
    let mut value = 0_u64;
    for digit in digits {
        if !(b'0'..=b'7').contains(digit) {
            return None;
        }
        value = value.checked_mul(8)?.checked_add(u64::from(digit - b'0'))?;
    }
    Some(value)
}

fn until_nul(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// A key and its value.
type Record<'a> = (&'a [u8], &'a [u8]);

/// The records of a PAX extension header: `length key=value\n` (pax(1), "Extended Header").
pub fn pax_records(mut data: &[u8]) -> Result<Vec<Record<'_>>, Problem> {
    let mut records = Vec::new();
    while !data.is_empty() {
        let space = data.iter().take(12).position(|byte| *byte == b' ').ok_or(Problem::Pax)?;
        let length = std::str::from_utf8(&data[..space]).ok().and_then(|text| text.parse::<usize>().ok());
        let length = length.filter(|length| *length > space + 1 && *length <= data.len()).ok_or(Problem::Pax)?;
        let (record, rest) = data.split_at(length);
        let record = record[space + 1..].strip_suffix(b"\n").ok_or(Problem::Pax)?;
        let equals = record.iter().position(|byte| *byte == b'=').ok_or(Problem::Pax)?;
        records.push((&record[..equals], &record[equals + 1..]));
        data = rest;
    }
    Ok(records)
}

/// A PAX time: decimal seconds with a fraction of any length, truncated to nanoseconds.
pub fn pax_time(value: &[u8]) -> Option<(i64, u32)> {
    let text = std::str::from_utf8(value).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().ok()?;
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let mut nanoseconds = 0_u32;
    for index in 0..9 {
        nanoseconds = nanoseconds * 10 + fraction.as_bytes().get(index).map_or(0, |digit| u32::from(digit - b'0'));
    }
    if whole.starts_with('-') && nanoseconds > 0 {
        return Some((seconds - 1, 1_000_000_000 - nanoseconds));
    }
    Some((seconds, nanoseconds))
}

/// Attaches the entry's place to what is wrong with it.
pub fn located(number: u64, path: &[u8]) -> impl Fn(Problem) -> ArchiveError + use<> {
    let path = String::from_utf8_lossy(path).into_owned();
    move |problem| ArchiveError::Malformed { entry: number, path: path.clone(), problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_base_256() {
        for (field, expected) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"\0\0\0\0\0\0\0\0", Some(0)),
            (b"00008\0\0\0", None),
            (b"\x80\0\0\0\0\x20\0\0", Some(0x20_0000)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff", Some(-1)),
            (b"\xff\xff\xff\xff\xff\xff\xff\x00", Some(-256)),
            (b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", None),
        ] {
            assert_eq!(number(field), expected, "{field:?}");
        }
    }

    #[test]
    fn times_before_1970_and_fractions_are_read() {
        assert_eq!(pax_time(b"12.5"), Some((12, 500_000_000)));
        assert_eq!(pax_time(b"-1.25"), Some((-2, 750_000_000)));
        assert_eq!(pax_time(b"7"), Some((7, 0)));
        assert_eq!(pax_time(b"1.1234567899"), Some((1, 123_456_789)));
        assert_eq!(pax_time(b"1.x"), None);
    }

    #[test]
    fn pax_records_state_their_own_length() {
        assert_eq!(pax_records(b"6 a=b\n10 key=v=w\n").map(|r| r.len()).ok(), None);
        let records = pax_records(b"6 a=b\n11 key=v=w\n").expect("well formed");
        assert_eq!(records, [(&b"a"[..], &b"b"[..]), (b"key", b"v=w")]);
        for broken in [&b"6 a=b"[..], b"99 a=b\n", b"x a=b\n", b"4 a\n", b"0 a=b\n"] {
            assert!(pax_records(broken).is_err(), "{broken:?}");
        }
    }
}
