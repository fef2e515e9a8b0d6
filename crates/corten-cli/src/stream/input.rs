//! Standard input to a container.

use super::Half;
use corten_terminal::detach::Detector;
use std::io::{self, Read, Write};

/// Copies until the end of input, or until the keys that detach: then true.
///
/// A daemon that no longer reads is no error here: its side tells when the container ends.
pub fn copy(mut socket: &Half, mut detector: Option<Detector>) -> bool {
    let mut input = io::stdin().lock();
    let mut buffer = vec![0; 32 << 10];
    loop {
        let count = match input.read(&mut buffer) {
            Ok(0) => return false,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return false,
        };
        let Some(detector) = &mut detector else {
            if socket.write_all(&buffer[..count]).is_err() {
                return false;
            }
            continue;
        };
        let scanned = detector.scan(&buffer[..count]);
        if socket.write_all(&scanned.forward).is_err() {
            return false;
        }
        if scanned.detached {
            return true;
        }
    }
}
