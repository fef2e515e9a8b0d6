//! DNS messages, as far as they concern us: a query with one question is read, an answer is written behind it
//! (RFC 1035 section 4, RFC 6891). What is forwarded is not taken apart any further.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The fixed part that every message begins with.
pub const HEADER_BYTES: usize = 12;
/// Longest name on the wire, with its lengths.
const MAX_NAME_BYTES: usize = 255;
/// How much a client takes that does not say.
const DEFAULT_UDP_BYTES: usize = 512;
/// What we say that we take: it is not used, queries are short.
const OUR_UDP_BYTES: u16 = 1232;
/// Seconds that our answers may be kept: a container that starts anew may have another address. Docker says 600.
const TTL: u32 = 1;
/// A pointer to the question's name, which stands behind the header.
const QUESTION_NAME: [u8; 2] = [0xc0, HEADER_BYTES as u8];

/// Types of records (the QTYPEs we know).
pub mod kind {
    /// An IPv4 address.
    pub const A: u16 = 1;
    /// A name, of an address.
    pub const PTR: u16 = 12;
    /// A mail exchanger.
    pub const MX: u16 = 15;
    /// An IPv6 address.
    pub const AAAA: u16 = 28;
    /// Not a record: EDNS.
    pub const OPT: u16 = 41;
}

/// The internet's class.
const IN: u16 = 1;

/// What became of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// Answered, perhaps with nothing.
    NoError = 0,
    /// It cannot be read.
    FormErr = 1,
    /// It could not be answered.
    ServFail = 2,
    /// It is no query.
    NotImp = 4,
    /// It will not be answered.
    Refused = 5,
}

/// The question's name: lower-case labels with dots between them, no dot at its end.
#[derive(Clone, Copy)]
pub struct Name {
    bytes: [u8; MAX_NAME_BYTES],
    length: usize,
}

impl Name {
    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn push(&mut self, byte: u8) -> Option<()> {
        *self.bytes.get_mut(self.length)? = byte;
        self.length += 1;
        Some(())
    }
}

/// A query with one question.
pub struct Query<'a> {
    /// The whole message.
    pub message: &'a [u8],
    /// Where the question ends.
    pub question_end: usize,
    /// What is asked for; `None` when a label of it has a dot, which none of ours has.
    pub name: Option<Name>,
    /// Of which type.
    pub kind: u16,
    /// Whether it is the internet's class.
    pub is_internet: bool,
    /// The longest datagram that the client takes, when it speaks EDNS.
    pub edns_bytes: Option<u16>,
}

/// Reads a message that a client sent. `None` is not answered: it is too short to be, or an answer itself.
///
/// # Errors
/// The code that it is answered with.
pub fn parse(message: &[u8]) -> Result<Option<Query<'_>>, Code> {
    let Some(header) = message.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
    let count = |index: usize| u16::from_be_bytes([header[index], header[index + 1]]);
    if header[2] & 0x80 != 0 {
        return Ok(None);
    }
    if header[2] >> 3 & 0xf != 0 {
        return Err(Code::NotImp);
    }
    // As the library that docker uses: a cookie, an OPT and a signature at most.
    if count(4) != 1 || count(6) > 1 || count(8) > 1 || count(10) > 2 {
        return Err(Code::FormErr);
    }
    let records = [count(6) + count(8), count(10)];
    read(message, records).map(Some).ok_or(Code::FormErr)
}

fn read(message: &[u8], [before, additional]: [u16; 2]) -> Option<Query<'_>> {
    let mut at = HEADER_BYTES;
    let name = read_name(message, &mut at)?;
    let kind = read_number(message, &mut at)?;
    let class = read_number(message, &mut at)?;
    let mut query = Query { message, question_end: at, name, kind, is_internet: class == IN, edns_bytes: None };
    for index in 0..before + additional {
        skip_name(message, &mut at)?;
        let kind = read_number(message, &mut at)?;
        let class = read_number(message, &mut at)?;
        at += 4; // TTL, or more of EDNS
        at += usize::from(read_number(message, &mut at)?);
        if at > message.len() {
            return None;
        }
        if kind == kind::OPT && index >= before {
            query.edns_bytes = Some(class);
        }
    }
    Some(query)
}

