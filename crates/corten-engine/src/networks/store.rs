//! The files of networks: a directory for each under `<data-root>/networks`. One that cannot be read costs that network,
//! never the start.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use corten_sys::atomic_file::{self, Durability};
use tracing::warn;

use super::record::{FORMAT, Record};
use crate::store::set_aside;

const FILE: &str = "network.json";

/// Where networks are.
fn directory(data_root: &Path) -> PathBuf {
    data_root.join("networks")
}

/// Reads every network; sets aside what cannot be read.
///
/// # Errors
/// Only when the directory of all networks cannot be made or listed.
pub fn load(data_root: &Path) -> io::Result<Vec<Record>> {
    let all = directory(data_root);
    DirBuilder::new().recursive(true).mode(0o710).create(&all)?;
    let mut records = Vec::new();
    for entry in fs::read_dir(&all)? {
        let path = entry?.path();
        let Some(id) = path.file_name().and_then(|name| name.to_str()).map(str::to_owned) else { continue };
        match read(&path.join(FILE), &id) {
            Ok(Some(record)) => records.push(record),
            // Its maker was killed before anybody was told of it.
            Ok(None) => drop(fs::remove_dir_all(&path)),
            Err(error) => set_aside(data_root, "network", &path, &format!("network-{id}"), &error.to_string()),
        }
    }
    Ok(records)
}

fn read(path: &Path, id: &str) -> io::Result<Option<Record>> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        bytes => bytes?,
    };
    let record: Record = serde_json::from_slice(&bytes)?;
    if record.format > FORMAT {
        let text = format!("it has format {}, and this program reads {FORMAT}", record.format);
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    if record.id != id {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("it is the record of {}", record.id)));
    }
    // What it says must still be of use.
    record.plan().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.message()))?;
    Ok(Some(record))
}

/// Writes a network down; it survives a power cut once this returns.
///
/// # Errors
/// Those of mkdir(2), open(2), write(2), fsync(2), rename(2); nothing is left then of a new one.
pub fn save(data_root: &Path, record: &Record) -> io::Result<()> {
    let all = directory(data_root);
    let own = all.join(&record.id);
    let is_new = match DirBuilder::new().mode(0o710).create(&own) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
        Err(error) => return Err(error),
    };
    let written = atomic_file::replace(&own.join(FILE), &serde_json::to_vec(record)?, Durability::PowerCut)
        .and_then(|()| if is_new { File::open(&all)?.sync_all() } else { Ok(()) });
    if written.is_err() && is_new {
        // The first error is the one to tell; what cannot be removed now has no record, or is read again.
        let _ = fs::remove_dir_all(&own);
    }
    written
}

/// Removes a network's files; what is gone already is no error.
///
/// # Errors
/// Those of unlink(2), rmdir(2) and fsync(2).
pub fn remove(data_root: &Path, id: &str) -> io::Result<()> {
    let all = directory(data_root);
    match fs::remove_file(all.join(id).join(FILE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    if let Err(error) = fs::remove_dir_all(all.join(id))
        && error.kind() != io::ErrorKind::NotFound
    {
        warn!(id, %error, "remove a network's directory");
    }
    File::open(&all)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Moment;

    fn record(id: &str) -> Record {
        Record {
            format: FORMAT,
            id: id.to_owned(),
            name: format!("name-{id}"),
            created: Moment::now(),
            driver: "bridge".to_owned(),
            enable_ipv4: true,
            enable_ipv6: false,
            internal: false,
            attachable: false,
            ipam: Default::default(),
            options: Default::default(),
            labels: None,
            subnets: Vec::new(),
            bridge: None,
        }
    }

    #[test]
    fn what_was_saved_is_loaded_and_broken_records_are_set_aside() {
        let root = tempfile::tempdir().unwrap();
        assert!(load(root.path()).unwrap().is_empty());
        save(root.path(), &record("good")).unwrap();
        save(root.path(), &record("gone")).unwrap();
        remove(root.path(), "gone").unwrap();
        remove(root.path(), "gone").unwrap();
        for (name, content) in [("empty", ""), ("cut", "{\"format\":1,"), ("newer", "{\"format\":9}")] {
            fs::create_dir(root.path().join("networks").join(name)).unwrap();
            fs::write(root.path().join("networks").join(name).join(FILE), content).unwrap();
        }
        fs::create_dir(root.path().join("networks/recordless")).unwrap();

        let loaded = load(root.path()).unwrap();

        assert_eq!(loaded, [record_like(&loaded[0], "good")]);
        assert_eq!(fs::read_dir(root.path().join("networks")).unwrap().count(), 1);
        assert_eq!(fs::read_dir(root.path().join("broken")).unwrap().count(), 3);
    }

    fn record_like(other: &Record, id: &str) -> Record {
        Record { created: other.created, ..record(id) }
    }
}
