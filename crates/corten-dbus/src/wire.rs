//! Values as bytes: each stands at a multiple of its own size, counted from the message's beginning (specification,
//! "Marshaling").

use crate::value::{Value, first};
use crate::{Error, Result};

/// How deep values may be nested: arrays, structures and variants together.
pub const MOST_DEPTH: u8 = 32;

/// Bytes that are written, the least significant first.
#[derive(Debug, Default)]
pub struct Writer(pub Vec<u8>);

impl Writer {
    pub fn align(&mut self, to: usize) {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
    }

    pub fn u32(&mut self, number: u32) {
        self.align(4);
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn aligned<const N: usize>(&mut self, bytes: [u8; N]) {
        self.align(N);
        self.0.extend_from_slice(&bytes);
    }

    fn text(&mut self, text: &str) {
        self.u32(text.len() as u32);
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(0);
    }

    fn signature(&mut self, signature: &str) {
        self.0.push(signature.len() as u8);
        self.0.extend_from_slice(signature.as_bytes());
        self.0.push(0);
    }

    /// Writes one value.
    pub fn value(&mut self, value: &Value) {
        match value {
            Value::Byte(byte) => self.0.push(*byte),
            Value::Boolean(is) => self.u32(u32::from(*is)),
            Value::Int16(number) => self.aligned(number.to_le_bytes()),
            Value::Uint16(number) => self.aligned(number.to_le_bytes()),
            Value::Int32(number) => self.aligned(number.to_le_bytes()),
            Value::Uint32(number) => self.u32(*number),
            Value::Int64(number) => self.aligned(number.to_le_bytes()),
            Value::Uint64(number) => self.aligned(number.to_le_bytes()),
            Value::Double(number) => self.aligned(number.to_le_bytes()),
            Value::String(text) | Value::ObjectPath(text) => self.text(text),
            Value::Signature(signature) => self.signature(signature),
            Value::Array(element, values) => {
                self.u32(0);
                let length_at = self.0.len() - 4;
                self.align(alignment(element));
                let begin = self.0.len();
                values.iter().for_each(|value| self.value(value));
                let length = (self.0.len() - begin) as u32;
                self.0[length_at..length_at + 4].copy_from_slice(&length.to_le_bytes());
            }
            Value::Struct(fields) => {
                self.align(8);
                fields.iter().for_each(|field| self.value(field));
            }
            Value::DictEntry(pair) => {
                self.align(8);
                self.value(&pair.0);
                self.value(&pair.1);
            }
            Value::Variant(inner) => {
                self.signature(&inner.signature());
                self.value(inner);
            }
        }
    }
}

/// At a multiple of what a value of that signature begins.
fn alignment(signature: &str) -> usize {
    match signature.as_bytes().first() {
        Some(b'n' | b'q') => 2,
        Some(b'b' | b'i' | b'u' | b's' | b'o' | b'a') => 4,
        Some(b'x' | b't' | b'd' | b'(' | b'{') => 8,
        _ => 1,
    }
}

/// Bytes that are read.
#[derive(Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    is_little: bool,
}

