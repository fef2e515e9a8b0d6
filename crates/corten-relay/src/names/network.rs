//! The names in a network.

use std::{fmt::Write as _, net::IpAddr};

use corten_types::Identifier;

use super::{MAX_ADDRESSES, MAX_HOSTS, MAX_NAME_BYTES, MAX_NAMES, NamesError, text};

/// Everybody in a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkNames {
    /// Its id.
    pub id: Identifier,
    /// Its name: `NAME.network` is asked for, too, and addresses are named so.
    pub name: String,
    /// Who is in it.
    pub hosts: Vec<HostNames>,
}

/// One container in a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostNames {
    /// Its id.
    pub container: Identifier,
    /// Its name, its aliases, its short id; its addresses are named by the first one.
    pub names: Vec<String>,
    /// Its addresses of either family.
    pub addresses: Vec<IpAddr>,
}

impl NetworkNames {
    /// As a file has it.
    #[must_use]
    pub fn to_text(&self) -> String {
        Self::text_of(&self.id, &self.name, &self.hosts)
    }

    /// As a file has these hosts of it.
    pub(super) fn text_of(id: &Identifier, name: &str, hosts: &[HostNames]) -> String {
        let mut text = text::head();
        let _ = write!(text, "network {id}"); // writing to a String cannot fail
        text::push_word(&mut text, name);
        text.push('\n');
        for host in hosts {
            let addresses: Vec<String> = host.addresses.iter().map(IpAddr::to_string).collect();
            let addresses = if addresses.is_empty() { "-".to_owned() } else { addresses.join(",") };
            let _ = write!(text, "host {} {addresses}", host.container); // writing to a String cannot fail
            host.names.iter().for_each(|name| text::push_word(&mut text, name));
            text.push('\n');
        }
        text
    }

    /// Reads a file's text.
    ///
    /// # Errors
    /// [`NamesError`].
    pub fn parse(text: &str) -> Result<NetworkNames, NamesError> {
        let mut network: Option<NetworkNames> = None;
        for (number, line) in text::lines(text)? {
            let mut words = line.split(' ');
            let read = match (words.next(), &mut network) {
                (Some("network"), None) => head(&mut words).map(|read| network = Some(read)),
                (Some("host"), Some(network)) if network.hosts.len() < MAX_HOSTS => {
                    host(&mut words).map(|host| network.hosts.push(host))
                }
                _ => None,
            };
            if read.is_none() || words.next().is_some() {
                return Err(NamesError::Line(number));
            }
        }
        network.ok_or(NamesError::Missing("network"))
    }
}

fn head<'a>(words: &mut impl Iterator<Item = &'a str>) -> Option<NetworkNames> {
    let id = words.next()?.parse().ok()?;
    let name = text::unescape(words.next()?, MAX_NAME_BYTES)?;
    Some(NetworkNames { id, name, hosts: Vec::new() })
}

fn host<'a>(words: &mut impl Iterator<Item = &'a str>) -> Option<HostNames> {
    let container = words.next()?.parse().ok()?;
    let addresses = match words.next()? {
        "-" => Vec::new(),
        addresses => addresses.split(',').map(|address| address.parse().ok()).collect::<Option<Vec<_>>>()?,
    };
    let names = words.map(|word| text::unescape(word, MAX_NAME_BYTES)).collect::<Option<Vec<_>>>()?;
    let fits = names.len() <= MAX_NAMES && addresses.len() <= MAX_ADDRESSES;
    fits.then_some(HostNames { container, names, addresses })
}
