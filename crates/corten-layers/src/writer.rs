//! Writing tar archives: ustar headers, PAX records only for what does not fit, so that equal trees give equal bytes.

use std::io::{self, Read, Write};

use crate::archive::{Entry, Kind};
use crate::header::BLOCK;

/// An archive being written.
pub struct Writer<W> {
    out: W,
}

impl<W: Write> Writer<W> {
    /// An archive that starts at `out`'s position.
    pub fn new(out: W) -> Self {
        Self { out }
    }

    /// Writes an entry; `data` must give exactly [`Entry::size`] bytes for a file and is not read otherwise.
    ///
    /// # Errors
    /// `UnexpectedEof` when the file became shorter meanwhile; what the output gave.
    pub fn append(&mut self, entry: &Entry, data: &mut dyn Read) -> io::Result<()> {
        self.append_header(entry)?;
        if entry.kind == Kind::File {
            let copied = io::copy(&mut data.take(entry.size), &mut self.out)?;
            if copied < entry.size {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter while it was read"));
            }
            self.out.write_all(&[0; BLOCK][..padding(entry.size)])?;
        }
        Ok(())
    }

    /// Writes an entry without its data: the caller writes that to [`Writer::get_mut`], and [`padding`] behind it.
    ///
    /// # Errors
    /// What the output gave.
    pub fn append_header(&mut self, entry: &Entry) -> io::Result<()> {
        let records = pax_records(entry);
        if !records.is_empty() {
            let name = b"PaxHeaders.0/x".to_vec();
            let header = Entry { path: name, mode: 0o644, ..blank(Kind::File, records.len() as u64) };
            self.out.write_all(&block(&header, b'x'))?;
            self.write_padded(&records)?;
        }
        let typeflag = match entry.kind {
            Kind::File => b'0',
            Kind::HardLink => b'1',
            Kind::Symlink => b'2',
            Kind::CharDevice => b'3',
            Kind::BlockDevice => b'4',
            Kind::Directory => b'5',
            Kind::Fifo => b'6',
        };
        self.out.write_all(&block(entry, typeflag))
    }

    /// The output.
    pub const fn get_mut(&mut self) -> &mut W {
        &mut self.out
    }

    /// Writes a file that is in memory.
    ///
    /// # Errors
    /// What the output gave.
    pub fn append_bytes(&mut self, path: &str, mode: u32, data: &[u8]) -> io::Result<()> {
        let entry = Entry { path: path.into(), mode, ..blank(Kind::File, data.len() as u64) };
        self.append(&entry, &mut &data[..])
    }

    /// Writes the end of the archive and gives the output back.
    ///
    /// # Errors
    /// What the output gave.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.write_all(&[0; 2 * BLOCK])?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn write_padded(&mut self, data: &[u8]) -> io::Result<()> {
        self.out.write_all(data)?;
        self.out.write_all(&[0; BLOCK][..padding(data.len() as u64)])
    }
}

/// An entry of `kind` with everything else at zero; for building archives.
pub fn blank(kind: Kind, size: u64) -> Entry {
    Entry {
        number: 0,
        path: Vec::new(),
        kind,
        link: Vec::new(),
        mode: 0,
        uid: 0,
        gid: 0,
        mtime: (0, 0),
        size,
        rdev: (0, 0),
        xattrs: Vec::new(),
        segments: None,
    }
}

