//! Where a daemon listens, as `DOCKER_HOST` and `-H` spell it.

use std::fmt;
use std::path::PathBuf;

/// Address of a daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// `unix:///run/corten/docker.sock`
    Unix(PathBuf),
    /// `tcp://address:port`, plain text.
    Tcp {
        /// Name or address.
        host: String,
        /// Port, 2375 unless named.
        port: u16,
    },
}

/// Port of a daemon without TLS when the address names none.
const PLAIN_PORT: u16 = 2375;

/// An address nobody can be reached at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// Not of the form `proto://address`.
    #[error("unable to parse docker host `{0}`")]
    Form(String),
    /// A protocol this client does not speak (yet).
    #[error("{protocol}://: not supported yet (unix:// and tcp:// are)")]
    Protocol {
        /// The part before `://`.
        protocol: String,
    },
    /// A protocol nobody speaks.
    #[error("invalid bind address format: {0}")]
    Bind(String),
    /// A port that is no number below 65536.
    #[error("invalid port in docker host `{0}`")]
    Port(String),
}

impl Host {
    /// Reads an address.
    ///
    /// # Errors
    /// [`HostError`] says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        let text = text.trim();
        let Some((protocol, address)) = text.split_once("://") else {
            // dockerd and docker take `host:port` and a bare path too.
            if text.starts_with('/') {
                return Ok(Self::Unix(text.into()));
            }
            if !text.is_empty() && text.contains(':') {
                return Self::parse_tcp(text);
            }
            return Err(HostError::Form(text.to_owned()));
        };
        match protocol {
            "unix" if !address.is_empty() => Ok(Self::Unix(address.into())),
            "tcp" | "http" => Self::parse_tcp(address),
            "unix" => Err(HostError::Form(text.to_owned())),
            known @ ("ssh" | "npipe" | "fd") => Err(HostError::Protocol { protocol: known.to_owned() }),
            _ => Err(HostError::Bind(text.to_owned())),
        }
    }

    fn parse_tcp(address: &str) -> Result<Self, HostError> {
        let address = address.split('/').next().unwrap_or_default();
        let (host, port) = match address.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => {
                (host, port.parse().map_err(|_| HostError::Port(address.to_owned()))?)
            }
            _ => (address, PLAIN_PORT),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let host = if host.is_empty() { "127.0.0.1" } else { host };
        Ok(Self::Tcp { host: host.to_owned(), port })
    }

    /// The `Host` header. A unix socket has no name; moby's client sends this one.
    pub(crate) fn header(&self) -> String {
        match self {
            Self::Unix(_) => "api.moby.localhost".to_owned(),
            Self::Tcp { host, port } if host.contains(':') => format!("[{host}]:{port}"),
            Self::Tcp { host, port } => format!("{host}:{port}"),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp { .. } => write!(f, "tcp://{}", self.header()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Host, HostError};

    #[test]
    fn addresses_are_read_as_docker_reads_them() {
        let check = |text: &str, expected: &str| {
            assert_eq!(Host::parse(text).map(|host| host.to_string()), Ok(expected.to_owned()), "{text}")
        };
        check("unix:///run/x.sock", "unix:///run/x.sock");
        check("/run/x.sock", "unix:///run/x.sock");
        check("tcp://127.0.0.1:1", "tcp://127.0.0.1:1");
        check("tcp://box", "tcp://box:2375");
        check("tcp://[::1]:99", "tcp://[::1]:99");
        check("box:99", "tcp://box:99");
    }

    #[test]
    fn an_address_nobody_can_be_reached_at_is_refused() {
        assert_eq!(Host::parse("ssh://box"), Err(HostError::Protocol { protocol: "ssh".into() }));
        assert_eq!(Host::parse(""), Err(HostError::Form(String::new())));
        assert!(matches!(Host::parse("tcp://box:99999"), Err(HostError::Port(_))));
    }
}
