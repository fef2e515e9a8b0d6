//! The packets, as bytes: `corten-relay 1 VERB`, then a line for each thing, descriptors in the order of the lines.
//!
//! ```text
//! corten-relay 1 hold                             ack:  corten-relay 1 ok
//! container 5f2a…               + its pidfd             corten-relay 1 more       (list, takeover: a part of it)
//! port tcp 0.0.0.0:80           + a socket              corten-relay 1 error
//! port tcp [::]:80 172.18.0.2:80 + a socket             why not
//! resolver                      + udp, tcp, namespace
//! flow udp [::1]:53 [::1]:4711 ::1 + a socket
//! ```

use std::{
    fmt::Write as _,
    net::{IpAddr, SocketAddr},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    str::{FromStr, SplitAsciiWhitespace},
};

use corten_sys::{pidfd::PidFd, scm};
use corten_types::Identifier;

use crate::{Flow, Held, HeldPort, Hold, Port, PortSocket, Protocol, Resolver, Subject};

/// The format this release speaks.
pub const FORMAT: u32 = 1;
/// Longest packet: a thousand lines, and less than a socket's buffer holds.
pub const MAX_PACKET_BYTES: usize = 64 * 1024;
/// Most lines of a packet that we make.
const LINES_EACH: usize = 400;
/// Most ports of a packet: the pidfd and a resolver travel, too.
const PORTS_EACH: usize = scm::MAX_FDS - 4;
const WORD: &str = "corten-relay";

/// What is asked of corten-proxy.
#[derive(Debug)]
pub enum Request {
    /// Who are you?
    Hello,
    /// Hold this.
    Hold(Hold),
    /// Let go of all of a container's, or of the ports named.
    Drop {
        /// Whose.
        container: Identifier,
        /// Which; `None` for everything.
        ports: Option<Vec<Port>>,
    },
    /// Read these files again.
    Refresh(Vec<Subject>),
    /// What do you hold?
    List,
    /// Give copies of everything you hold.
    Takeover,
    /// The copies have arrived: stop serving them.
    Taken,
}

/// What corten-proxy answers.
#[derive(Debug)]
pub enum Answer {
    /// It is done.
    Done,
    /// To [`Request::Hello`].
    Hello {
        /// The program's version.
        version: String,
    },
    /// A part of what is held; more follows.
    Listed(Vec<Held>),
    /// A part of what is given; more follows.
    Given(Hold),
    /// It was not done.
    Refused(String),
}

/// Why a packet is none of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// No words.
    #[error("the packet is not text")]
    NotText,
    /// Not even the first line.
    #[error("the packet does not begin with `{WORD} {FORMAT}` and a verb")]
    Head,
    /// Of another release.
    #[error("the packet has format {0}; this release speaks {FORMAT}")]
    Format(u32),
    /// An unknown verb.
    #[error("the verb {0:?} is unknown")]
    Verb(String),
    /// A line of no sense.
    #[error("the line {0:?} does not belong into the packet")]
    Line(String),
    /// A line that is not there.
    #[error("the packet names no {0}")]
    Missing(&'static str),
    /// More or fewer than the lines speak of.
    #[error("the packet speaks of other descriptors than it brings")]
    Descriptors,
}

/// A packet to be sent.
#[derive(Debug, Default)]
pub(crate) struct Packet<'a> {
    pub text: String,
    pub descriptors: Vec<BorrowedFd<'a>>,
}

impl<'a> Packet<'a> {
    fn new(verb: &str) -> Packet<'a> {
        Packet { text: format!("{WORD} {FORMAT} {verb}\n"), descriptors: Vec::new() }
    }

    fn line(&mut self, words: std::fmt::Arguments<'_>) {
        let _ = writeln!(self.text, "{words}"); // writing to a String cannot fail
    }
}

