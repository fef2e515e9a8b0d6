//! The files that say which names a container sees: one for each network, one for each container with a resolver.
//!
//! ```text
//! <directory>/networks/<id>                       <directory>/containers/<id>
//! corten-names 1                                  corten-names 1
//! network 3b1c… front                             container 5f2a…
//! host 5f2a… 172.18.0.2,fd00::2 web www 5f2a…     network 3b1c… db=postgres      (in the order they are asked;
//!                                                 forward everywhere               alias=name: its links)
//!                                                 single-labels kept
//!                                                 server container 192.0.2.53:53
//!                                                 server host 127.0.0.53:53
//! ```
//!
//! The engine replaces a file by rename and then says so ([`Relay::refresh`](crate::Relay::refresh)): there is no moment
//! at which half of it is read. Words are escaped with `%` and two hex digits.

mod container;
mod network;
mod text;

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use corten_sys::atomic_file::{self, Durability};
use corten_types::Identifier;

pub use container::{ContainerNames, Forward, Link, SeenNetwork, Server, Standpoint};
pub use network::{HostNames, NetworkNames};

/// The format this release writes and reads.
pub const FORMAT: u32 = 1;
/// Longest name, in bytes: what DNS can ask for.
pub const MAX_NAME_BYTES: usize = 255;
/// Most names of a container in a network.
pub const MAX_NAMES: usize = 256;
/// Most addresses of a container in a network.
pub const MAX_ADDRESSES: usize = 16;
/// Most containers of a network: those of a /16.
pub const MAX_HOSTS: usize = 1 << 16;
/// Most networks of a container.
pub const MAX_NETWORKS: usize = 1024;
/// Most links of a container in a network.
pub const MAX_LINKS: usize = 1024;
/// Most servers that are asked: docker's number.
pub const MAX_SERVERS: usize = 3;
/// Longest file: 256 bytes for each container of a /16.
pub const MAX_FILE_BYTES: u64 = 16 << 20;

/// Why a file is none of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NamesError {
    /// It does not begin as it should.
    #[error("the file does not begin with `corten-names {FORMAT}`")]
    Head,
    /// A line of no sense, or beyond the bounds.
    #[error("line {0} does not belong there, or there are too many of its kind")]
    Line(usize),
    /// A line that is not there.
    #[error("the file names no {0}")]
    Missing(&'static str),
}

/// Where the files are.
#[derive(Debug, Clone)]
pub struct Directory(PathBuf);

impl Directory {
    /// At `path`; nothing is made yet.
    #[must_use]
    pub fn at(path: &Path) -> Directory {
        Directory(path.to_owned())
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Replaces a network's file. Then [`Relay::refresh`](crate::Relay::refresh).
    ///
    /// # Errors
    /// `InvalidInput` beyond the bounds; as open(2), write(2), rename(2).
    pub fn write_network(&self, names: &NetworkNames) -> io::Result<()> {
        let text = names.to_text();
        NetworkNames::parse(&text).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        self.replace("networks", &names.id, &text)
    }

    /// Replaces a container's file. Then [`Relay::refresh`](crate::Relay::refresh) or
    /// [`Relay::hold`](crate::Relay::hold).
    ///
    /// # Errors
    /// As [`Directory::write_network`].
    pub fn write_container(&self, names: &ContainerNames) -> io::Result<()> {
        let text = names.to_text();
        ContainerNames::parse(&text).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        self.replace("containers", &names.id, &text)
    }

    /// Removes a network's file; none is well, too.
    ///
    /// # Errors
    /// As unlink(2).
    pub fn remove_network(&self, id: &Identifier) -> io::Result<()> {
        self.remove("networks", id)
    }

    /// Removes a container's file; none is well, too.
    ///
    /// # Errors
    /// As unlink(2).
    pub fn remove_container(&self, id: &Identifier) -> io::Result<()> {
        self.remove("containers", id)
    }

    /// A network's names; `None` without a file.
    ///
    /// # Errors
    /// As read(2); `InvalidData` with a [`NamesError`].
    pub fn read_network(&self, id: &Identifier) -> io::Result<Option<NetworkNames>> {
        self.read("networks", id, NetworkNames::parse)
    }

    /// What a container sees; `None` without a file.
    ///
    /// # Errors
    /// As [`Directory::read_network`].
    pub fn read_container(&self, id: &Identifier) -> io::Result<Option<ContainerNames>> {
        self.read("containers", id, ContainerNames::parse)
    }

    fn replace(&self, kind: &str, id: &Identifier, text: &str) -> io::Result<()> {
        let directory = self.0.join(kind);
        let path = directory.join(id.as_str());
        // No daemon survives a power cut, and no name either.
        match atomic_file::replace(&path, text.as_bytes(), Durability::Process) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(&directory)?;
                atomic_file::replace(&path, text.as_bytes(), Durability::Process)
            }
            result => result,
        }
    }

    fn remove(&self, kind: &str, id: &Identifier) -> io::Result<()> {
        match fs::remove_file(self.0.join(kind).join(id.as_str())) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn read<T>(
        &self,
        kind: &str,
        id: &Identifier,
        parse: impl Fn(&str) -> Result<T, NamesError>,
    ) -> io::Result<Option<T>> {
        let file = match File::open(self.0.join(kind).join(id.as_str())) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let mut text = String::new();
        file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
        if text.len() as u64 > MAX_FILE_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        parse(&text).map(Some).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let temporary = tempfile::tempdir().expect("a temporary directory");
        let directory = Directory::at(&temporary.path().join("names"));
        let id: Identifier = "3b1c".parse().expect("an id");
        assert_eq!(directory.read_network(&id).expect("no file is well"), None);
        let network = NetworkNames {
            id: id.clone(),
            name: "front end".to_owned(),
            hosts: vec![HostNames {
                container: "5f2a".parse().expect("an id"),
                names: vec!["web".to_owned(), "a=b,%".to_owned(), "größe".to_owned()],
                addresses: vec!["172.18.0.2".parse().expect("one"), "fd00::2".parse().expect("one")],
            }],
        };
        directory.write_network(&network).expect("written");
        assert_eq!(directory.read_network(&id).expect("read"), Some(network));
        let container = ContainerNames {
            id: "5f2a".parse().expect("an id"),
            networks: vec![SeenNetwork {
                id: id.clone(),
                links: vec![Link { alias: "d b".to_owned(), name: "postgres".to_owned() }],
            }],
            forward: Forward::OwnNetworks,
            keeps_single_labels: true,
            servers: vec![Server { address: "127.0.0.53:53".parse().expect("one"), standpoint: Standpoint::Host }],
        };
        directory.write_container(&container).expect("written");
        assert_eq!(directory.read_container(&container.id).expect("read"), Some(container.clone()));
        directory.remove_network(&id).expect("removed");
        directory.remove_network(&id).expect("removed already");
        assert_eq!(directory.read_network(&id).expect("no file is well"), None);
        let servers = vec![container.servers[0]; MAX_SERVERS + 1];
        let error = directory.write_container(&ContainerNames { servers, ..container }).expect_err("too many");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}