/// Bytes of zeroes behind `size` bytes of data.
pub const fn padding(size: u64) -> usize {
    ((BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64) as usize
}

/// Largest number an octal field of `width` digits holds.
const fn octal_max(width: u32) -> u64 {
    (1 << (3 * width)) - 1
}

fn pax_records(entry: &Entry) -> Vec<u8> {
    let mut records = Vec::new();
    let mut add = |key: &[u8], value: &[u8]| {
        // The record's length counts its own digits.
        let rest = key.len() + value.len() + 3;
        let mut length = rest + 1;
        while length != rest + length.to_string().len() {
            length = rest + length.to_string().len();
        }
        records.extend_from_slice(length.to_string().as_bytes());
        for part in [&b" "[..], key, b"=", value, b"\n"] {
            records.extend_from_slice(part);
        }
    };
    if split_path(&entry.path).is_none() || !entry.path.is_ascii() {
        add(b"path", &entry.path);
    }
    if entry.link.len() > 100 || !entry.link.is_ascii() {
        add(b"linkpath", &entry.link);
    }
    if entry.kind == Kind::File && entry.size > octal_max(11) {
        add(b"size", entry.size.to_string().as_bytes());
    }
    if u64::from(entry.uid) > octal_max(7) {
        add(b"uid", entry.uid.to_string().as_bytes());
    }
    if u64::from(entry.gid) > octal_max(7) {
        add(b"gid", entry.gid.to_string().as_bytes());
    }
    let (seconds, nanoseconds) = entry.mtime;
    if nanoseconds != 0 || seconds < 0 || seconds.cast_unsigned() > octal_max(11) {
        let fraction = format!("{nanoseconds:09}");
        let fraction = fraction.trim_end_matches('0');
        let time = match (seconds, fraction) {
            (seconds, "") => seconds.to_string(),
            // Decimal, not seconds plus fraction: -1.25 s is stored as -2 s and 750 ms.
            (..0, _) => {
                let behind = format!("{:09}", 1_000_000_000 - nanoseconds);
                format!("-{}.{}", -(seconds + 1), behind.trim_end_matches('0'))
            }
            (seconds, fraction) => format!("{seconds}.{fraction}"),
        };
        add(b"mtime", time.as_bytes());
    }
    for (key, value) in &entry.xattrs {
        add(&[b"SCHILY.xattr.", &key[..]].concat(), value);
    }
    records
}

/// Splits a path into ustar's prefix and name, at a slash; none when it does not fit.
fn split_path(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if path.len() <= 100 {
        return Some((&[], path));
    }
    let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(index, _)| index);
    slashes
        .filter(|index| *index <= 155 && path.len() - index - 1 <= 100 && path.len() - index > 1)
        .map(|index| (&path[..index], &path[index + 1..]))
        .next_back()
}

fn block(entry: &Entry, typeflag: u8) -> [u8; BLOCK] {
    let mut header = [0; BLOCK];
    let mut put = |at: usize, max: usize, bytes: &[u8]| {
        let length = bytes.len().min(max);
        header[at..at + length].copy_from_slice(&bytes[..length]);
    };
    // What does not fit is in the PAX header before this one; the field then holds as much as it can.
    let (prefix, name) = split_path(&entry.path).unwrap_or((&[], &entry.path));
    put(0, 100, name);
    let octal = |value: u64, digits: usize| format!("{value:0digits$o}").into_bytes();
    let fitting = |value: u64, digits: usize| octal(if value > octal_max(digits as u32) { 0 } else { value }, digits);
    put(100, 8, &octal(u64::from(entry.mode & 0o7777), 7));
    put(108, 8, &fitting(u64::from(entry.uid), 7));
    put(116, 8, &fitting(u64::from(entry.gid), 7));
    let size = if entry.kind == Kind::File { entry.size } else { 0 };
    put(124, 12, &fitting(size, 11));
    put(136, 12, &fitting(u64::try_from(entry.mtime.0).unwrap_or(0), 11));
    put(148, 8, b"        ");
    put(156, 1, &[typeflag]);
    put(157, 100, &entry.link);
    put(257, 8, b"ustar\x0000");
    put(329, 8, &fitting(u64::from(entry.rdev.0), 7));
    put(337, 8, &fitting(u64::from(entry.rdev.1), 7));
    put(345, 155, prefix);
    let sum: u64 = header.iter().map(|byte| u64::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::Archive;

    #[test]
    fn what_is_written_is_read_back() {
        let long = "directory/".repeat(30) + "file";
        let entries = [
            Entry { path: b"a".to_vec(), mode: 0o4755, uid: 1, gid: 2, mtime: (5, 0), ..blank(Kind::File, 3) },
            Entry { path: long.clone().into_bytes(), mtime: (-2, 750_000_000), ..blank(Kind::File, 3) },
            Entry { path: "directory/".repeat(12).into_bytes(), ..blank(Kind::Directory, 0) },
            Entry { path: vec![b'l'], link: vec![b't'; 200], mtime: (1, 5), ..blank(Kind::Symlink, 0) },
            Entry { path: vec![b'd'], rdev: (8, 1), uid: 3_000_000, ..blank(Kind::BlockDevice, 0) },
            Entry {
                path: b"x\xff".to_vec(),
                xattrs: vec![(b"user.a".to_vec(), vec![0, 10, 61])],
                ..blank(Kind::File, 3)
            },
        ];
        let mut writer = Writer::new(Vec::new());
        for entry in &entries {
            writer.append(entry, &mut &b"abc"[..]).unwrap();
        }
        let bytes = writer.finish().unwrap();

        let mut archive = Archive::new(&bytes[..]);
        for expected in &entries {
            let entry = archive.next_entry().unwrap().unwrap();
            let text = |entry: &Entry| format!("{:?}", Entry { number: 0, ..entry.clone() });
            assert_eq!(text(&entry), text(expected));
        }
        assert!(archive.next_entry().unwrap().is_none());
    }
}
