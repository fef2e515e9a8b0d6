//! The files of the content store.

use std::{
    collections::HashMap,
    fs::{self, File},
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use sha2::{Digest as _, Sha256};

use super::arrival::Arrival;
use crate::error::{Error, Result};

/// Blobs and ingests under one directory.
#[derive(Debug)]
pub struct Store {
    blobs: PathBuf,
    pub(super) ingests: PathBuf,
    held: Arc<Mutex<HashMap<String, usize>>>,
    /// Ingests that a stream is writing, and how far they are.
    pub(super) writing: Arc<Mutex<HashMap<PathBuf, Arc<Arrival>>>>,
}

/// Keeps a blob's file on disk while a record for it is being made.
#[derive(Debug)]
pub struct Held {
    digest: String,
    held: Arc<Mutex<HashMap<String, usize>>>,
}

impl Store {
    /// Opens the store under `root`, making its directories.
    ///
    /// # Errors
    /// The kernel's.
    pub fn open(root: &Path) -> io::Result<Self> {
        let base = root.join("io.containerd.content.v1.content");
        let (blobs, ingests) = (base.join("blobs/sha256"), base.join("ingest"));
        for directory in [&blobs, &ingests] {
            fs::DirBuilder::new().recursive(true).mode(0o755).create(directory)?;
        }
        Ok(Self { blobs, ingests, held: Arc::default(), writing: Arc::default() })
    }

    /// Opens a blob for reading.
    ///
    /// # Errors
    /// `NotFound` when the file is missing, though a record names it.
    pub fn open_blob(&self, digest: &str) -> Result<File> {
        File::open(self.blob(digest)).map_err(|error| Error::io(format!("blob {digest}"), &error))
    }

    /// Size of a blob that is on disk, for whichever namespace.
    pub fn size(&self, digest: &str) -> Option<u64> {
        fs::metadata(self.blob(digest)).ok().map(|metadata| metadata.len())
    }

    /// Keeps `digest`'s file from [`Store::remove_unless`] until the answer is dropped.
    pub fn hold(&self, digest: &str) -> Held {
        *lock(&self.held).entry(digest.to_owned()).or_default() += 1;
        Held { digest: digest.to_owned(), held: self.held.clone() }
    }

    /// Makes `data` the blob `digest`; the file is synced by the caller. Answers when the name is durable.
    ///
    /// # Errors
    /// The kernel's.
    pub fn adopt(&self, data: &Path, digest: &str) -> io::Result<()> {
        let blob = self.blob(digest);
        fs::set_permissions(data, fs::Permissions::from_mode(0o444))?;
        fs::rename(data, &blob)?;
        corten_sys::atomic_file::sync_directory(&self.blobs)
    }

    /// Removes `digest`'s file unless it is held or `wanted` says that a record names it.
    ///
    /// # Errors
    /// What `wanted` or the kernel answers.
    pub fn remove_unless(&self, digest: &str, wanted: impl FnOnce() -> Result<bool>) -> Result<bool> {
        // Under the lock: a record is made only by whoever holds, so none appears between the
        // question and the removal.
        let held = lock(&self.held);
        if held.contains_key(digest) || wanted()? {
            return Ok(false);
        }
        match fs::remove_file(self.blob(digest)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::io(format!("remove blob {digest}"), &error))
            }
            _ => Ok(true),
        }
    }

    /// Digests of all files.
    ///
    /// # Errors
    /// The kernel's.
    pub fn on_disk(&self) -> io::Result<Vec<String>> {
        let mut digests = Vec::new();
        for entry in fs::read_dir(&self.blobs)? {
            if let Some(hex) = entry?.file_name().to_str().filter(|name| name.len() == 64) {
                digests.push(format!("sha256:{hex}"));
            }
        }
        Ok(digests)
    }

    /// Where the data of a blob lies. Only for digests that were checked: 64 hexadecimal digits.
    fn blob(&self, digest: &str) -> PathBuf {
        self.blobs.join(digest.strip_prefix("sha256:").unwrap_or("none"))
    }

    /// The directory of an ingest: a name no reference can choose.
    pub(super) fn ingest(&self, namespace: &str, reference: &str) -> PathBuf {
        self.ingests.join(hex(&Sha256::digest(format!("{namespace}/{reference}"))))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut held = lock(&self.held);
        if let Some(count) = held.get_mut(&self.digest) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.digest);
            }
        }
    }
}

/// A panic elsewhere leaves these maps whole: each change is one call.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_held_blob_is_not_removed() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path()).unwrap();
        let data = root.path().join("data");
        fs::write(&data, b"").unwrap();
        store.adopt(&data, DIGEST).unwrap();
        let held = store.hold(DIGEST);
        assert!(!store.remove_unless(DIGEST, || Ok(false)).unwrap());
        drop(held);
        assert!(!store.remove_unless(DIGEST, || Ok(true)).unwrap());
        assert!(store.remove_unless(DIGEST, || Ok(false)).unwrap());
        assert_eq!(store.on_disk().unwrap(), Vec::<String>::new());
    }
}
