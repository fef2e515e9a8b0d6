//! How much a layer may become, so that a small archive cannot fill a disk or keep a processor busy for days.

use std::io;

use corten_sys::filesystem;

/// Most bytes of a layer's archive once it is decompressed.
pub const UNPACKED_MAX: u64 = 1 << 40;
/// Most bytes of all of a layer's files together, holes counted: what ext4 allows of one file.
pub const APPARENT_MAX: u64 = 16 << 40;
/// Most decompressed bytes for one compressed: gzip cannot exceed 1032, so only what was made to harm does.
pub const RATIO_MAX: u64 = 1100;
/// Decompressed bytes up to which the ratio is not looked at: an empty disk image in a layer is well compressed.
pub const RATIO_FREE: u64 = 256 << 20;
/// Bytes that unpacking leaves free on the file system, for everything else that lives there.
pub const FREE_MIN: u64 = 32 << 20;
/// Files that unpacking leaves free on the file system.
pub const FREE_FILES_MIN: u64 = 1024;
/// The file system is asked how full it is each time so much was written, or so many files made.
const ASK_EVERY: u64 = 16 << 20;
const ASK_EVERY_FILES: u64 = 512;

/// Checks a stream that is being decompressed.
///
/// # Errors
/// `InvalidData` naming the bound.
pub fn check_stream(compressed: u64, decompressed: u64) -> io::Result<()> {
    let refused = |text: String| Err(io::Error::new(io::ErrorKind::InvalidData, text));
    if decompressed > UNPACKED_MAX {
        return refused(format!("the layer has more than {UNPACKED_MAX} bytes"));
    }
    if decompressed > RATIO_FREE && decompressed / RATIO_MAX > compressed {
        return refused(format!(
            "the layer decompresses to more than {RATIO_MAX} times its size ({decompressed} bytes from {compressed})"
        ));
    }
    Ok(())
}

/// What is left of a layer's budget while it is written.
#[derive(Debug, Default)]
pub struct Budget {
    apparent: u64,
    since_asked: u64,
    files_since_asked: u64,
}

impl Budget {
    /// Counts a file of `size` bytes, holes included, of which `stored` are data.
    ///
    /// # Errors
    /// `FileTooLarge` over [`APPARENT_MAX`]; `StorageFull` when the file system of `dir` has too little left.
    pub fn spend(&mut self, dir: std::os::fd::BorrowedFd<'_>, size: u64, stored: u64) -> io::Result<()> {
        self.apparent = self.apparent.saturating_add(size);
        if self.apparent > APPARENT_MAX {
            let text = format!("the layer's files have more than {APPARENT_MAX} bytes");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
        }
        self.since_asked = self.since_asked.saturating_add(stored);
        self.files_since_asked += 1;
        // At the first file already: a disk that is full is told before anything is written to it.
        let is_first = self.apparent == size && self.files_since_asked == 1;
        if !is_first && self.since_asked < ASK_EVERY && self.files_since_asked < ASK_EVERY_FILES {
            return Ok(());
        }
        (self.since_asked, self.files_since_asked) = (0, 0);
        let usage = filesystem::usage_of(dir)?;
        let lacks = |what: String| Err(io::Error::new(io::ErrorKind::StorageFull, what));
        // Of ext4 and xfs this counts what was written and has no place on the disk yet.
        if usage.free_bytes < FREE_MIN.saturating_add(stored) {
            let free = usage.free_bytes;
            return lacks(format!("no space left on device: {stored} bytes are wanted, {free} free, {FREE_MIN} kept"));
        }
        if usage.total_files > 0 && usage.free_files < FREE_FILES_MIN {
            return lacks(format!("no space left on device: {} inodes free, {FREE_FILES_MIN} kept", usage.free_files));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn bombs_are_told_from_well_compressed_layers() {
        assert!(check_stream(300 << 10, 300 << 20).is_ok());
        assert!(check_stream(1, RATIO_FREE).is_ok());
        let error = check_stream(1000, 10 << 30).unwrap_err().to_string();
        assert!(error.contains("more than 1100 times its size"), "{error}");
        assert!(check_stream(UNPACKED_MAX, UNPACKED_MAX + 1).is_err());
    }

    #[test]
    fn what_a_file_system_cannot_hold_is_refused_before_it_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let dir = corten_sys::at::open_root(dir.path()).unwrap();
        let mut budget = Budget::default();
        budget.spend(dir.as_fd(), 1 << 30, 0).unwrap();
        let error = budget.spend(dir.as_fd(), 8 << 40, 8 << 40).unwrap_err();
        assert!(error.to_string().starts_with("no space left on device: 8796093022208 bytes"), "{error}");
        assert_eq!(budget.spend(dir.as_fd(), 16 << 40, 0).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }
}
