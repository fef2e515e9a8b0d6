//! The files that say which names a container sees: one for each container in each network, one for each container with a
//! resolver. So nobody's start writes what the others are called.
//!
//! ```text
//! <directory>/hosts/<network>/<container>         <directory>/containers/<id>
//! corten-names 1                                  corten-names 1
//! network 3b1c… front                             container 5f2a…
//! host 5f2a… 172.18.0.2,fd00::2 web www 5f2a…     network 3b1c… db=postgres      (in the order they are asked;
//!                                                 forward everywhere               alias=name: its links)
//!                                                 single-labels kept
//!                                                 server container 192.0.2.53:53
//!                                                 server host 127.0.0.53:53
//! ```
//!
//! A release before had one file for each network, `networks/<id>`, with a line for each of its containers; those are read
//! still, below what the others say, until [`Directory::keep`].
//!
//! The engine replaces a file by rename and then says so ([`Relay::refresh`](crate::Relay::refresh)): there is no moment
//! at which half of it is read. Words are escaped with `%` and two hex digits.

mod container;
mod network;
mod text;

use std::{
    collections::BTreeMap,
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

    /// Replaces the files of these containers in a network. Then [`Relay::refresh`](crate::Relay::refresh).
    ///
    /// # Errors
    /// `InvalidInput` beyond the bounds; as open(2), write(2), rename(2).
    pub fn write_hosts(&self, names: &NetworkNames) -> io::Result<()> {
        for host in &names.hosts {
            let text = NetworkNames::text_of(&names.id, &names.name, std::slice::from_ref(host));
            NetworkNames::parse(&text).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
            replace(&self.hosts(&names.id), &host.container, &text)?;
        }
        Ok(())
    }

    /// Removes the file of a container in a network; none is well, too. Then
    /// [`Relay::refresh`](crate::Relay::refresh).
    ///
    /// # Errors
    /// As unlink(2).
    pub fn remove_host(&self, network: &Identifier, container: &Identifier) -> io::Result<()> {
        unless_absent(fs::remove_file(self.hosts(network).join(container.as_str())))
    }

    /// Replaces a container's file. Then [`Relay::refresh`](crate::Relay::refresh) or
    /// [`Relay::hold`](crate::Relay::hold).
    ///
    /// # Errors
    /// As [`Directory::write_hosts`].
    pub fn write_container(&self, names: &ContainerNames) -> io::Result<()> {
        let text = names.to_text();
        ContainerNames::parse(&text).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        replace(&self.containers(), &names.id, &text)
    }

    /// Removes a network's files; none is well, too.
    ///
    /// # Errors
    /// As unlink(2).
    pub fn remove_network(&self, id: &Identifier) -> io::Result<()> {
        unless_absent(fs::remove_dir_all(self.hosts(id)))?;
        unless_absent(fs::remove_file(self.older().join(id.as_str())))
    }

    /// Removes a container's file; none is well, too.
    ///
    /// # Errors
    /// As unlink(2).
    pub fn remove_container(&self, id: &Identifier) -> io::Result<()> {
        unless_absent(fs::remove_file(self.containers().join(id.as_str())))
    }

    /// Removes what is not of one of these containers in these networks: what ended while nobody looked, what a kill left,
    /// and the files of releases before.
    ///
    /// # Errors
    /// As readdir(3), unlink(2); the rest is removed in any case.
    pub fn keep(&self, are_in: &BTreeMap<Identifier, Vec<Identifier>>) -> io::Result<()> {
        let mut done = unless_absent(fs::remove_dir_all(self.older()));
        for (network, path) in entries(&self.0.join("hosts"))? {
            let Some(containers) = network.and_then(|network| are_in.get(&network)) else {
                done = done.and(unless_absent(fs::remove_dir_all(path)));
                continue;
            };
            done = done.and(keep_files(&path, |container| containers.contains(container)));
        }
        let is_somewhere = |container: &Identifier| are_in.values().any(|containers| containers.contains(container));
        done.and(keep_files(&self.containers(), is_somewhere))
    }

    /// A network's names; `None` without a file.
    ///
    /// # Errors
    /// As read(2); `InvalidData` with a [`NamesError`]; `FileTooLarge` for more containers than addresses.
    pub fn read_network(&self, id: &Identifier) -> io::Result<Option<NetworkNames>> {
        let mut network = read(&self.older().join(id.as_str()), NetworkNames::parse)?;
        let before = network.as_mut().map(|network| std::mem::take(&mut network.hosts)).unwrap_or_default();
        let mut hosts: BTreeMap<Identifier, HostNames> =
            before.into_iter().map(|host| (host.container.clone(), host)).collect();
        for (container, _) in entries(&self.hosts(id))? {
            // What is none is being written.
            let Some(container) = container else { continue };
            let Some(one) = self.read_host(id, &container)? else { continue };
            hosts.extend(one.hosts.into_iter().map(|host| (host.container.clone(), host)));
            network = Some(NetworkNames { hosts: Vec::new(), ..one });
            if hosts.len() > MAX_HOSTS {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
        }
        Ok(network.map(|network| NetworkNames { hosts: hosts.into_values().collect(), ..network }))
    }

    /// The names of a container in a network; `None` without a file.
    ///
    /// # Errors
    /// As read(2); `InvalidData` with a [`NamesError`].
    pub fn read_host(&self, network: &Identifier, container: &Identifier) -> io::Result<Option<NetworkNames>> {
        read(&self.hosts(network).join(container.as_str()), |text| {
            let names = NetworkNames::parse(text)?;
            let is_it = names.id == *network && names.hosts.len() == 1 && names.hosts[0].container == *container;
            if is_it { Ok(names) } else { Err(NamesError::Missing("container of that name")) }
        })
    }

    /// What a container sees; `None` without a file.
    ///
    /// # Errors
    /// As [`Directory::read_host`].
    pub fn read_container(&self, id: &Identifier) -> io::Result<Option<ContainerNames>> {
        read(&self.containers().join(id.as_str()), ContainerNames::parse)
    }

    fn hosts(&self, network: &Identifier) -> PathBuf {
        self.0.join("hosts").join(network.as_str())
    }

    fn containers(&self) -> PathBuf {
        self.0.join("containers")
    }

    fn older(&self) -> PathBuf {
        self.0.join("networks")
    }
}

fn replace(directory: &Path, id: &Identifier, text: &str) -> io::Result<()> {
    let path = directory.join(id.as_str());
    // No daemon survives a power cut, and no name either.
    match atomic_file::replace(&path, text.as_bytes(), Durability::Process) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(directory)?;
            atomic_file::replace(&path, text.as_bytes(), Durability::Process)
        }
        result => result,
    }
}

