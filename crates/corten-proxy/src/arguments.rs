//! docker-proxy's command line, as Go's flag package reads it: one dash or two, `-flag value` or `-flag=value`.

use std::{
    ffi::OsString,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use corten_relay::Protocol;

/// What `--help` prints.
pub const USAGE: &str = "Usage of corten-proxy:
  -container-ip string
    \tthe container's address
  -container-port int
    \tthe container's port
  -host-ip string
    \tthe host's address (default 0.0.0.0)
  -host-port int
    \tthe host's port
  -proto string
    \ttcp or udp (default \"tcp\")
  -use-listen-fd
    \tserve the bound socket on descriptor 4 instead of binding one
  -v, -version
    \tprint the version and exit

Usage of corten-proxy serve: holds and relays ports and answers names for an engine, until nothing is held
  -linger int
    \tseconds to stay with nothing held and no engine connected (default 30)
  -names string
    \tthe directory of the engine's files of names
  -sandboxes string
    \tthe directory where the engine binds network namespaces: that of a container which ends while no engine is
    \tconnected is let go
  -socket string
    \twhere to listen for the engine; the log is beside it
";

/// What the program is called for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// To relay a port.
    Relay(Request),
    /// To hold what an engine hands over.
    Serve(ServeRequest),
    /// To say its version.
    Version,
    /// To say its flags.
    Help,
}

/// One port to relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// What it carries.
    pub protocol: Protocol,
    /// The host's address.
    pub host_ip: IpAddr,
    /// The host's port; `None` only with a socket that is handed over.
    pub host_port: Option<u16>,
    /// The container's address.
    pub container_ip: IpAddr,
    /// The container's port.
    pub container_port: u16,
    /// Where the host's socket comes from.
    pub socket: HostSocket,
}

impl Request {
    /// The host's side.
    #[must_use]
    pub fn host(&self) -> SocketAddr {
        SocketAddr::new(self.host_ip, self.host_port.unwrap_or_default())
    }

    /// The container's side.
    #[must_use]
    pub fn container(&self) -> SocketAddr {
        SocketAddr::new(self.container_ip, self.container_port)
    }
}

/// How to serve an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServeRequest {
    /// Where it connects.
    pub socket: PathBuf,
    /// Where it writes names.
    pub names: PathBuf,
    /// Where it binds the network namespaces of containers.
    pub sandboxes: Option<PathBuf>,
    /// How long to stay with nothing held and no engine connected.
    pub linger: Duration,
}

/// Where the host's socket comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostSocket {
    /// It is bound here: dockerd before 28.
    Bound,
    /// It is inherited as descriptor 4: dockerd 28.
    Inherited,
}