fn read_number(message: &[u8], at: &mut usize) -> Option<u16> {
    let bytes = message.get(*at..*at + 2)?;
    *at += 2;
    Some(u16::from_be_bytes([bytes[0], bytes[1]]))
}

/// The question's name; it is the first in the message, so it points nowhere.
fn read_name(message: &[u8], at: &mut usize) -> Option<Option<Name>> {
    let begin = *at;
    let mut name = Some(Name { bytes: [0; MAX_NAME_BYTES], length: 0 });
    loop {
        let length = usize::from(*message.get(*at)?);
        let label = message.get(*at + 1..*at + 1 + length).filter(|_| length < 64)?;
        *at += 1 + length;
        if *at - begin > MAX_NAME_BYTES {
            return None;
        }
        if length == 0 {
            return Some(name);
        }
        name = name.filter(|_| !label.contains(&b'.'));
        if let Some(name) = &mut name {
            if name.length > 0 {
                name.push(b'.')?;
            }
            for byte in label {
                name.push(byte.to_ascii_lowercase())?;
            }
        }
    }
}

fn skip_name(message: &[u8], at: &mut usize) -> Option<()> {
    loop {
        let length = *message.get(*at)?;
        match length {
            0 => {
                *at += 1;
                return Some(());
            }
            1..64 => *at += 1 + usize::from(length),
            192.. => {
                *at += 2;
                return (*at <= message.len()).then_some(());
            }
            _ => return None,
        }
    }
}

/// The address that a question for its name asks for: `4.3.2.1.in-addr.arpa`, or 32 digits below `ip6.arpa`.
pub fn reverse(name: &[u8]) -> Option<IpAddr> {
    let name = std::str::from_utf8(name).ok()?;
    if let Some(digits) = name.strip_suffix(".in-addr.arpa") {
        let backwards: Ipv4Addr = digits.parse().ok()?;
        let [a, b, c, d] = backwards.octets();
        return Some(Ipv4Addr::new(d, c, b, a).into());
    }
    let digits = name.strip_suffix(".ip6.arpa")?;
    let mut bits = 0_u128;
    let mut count = 0_u32;
    for digit in digits.split('.') {
        let digit = u128::from_str_radix(digit, 16).ok().filter(|_| digit.len() == 1 && digit != "+")?;
        bits |= digit.checked_shl(count * 4).filter(|_| count < 32)?;
        count += 1;
    }
    (count == 32).then(|| Ipv6Addr::from(bits).into())
}

/// How long an answer may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// As long as the client says.
    Udp,
    /// As long as a length can say.
    Tcp,
}

impl Query<'_> {
    /// Whether the name has one label.
    pub fn is_single_label(&self) -> bool {
        self.name.is_some_and(|name| name.length > 0 && !name.as_bytes().contains(&b'.'))
    }

    fn most_bytes(&self, transport: Transport) -> usize {
        match transport {
            Transport::Tcp => usize::from(u16::MAX),
            Transport::Udp => self.edns_bytes.map_or(DEFAULT_UDP_BYTES, usize::from).max(DEFAULT_UDP_BYTES),
        }
    }

    /// Writes an answer with `addresses` into `out`; what does not fit is left out, and the client told so.
    pub fn answer_addresses(&self, transport: Transport, addresses: impl Iterator<Item = IpAddr>, out: &mut Vec<u8>) {
        let mut answer = Answer::begin(self, transport, out);
        for address in addresses {
            let fits = match address {
                IpAddr::V4(address) => answer.push(kind::A, &address.octets()),
                IpAddr::V6(address) => answer.push(kind::AAAA, &address.octets()),
            };
            if !fits {
                break;
            }
        }
        answer.end();
    }

    /// Writes an answer with a name into `out`.
    pub fn answer_name(&self, transport: Transport, name: &str, out: &mut Vec<u8>) {
        let mut data = Vec::with_capacity(name.len() + 2);
        for label in name.split('.').filter(|label| !label.is_empty()) {
            let label = &label.as_bytes()[..label.len().min(63)];
            data.push(label.len() as u8);
            data.extend_from_slice(label);
        }
        data.push(0);
        let mut answer = Answer::begin(self, transport, out);
        if data.len() <= MAX_NAME_BYTES {
            answer.push(kind::PTR, &data);
        }
        answer.end();
    }

    /// Writes an answer with nothing but a code into `out`.
    pub fn answer_code(&self, code: Code, out: &mut Vec<u8>) {
        let answer = Answer::begin(self, Transport::Tcp, out);
        answer.out[3] |= code as u8;
        answer.end();
    }
}

