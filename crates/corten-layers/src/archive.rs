//! Reading tar archives as a stream: entries in order, each followed by its data.
//!
//! Own parser because archives come from strangers: every header that must be held in memory is bounded (the tar
//! crate reads a PAX or GNU long-name header of any stated size into memory), names stay bytes, and an error names
//! the entry by number and path. Understood: v7, ustar, GNU (long names, base-256 numbers, sparse), PAX (path,
//! linkpath, size, uid, gid, mtime, SCHILY.xattr, GNU.sparse 0.0, 0.1 and 1.0).

use std::io::{self, Read};

use crate::header::{BLOCK, Header, located, number, pax_records, pax_time};

/// Most bytes an extension header (PAX, GNU long name, sparse map) may have: PATH_MAX and the largest xattrs fit
/// many times over, and it bounds what one entry costs in memory.
const EXTENSION_MAX: u64 = 1 << 20;
/// Most segments of a sparse file: the map of a 4 TiB file with a hole every 64 MiB.
const SEGMENTS_MAX: usize = 1 << 16;

/// What an entry makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An ordinary file; its data follows.
    File,
    /// Another name of the file [`Entry::link`].
    HardLink,
    /// A symbolic link that says [`Entry::link`].
    Symlink,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A directory.
    Directory,
    /// A named pipe.
    Fifo,
}

/// One entry, as archived: nothing is cleaned or checked beyond the form.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Place in the archive, from 1.
    pub number: u64,
    /// Name, in bytes.
    pub path: Vec<u8>,
    /// What it makes.
    pub kind: Kind,
    /// Target of a link.
    pub link: Vec<u8>,
    /// Permission bits, set-id and sticky included.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time, seconds and nanoseconds since 1970.
    pub mtime: (i64, u32),
    /// Size of the file once written, holes included.
    pub size: u64,
    /// Major and minor number of a device.
    pub rdev: (u32, u32),
    /// Extended attributes.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Of a sparse file the (offset, length) of each piece of data, in ascending order.
    pub segments: Option<Vec<(u64, u64)>>,
}

impl Entry {
    /// The name for messages.
    pub fn name(&self) -> String {
        String::from_utf8_lossy(&self.path).into_owned()
    }
}

/// What is wrong with an archive.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The stream ends in the middle of an entry.
    #[error("archive is truncated in entry {entry}{}", quoted(path))]
    Truncated {
        /// Number of the entry.
        entry: u64,
        /// Its name, empty when the header itself is cut.
        path: String,
    },
    /// An entry breaks the format.
    #[error("archive entry {entry}{}: {problem}", quoted(path))]
    Malformed {
        /// Number of the entry.
        entry: u64,
        /// Its name as far as known.
        path: String,
        /// What is wrong.
        problem: Problem,
    },
    /// The stream could not be read.
    #[error("read archive")]
    Read(#[source] io::Error),
}

fn quoted(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!(" {path:?}") }
}

/// How an entry breaks the format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The checksum does not match: not a tar archive, or damaged.
    #[error("invalid tar header")]
    Checksum,
    /// A numeric field holds something else.
    #[error("{0} is not a number in range")]
    Number(&'static str),
    /// A PAX header is not `length key=value` records.
    #[error("malformed PAX header")]
    Pax,
    /// An extension header is larger than its bound.
    #[error("extension header of {0} bytes is over the bound of 1048576")]
    ExtensionTooLong(u64),
    /// A sparse map is out of order, too long or does not fit the file.
    #[error("malformed sparse map")]
    Sparse,
    /// A type letter that has no meaning in a file system image.
    #[error("unsupported entry type {:?}", char::from(*.0))]
    Type(u8),
}

/// An archive being read.
pub struct Archive<R> {
    reader: R,
    number: u64,
    /// Bytes of the current entry's data not read yet.
    data_left: u64,
    /// Padding behind that data.
    padding: u64,
    /// Name of the current entry, for errors.
    path: String,
    finished: bool,
}

#[derive(Default)]
struct Extensions {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    mtime: Option<(i64, u32)>,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    sparse_major: Option<u64>,
    sparse_size: Option<u64>,
    sparse_name: Option<Vec<u8>>,
    sparse_map: Option<Vec<(u64, u64)>>,
}

impl<R: Read> Archive<R> {
    /// An archive whose first byte is the reader's next.
    pub fn new(reader: R) -> Self {
        Self { reader, number: 0, data_left: 0, padding: 0, path: String::new(), finished: false }
    }

