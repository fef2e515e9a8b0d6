//! Messages: a fixed part, fields, and a body (specification, "Message Format").

use crate::value::Value;
use crate::wire::{Reader, Writer};
use crate::{Error, Result};

/// The longest message that is taken. The specification allows 128 MiB; firewalld's are below ten thousand bytes.
pub const MOST_BYTES: usize = 256 * 1024;
/// Endianness, kind, flags, version, the body's length, a number, the fields' length.
pub const FIXED_BYTES: usize = 16;

const VERSION: u8 = 1;
const LITTLE: u8 = b'l';
const BIG: u8 = b'B';
/// Nobody is started to answer.
const NO_AUTO_START: u8 = 2;

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It wants an answer.
    Call = 1,
    /// The answer.
    Return = 2,
    /// Another answer.
    Error = 3,
    /// It tells everybody.
    Signal = 4,
}

/// A message.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// What it is.
    pub kind: Kind,
    /// Its sender's number for it, never 0.
    pub serial: u32,
    /// The number of the call it answers.
    pub reply_to: Option<u32>,
    /// The object it concerns.
    pub path: Option<String>,
    /// The interface.
    pub interface: Option<String>,
    /// The method or signal.
    pub member: Option<String>,
    /// The name of an error.
    pub error: Option<String>,
    /// Whom it is for.
    pub destination: Option<String>,
    /// Who sent it: the bus sees to it that this is true.
    pub sender: Option<String>,
    /// What it carries.
    pub body: Vec<Value>,
}

impl Message {
    /// One of a kind, with nothing in it yet.
    #[must_use]
    pub fn new(kind: Kind, serial: u32) -> Message {
        Message {
            kind,
            serial,
            reply_to: None,
            path: None,
            interface: None,
            member: None,
            error: None,
            destination: None,
            sender: None,
            body: Vec::new(),
        }
    }

    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Writer::default();
        self.body.iter().for_each(|value| body.value(value));
        let signature: String = self.body.iter().map(Value::signature).collect();
        let path = self.path.clone().map(Value::ObjectPath);
        let text = |text: &Option<String>| text.clone().map(Value::String);
        let fields = [
            (1, path),
            (2, text(&self.interface)),
            (3, text(&self.member)),
            (4, text(&self.error)),
            (5, self.reply_to.map(Value::Uint32)),
            (6, text(&self.destination)),
            (7, text(&self.sender)),
            (8, (!signature.is_empty()).then_some(Value::Signature(signature))),
        ];
        let field = |(number, value): (u8, Option<Value>)| {
            Some(Value::Struct(vec![Value::Byte(number), Value::Variant(Box::new(value?))]))
        };
        let mut header = Writer(vec![LITTLE, self.kind as u8, NO_AUTO_START, VERSION]);
        header.u32(body.0.len() as u32);
        header.u32(self.serial);
        header.value(&Value::Array("(yv)".to_owned(), fields.into_iter().filter_map(field).collect()));
        header.align(8);
        header.0.extend_from_slice(&body.0);
        header.0
    }

    /// Reads one of exactly these bytes. `None` for a kind that is not known, which is to be ignored.
    ///
    /// # Errors
    /// What breaks the rules.
    pub fn decode(bytes: &[u8]) -> Result<Option<Message>> {
        let is_little = is_little(bytes)?;
        let mut reader = Reader::new(bytes, is_little);
        reader.byte()?;
        let kind = match reader.byte()? {
            0 => return Err(Error::Malformed("a message of no kind")),
            1 => Kind::Call,
            2 => Kind::Return,
            3 => Kind::Error,
            4 => Kind::Signal,
            _ => return Ok(None),
        };
        let _flags = reader.byte()?;
        if reader.byte()? != VERSION {
            return Err(Error::Malformed("another version"));
        }
        let body_length = reader.u32()? as usize;
        let mut message = Message::new(kind, reader.u32()?);
        let fields = reader.value("a(yv)", crate::wire::MOST_DEPTH)?;
        let signature = message.take_fields(fields)?;
        reader.align(8)?;
        let body = bytes.len().checked_sub(body_length).and_then(|begin| bytes.get(begin..));
        let body = body.ok_or(Error::Malformed("a body longer than its message"))?;
        let mut reader = Reader::new(body, is_little);
        message.body = reader.values(&signature)?;
        if message.serial == 0 || !reader.is_at_end() || !message.is_complete() {
            return Err(Error::Malformed("what every message has is missing, or too much is there"));
        }
        Ok(Some(message))
    }

    fn take_fields(&mut self, fields: Value) -> Result<String> {
        let mut signature = String::new();
        let Value::Array(_, fields) = fields else { return Ok(signature) };
        for field in fields {
            let Value::Struct(parts) = field else { continue };
            let Ok([Value::Byte(number), Value::Variant(value)]) = <[Value; 2]>::try_from(parts) else { continue };
            match (number, *value) {
                (1, Value::ObjectPath(path)) => self.path = Some(path),
                (2, Value::String(text)) => self.interface = Some(text),
                (3, Value::String(text)) => self.member = Some(text),
                (4, Value::String(text)) => self.error = Some(text),
                (5, Value::Uint32(number)) => self.reply_to = Some(number),
                (6, Value::String(text)) => self.destination = Some(text),
                (7, Value::String(text)) => self.sender = Some(text),
                (8, Value::Signature(text)) => signature = text,
                (1..=8, _) => return Err(Error::Malformed("a field of another type")),
                // Fields of later versions are ignored.
                _ => {}
            }
        }
        Ok(signature)
    }

    fn is_complete(&self) -> bool {
        match self.kind {
            Kind::Call => self.path.is_some() && self.member.is_some(),
            Kind::Return => self.reply_to.is_some(),
            Kind::Error => self.reply_to.is_some() && self.error.is_some(),
            Kind::Signal => self.path.is_some() && self.interface.is_some() && self.member.is_some(),
        }
    }
}