/// Why a command line is refused; where Go's flag package refuses it, in its words.
#[derive(Debug, thiserror::Error)]
pub enum ArgumentError {
    /// No such flag.
    #[error("flag provided but not defined: -{0}")]
    Unknown(String),
    /// A flag at the end of the line that takes a value.
    #[error("flag needs an argument: -{0}")]
    NeedsValue(&'static str),
    /// A value that is none of its kind.
    #[error("invalid value {value:?} for flag -{flag}: {wanted} is wanted")]
    Invalid {
        /// The flag.
        flag: &'static str,
        /// What was given.
        value: String,
        /// What it takes.
        wanted: &'static str,
    },
    /// A word that belongs to no flag.
    #[error("unexpected argument {0:?}")]
    Word(String),
    /// A protocol that is not relayed.
    #[error("unsupported protocol {0}: tcp and udp are relayed")]
    Protocol(String),
    /// What cannot be guessed.
    #[error("flag -{0} is missing")]
    Missing(&'static str),
    /// A path that is none.
    #[error("flag -{0}: {1}")]
    Path(&'static str, std::io::Error),
}

/// How long the program stays with nothing to do when it is not told.
const LINGER_SECONDS: &str = "30";
/// The verb, and its flags; each has a value.
const SERVE: &str = "serve";
const SERVE_VALUED: [&str; 4] = ["socket", "names", "sandboxes", "linger"];
/// The flags with a value.
const VALUED: [&str; 5] = ["proto", "host-ip", "host-port", "container-ip", "container-port"];
/// The flags without one; Go lets them be given `=true` and `=false`.
const SWITCHES: [&str; 5] = ["use-listen-fd", "v", "version", "h", "help"];

/// What was given, as text, for each of the flags with a value; the last one counts.
struct Given<const N: usize> {
    values: [Option<String>; N],
    switches: [bool; SWITCHES.len()],
}

/// Reads a command line without the program's name.
///
/// # Errors
/// [`ArgumentError`], naming the flag.
pub fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Call, ArgumentError> {
    let mut arguments = arguments.map(|argument| argument.to_string_lossy().into_owned()).peekable();
    if arguments.next_if(|first| first == SERVE).is_some() {
        let given = given(arguments, &SERVE_VALUED, &SWITCHES[1..])?;
        return serve_call(given);
    }
    call(given(arguments, &VALUED, &SWITCHES)?)
}

/// Sorts the words of a command line to the flags that take values, and to the switches.
fn given<const N: usize>(
    mut arguments: impl Iterator<Item = String>,
    valued: &[&'static str; N],
    switches: &[&str],
) -> Result<Given<N>, ArgumentError> {
    let mut given = Given { values: [const { None }; N], switches: [false; SWITCHES.len()] };
    while let Some(argument) = arguments.next() {
        let Some(flag) = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-')) else {
            return Err(ArgumentError::Word(argument));
        };
        if flag.is_empty() {
            // "--" ends the flags, and nothing may follow them; "-" is a word.
            match arguments.next().or_else(|| (argument == "-").then(|| argument.clone())) {
                Some(word) => return Err(ArgumentError::Word(word)),
                None => break,
            }
        }
        let (name, value) = flag.split_once('=').map_or((flag, None), |(name, value)| (name, Some(value.to_owned())));
        if let Some(index) = valued.iter().position(|known| *known == name) {
            let value = value.or_else(|| arguments.next()).ok_or(ArgumentError::NeedsValue(valued[index]))?;
            given.values[index] = Some(value);
        } else if let Some(index) = SWITCHES.iter().position(|known| *known == name && switches.contains(known)) {
            given.switches[index] = value.map_or(Ok(true), |value| switch(SWITCHES[index], value))?;
        } else {
            return Err(ArgumentError::Unknown(name.to_owned()));
        }
    }
    Ok(given)
}

/// Help before the version, and either before anything else.
fn asked([_, v, version, h, help]: [bool; SWITCHES.len()]) -> Option<Call> {
    if h || help { Some(Call::Help) } else { (v || version).then_some(Call::Version) }
}

fn serve_call(given: Given<{ SERVE_VALUED.len() }>) -> Result<Call, ArgumentError> {
    if let Some(asked) = asked(given.switches) {
        return Ok(asked);
    }
    let [socket, names, sandboxes, linger] = given.values;
    // The program does not stay in the directory it is started in.
    let path = |flag, value: Option<String>| {
        let value = value.filter(|value| !value.is_empty()).ok_or(ArgumentError::Missing(flag))?;
        std::path::absolute(value).map_err(|error| ArgumentError::Path(flag, error))
    };
    let linger = linger.unwrap_or_else(|| LINGER_SECONDS.to_owned());
    let seconds = linger.parse::<u32>().map_err(|_| ArgumentError::Invalid {
        flag: "linger",
        value: linger,
        wanted: "a number of seconds",
    })?;
    Ok(Call::Serve(ServeRequest {
        socket: path("socket", socket)?,
        names: path("names", names)?,
        sandboxes: sandboxes.map(|given| path("sandboxes", Some(given))).transpose()?,
        linger: Duration::from_secs(seconds.into()),
    }))
}

fn call(given: Given<{ VALUED.len() }>) -> Result<Call, ArgumentError> {
    if let Some(asked) = asked(given.switches) {
        return Ok(asked);
    }
    let inherited = given.switches[0];
    let [protocol, host_ip, host_port, container_ip, container_port] = given.values;
    let protocol = match protocol.as_deref() {
        None | Some("tcp") => Protocol::Tcp,
        Some("udp") => Protocol::Udp,
        Some(other) => return Err(ArgumentError::Protocol(other.to_owned())),
    };
    let socket = if inherited { HostSocket::Inherited } else { HostSocket::Bound };
    let host_port = host_port.map(|value| port("host-port", value)).transpose()?;
    if host_port.is_none() && socket == HostSocket::Bound {
        return Err(ArgumentError::Missing("host-port"));
    }
    Ok(Call::Relay(Request {
        protocol,
        // An empty one is what dockerd 20.10 gives for every address.
        host_ip: host_ip
            .filter(|value| !value.is_empty())
            .map_or(Ok(UNSPECIFIED), |value| address("host-ip", value))?,
        host_port,
        container_ip: address("container-ip", container_ip.ok_or(ArgumentError::Missing("container-ip"))?)?,
        container_port: port("container-port", container_port.ok_or(ArgumentError::Missing("container-port"))?)?,
        socket,
    }))
}

const UNSPECIFIED: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// An address; IPv4 in IPv6's dress is IPv4, as everywhere in docker.
fn address(flag: &'static str, value: String) -> Result<IpAddr, ArgumentError> {
    let parsed = value.parse::<IpAddr>().map(|address| address.to_canonical());
    parsed.map_err(|_| ArgumentError::Invalid { flag, value, wanted: "an IP address" })
}

fn port(flag: &'static str, value: String) -> Result<u16, ArgumentError> {
    value.parse().map_err(|_| ArgumentError::Invalid { flag, value, wanted: "a port, 0 to 65535," })
}

/// A truth value in Go's spellings.
fn switch(flag: &'static str, value: String) -> Result<bool, ArgumentError> {
    match value.as_str() {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(ArgumentError::Invalid { flag, value, wanted: "true or false" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Call, ArgumentError> {
        parse(line.split_whitespace().map(OsString::from))
    }

    fn request(line: &str) -> Request {
        match parsed(line) {
            Ok(Call::Relay(request)) => request,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn dockerd_s_own_line_is_read_in_every_spelling() {
        let dockerd = "-proto udp -host-ip :: -host-port 80 -container-ip 172.17.0.2 -container-port 8080";
        let read = request(dockerd);
        assert_eq!((read.protocol, read.socket), (Protocol::Udp, HostSocket::Bound));
        assert_eq!(
            (read.host().to_string(), read.container().to_string()),
            ("[::]:80".into(), "172.17.0.2:8080".into())
        );
        assert_eq!(request(&dockerd.replace(" -", " --")), read);
        assert_eq!(
            request("-proto=udp --host-ip=:: -host-port=80 -container-ip=172.17.0.2 --container-port=8080"),
            read
        );
        let inherited = request(&format!("{dockerd} -use-listen-fd"));
        assert_eq!(inherited, Request { socket: HostSocket::Inherited, ..read });
        assert_eq!(request(&format!("{dockerd} --use-listen-fd=false")), read);
    }

    #[test]
    fn what_is_left_out_is_docker_s() {
        let read = request("-host-port 1 -container-ip ::ffff:10.0.0.1 -container-port 2");
        assert_eq!((read.protocol, read.host().to_string()), (Protocol::Tcp, "0.0.0.0:1".to_owned()));
        assert_eq!(read.container().to_string(), "10.0.0.1:2");
    }

    #[test]
    fn what_is_not_done_is_refused_by_name() {
        let rest = "-host-ip 0.0.0.0 -host-port 80 -container-ip 172.17.0.2 -container-port 8080";
        for (line, said) in [
            (format!("-proto sctp {rest}"), "unsupported protocol sctp: tcp and udp are relayed"),
            (format!("{rest} -port 1"), "flag provided but not defined: -port"),
            (format!("{rest} word"), "unexpected argument \"word\""),
            (format!("{rest} -- word"), "unexpected argument \"word\""),
            (format!("{rest} -"), "unexpected argument \"-\""),
            (format!("{rest} -proto"), "flag needs an argument: -proto"),
            (
                format!("{rest} -use-listen-fd=yes"),
                "invalid value \"yes\" for flag -use-listen-fd: true or false is wanted",
            ),
            (
                rest.replace("8080", "65536"),
                "invalid value \"65536\" for flag -container-port: a port, 0 to 65535, is wanted",
            ),
            (
                rest.replace("172.17.0.2", "localhost"),
                "invalid value \"localhost\" for flag -container-ip: an IP address is wanted",
            ),
            ("-host-port 1 -container-ip 10.0.0.1".to_owned(), "flag -container-port is missing"),
            ("-container-ip 10.0.0.1 -container-port 1".to_owned(), "flag -host-port is missing"),
        ] {
            assert_eq!(parsed(&line).expect_err(&line).to_string(), said, "{line}");
        }
    }

    #[test]
    fn version_and_help_need_nothing_else() {
        for line in ["-v", "--version", "-version", "--v=true", "serve -v"] {
            assert_eq!(parsed(line).expect(line), Call::Version, "{line}");
        }
        assert_eq!(parsed("--help").expect("help"), Call::Help);
        assert_eq!(parsed("serve -h").expect("help"), Call::Help);
    }

    #[test]
    fn serving_needs_a_socket_and_a_directory() {
        let serve_for = |linger, sandboxes: Option<&str>| {
            let (socket, names) = (PathBuf::from("/run/p.sock"), PathBuf::from("/run/names"));
            let sandboxes = sandboxes.map(PathBuf::from);
            Call::Serve(ServeRequest { socket, names, sandboxes, linger: Duration::from_secs(linger) })
        };
        let serve = |linger| serve_for(linger, None);
        let line = "serve -socket /run/p.sock --names=/run/names";
        assert_eq!(parsed(line).expect(line), serve(30));
        assert_eq!(parsed(&format!("{line} -linger 1")).expect(line), serve(1));
        assert_eq!(parsed(&format!("{line} -sandboxes /run/n")).expect(line), serve_for(30, Some("/run/n")));
        for (line, said) in [
            ("serve -names /n", "flag -socket is missing"),
            ("serve -socket /s", "flag -names is missing"),
            (
                "serve -socket /s -names /n -linger x",
                "invalid value \"x\" for flag -linger: a number of seconds is wanted",
            ),
            ("serve -proto tcp", "flag provided but not defined: -proto"),
            ("serve -use-listen-fd", "flag provided but not defined: -use-listen-fd"),
            ("-socket /s", "flag provided but not defined: -socket"),
        ] {
            assert_eq!(parsed(line).expect_err(line).to_string(), said, "{line}");
        }
    }
}