    /// The next entry; data of the one before that was not read is skipped.
    ///
    /// The archive ends at a block of zeroes or, as docker and containerd accept, at the end of the stream.
    ///
    /// # Errors
    /// [`ArchiveError`], after which the archive must not be read further.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, ArchiveError> {
        self.skip_data()?;
        let mut extensions = Extensions::default();
        let mut extension_bytes = 0_u64;
        let mut pending = false;
        loop {
            if self.finished {
                return Ok(None);
            }
            if !pending {
                self.number += 1;
                self.path.clear();
            }
            let Some(header) = self.read_header()? else {
                self.finished = true;
                // An extension header announces an entry, so its absence is a cut.
                return if pending { Err(self.truncated()) } else { Ok(None) };
            };
            let size = header.size().map_err(located(self.number, &header.path()))?;
            if matches!(header.typeflag(), b'L' | b'K' | b'x' | b'X') {
                extension_bytes = extension_bytes.saturating_add(size.max(1));
                if extension_bytes > EXTENSION_MAX {
                    return Err(located(self.number, &header.path())(Problem::ExtensionTooLong(extension_bytes)));
                }
            }
            match header.typeflag() {
                b'L' => extensions.path = Some(trimmed(self.read_extension(size)?)),
                b'K' => extensions.link = Some(trimmed(self.read_extension(size)?)),
                b'x' | b'X' => {
                    let data = self.read_extension(size)?;
                    read_pax(&data, &mut extensions).map_err(located(self.number, &header.path()))?;
                }
                // Global headers and volume labels describe the archive, not a file.
                b'g' | b'V' => {
                    self.read_extension(size)?;
                    continue;
                }
                _ => return self.entry(&header, extensions).map(Some),
            }
            pending = true;
        }
    }

    /// Reads the current entry's data; of a sparse file its segments one after the other.
    ///
    /// # Errors
    /// `UnexpectedEof` when the archive is cut inside the data.
    pub fn read_data(&mut self, buffer: &mut [u8]) -> Result<usize, ArchiveError> {
        let want = usize::try_from(self.data_left).unwrap_or(usize::MAX).min(buffer.len());
        if want == 0 {
            return Ok(0);
        }
        let read = retried(&mut self.reader, &mut buffer[..want])?;
        if read == 0 {
            return Err(self.truncated());
        }
        self.data_left -= read as u64;
        Ok(read)
    }

    /// Reads all of the current entry's data, refusing more than `max` bytes.
    ///
    /// # Errors
    /// [`Problem::ExtensionTooLong`] over the bound.
    pub fn read_all(&mut self, max: u64) -> Result<Vec<u8>, ArchiveError> {
        if self.data_left > max {
            return Err(located(self.number, self.path.as_bytes())(Problem::ExtensionTooLong(self.data_left)));
        }
        let mut data = vec![0; usize::try_from(self.data_left).unwrap_or(0)];
        let mut filled = 0;
        while filled < data.len() {
            filled += self.read_data(&mut data[filled..])?;
        }
        Ok(data)
    }

    /// Bytes of data of the current entry that were not read yet.
    pub fn data_left(&self) -> u64 {
        self.data_left
    }

    /// Reads whatever follows the last entry, so that a digest of the stream covers all of it.
    ///
    /// # Errors
    /// [`ArchiveError::Read`].
    pub fn drain(&mut self) -> Result<(), ArchiveError> {
        let mut buffer = vec![0; 64 << 10];
        while retried(&mut self.reader, &mut buffer)? > 0 {}
        Ok(())
    }

    fn truncated(&self) -> ArchiveError {
        ArchiveError::Truncated { entry: self.number, path: self.path.clone() }
    }

    fn skip_data(&mut self) -> Result<(), ArchiveError> {
        if self.data_left + self.padding == 0 {
            return Ok(());
        }
        let mut buffer = vec![0; 64 << 10];
        while self.data_left > 0 {
            self.read_data(&mut buffer)?;
        }
        self.data_left = std::mem::take(&mut self.padding);
        while self.data_left > 0 {
            self.read_data(&mut buffer)?;
        }
        Ok(())
    }

    /// The next header, none at the end of the archive.
    fn read_header(&mut self) -> Result<Option<Header>, ArchiveError> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            let read = retried(&mut self.reader, &mut block[filled..])?;
            if read == 0 {
                return if filled == 0 { Ok(None) } else { Err(self.truncated()) };
            }
            filled += read;
        }
        let header = Header(block);
        if header.is_end() {
            return Ok(None);
        }
        if !header.checksum_matches() {
            return Err(located(self.number, b"")(Problem::Checksum));
        }
        Ok(Some(header))
    }

    fn read_extension(&mut self, size: u64) -> Result<Vec<u8>, ArchiveError> {
        if size > EXTENSION_MAX {
            return Err(located(self.number, self.path.as_bytes())(Problem::ExtensionTooLong(size)));
        }
        self.data_left = size;
        self.padding = padding_of(size);
        let data = self.read_all(EXTENSION_MAX)?;
        self.skip_data()?;
        Ok(data)
    }

    fn entry(&mut self, header: &Header, extensions: Extensions) -> Result<Entry, ArchiveError> {
        let path = extensions.sparse_name.or(extensions.path).unwrap_or_else(|| header.path());
        let at = located(self.number, &path);
        self.path = String::from_utf8_lossy(&path).into_owned();
        let kind = kind_of(header.typeflag(), &path).map_err(&at)?;
        let stored = extensions.size.map_or_else(|| header.size(), Ok).map_err(&at)?;
        // Links, devices and directories have no data whatever their size field says, as in Go's reader.
        self.data_left = if kind == Kind::File { stored } else { 0 };
        self.padding = padding_of(self.data_left);

        let mut size = self.data_left;
        let mut segments = None;
        if header.typeflag() == b'S' {
            if !header.is_gnu() {
                return Err(at(Problem::Sparse));
            }
            let map = self.read_gnu_map(header)?;
            size = number(&header.0[483..495]).and_then(|size| u64::try_from(size).ok()).ok_or(at(Problem::Sparse))?;
            segments = Some(map);
        } else if extensions.sparse_major == Some(1) {
            segments = Some(self.read_pax_map()?);
        } else if extensions.sparse_size.is_some() {
            // 0.0 and 0.1; a file that is one hole has no map.
            segments = Some(extensions.sparse_map.unwrap_or_default());
        }
        if let Some(map) = &mut segments {
            if header.typeflag() != b'S' {
                size = extensions.sparse_size.ok_or(at(Problem::Sparse))?;
            }
            // GNU tar ends the map with an empty segment at the file's end.
            map.retain(|(_, length)| *length > 0);
            check_map(map, size, self.data_left).map_err(&at)?;
        }

        let id = |value: u64, name| u32::try_from(value).map_err(|_| at(Problem::Number(name)));
        let uid = extensions.uid.map_or_else(|| header.uid(), Ok).map_err(&at)?;
        let gid = extensions.gid.map_or_else(|| header.gid(), Ok).map_err(&at)?;
        let is_device = matches!(kind, Kind::CharDevice | Kind::BlockDevice);
        Ok(Entry {
            number: self.number,
            kind,
            link: extensions.link.unwrap_or_else(|| header.link()),
            mode: header.mode().map_err(&at)?,
            uid: id(uid, "uid")?,
            gid: id(gid, "gid")?,
            mtime: extensions.mtime.map_or_else(|| header.mtime().map(|time| (time, 0)), Ok).map_err(&at)?,
            size,
            rdev: if is_device { header.rdev().map_err(&at)? } else { (0, 0) },
            xattrs: extensions.xattrs,
            segments,
            path,
        })
    }

    /// The map of GNU's old sparse form: four segments in the header, 21 in each block that follows it.
    fn read_gnu_map(&mut self, header: &Header) -> Result<Vec<(u64, u64)>, ArchiveError> {
        let broken = located(self.number, self.path.as_bytes());
        let mut map = Vec::new();
        let add = |map: &mut Vec<(u64, u64)>, fields: &[u8]| {
            for field in fields.chunks_exact(24) {
                if field[0] == 0 {
                    break;
                }
                let part = |range: std::ops::Range<usize>| number(&field[range]).and_then(|n| u64::try_from(n).ok());
                map.push((part(0..12).ok_or(Problem::Sparse)?, part(12..24).ok_or(Problem::Sparse)?));
            }
            if map.len() > SEGMENTS_MAX { Err(Problem::Sparse) } else { Ok(()) }
        };
        add(&mut map, &header.0[386..482]).map_err(&broken)?;
        let mut more = header.0[482] != 0;
        while more {
            let mut block = [0; BLOCK];
            let mut filled = 0;
            while filled < BLOCK {
                let read = retried(&mut self.reader, &mut block[filled..])?;
                if read == 0 {
                    return Err(self.truncated());
                }
                filled += read;
            }
            add(&mut map, &block[..504]).map_err(&broken)?;
            more = block[504] != 0;
        }
        Ok(map)
    }

    /// The map of PAX sparse 1.0: decimal lines at the start of the data, padded to a block.
    fn read_pax_map(&mut self) -> Result<Vec<(u64, u64)>, ArchiveError> {
        let broken = located(self.number, self.path.as_bytes());
        let mut text = Vec::new();
        let mut numbers: Vec<u64> = Vec::new();
        let mut read_blocks = 0_u64;
        loop {
            let mut block = [0; BLOCK];
            let mut filled = 0;
            while filled < BLOCK {
                let read = self.read_data(&mut block[filled..])?;
                if read == 0 {
                    return Err(broken(Problem::Sparse));
                }
                filled += read;
            }
            read_blocks += 1;
            if read_blocks * BLOCK as u64 > EXTENSION_MAX {
                return Err(broken(Problem::Sparse));
            }
            for byte in block {
                if byte != b'\n' {
                    text.push(byte);
                    continue;
                }
                let line = std::str::from_utf8(&text).ok().and_then(|line| line.parse().ok());
                numbers.push(line.ok_or_else(|| broken(Problem::Sparse))?);
                text.clear();
                let wanted = numbers[0].checked_mul(2).and_then(|n| n.checked_add(1));
                let wanted = wanted.filter(|n| *n <= 2 * SEGMENTS_MAX as u64).ok_or_else(|| broken(Problem::Sparse))?;
                if numbers.len() as u64 == wanted {
                    return Ok(numbers[1..].chunks_exact(2).map(|pair| (pair[0], pair[1])).collect());
                }
            }
        }
    }
}