fn unless_absent(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// What is in a directory; what is named by no identifier is being written, or was when its writer was killed.
fn entries(directory: &Path) -> io::Result<Vec<(Option<Identifier>, PathBuf)>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let named = |entry: fs::DirEntry| {
        let id = entry.file_name().to_str().filter(|name| !name.starts_with('.')).and_then(|name| name.parse().ok());
        (id, entry.path())
    };
    entries.map(|entry| entry.map(named)).collect()
}

fn keep_files(directory: &Path, is_wanted: impl Fn(&Identifier) -> bool) -> io::Result<()> {
    let mut done = Ok(());
    for (id, path) in entries(directory)? {
        if !id.as_ref().is_some_and(&is_wanted) {
            done = done.and(unless_absent(fs::remove_file(path)));
        }
    }
    done
}

fn read<T>(path: &Path, parse: impl Fn(&str) -> Result<T, NamesError>) -> io::Result<Option<T>> {
    let file = match File::open(path) {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> Identifier {
        text.parse().expect("an id")
    }

    fn host(container: &str, names: &[&str]) -> HostNames {
        HostNames {
            container: id(container),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            addresses: vec!["172.18.0.2".parse().expect("one"), "fd00::2".parse().expect("one")],
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let temporary = tempfile::tempdir().expect("a temporary directory");
        let directory = Directory::at(&temporary.path().join("names"));
        let of = id("3b1c");
        assert_eq!(directory.read_network(&of).expect("no file is well"), None);
        let hosts = vec![host("5f2a", &["web", "a=b,%", "größe"]), host("5f2b", &["db"])];
        let mut network = NetworkNames { id: of.clone(), name: "front end".to_owned(), hosts };
        directory.write_hosts(&network).expect("written");
        assert_eq!(directory.read_network(&of).expect("read"), Some(network.clone()));
        directory.remove_host(&of, &id("5f2b")).expect("removed");
        network.hosts.pop();
        assert_eq!(directory.read_network(&of).expect("read"), Some(network.clone()));
        assert_eq!(directory.read_host(&of, &id("5f2a")).expect("read"), Some(network));
        directory.remove_network(&of).expect("removed");
        directory.remove_network(&of).expect("removed already");
        assert_eq!(directory.read_network(&of).expect("no file is well"), None);
        let container = ContainerNames {
            id: id("5f2a"),
            networks: vec![SeenNetwork {
                id: of,
                links: vec![Link { alias: "d b".to_owned(), name: "postgres".to_owned() }],
            }],
            forward: Forward::OwnNetworks,
            keeps_single_labels: true,
            servers: vec![Server { address: "127.0.0.53:53".parse().expect("one"), standpoint: Standpoint::Host }],
        };
        directory.write_container(&container).expect("written");
        assert_eq!(directory.read_container(&container.id).expect("read"), Some(container.clone()));
        let servers = vec![container.servers[0]; MAX_SERVERS + 1];
        let error = directory.write_container(&ContainerNames { servers, ..container }).expect_err("too many");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn a_file_of_a_release_before_is_read_below_the_others_and_swept_away() {
        let temporary = tempfile::tempdir().expect("a temporary directory");
        let directory = Directory::at(temporary.path());
        let older = temporary.path().join("networks/3b1c");
        fs::create_dir(temporary.path().join("networks")).expect("made");
        fs::write(&older, "corten-names 1\nnetwork 3b1c net\nhost a 10.0.0.2 old\nhost b 10.0.0.3 kept\n")
            .expect("written");
        let (of, a, b) = (id("3b1c"), id("a"), id("b"));
        let one = NetworkNames { id: of.clone(), name: "net".to_owned(), hosts: vec![host("a", &["new"])] };
        directory.write_hosts(&one).expect("written");
        let read = directory.read_network(&of).expect("read").expect("there");
        assert_eq!(read.hosts.iter().map(|host| host.names[0].as_str()).collect::<Vec<_>>(), ["new", "kept"]);
        directory.write_hosts(&NetworkNames { hosts: vec![host("b", &["b"])], ..one.clone() }).expect("written");
        directory.write_hosts(&NetworkNames { id: id("gone"), ..one.clone() }).expect("written");
        fs::write(temporary.path().join("hosts/3b1c/.a.12.tmp"), "half").expect("written");
        directory.keep(&BTreeMap::from([(of.clone(), vec![a])])).expect("swept");
        assert_eq!(directory.read_network(&of).expect("read"), Some(one));
        assert_eq!(directory.read_network(&id("gone")).expect("read"), None);
        assert_eq!(directory.read_host(&of, &b).expect("read"), None);
        assert_eq!(fs::read_dir(temporary.path().join("hosts/3b1c")).expect("there").count(), 1);
        assert!(!older.exists());
    }
}
