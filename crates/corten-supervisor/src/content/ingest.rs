//! One ingest: bytes that are not yet a blob, resumable until they are committed or expire.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::{fd::AsFd, unix::fs::DirBuilderExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use corten_proto::containerd::services::content::v1::Status;
use prost_types::Timestamp;
use sha2::{Digest, Sha256};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    arrival::Arrival,
    store::{Store, hex, lock},
};
use crate::error::{Error, Result};

/// How long an ingest without lease is kept after its last byte.
pub const EXPIRY: Duration = Duration::from_hours(24);
/// Bytes read at once when the hash of a resumed ingest is made again.
const CHUNK: usize = 1 << 20;
/// After so many bytes the kernel is told to begin writing them: the sync at the end then waits for little.
const WRITE_BACK: u64 = 8 << 20;

/// An ingest opened for writing; there is one writer at a time.
#[derive(Debug)]
pub struct Ingest {
    directory: PathBuf,
    data: File,
    hash: Sha256,
    offset: u64,
    /// Up to where the kernel was told to write.
    written_back: u64,
    total: i64,
    started_at: SystemTime,
    updated_at: SystemTime,
    arrival: Arc<Arrival>,
    writing: Arc<Mutex<std::collections::HashMap<PathBuf, Arc<Arrival>>>>,
}

impl Ingest {
    /// Opens the ingest `reference`, making it or resuming where its data ends.
    ///
    /// # Errors
    /// `Unavailable` while another stream writes it.
    pub fn open(store: &Store, namespace: &str, reference: &str, total: i64) -> Result<Self> {
        let directory = store.ingest(namespace, reference);
        let arrival = claim(store, &directory).map_err(|other| {
            let text = format!("ref {reference} locked for {:?}", other.since().elapsed().unwrap_or_default());
            Error::new(corten_types::error::ErrorKind::Unavailable, text)
        })?;
        let opened = Self::open_claimed(store, arrival, directory.clone(), namespace, reference, total);
        opened.map_err(|error| {
            lock(&store.writing).remove(&directory);
            Error::io(format!("open ingest {reference}"), &error)
        })
    }

    fn open_claimed(
        store: &Store,
        arrival: Arc<Arrival>,
        directory: PathBuf,
        namespace: &str,
        reference: &str,
        total: i64,
    ) -> io::Result<Self> {
        let now = SystemTime::now();
        fs::DirBuilder::new().recursive(true).mode(0o755).create(&directory)?;
        if !directory.join("ref").exists() {
            fs::write(directory.join("startedat"), stamp(now))?;
            fs::write(directory.join("total"), total.max(0).to_string())?;
            // Last, because an ingest without reference is one that was never finished making.
            fs::write(directory.join("ref"), format!("{namespace}/{reference}"))?;
        }
        let mut data = OpenOptions::new().read(true).append(true).create(true).open(directory.join("data"))?;
        let mut hash = Sha256::new();
        let offset = hash_all(&mut data, &mut hash)?;
        arrival.reached(offset);
        let stored: i64 =
            fs::read_to_string(directory.join("total")).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
        Ok(Self {
            data,
            hash,
            offset,
            written_back: offset,
            total: if total > 0 { total } else { stored },
            started_at: read_stamp(&directory.join("startedat")).unwrap_or(now),
            updated_at: now,
            arrival,
            writing: store.writing.clone(),
            directory,
        })
    }

    /// Appends `bytes`, which whoever reads along gets from memory.
    ///
    /// # Errors
    /// As [`write`](Ingest::write).
    pub fn append(&mut self, bytes: Bytes) -> io::Result<()> {
        self.put(&bytes)?;
        self.arrival.brought(bytes);
        Ok(())
    }