fn retried(reader: &mut impl Read, buffer: &mut [u8]) -> Result<usize, ArchiveError> {
    loop {
        match reader.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result.map_err(ArchiveError::Read),
        }
    }
}

const fn padding_of(size: u64) -> u64 {
    (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64
}

fn trimmed(mut name: Vec<u8>) -> Vec<u8> {
    if let Some(end) = name.iter().position(|byte| *byte == 0) {
        name.truncate(end);
    }
    name
}

fn kind_of(typeflag: u8, path: &[u8]) -> Result<Kind, Problem> {
    Ok(match typeflag {
        // v7 has no type for directories: a trailing slash says it.
        0 | b'0' if path.ends_with(b"/") => Kind::Directory,
        0 | b'0' | b'7' | b'S' => Kind::File,
        b'1' => Kind::HardLink,
        b'2' => Kind::Symlink,
        b'3' => Kind::CharDevice,
        b'4' => Kind::BlockDevice,
        b'5' => Kind::Directory,
        b'6' => Kind::Fifo,
        other => return Err(Problem::Type(other)),
    })
}

fn check_map(map: &[(u64, u64)], size: u64, stored: u64) -> Result<(), Problem> {
    let mut end = 0_u64;
    let mut total = 0_u64;
    for (offset, length) in map {
        if *offset < end {
            return Err(Problem::Sparse);
        }
        end = offset.checked_add(*length).ok_or(Problem::Sparse)?;
        total = total.checked_add(*length).ok_or(Problem::Sparse)?;
    }
    if end > size || total != stored { Err(Problem::Sparse) } else { Ok(()) }
}

fn read_pax(data: &[u8], extensions: &mut Extensions) -> Result<(), Problem> {
    let decimal = |value: &[u8], name| {
        std::str::from_utf8(value).ok().and_then(|text| text.parse::<u64>().ok()).ok_or(Problem::Number(name))
    };
    let mut offset = None;
    for (key, value) in pax_records(data)? {
        if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
            // One without a value is an attribute, too: docker 28 and containerd 2 set it, those before did not.
            extensions.xattrs.push((name.to_vec(), value.to_vec()));
            continue;
        }
        // An empty value takes a record back (pax(1)): what the header itself says holds then.
        if value.is_empty() {
            continue;
        }
        match key {
            b"path" => extensions.path = Some(value.to_vec()),
            b"linkpath" => extensions.link = Some(value.to_vec()),
            b"size" => extensions.size = Some(decimal(value, "size")?),
            b"uid" => extensions.uid = Some(decimal(value, "uid")?),
            b"gid" => extensions.gid = Some(decimal(value, "gid")?),
            b"mtime" => extensions.mtime = Some(pax_time(value).ok_or(Problem::Number("mtime"))?),
            b"GNU.sparse.major" => extensions.sparse_major = Some(decimal(value, "GNU.sparse.major")?),
            b"GNU.sparse.name" => extensions.sparse_name = Some(value.to_vec()),
            b"GNU.sparse.realsize" | b"GNU.sparse.size" => {
                extensions.sparse_size = Some(decimal(value, "GNU.sparse.size")?);
            }
            b"GNU.sparse.map" => extensions.sparse_map = Some(parse_map(value)?),
            b"GNU.sparse.offset" => offset = Some(decimal(value, "GNU.sparse.offset")?),
            b"GNU.sparse.numbytes" => {
                let map = extensions.sparse_map.get_or_insert_default();
                map.push((offset.take().ok_or(Problem::Sparse)?, decimal(value, "GNU.sparse.numbytes")?));
            }
            _ => {}
        }
    }
    Ok(())
}

fn parse_map(value: &[u8]) -> Result<Vec<(u64, u64)>, Problem> {
    let text = std::str::from_utf8(value).map_err(|_| Problem::Sparse)?;
    let numbers: Result<Vec<u64>, _> = text.split(',').map(str::parse).collect();
    let numbers = numbers.map_err(|_| Problem::Sparse)?;
    if numbers.len() % 2 != 0 || numbers.len() > 2 * SEGMENTS_MAX {
        return Err(Problem::Sparse);
    }
    Ok(numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect())
}

#[cfg(test)]
mod tests;