fn is_little(bytes: &[u8]) -> Result<bool> {
    match bytes.first() {
        Some(&LITTLE) => Ok(true),
        Some(&BIG) => Ok(false),
        _ => Err(Error::Malformed("neither end comes first")),
    }
}

/// The length of the message that begins with these bytes; `None` when there are too few to tell.
///
/// # Errors
/// For one that is too long.
pub fn length(bytes: &[u8]) -> Result<Option<usize>> {
    let Some(fixed) = bytes.get(..FIXED_BYTES) else { return Ok(None) };
    let is_little = is_little(fixed)?;
    let number = |at: usize| {
        let bytes = [fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]];
        if is_little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) }
    };
    let (body, fields) = (number(4) as usize, number(12) as usize);
    let whole = FIXED_BYTES.saturating_add(fields).checked_next_multiple_of(8).and_then(|head| head.checked_add(body));
    match whole.filter(|whole| *whole <= MOST_BYTES) {
        Some(whole) => Ok(Some(whole)),
        None => Err(Error::Malformed("it is longer than any that is taken")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn everything() -> Message {
        let mut message = Message::new(Kind::Call, 7);
        message.path = Some("/a/b".to_owned());
        message.interface = Some("a.b".to_owned());
        message.member = Some("Do".to_owned());
        message.destination = Some("a.b.c".to_owned());
        message.body = vec![
            Value::Byte(1),
            Value::Boolean(true),
            Value::Int16(-2),
            Value::Uint16(3),
            Value::Int32(-4),
            Value::Uint32(5),
            Value::Int64(-6),
            Value::Uint64(7),
            Value::Double(0.5),
            Value::string("ä"),
            Value::ObjectPath("/".to_owned()),
            Value::Signature("a{sv}".to_owned()),
            Value::strings(&["x", "", "yz"]),
            Value::strings(&[]),
            Value::dictionary(&[("target", Value::string("ACCEPT")), ("zones", Value::strings(&["ANY"]))]),
            Value::Struct(vec![Value::Byte(9), Value::Array("t".to_owned(), vec![Value::Uint64(1)])]),
            Value::Array("t".to_owned(), Vec::new()),
        ];
        message
    }

    #[test]
    fn what_is_written_is_read_again() {
        let message = everything();
        let bytes = message.encode();
        assert_eq!(length(&bytes).expect("one"), Some(bytes.len()));
        assert_eq!(Message::decode(&bytes).expect("read"), Some(message));
    }

    #[test]
    fn a_call_has_the_bytes_that_others_write() {
        // As dbus-send writes it, but for its flags.
        let mut hello = Message::new(Kind::Call, 1);
        hello.path = Some("/o".to_owned());
        hello.member = Some("Hello".to_owned());
        let mut expected = b"l\x01\x02\x01\0\0\0\0\x01\0\0\0\x1e\0\0\0".to_vec();
        expected.extend_from_slice(b"\x01\x01o\0\x02\0\0\0/o\0\0\0\0\0\0\x03\x01s\0\x05\0\0\0Hello\0");
        expected.extend_from_slice(b"\0\0");
        assert_eq!(hello.encode(), expected);
    }

    #[test]
    fn what_breaks_the_rules_is_refused() {
        let good = everything().encode();
        for cut in 0..good.len() {
            assert!(Message::decode(&good[..cut]).is_err(), "cut at {cut}");
        }
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                // It may say something else, but it is read without an accident, and in bounds.
                let _ = Message::decode(&bad);
                let _ = length(&bad);
            }
        }
        let mut long = good.clone();
        long[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(length(&long).is_err());
        let mut body = Message::new(Kind::Signal, 1);
        body.path = Some("/".to_owned());
        body.interface = Some("i".to_owned());
        body.member = Some("M".to_owned());
        let mut nested = Value::Byte(0);
        for _ in 0..40 {
            nested = Value::Variant(Box::new(nested));
        }
        body.body = vec![nested];
        assert!(Message::decode(&body.encode()).is_err());
    }
}
