//! Go's JSON, both ways: zero values for `null`, and its escapes.

use std::collections::BTreeMap;
use std::io;

use serde::{Deserialize, Deserializer, Serialize};

/// Defines a body: every field may be absent or `null` (its zero value), names are Pascal case
/// unless another case or name is given, and the fields are written in the order given.
macro_rules! body {
    (in $case:literal, $(#[$meta:meta])* pub struct $name:ident { $($(#[$field_meta:meta])* pub $field:ident: $kind:ty,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = $case, default)]
        pub struct $name {
            $($(#[$field_meta])* #[serde(deserialize_with = "crate::json::zero_if_null")] pub $field: $kind,)*
        }
    };
    ($($item:tt)*) => { crate::json::body! { in "PascalCase", $($item)* } };
}
pub(crate) use body;

/// Reads a field that may be `null`, which in Go leaves the zero value.
pub(crate) fn zero_if_null<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// Whether a field that Go marks `omitempty` is left out.
pub(crate) fn is_zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Whether a map or list that Go marks `omitempty` is left out: nil and empty alike.
pub(crate) fn is_empty<T: IsEmpty>(value: &Option<T>) -> bool {
    value.as_ref().is_none_or(IsEmpty::is_empty)
}

/// A collection that can be empty.
pub(crate) trait IsEmpty {
    fn is_empty(&self) -> bool;
}

impl<T> IsEmpty for Vec<T> {
    fn is_empty(&self) -> bool {
        Vec::is_empty(self)
    }
}

impl<K, V> IsEmpty for BTreeMap<K, V> {
    fn is_empty(&self) -> bool {
        BTreeMap::is_empty(self)
    }
}

impl IsEmpty for Arguments {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A Go `map[string]struct{}`.
pub type Set = BTreeMap<String, Empty>;

/// The empty object `{}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Empty {}

impl<'de> Deserialize<'de> for Empty {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Object {}
        Option::<Object>::deserialize(deserializer)?;
        Ok(Empty {})
    }
}

/// A command line: a list of strings, or one string that stands for a list of one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Arguments(pub Vec<String>);

impl<'de> Deserialize<'de> for Arguments {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> serde::de::Visitor<'de> for Either {
            type Value = Arguments;
            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("a list of strings or a string")
            }
            fn visit_str<E>(self, text: &str) -> Result<Arguments, E> {
                Ok(Arguments(vec![text.to_owned()]))
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut items: A) -> Result<Arguments, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(Arguments(list))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// Why a body could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Nothing but white space.
    #[error("invalid JSON: got EOF while reading request body")]
    Empty,
    /// Not JSON, or a value of another type than the field's.
    #[error("invalid JSON: {}{source}", key.as_ref().map(|key| format!("{key}: ")).unwrap_or_default())]
    Invalid {
        /// The key whose value was being read.
        key: Option<String>,
        /// What the parser found.
        source: serde_json::Error,
    },
    /// A second document follows the first.
    #[error("unexpected content after JSON")]
    Trailing,
}

/// Reads one JSON document from a body.
///
/// # Errors
/// [`DecodeError`], naming the key at fault where there is one.
pub fn decode<T: for<'de> Deserialize<'de>>(body: &[u8]) -> Result<T, DecodeError> {
    let mut documents = serde_json::Deserializer::from_slice(body).into_iter::<T>();
    let value = match documents.next() {
        None => return Err(DecodeError::Empty),
        Some(Ok(value)) => value,
        Some(Err(source)) => {
            return Err(DecodeError::Invalid { key: key_before(body, &source), source });
        }
    };
    match body[documents.byte_offset()..].iter().all(u8::is_ascii_whitespace) {
        true => Ok(value),
        false => Err(DecodeError::Trailing),
    }
}

/// The last object key before the place where the parser stopped.
fn key_before(body: &[u8], error: &serde_json::Error) -> Option<String> {
    if !error.is_data() {
        return None;
    }
    let line_start =
        body.split(|byte| *byte == b'\n').take(error.line().checked_sub(1)?).map(|line| line.len() + 1).sum::<usize>();
    let end = (line_start + error.column()).min(body.len());
    let mut key = None;
    let mut rest = &body[..end];
    while let Some(open) = rest.iter().position(|byte| *byte == b'"') {
        let text = &rest[open + 1..];
        let close = closing_quote(text)?;
        let after = &text[close + 1..];
        if after.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':') {
            key = std::str::from_utf8(&text[..close]).ok().map(str::to_owned);
        }
        rest = after;
    }
    key
}

fn closing_quote(text: &[u8]) -> Option<usize> {
    let mut escaped = false;
    text.iter().position(|byte| match (escaped, byte) {
        (true, _) => {
            escaped = false;
            false
        }
        (false, b'\\') => {
            escaped = true;
            false
        }
        (false, byte) => *byte == b'"',
    })
}

/// Writes a body as Go does: compact, `<`, `>`, `&`, U+2028 and U+2029 escaped, a newline at the end.
///
/// # Errors
/// When a map has keys that are not strings; none of ours has.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = Vec::with_capacity(256);
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, GoFormatter);
    value.serialize(&mut serializer)?;
    bytes.push(b'\n');
    Ok(bytes)
}

struct GoFormatter;

impl serde_json::ser::Formatter for GoFormatter {
    fn write_string_fragment<W: io::Write + ?Sized>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut start = 0;
        for (at, character) in fragment.char_indices() {
            let escape = match character {
                '<' => "\\u003c",
                '>' => "\\u003e",
                '&' => "\\u0026",
                '\u{2028}' => "\\u2028",
                '\u{2029}' => "\\u2029",
                _ => continue,
            };
            writer.write_all(&fragment.as_bytes()[start..at])?;
            writer.write_all(escape.as_bytes())?;
            start = at + character.len_utf8();
        }
        writer.write_all(&fragment.as_bytes()[start..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    body! {
        /// For these tests.
        pub struct Probe {
            pub memory: i64,
            pub cmd: Option<Arguments>,
            pub labels: Option<BTreeMap<String, String>>,
        }
    }

    #[test]
    fn null_absent_and_unknown_are_the_zero_value() {
        let probe: Probe = decode(br#"{"Memory":null,"Other":3}"#).unwrap();
        assert_eq!(probe, Probe::default());
    }

    #[test]
    fn a_string_stands_for_a_command_of_one_word() {
        let probe: Probe = decode(br#"{"Cmd":"true"}"#).unwrap();
        assert_eq!(probe.cmd, Some(Arguments(vec!["true".into()])));
    }

    #[test]
    fn a_wrong_type_names_its_key() {
        let error = decode::<Probe>(b"{\"Cmd\":[\"a\"],\n\"Memory\":\"x\"}").unwrap_err();
        assert!(
            error.to_string().starts_with("invalid JSON: Memory: invalid type: string \"x\", expected i64"),
            "{error}"
        );
    }

    #[test]
    fn a_second_document_is_refused() {
        assert_eq!(decode::<Probe>(b"{} {}").unwrap_err().to_string(), "unexpected content after JSON");
        assert!(decode::<Probe>(b"{}\n").is_ok());
        assert!(matches!(decode::<Probe>(b" "), Err(DecodeError::Empty)));
    }

    #[test]
    fn angle_brackets_are_escaped_as_go_does() {
        assert_eq!(encode("a<b>&\u{2028}\"").unwrap(), b"\"a\\u003cb\\u003e\\u0026\\u2028\\\"\"\n");
    }
}