impl<'a> Reader<'a> {
    /// From the beginning of `bytes`, which is that of a message or of its body.
    pub fn new(bytes: &'a [u8], is_little: bool) -> Reader<'a> {
        Reader { bytes, at: 0, is_little }
    }

    /// Whether nothing is left.
    pub fn is_at_end(&self) -> bool {
        self.at == self.bytes.len()
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let end = self.at.checked_add(count).ok_or(Error::Malformed("a length beyond all bounds"))?;
        let bytes = self.bytes.get(self.at..end).ok_or(Error::Malformed("it ends too early"))?;
        self.at = end;
        Ok(bytes)
    }

    pub fn align(&mut self, to: usize) -> Result<()> {
        let padding = self.at.next_multiple_of(to) - self.at;
        match self.take(padding)?.iter().all(|byte| *byte == 0) {
            true => Ok(()),
            false => Err(Error::Malformed("something stands where nothing may")),
        }
    }

    fn aligned<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.align(N)?;
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(N)?);
        if !self.is_little {
            bytes.reverse();
        }
        Ok(bytes)
    }

    pub fn byte(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    pub fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.aligned()?))
    }

    fn text(&mut self, length: usize) -> Result<String> {
        let bytes = self.take(length)?;
        if self.byte()? != 0 || bytes.contains(&0) {
            return Err(Error::Malformed("a text does not end where it says"));
        }
        String::from_utf8(bytes.to_vec()).map_err(|_| Error::Malformed("a text is not UTF-8"))
    }

    fn long_text(&mut self) -> Result<String> {
        let length = self.u32()? as usize;
        self.text(length)
    }

    fn signature(&mut self) -> Result<String> {
        let length = usize::from(self.byte()?);
        self.text(length)
    }

    /// Values of all types in `signature`.
    pub fn values(&mut self, signature: &str) -> Result<Vec<Value>> {
        let (mut rest, mut values) = (signature, Vec::new());
        while !rest.is_empty() {
            let (one, more) = first(rest, MOST_DEPTH).ok_or(BAD_SIGNATURE)?;
            values.push(self.value(one, MOST_DEPTH)?);
            rest = more;
        }
        Ok(values)
    }

    /// A value of the one type that `signature` is.
    pub fn value(&mut self, signature: &str, depth: u8) -> Result<Value> {
        let depth = depth.checked_sub(1).ok_or(Error::Malformed("it is nested too deep"))?;
        Ok(match signature.as_bytes().first().ok_or(BAD_SIGNATURE)? {
            b'y' => Value::Byte(self.byte()?),
            b'b' => match self.u32()? {
                0 => Value::Boolean(false),
                1 => Value::Boolean(true),
                _ => return Err(Error::Malformed("neither true nor false")),
            },
            b'n' => Value::Int16(i16::from_le_bytes(self.aligned()?)),
            b'q' => Value::Uint16(u16::from_le_bytes(self.aligned()?)),
            b'i' => Value::Int32(i32::from_le_bytes(self.aligned()?)),
            b'u' => Value::Uint32(self.u32()?),
            b'x' => Value::Int64(i64::from_le_bytes(self.aligned()?)),
            b't' => Value::Uint64(u64::from_le_bytes(self.aligned()?)),
            b'd' => Value::Double(f64::from_le_bytes(self.aligned()?)),
            b's' => Value::String(self.long_text()?),
            b'o' => Value::ObjectPath(self.long_text()?),
            b'g' => Value::Signature(self.signature()?),
            b'v' => {
                let inner = self.signature()?;
                match first(&inner, depth) {
                    Some((one, "")) => Value::Variant(Box::new(self.value(one, depth)?)),
                    _ => return Err(BAD_SIGNATURE),
                }
            }
            b'a' => self.array(&signature[1..], depth)?,
            b'(' => {
                self.align(8)?;
                let mut rest = &signature[1..signature.len() - 1];
                let mut fields = Vec::new();
                while let Some((one, more)) = first(rest, depth) {
                    fields.push(self.value(one, depth)?);
                    rest = more;
                }
                Value::Struct(fields)
            }
            b'{' => {
                self.align(8)?;
                let (key, value) = first(&signature[1..], depth).ok_or(BAD_SIGNATURE)?;
                let (value, _) = first(value, depth).ok_or(BAD_SIGNATURE)?;
                Value::DictEntry(Box::new((self.value(key, depth)?, self.value(value, depth)?)))
            }
            _ => return Err(BAD_SIGNATURE),
        })
    }

    fn array(&mut self, element: &str, depth: u8) -> Result<Value> {
        let length = self.u32()? as usize;
        self.align(alignment(element))?;
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or(Error::Malformed("an array is longer than its message"))?;
        let mut values = Vec::new();
        while self.at < end {
            values.push(self.value(element, depth)?);
        }
        match self.at == end {
            true => Ok(Value::Array(element.to_owned(), values)),
            false => Err(Error::Malformed("an array does not end where it says")),
        }
    }
}

const BAD_SIGNATURE: Error = Error::Malformed("a signature that is none");
