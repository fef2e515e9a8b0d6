//! What identifies a data root.

use std::fs;
use std::io;
use std::path::Path;

use corten_sys::atomic_file::{self, Durability};
use serde::{Deserialize, Serialize};

use crate::clock::Moment;

/// What identifies a data root; written once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Identity {
    /// Random, in the form of a UUID.
    pub id: String,
    /// When it was made.
    pub born: Moment,
}

/// Reads the identity of a data root, or makes one.
///
/// # Errors
/// Those of reading and writing the file. An unreadable one is an error: with another identity the
/// engine would take its own containers for somebody else's.
pub fn identity(data_root: &Path) -> io::Result<Identity> {
    let path = data_root.join("engine.json");
    match fs::read(&path) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let identity = Identity { id: random_uuid()?, born: Moment::now() };
            atomic_file::replace(&path, &serde_json::to_vec(&identity)?, Durability::PowerCut)?;
            Ok(identity)
        }
        Err(error) => Err(error),
    }
}

fn random_uuid() -> io::Result<String> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    // Version 4, variant 1 (RFC 9562).
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok([&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-"))
}
