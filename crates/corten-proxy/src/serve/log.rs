//! Where the program says what an operator should know, once nobody waits for it any more.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use corten_sys::daemon;

/// A log that is longer is begun anew when the program starts.
const KEPT_BYTES: u64 = 1 << 20;

/// Standard error goes to the file at `path`, and nothing comes from standard input.
///
/// # Errors
/// As open(2), dup2(2).
pub fn to(path: &Path) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|file| file.len() > KEPT_BYTES) {
        fs::remove_file(path)?;
    }
    let log = File::options().create(true).append(true).read(true).mode(0o600).open(path)?;
    daemon::redirect_standard_streams(&log)
}
