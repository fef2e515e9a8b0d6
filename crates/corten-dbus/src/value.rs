//! Values, and the signatures that say what they are (specification, "Type System").

/// A value as it travels. Descriptors do not.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `y`
    Byte(u8),
    /// `b`
    Boolean(bool),
    /// `n`
    Int16(i16),
    /// `q`
    Uint16(u16),
    /// `i`
    Int32(i32),
    /// `u`
    Uint32(u32),
    /// `x`
    Int64(i64),
    /// `t`
    Uint64(u64),
    /// `d`
    Double(f64),
    /// `s`
    String(String),
    /// `o`
    ObjectPath(String),
    /// `g`
    Signature(String),
    /// `a`, with the signature of its elements
    Array(String, Vec<Value>),
    /// `(…)`
    Struct(Vec<Value>),
    /// `{…}`: key and value, an element of an array
    DictEntry(Box<(Value, Value)>),
    /// `v`
    Variant(Box<Value>),
}

impl Value {
    /// A string.
    #[must_use]
    pub fn string(text: &str) -> Value {
        Value::String(text.to_owned())
    }

    /// An array of strings.
    #[must_use]
    pub fn strings(texts: &[&str]) -> Value {
        Value::Array("s".to_owned(), texts.iter().map(|text| Value::string(text)).collect())
    }

    /// A dictionary of names and values of any type.
    #[must_use]
    pub fn dictionary(entries: &[(&str, Value)]) -> Value {
        let entry = |(key, value): &(&str, Value)| {
            Value::DictEntry(Box::new((Value::string(key), Value::Variant(Box::new(value.clone())))))
        };
        Value::Array("{sv}".to_owned(), entries.iter().map(entry).collect())
    }

    /// Its text, when it is a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// Its elements' texts, when it is an array; those that are no strings are left out.
    #[must_use]
    pub fn as_strings(&self) -> Option<Vec<&str>> {
        match self {
            Value::Array(_, elements) => Some(elements.iter().filter_map(Value::as_str).collect()),
            _ => None,
        }
    }

    /// What it is.
    #[must_use]
    pub fn signature(&self) -> String {
        let all = |values: &[Value]| values.iter().map(Value::signature).collect::<String>();
        match self {
            Value::Byte(_) => "y".to_owned(),
            Value::Boolean(_) => "b".to_owned(),
            Value::Int16(_) => "n".to_owned(),
            Value::Uint16(_) => "q".to_owned(),
            Value::Int32(_) => "i".to_owned(),
            Value::Uint32(_) => "u".to_owned(),
            Value::Int64(_) => "x".to_owned(),
            Value::Uint64(_) => "t".to_owned(),
            Value::Double(_) => "d".to_owned(),
            Value::String(_) => "s".to_owned(),
            Value::ObjectPath(_) => "o".to_owned(),
            Value::Signature(_) => "g".to_owned(),
            Value::Array(element, _) => format!("a{element}"),
            Value::Struct(fields) => format!("({})", all(fields)),
            Value::DictEntry(pair) => format!("{{{}{}}}", pair.0.signature(), pair.1.signature()),
            Value::Variant(_) => "v".to_owned(),
        }
    }
}

/// Splits the first complete type off a signature; `None` when there is none. It may be nested `depth` times.
pub(crate) fn first(signature: &str, depth: u8) -> Option<(&str, &str)> {
    let length = match signature.as_bytes().first()? {
        b'y' | b'b' | b'n' | b'q' | b'i' | b'u' | b'x' | b't' | b'd' | b's' | b'o' | b'g' | b'v' => 1,
        b'a' => 1 + element(&signature[1..], depth.checked_sub(1)?)?,
        b'(' => {
            let fields = count_until(signature, ')', depth.checked_sub(1)?)?;
            (fields.0 > 0).then_some(fields.1)?
        }
        _ => return None,
    };
    Some(signature.split_at(length))
}

/// The length of an array's element, which may be an entry of a dictionary.
fn element(signature: &str, depth: u8) -> Option<usize> {
    if !signature.starts_with('{') {
        return Some(first(signature, depth)?.0.len());
    }
    let (key, _) = first(&signature[1..], 0)?;
    let (types, length) = count_until(signature, '}', depth.checked_sub(1)?)?;
    (types == 2 && key != "v").then_some(length)
}

/// How many complete types stand between the first character and `end`, and the length with both.
fn count_until(signature: &str, end: char, depth: u8) -> Option<(usize, usize)> {
    let (mut rest, mut types) = (&signature[1..], 0);
    while !rest.starts_with(end) {
        rest = first(rest, depth)?.1;
        types += 1;
    }
    Some((types, signature.len() - rest.len() + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_cut_into_complete_types() {
        let cut = |signature| first(signature, 32).map(|(one, _)| one);
        for (signature, one) in [
            ("s", Some("s")),
            ("sas", Some("s")),
            ("asu", Some("as")),
            ("a{sv}as", Some("a{sv}")),
            ("(a(ii)(s))b", Some("(a(ii)(s))")),
            ("aa{s(iv)}", Some("aa{s(iv)}")),
            ("", None),
            ("()", None),
            ("(i", None),
            ("a", None),
            ("{sv}", None),
            ("a{s}", None),
            ("a{sss}", None),
            ("a{vs}", None),
            ("a{(i)s}", None),
            ("h", None),
            ("é", None),
        ] {
            assert_eq!(cut(signature), one, "{signature}");
        }
        assert!(first(&format!("{}y", "a".repeat(32)), 32).is_some());
        assert!(first(&format!("{}y", "a".repeat(33)), 32).is_none());
    }
}
