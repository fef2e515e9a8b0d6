//! What a container sees of its networks, and whom else it may ask.

use std::{fmt::Write as _, net::SocketAddr};

use corten_types::Identifier;

use super::{MAX_LINKS, MAX_NAME_BYTES, MAX_NETWORKS, MAX_SERVERS, NamesError, text};

/// A container's view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerNames {
    /// Its id.
    pub id: Identifier,
    /// Its networks, in the order in which they are asked.
    pub networks: Vec<SeenNetwork>,
    /// Where questions go that no network of its answers.
    pub forward: Forward,
    /// The user has set `ndots`: a name of one label that is unknown is answered with nothing and never forwarded, so
    /// that the client goes on with its search list.
    pub keeps_single_labels: bool,
    /// The servers they go to, one after the other.
    pub servers: Vec<Server>,
}

/// A network of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenNetwork {
    /// Its id: its own file has the names.
    pub id: Identifier,
    /// Names that only this container uses in it.
    pub links: Vec<Link>,
}

/// A `--link` in a network of the user's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// What the container calls it.
    pub alias: String,
    /// A name in the network.
    pub name: String,
}

/// Which servers may be asked what no network answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forward {
    /// All.
    Everywhere,
    /// Those that are asked from the container's own network namespace: docker's way for a container of internal networks
    /// only, where nothing else can be reached from.
    OwnNetworks,
    /// None.
    Nowhere,
}

/// A server that is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Server {
    /// Where.
    pub address: SocketAddr,
    /// From where.
    pub standpoint: Standpoint,
}

/// The network namespace that a server is asked from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standpoint {
    /// The container's.
    Container,
    /// The host's: for servers on its loopback, and docker's fallback.
    Host,
}

impl ContainerNames {
    /// As a file has it.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = text::head();
        // Writing to a String cannot fail.
        let _ = writeln!(text, "container {}", self.id);
        for network in &self.networks {
            let _ = write!(text, "network {}", network.id);
            for link in &network.links {
                text::push_word(&mut text, &link.alias);
                text.push('=');
                text::push_escaped(&mut text, &link.name);
            }
            text.push('\n');
        }
        let forward = match self.forward {
            Forward::Everywhere => "everywhere",
            Forward::OwnNetworks => "own-networks",
            Forward::Nowhere => "nowhere",
        };
        let _ = writeln!(text, "forward {forward}");
        let _ = writeln!(text, "single-labels {}", if self.keeps_single_labels { "kept" } else { "forwarded" });
        for server in &self.servers {
            let standpoint = match server.standpoint {
                Standpoint::Container => "container",
                Standpoint::Host => "host",
            };
            let _ = writeln!(text, "server {standpoint} {}", server.address);
        }
        text
    }

    /// Reads a file's text.
    ///
    /// # Errors
    /// [`NamesError`].
    pub fn parse(text: &str) -> Result<ContainerNames, NamesError> {
        let mut container: Option<ContainerNames> = None;
        for (number, line) in text::lines(text)? {
            let mut words = line.split(' ');
            let read = match (words.next(), &mut container) {
                (Some("container"), None) => head(&mut words).map(|read| container = Some(read)),
                (Some(word), Some(container)) => read_line(container, word, &mut words),
                _ => None,
            };
            if read.is_none() || words.next().is_some() {
                return Err(NamesError::Line(number));
            }
        }
        container.ok_or(NamesError::Missing("container"))
    }
}

fn head<'a>(words: &mut impl Iterator<Item = &'a str>) -> Option<ContainerNames> {
    let id = words.next()?.parse().ok()?;
    Some(ContainerNames {
        id,
        networks: Vec::new(),
        forward: Forward::Nowhere,
        keeps_single_labels: false,
        servers: Vec::new(),
    })
}

fn read_line<'a>(container: &mut ContainerNames, word: &str, words: &mut impl Iterator<Item = &'a str>) -> Option<()> {
    match word {
        "network" if container.networks.len() < MAX_NETWORKS => {
            let id = words.next()?.parse().ok()?;
            let links = words.map(link).collect::<Option<Vec<_>>>()?;
            if links.len() > MAX_LINKS {
                return None;
            }
            container.networks.push(SeenNetwork { id, links });
        }
        "forward" => {
            container.forward = match words.next()? {
                "everywhere" => Forward::Everywhere,
                "own-networks" => Forward::OwnNetworks,
                "nowhere" => Forward::Nowhere,
                _ => return None,
            }
        }
        "single-labels" => {
            container.keeps_single_labels = match words.next()? {
                "kept" => true,
                "forwarded" => false,
                _ => return None,
            }
        }
        "server" if container.servers.len() < MAX_SERVERS => {
            let standpoint = match words.next()? {
                "container" => Standpoint::Container,
                "host" => Standpoint::Host,
                _ => return None,
            };
            container.servers.push(Server { standpoint, address: words.next()?.parse().ok()? });
        }
        _ => return None,
    }
    Some(())
}

fn link(word: &str) -> Option<Link> {
    let (alias, name) = word.split_once('=')?;
    Some(Link { alias: text::unescape(alias, MAX_NAME_BYTES)?, name: text::unescape(name, MAX_NAME_BYTES)? })
}