    /// Appends `bytes`.
    ///
    /// # Errors
    /// The kernel's; the ingest then ends where the last whole write did.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.put(bytes)?;
        self.arrival.reached(self.offset);
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = self.data.write_all(bytes) {
            self.data.set_len(self.offset)?;
            return Err(error);
        }
        self.hash.update(bytes);
        self.offset += bytes.len() as u64;
        self.updated_at = SystemTime::now();
        let waiting = self.offset - self.written_back;
        if waiting >= WRITE_BACK {
            // Only a hint: what it fails with, the sync at the end tells.
            let _ = corten_sys::at::begin_writing_back(self.data.as_fd(), self.written_back, waiting);
            self.written_back = self.offset;
        }
        Ok(())
    }

    /// Throws away what was written.
    ///
    /// # Errors
    /// The kernel's.
    pub fn restart(&mut self) -> io::Result<()> {
        self.arrival.broke_off();
        self.data.set_len(0)?;
        self.hash = Sha256::new();
        (self.offset, self.written_back) = (0, 0);
        self.updated_at = SystemTime::now();
        Ok(())
    }

    /// Makes the data durable and gives it to `store` as the blob `digest`, which was compared with what was promised;
    /// the ingest is gone then. Those who read along are told before, since nothing more comes.
    ///
    /// # Errors
    /// The kernel's; the ingest stays.
    pub fn into_blob(self, store: &Store, digest: &str) -> io::Result<()> {
        self.arrival.is_whole(digest);
        self.data.sync_data()?;
        store.adopt(&self.directory.join("data"), digest)?;
        fs::remove_dir_all(&self.directory)
    }

    /// Digest of what was written so far.
    pub fn digest(&self) -> String {
        format!("sha256:{}", hex(&self.hash.clone().finalize()))
    }

    /// Bytes written so far.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The size it is to have; zero when nobody said.
    pub fn total(&self) -> i64 {
        self.total
    }

    /// When it was made and when its last byte came.
    pub fn times(&self) -> (Timestamp, Timestamp) {
        (self.started_at.into(), self.updated_at.into())
    }
}

impl Drop for Ingest {
    fn drop(&mut self) {
        self.arrival.broke_off();
        lock(&self.writing).remove(&self.directory);
    }
}

/// The state of an ingest, whether or not somebody writes it.
///
/// # Errors
/// `NotFound` when there is none.
pub fn status(store: &Store, namespace: &str, reference: &str) -> Result<Status> {
    let missing = || Error::not_found(format!("reference {reference}"));
    read(&store.ingest(namespace, reference)).map(|(_, status)| status).ok_or_else(missing)
}

/// Every ingest with its namespace, in byte order of the reference.
///
/// # Errors
/// The kernel's.
pub fn all(store: &Store) -> io::Result<Vec<(String, Status)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(&store.ingests)? {
        found.extend(read(&entry?.path()));
    }
    found.sort_by(|(_, one), (_, other)| one.r#ref.cmp(&other.r#ref));
    Ok(found)
}

/// Removes an ingest; its writer, if any, then fails to commit.
///
/// # Errors
/// `NotFound` when there is none.
pub fn abort(store: &Store, namespace: &str, reference: &str) -> Result<()> {
    match fs::remove_dir_all(store.ingest(namespace, reference)) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(Error::not_found(format!("reference {reference}")))
        }
        Err(error) => Err(Error::io(format!("remove ingest {reference}"), &error)),
    }
}