impl Request {
    /// The packets that say it, each to be acknowledged before the next is sent.
    pub(crate) fn packets(&self) -> Vec<Packet<'_>> {
        match self {
            Request::Hello => vec![Packet::new("hello")],
            Request::Hold(hold) => hold_packets("hold", hold),
            Request::Drop { container, ports: None } => {
                let mut packet = Packet::new("drop");
                packet.line(format_args!("container {container}"));
                vec![packet]
            }
            Request::Drop { container, ports: Some(ports) } => chunks(ports, LINES_EACH, |ports| {
                let mut packet = Packet::new("drop-ports");
                packet.line(format_args!("container {container}"));
                ports.iter().for_each(|port| packet.line(format_args!("port {port}")));
                packet
            }),
            Request::Refresh(subjects) => chunks(subjects, LINES_EACH, |subjects| {
                let mut packet = Packet::new("refresh");
                for subject in subjects {
                    match subject {
                        Subject::Network(id) => packet.line(format_args!("network {id}")),
                        Subject::Container(id) => packet.line(format_args!("container {id}")),
                        Subject::Host { network, container } => {
                            packet.line(format_args!("host {network} {container}"));
                        }
                    }
                }
                packet
            }),
            Request::List => vec![Packet::new("list")],
            Request::Takeover => vec![Packet::new("takeover")],
            Request::Taken => vec![Packet::new("taken")],
        }
    }

    /// Reads a packet.
    ///
    /// # Errors
    /// [`MessageError`]; the descriptors are closed then.
    pub fn parse(packet: &[u8], descriptors: Vec<OwnedFd>) -> Result<Request, MessageError> {
        let (verb, lines) = head(packet)?;
        let request = match verb {
            "hold" => return parse_hold(lines, descriptors).map(Request::Hold),
            "hello" => Request::Hello,
            "drop" => match parse_held(lines)? {
                held if held.ports.is_empty() && !held.has_resolver => {
                    Request::Drop { container: held.container, ports: None }
                }
                _ => return Err(MessageError::Line("port".to_owned())),
            },
            "drop-ports" => {
                let held = parse_held(lines)?;
                let ports = held.ports.into_iter().map(|held| held.port).collect();
                Request::Drop { container: held.container, ports: Some(ports) }
            }
            "refresh" => Request::Refresh(lines.map(parse_subject).collect::<Result<_, _>>()?),
            "list" => Request::List,
            "takeover" => Request::Takeover,
            "taken" => Request::Taken,
            other => return Err(MessageError::Verb(other.to_owned())),
        };
        if descriptors.is_empty() { Ok(request) } else { Err(MessageError::Descriptors) }
    }
}

impl Answer {
    /// The packets that say it, one after the other.
    pub(crate) fn packets(&self) -> Vec<Packet<'_>> {
        match self {
            Answer::Done => vec![Packet::new("ok")],
            Answer::Hello { version } => {
                let mut packet = Packet::new("hello");
                packet.line(format_args!("version {version}"));
                vec![packet]
            }
            Answer::Listed(all) => {
                let lines = all.iter().flat_map(held_lines).collect::<Vec<_>>();
                // Lines of a container may be spread over packets: each begins with whose they are.
                chunks(&lines, LINES_EACH, |lines| {
                    let mut packet = Packet::new("listed");
                    if let Some((container, line)) = lines.first()
                        && !line.is_empty()
                    {
                        packet.line(format_args!("container {container}"));
                    }
                    for (container, line) in lines {
                        if line.is_empty() {
                            packet.line(format_args!("container {container}"));
                        } else {
                            packet.line(format_args!("{line}"));
                        }
                    }
                    packet
                })
            }
            Answer::Given(hold) => hold_packets("given", hold),
            Answer::Refused(why) => {
                let mut packet = Packet::new("error");
                let end = why.char_indices().nth(1000).map_or(why.len(), |(index, _)| index);
                packet.line(format_args!("{}", why[..end].replace('\n', " ")));
                vec![packet]
            }
        }
    }

    /// Reads a packet.
    ///
    /// # Errors
    /// [`MessageError`]; the descriptors are closed then.
    pub fn parse(packet: &[u8], descriptors: Vec<OwnedFd>) -> Result<Answer, MessageError> {
        let (verb, mut lines) = head(packet)?;
        let answer = match verb {
            "given" => return parse_hold(lines, descriptors).map(Answer::Given),
            "ok" => Answer::Done,
            "hello" => {
                let line = lines.next().ok_or(MessageError::Missing("version"))?;
                let version = line.strip_prefix("version ").ok_or_else(|| no_sense(line))?;
                Answer::Hello { version: version.to_owned() }
            }
            "listed" => Answer::Listed(parse_all_held(lines)?),
            "error" => Answer::Refused(lines.next().unwrap_or("it does not say why").to_owned()),
            other => return Err(MessageError::Verb(other.to_owned())),
        };
        if descriptors.is_empty() { Ok(answer) } else { Err(MessageError::Descriptors) }
    }
}