/// Writes what says `code` to a message of which no question could be read.
pub fn answer_bad(message: &[u8], code: Code, out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(&message[..2]);
    out.extend_from_slice(&[0x80 | message[2] & 0x79, 0x80 | code as u8]);
    out.resize(HEADER_BYTES, 0);
}

/// An answer that is being written.
struct Answer<'a> {
    out: &'a mut Vec<u8>,
    most_bytes: usize,
    has_edns: bool,
    count: u16,
}

/// What EDNS takes of an answer.
const EDNS_BYTES: usize = 11;

impl<'a> Answer<'a> {
    fn begin(query: &Query<'_>, transport: Transport, out: &'a mut Vec<u8>) -> Answer<'a> {
        let message = query.message;
        out.clear();
        out.extend_from_slice(&message[..2]);
        // An answer; the opcode and the wish for recursion come back, and that is had.
        out.extend_from_slice(&[0x80 | message[2] & 0x79, 0x80]);
        out.extend_from_slice(&[0, 1, 0, 0, 0, 0, 0, 0]);
        out.extend_from_slice(&message[HEADER_BYTES..query.question_end]);
        let has_edns = query.edns_bytes.is_some();
        let most_bytes = query.most_bytes(transport) - if has_edns { EDNS_BYTES } else { 0 };
        Answer { out, most_bytes, has_edns, count: 0 }
    }

    /// Whether it fitted; otherwise it is told that something did not.
    fn push(&mut self, kind: u16, data: &[u8]) -> bool {
        if self.out.len() + 12 + data.len() > self.most_bytes {
            self.out[2] |= 0x02;
            return false;
        }
        self.out.extend_from_slice(&QUESTION_NAME);
        self.out.extend_from_slice(&kind.to_be_bytes());
        self.out.extend_from_slice(&IN.to_be_bytes());
        self.out.extend_from_slice(&TTL.to_be_bytes());
        self.out.extend_from_slice(&(data.len() as u16).to_be_bytes());
        self.out.extend_from_slice(data);
        self.count += 1;
        true
    }

    fn end(self) {
        self.out[6..8].copy_from_slice(&self.count.to_be_bytes());
        if self.has_edns {
            self.out[11] = 1;
            self.out.push(0);
            self.out.extend_from_slice(&kind::OPT.to_be_bytes());
            self.out.extend_from_slice(&OUR_UDP_BYTES.to_be_bytes());
            self.out.extend_from_slice(&[0; 6]);
        }
    }
}

/// What a server's answer to a forwarded query says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upstream {
    /// It is none to this query.
    Foreign,
    /// The server cannot or will not: another may.
    Failed,
    /// An answer.
    Answer,
}

/// Judges `answer` to the query `asked`, as it was sent, whose question ends at `question_end`.
pub fn judge(asked: &[u8], question_end: usize, answer: &[u8]) -> Upstream {
    let (Some(header), Some(id)) = (answer.first_chunk::<HEADER_BYTES>(), asked.get(..2)) else {
        return Upstream::Foreign;
    };
    if header[..2] != *id || header[2] & 0x80 == 0 {
        return Upstream::Foreign;
    }
    let code = header[3] & 0xf;
    let has_question = header[4..6] == [0, 1]
        && answer
            .get(HEADER_BYTES..question_end)
            .is_some_and(|question| question == &asked[HEADER_BYTES..question_end]);
    // Who could not even read the question need not repeat it.
    let speaks_of_it = has_question || header[4..6] == [0, 0] && code != Code::NoError as u8;
    match (speaks_of_it, code) {
        (false, _) => Upstream::Foreign,
        (true, code) if code == Code::ServFail as u8 || code == Code::Refused as u8 => Upstream::Failed,
        (true, _) => Upstream::Answer,
    }
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