/// Removes the ingests nobody writes, that `leased` does not keep and whose last byte is older than
/// [`EXPIRY`], and directories that never became one.
///
/// # Errors
/// The kernel's.
pub fn remove_expired(store: &Store, leased: impl Fn(&str, &str) -> bool) -> io::Result<usize> {
    let mut removed = 0;
    for entry in fs::read_dir(&store.ingests)? {
        let path = entry?.path();
        let keep = match read(&path) {
            Some((namespace, status)) => leased(&namespace, &status.r#ref) || !is_old(&path.join("data")),
            None => !is_old(&path),
        };
        if !keep && claim(store, &path).is_ok() {
            let result = fs::remove_dir_all(&path);
            lock(&store.writing).remove(&path);
            result?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// Removes an ingest whose lease has ended, unless somebody writes it; whether it is gone.
///
/// # Errors
/// The kernel's.
pub fn remove_abandoned(store: &Store, namespace: &str, reference: &str) -> io::Result<bool> {
    let directory = store.ingest(namespace, reference);
    if claim(store, &directory).is_err() {
        return Ok(false);
    }
    let result = fs::remove_dir_all(&directory);
    lock(&store.writing).remove(&directory);
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(true),
    }
}

fn is_old(path: &Path) -> bool {
    let modified = fs::metadata(path).and_then(|metadata| metadata.modified());
    modified.is_ok_and(|modified| modified.elapsed().is_ok_and(|age| age > EXPIRY))
}

/// Makes the caller the one writer of an ingest; the error is the other one's progress.
fn claim(store: &Store, directory: &Path) -> Result<Arc<Arrival>, Arc<Arrival>> {
    let mut writing = lock(&store.writing);
    match writing.get(directory) {
        Some(other) => Err(other.clone()),
        None => {
            let arrival = Arc::new(Arrival::new());
            writing.insert(directory.to_owned(), arrival.clone());
            Ok(arrival)
        }
    }
}

fn read(directory: &Path) -> Option<(String, Status)> {
    let whole = fs::read_to_string(directory.join("ref")).ok()?;
    let (namespace, reference) = whole.split_once('/')?;
    let data = fs::metadata(directory.join("data")).ok();
    let updated = data.as_ref().and_then(|data| data.modified().ok());
    let total = fs::read_to_string(directory.join("total")).ok().and_then(|text| text.parse().ok());
    let status = Status {
        started_at: read_stamp(&directory.join("startedat")).map(Timestamp::from),
        updated_at: updated.map(Timestamp::from),
        r#ref: reference.to_owned(),
        offset: data.map_or(0, |data| data.len().try_into().unwrap_or(i64::MAX)),
        total: total.unwrap_or(0),
        expected: String::new(),
    };
    Some((namespace.to_owned(), status))
}

fn hash_all(data: &mut File, hash: &mut Sha256) -> io::Result<u64> {
    let length = data.metadata()?.len();
    if length == 0 {
        return Ok(0);
    }
    let mut buffer = vec![0; CHUNK];
    let mut read = 0;
    loop {
        match data.read(&mut buffer)? {
            0 => return Ok(read),
            count => {
                hash.update(&buffer[..count]);
                read += count as u64;
            }
        }
    }
}

fn stamp(at: SystemTime) -> String {
    OffsetDateTime::from(at).format(&Rfc3339).unwrap_or_default()
}

fn read_stamp(path: &Path) -> Option<SystemTime> {
    let text = fs::read_to_string(path).ok()?;
    OffsetDateTime::parse(text.trim(), &Rfc3339).ok().map(SystemTime::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ingest_is_resumed_with_its_hash_and_has_one_writer() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path()).unwrap();
        let mut ingest = Ingest::open(&store, "default", "a/b", 6).unwrap();
        ingest.write(b"abc").unwrap();
        assert!(Ingest::open(&store, "default", "a/b", 6).unwrap_err().to_string().ends_with(": unavailable"));
        drop(ingest);

        let mut ingest = Ingest::open(&store, "default", "a/b", 0).unwrap();
        assert_eq!(ingest.offset(), 3);
        ingest.write(b"def").unwrap();
        let digest = ingest.digest();
        assert_eq!(digest, "sha256:bef57ec7f53a6d40beb640a780a639c83bc29ac8a9816f1fc6c5c6dcd93c4721");
        assert_eq!(status(&store, "default", "a/b").unwrap().offset, 6);
        ingest.into_blob(&store, &digest).unwrap();
        assert!(status(&store, "default", "a/b").is_err());
        assert_eq!(store.size(&digest), Some(6));
    }

    #[test]
    fn only_old_ingests_without_lease_expire() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path()).unwrap();
        for reference in ["old", "leased", "new"] {
            drop(Ingest::open(&store, "default", reference, 0).unwrap());
        }
        for reference in ["old", "leased"] {
            let data = File::open(store.ingest("default", reference).join("data")).unwrap();
            data.set_modified(SystemTime::now() - EXPIRY * 2).unwrap();
        }
        assert_eq!(remove_expired(&store, |_, reference| reference == "leased").unwrap(), 1);
        let left: Vec<_> = all(&store).unwrap().into_iter().map(|(_, status)| status.r#ref).collect();
        assert_eq!(left, ["leased", "new"]);
    }
}