/// One packet for each `most` of `all`, and one for none.
fn chunks<'a, T, P>(all: &[T], most: usize, packet: impl Fn(&[T]) -> Packet<'a>) -> P
where
    P: FromIterator<Packet<'a>>,
{
    let none = all.is_empty().then_some(all);
    none.into_iter().chain(all.chunks(most)).map(packet).collect()
}

fn hold_packets<'a>(verb: &str, hold: &'a Hold) -> Vec<Packet<'a>> {
    let none = hold.ports.is_empty().then_some(hold.ports.as_slice());
    let mut packets: Vec<Packet<'a>> = none
        .into_iter()
        .chain(hold.ports.chunks(PORTS_EACH))
        .map(|ports| {
            let mut packet = Packet::new(verb);
            packet.line(format_args!("container {}", hold.container));
            packet.descriptors.push(hold.init.as_fd());
            for PortSocket { port, target, socket } in ports {
                packet.line(format_args!("{}", port_line(*port, *target)));
                packet.descriptors.push(socket.as_fd());
            }
            packet
        })
        .collect();
    if let (Some(resolver), Some(last)) = (&hold.resolver, packets.last_mut()) {
        last.line(format_args!("resolver"));
        last.descriptors.extend(resolver.descriptors());
    }
    packets.extend(hold.flows.chunks(PORTS_EACH).map(|flows| {
        let mut packet = Packet::new(verb);
        packet.line(format_args!("container {}", hold.container));
        packet.descriptors.push(hold.init.as_fd());
        for Flow { port, client, destination, socket } in flows {
            let destination = destination.map_or_else(String::new, |address| format!(" {address}"));
            packet.line(format_args!("flow {port} {client}{destination}"));
            packet.descriptors.push(socket.as_fd());
        }
        packet
    }));
    packets
}

fn port_line(port: Port, target: Option<SocketAddr>) -> String {
    target.map_or_else(|| format!("port {port}"), |target| format!("port {port} {target}"))
}

/// The container with each line of it; an empty one begins it.
fn held_lines(held: &Held) -> Vec<(&Identifier, String)> {
    let resolver = held.has_resolver.then(|| "resolver".to_owned());
    let ports = held.ports.iter().map(|held| port_line(held.port, held.target));
    std::iter::once(String::new()).chain(resolver).chain(ports).map(|line| (&held.container, line)).collect()
}

fn head(packet: &[u8]) -> Result<(&str, std::str::Lines<'_>), MessageError> {
    let text = std::str::from_utf8(packet).map_err(|_| MessageError::NotText)?;
    let mut lines = text.lines();
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some(WORD), Some(format), Some(verb), None) = (words.next(), words.next(), words.next(), words.next()) else {
        return Err(MessageError::Head);
    };
    match format.parse::<u32>() {
        Ok(FORMAT) => Ok((verb, lines)),
        Ok(other) => Err(MessageError::Format(other)),
        Err(_) => Err(MessageError::Head),
    }
}

/// A line of a container's things.
enum Line {
    Container(Identifier),
    Port(HeldPort),
    Resolver,
    Flow(Port, SocketAddr, Option<IpAddr>),
}

