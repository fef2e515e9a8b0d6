//! Query strings and path segments, percent-encoded.

use std::fmt::Write;

/// A query string under construction; keys keep their order.
#[derive(Debug, Default, Clone)]
pub struct Query(String);

impl Query {
    /// An empty query.
    #[must_use]
    pub const fn new() -> Self {
        Self(String::new())
    }

    /// Adds `key=value`.
    #[must_use]
    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.0.push(if self.0.is_empty() { '?' } else { '&' });
        encode(&mut self.0, key);
        self.0.push('=');
        encode(&mut self.0, value);
        self
    }

    /// Adds `key=1` when `is_set`.
    #[must_use]
    pub fn flag(self, key: &str, is_set: bool) -> Self {
        if is_set { self.with(key, "1") } else { self }
    }

    /// Adds `key=value` unless the value is empty.
    #[must_use]
    pub fn non_empty(self, key: &str, value: &str) -> Self {
        if value.is_empty() { self } else { self.with(key, value) }
    }

    /// The text with its leading `?`, or nothing.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One segment of a path: everything but unreserved characters is encoded, so that an id given by
/// a user cannot reach another route.
#[must_use]
pub fn encode_segment(segment: &str) -> String {
    let mut text = String::with_capacity(segment.len());
    encode(&mut text, segment);
    text
}

/// A name that may hold slashes, such as an image's: those and what stands in references stay.
#[must_use]
pub fn encode_path(name: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/:@".contains(&byte);
    // A segment of dots would be taken out of the path on the way.
    let is_safe = name.split('/').all(|segment| !matches!(segment, "." | ".."));
    if is_safe && name.bytes().all(is_plain) { name.to_owned() } else { encode_segment(name) }
}

fn encode(into: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            into.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(into, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Query, encode_segment};

    #[test]
    fn what_is_reserved_is_encoded() {
        assert_eq!(encode_segment("../a b"), "..%2Fa%20b");
        let query = Query::new().with("name", "a&b").flag("v", true).flag("force", false).non_empty("t", "");
        assert_eq!(query.as_str(), "?name=a%26b&v=1");
    }
}