fn parse_line(line: &str) -> Result<Line, MessageError> {
    let mut words = line.split_ascii_whitespace();
    let parsed = match words.next() {
        Some("container") => next(&mut words).map(Line::Container),
        Some("port") => parse_port(&mut words).map(Line::Port),
        Some("resolver") => Some(Line::Resolver),
        Some("flow") => parse_flow(&mut words),
        _ => None,
    };
    match (parsed, words.next()) {
        (Some(parsed), None) => Ok(parsed),
        _ => Err(no_sense(line)),
    }
}

fn parse_port(words: &mut SplitAsciiWhitespace<'_>) -> Option<HeldPort> {
    let port = Port { protocol: next::<Protocol>(words)?, host: next(words)? };
    let target = match words.next() {
        None => None,
        Some(target) => Some(target.parse().ok()?),
    };
    Some(HeldPort { port, target })
}

fn parse_flow(words: &mut SplitAsciiWhitespace<'_>) -> Option<Line> {
    let port = Port { protocol: next::<Protocol>(words)?, host: next(words)? };
    let client = next(words)?;
    let destination = match words.next() {
        None => None,
        Some(address) => Some(address.parse().ok()?),
    };
    Some(Line::Flow(port, client, destination))
}

fn parse_subject(line: &str) -> Result<Subject, MessageError> {
    let subject = match line.split_once(' ') {
        Some(("network", id)) => id.parse().ok().map(Subject::Network),
        Some(("container", id)) => id.parse().ok().map(Subject::Container),
        Some(("host", ids)) => ids.split_once(' ').and_then(|(network, container)| {
            Some(Subject::Host { network: network.parse().ok()?, container: container.parse().ok()? })
        }),
        _ => None,
    };
    subject.ok_or_else(|| no_sense(line))
}

fn parse_hold(lines: std::str::Lines<'_>, descriptors: Vec<OwnedFd>) -> Result<Hold, MessageError> {
    let mut descriptors = descriptors.into_iter();
    let mut descriptor = || descriptors.next().ok_or(MessageError::Descriptors);
    let mut hold: Option<Hold> = None;
    for line in lines {
        match (parse_line(line)?, &mut hold) {
            (Line::Container(id), None) => hold = Some(Hold::new(id, PidFd::from_owned(descriptor()?))),
            (Line::Port(HeldPort { port, target }), Some(hold)) => {
                hold.ports.push(PortSocket { port, target, socket: descriptor()? });
            }
            (Line::Flow(port, client, destination), Some(hold)) => {
                hold.flows.push(Flow { port, client, destination, socket: descriptor()? });
            }
            (Line::Resolver, Some(hold)) if hold.resolver.is_none() => {
                hold.resolver = Some(Resolver { udp: descriptor()?, tcp: descriptor()?, namespace: descriptor()? });
            }
            _ => return Err(no_sense(line)),
        }
    }
    let hold = hold.ok_or(MessageError::Missing("container"))?;
    if descriptors.next().is_some() { Err(MessageError::Descriptors) } else { Ok(hold) }
}

fn parse_held(lines: std::str::Lines<'_>) -> Result<Held, MessageError> {
    let mut all = parse_all_held(lines)?.into_iter();
    match (all.next(), all.next()) {
        (Some(held), None) => Ok(held),
        (Some(_), Some(second)) => Err(MessageError::Line(format!("container {}", second.container))),
        (None, _) => Err(MessageError::Missing("container")),
    }
}

fn parse_all_held(lines: std::str::Lines<'_>) -> Result<Vec<Held>, MessageError> {
    let mut all: Vec<Held> = Vec::new();
    for line in lines {
        match (parse_line(line)?, all.last_mut()) {
            (Line::Container(container), _) => {
                all.push(Held { container, ports: Vec::new(), has_resolver: false });
            }
            (Line::Port(port), Some(held)) => held.ports.push(port),
            (Line::Resolver, Some(held)) => held.has_resolver = true,
            _ => return Err(no_sense(line)),
        }
    }
    Ok(all)
}

fn next<T: FromStr>(words: &mut SplitAsciiWhitespace<'_>) -> Option<T> {
    words.next()?.parse().ok()
}

fn no_sense(line: &str) -> MessageError {
    MessageError::Line(line.chars().take(100).collect())
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
